"""A caller in a topic: a published call that no host answers, but everybody who entered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from relay.core.batch import Batch
from relay.core.member import Member
from relay.interfaces import IStream
from relay.vocabulary import Carries, Enter, Reason

if TYPE_CHECKING:
    from relay.core.topic import Topic


class Guest(Member):
    """The callee of a caller's circuit, and a seat in a topic.

    How long it lasts is the circuit's business, what is heard and lost the topic's. A caller that
    says no more goes on to hear.
    """

    __slots__ = ("_plain",)

    is_guest = True

    def __init__(self, topic: Topic, stream: IStream, event: Enter) -> None:
        super().__init__(topic, stream, event)
        self.carries = Carries(half_close=True, boundaries=True, text=True)
        self._plain = not stream.carries.text

    @property
    def bytes_in(self) -> int:  # type: ignore[override]  # a circuit only looks
        """:returns: payload bytes that came from the topic"""
        return self.bytes_out

    @override
    def hear(self, batch: Batch, alone: bool) -> None:
        """Pass messages on, as binary ones where the caller has no others.

        On its link a text may be a word to the other end, which no member is to say.
        """
        super().hear(batch.without_text() if self._plain else batch, alone)

    @override
    def overrun(self) -> None:
        """Cut the caller off for standing still."""
        circuit = self.circuit
        self.topic.leave(self)
        if circuit is not None:
            circuit.broken(self, Reason.OVERRUN)
