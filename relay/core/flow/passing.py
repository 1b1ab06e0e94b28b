"""Payload of one stream among many that nobody reads: from socket to socket, as on a link that has
but one.

What cannot go on at once, for want of credit or of room, takes the other way: it is kept in the
stream's outbox or inbox, and whoever sends it is paused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zope.interface import implementer

from relay.errors import ProtocolError
from relay.outlets import IInlet, IOutlet, Span

if TYPE_CHECKING:
    from relay.core.flow.credit import CreditStream


@implementer(IOutlet, IInlet)
class Inflow:
    """What comes on the link for one stream, on its way to the partner's socket.

    :param outlet: the partner's
    :ivar blocked: whether that has no room
    """

    __slots__ = ("_outlet", "_stream", "blocked")

    def __init__(self, stream: CreditStream, outlet: IOutlet) -> None:
        self._stream = stream
        self._outlet: IOutlet | None = outlet
        self.blocked = False
        outlet.feed(self)

    def put(self, view: memoryview, spans: Sequence[Span], text: bool) -> bool:
        """Hand payload on, as far as the window goes.

        What else was read may have ended the circuit since it was claimed: then nobody takes it.
        """
        stream = self._stream
        amount = sum([end - start for start, end, _ in spans])
        try:
            stream.came(amount)
        except ProtocolError as error:
            stream.session.fail(error)
            return True
        if self._outlet is not None and not self._outlet.put(view, spans, text):
            self.blocked = True
        stream.taken(amount)
        return True

    def room(self) -> int:
        """:returns: what the partner has room for"""
        return 0 if self._outlet is None else self._outlet.room()

    def feed(self, source: IInlet | None) -> None:
        """A shared link is never paused for one of its streams."""

    def unblock(self) -> None:
        """There is room again: what was kept goes first."""
        self.blocked = False
        if not self._stream.is_paused():
            self._stream.resume()

    def end(self) -> None:
        """The circuit is over."""
        outlet, self._outlet = self._outlet, None
        if outlet is not None:
            outlet.feed(None)


@implementer(IOutlet)
class Outflow:
    """What a partner's socket has for one stream, on its way to the link."""

    __slots__ = ("_stream",)

    def __init__(self, stream: CreditStream) -> None:
        self._stream = stream

    def put(self, view: memoryview, spans: Sequence[Span], text: bool) -> bool:
        """Send what credit allows; the stream pauses its partner by itself."""
        self._stream.put(view, spans)
        return True

    def room(self) -> int:
        """:returns: the credit that is left"""
        return self._stream.credit()

    def feed(self, source: IInlet | None) -> None:
        """The partner is told to go on by :meth:`relay.interfaces.IStream.resume`."""
