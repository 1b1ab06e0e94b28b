"""Links and streams in memory by which payload passes unread.

As sockets of the cut-through gear do, they hand on what lies in one buffer, which is everybody's:
whoever keeps a view of it, rather than a copy, is caught when the buffer is used again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from typing_extensions import override
from zope.interface import implementer

from relay.interfaces import IStream
from relay.outlets import IFrameOutlet, IInlet, IOutlet, ISplitter, Span
from relay.vocabulary import Carries, Data, Message
from tests.fakes.links import MemoryLink
from tests.fakes.streams import HALF_CLOSE, FakeStream

HEADER_BYTES = 4
"""What lies before each frame's payload."""

GARBAGE = 0xEE
READ_BYTES = 16 * 1024


def spoil(view: memoryview, start: int, end: int) -> None:
    """The buffer is used for something else."""
    view[start:end] = bytes((GARBAGE,)) * (end - start)


@implementer(IFrameOutlet)
class SplittingLink(MemoryLink):
    """A :class:`tests.fakes.MemoryLink` that can split: each step reads several messages at once.

    :param cuts: how many bytes each read has, in turn; none: 16 KiB
    :ivar passed_bytes: what came and was claimed
    """

    def __init__(self, *args: Any, cuts: Iterable[int] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.passed_bytes = 0
        self._cuts = itertools.cycle(tuple(cuts) or (READ_BYTES,))
        self._splitter: ISplitter | None = None
        self._view = memoryview(bytearray(16 * READ_BYTES))

    # -- IFrameOutlet ------------------------------------------------------------------------------

    @override
    def outlet(self) -> IOutlet:  # type: ignore[override]  # the other one never has any
        """:returns: this"""
        return self

    def split(self, splitter: ISplitter) -> None:
        """From now on ask ``splitter``."""
        self._splitter = splitter

    def put_messages(self, head: bytes, view: memoryview, spans: Sequence[Span]) -> None:
        """Send messages; what was sent is spoilt, as by a mask."""
        for start, end, _ in spans:
            self.send_message(Message(head + bytes(view[start:end])))
            spoil(view, start, end)

    def put(self, view: memoryview, spans: Sequence[Span], text: bool) -> bool:
        """Nobody has all of this link."""
        raise AssertionError("payload of one stream as if there were no other")

    def room(self) -> int:
        """:returns: what the buffer has room for"""
        return max(0, self._buffer_bytes - self.unsent_bytes)

    def feed(self, source: IInlet | None) -> None:
        """As :meth:`put`."""

    @override
    def forward(self, counted: IStream | None, outlet: IOutlet | None, text: bool = False) -> None:
        """As :meth:`put`."""
        assert outlet is None

    # -- inside ------------------------------------------------------------------------------------

    @override
    def _let_go(self) -> None:
        super()._let_go()
        self._splitter = None

    @override
    def _deliver_one(self) -> bool:
        splits = self._splitter is not None and self._in and isinstance(self._in[0], Message)
        if not splits or not self.reading:
            return super()._deliver_one()
        self.heard = True
        pieces, end = self._read(next(self._cuts))
        self._take_apart(pieces)
        spoil(self._view, 0, end)
        return True

    def _read(self, left: int) -> tuple[list[tuple[int, int, bool, bool]], int]:
        """:returns: where parts of messages lie in the buffer, whether they are texts, and last
        parts; and where the read ends
        """
        pieces = []
        at = 0
        most = len(self._view) - left
        while left and self._in and isinstance(self._in[0], Message) and at < most - HEADER_BYTES:
            message = self._in.popleft()
            assert isinstance(message, Message)
            payload, text, final = message
            start = at + HEADER_BYTES
            part, rest = payload[:left], payload[left:]
            if rest:
                self._in.appendleft(Message(rest, text, final))
            at = start + len(part)
            self._view[start:at] = part
            pieces.append((start, at, text, final and not rest))
            left -= len(part)
        return pieces, at

    def _take_apart(self, pieces: list[tuple[int, int, bool, bool]]) -> None:
        taker: IOutlet | None = None
        spans: list[Span] = []
        for start, end, text, final in pieces:
            claimed = None
            if self._splitter is not None and not text:
                claimed = self._splitter.claim(self._view, start, end, final)
            if taker is not None and (claimed is None or claimed[0] is not taker):
                taker.put(self._view, spans, False)
                taker, spans = None, []
            if claimed is not None:
                taker, begin = claimed
                spans.append((begin, end, True))
                self.passed_bytes += end - begin
            elif self._receiver is not None and (final or start < end):
                part = bytes(self._view[start:end])
                self._receiver.message_received(Message(part, text, final))
        if taker is not None:
            taker.put(self._view, spans, False)


@implementer(IOutlet)
class PassingStream(FakeStream):
    """A :class:`tests.fakes.FakeStream` with a socket of its own, to and from which payload passes.

    :ivar has_room: False: what comes is taken, but the inlet is to wait
    :ivar passed_bytes: what came unread
    """

    def __init__(self, carries: Carries = HALF_CLOSE, label: str = "passing") -> None:
        super().__init__(carries, label)
        self.has_room = True
        self.passed_bytes = 0
        self._source: IInlet | None = None

    @override
    def outlet(self) -> IOutlet:
        """:returns: this"""
        return self

    def put(self, view: memoryview, spans: Sequence[Span], text: bool) -> bool:
        """Record."""
        assert self.reset_reason() is None, "payload after the end"
        assert "finish" not in self.events, "payload behind a FIN"
        for start, end, _ in spans:
            self.heard.append(Data(bytes(view[start:end])))
            self.passed_bytes += end - start
        return self.has_room

    def room(self) -> int:
        """:returns: a read's worth, or nothing"""
        return READ_BYTES if self.has_room else 0

    def feed(self, source: IInlet | None) -> None:
        """From now on ``source`` hears when there is room again."""
        self._source = source

    def unblock(self) -> None:
        """There is room again."""
        self.has_room = True
        if self._source is not None:
            self._source.unblock()

    @override
    def read_on(self) -> None:
        """Take more."""
        self.unblock()
        super().read_on()

    @override
    def speak(self, payload: bytes, text: bool = False, final: bool = True) -> None:
        """Hand payload to the partner unread, where that can be."""
        assert self.partner is not None
        outlet = self.partner.outlet()
        if outlet is None:
            super().speak(payload, text, final)
            return
        self.bytes_in += len(payload)
        view = memoryview(bytearray(bytes(HEADER_BYTES) + payload))
        end = len(view)
        outlet.put(view, ((HEADER_BYTES, end, True),), False)
        spoil(view, 0, end)
