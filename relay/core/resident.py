"""Members of topics that have no link: a part of this program, and bridges between topics."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger
from typing_extensions import override
from zope.interface import implementer

from relay.core.stream import Stream
from relay.outside import IResident
from relay.vocabulary import Carries, Close, Data, Reason

RESIDENT_CARRIES = Carries(boundaries=True, text=True)


@implementer(IResident)
class Resident(Stream):
    """A member of a topic that hears by a callback.

    :param heard: called with each whole message of the others; what goes wrong in it is logged, and
        is no matter of theirs
    """

    __slots__ = ("_heard",)

    log = Logger()

    def __init__(self, label: str, heard: Callable[[Data], None]) -> None:
        super().__init__(RESIDENT_CARRIES, label)
        self._heard = heard

    def say(self, payload: bytes, text: bool) -> None:
        """Tell every other member; nobody hears one who has left."""
        if self.partner is not None and not self.closed:
            self.deliver(Data(payload, text=text))

    def leave(self) -> None:
        """Give the seat up; harmless when it is given up."""
        if not self.closed:
            self.closed = True
            if self.circuit is not None:
                self.circuit.broken(self, Reason.FINISHED)
            self.detach()

    @override
    def send(self, data: Data) -> None:
        """Somebody has said something."""
        if self.closed:
            return
        try:
            self._heard(data)
        except Exception:
            self.log.failure("{link}: a message could not be handled", link=self.label)

    @override
    def finish(self) -> None:
        """A topic does not end."""

    @override
    def reset(self, reason: Reason, close: Close | None) -> None:
        """The seat was taken away."""
        self.closed = True
        self.detach()

    @override
    def pause(self) -> None:
        """Nobody is told to wait: a topic has room for whatever is said."""

    @override
    def resume(self) -> None:
        """Nothing has waited."""

    @override
    def is_paused(self) -> bool:
        """:returns: False"""
        return False
