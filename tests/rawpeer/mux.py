"""One end of a wsmux link made of bytes: the multiplexer of websocktunnel (websocktunnel.md §7).

It records every frame with its time. What it answers by itself is said by three switches:
:attr:`MuxLink.window`, :attr:`MuxLink.refunds` and :attr:`MuxLink.pongs`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple, TypeVar

from twisted.internet.defer import Deferred

from tests.rawpeer.peer import RawPeer
from tests.rawpeer.waiting import DEADLINE_S, Ended, Late, PeerError, until
from tests.rawpeer.wire import Frame, Head, Op, take_head

MUX_WINDOW_BYTES = 4 * 1024 * 1024
"""What an acceptor of today grants, and assumes for itself (websocktunnel.md §7.5)."""

DAT_BYTES = 32 * 1024
FOREVER_S = 600.0

T = TypeVar("T")


class Mux(IntEnum):
    """Types of frames (websocktunnel.md §7.2)."""

    DAT = 0
    SYN = 1
    ACK = 2
    FIN = 3


class MuxFrame(NamedTuple):
    """One frame, and when it came (the reactor's seconds)."""

    kind: int
    stream: int
    payload: bytes
    at: float


def encode_mux(kind: int, stream: int, payload: bytes = b"") -> bytes:
    """:returns: the payload of the one message that a frame is"""
    return struct.pack("<BI", kind, stream) + payload


def credit(count: int) -> bytes:
    """:returns: the payload of an ACK"""
    return struct.pack("<I", count)


class MuxStream:
    """One stream, as its peer sees it.

    :ivar received: all bytes that came and were not taken by :meth:`exactly` or :meth:`head`
    :ivar arrived: how many bytes came in all
    :ivar acks: the values of all ACKs, in order
    :ivar fins: how many FIN came
    :ivar credit: what this side may still send
    :ivar granted: what the other side was allowed to send in all
    """

    def __init__(self, link: MuxLink, number: int, *, credit: int, granted: int) -> None:
        self.link = link
        self.number = number
        self.credit = credit
        self.granted = granted
        self.received = bytearray()
        self.arrived = 0
        self.acks: list[int] = []
        self.fins = 0

    # -- sending ---------------------------------------------------------------------------------

    def accept(self, window: int = MUX_WINDOW_BYTES) -> None:
        """Take the stream that the other side has opened."""
        self.ack(window)

    def ack(self, count: int) -> None:
        """Grant so many bytes more."""
        self.granted += count
        self.link.send(Mux.ACK, self.number, credit(count))

    def send(self, data: bytes) -> None:
        """Send one DAT, whatever credit there is."""
        self.credit -= len(data)
        self.link.send(Mux.DAT, self.number, data)
        self.link.changed()

    async def send_all(self, data: bytes, deadline_s: float = DEADLINE_S) -> None:
        """Send ``data`` as far as credit goes, wait, and go on. :raises Late, Ended:"""
        position = 0
        while position < len(data):
            await self.link.until(lambda: self.credit > 0 or None, "credit", deadline_s)
            part = data[position : position + min(DAT_BYTES, self.credit)]
            await self.link.peer.writable()
            self.send(part)
            position += len(part)

    def fin(self) -> None:
        """Say that nothing more is sent."""
        self.link.send(Mux.FIN, self.number)

    def respond(self, text: bytes, *, fin: bool = True) -> None:
        """Send a whole response, and the end of the stream behind it."""
        self.send(text)
        if fin:
            self.fin()

    # -- receiving -------------------------------------------------------------------------------

    async def head(self, deadline_s: float = DEADLINE_S) -> Head:
        """:returns: the next request or response head. :raises Late, Ended:"""
        return await self.link.until(lambda: take_head(self.received), "head", deadline_s)

    async def exactly(self, count: int, deadline_s: float = DEADLINE_S) -> bytes:
        """:returns: the next ``count`` bytes. :raises Late, Ended:"""

        def take() -> bytes | None:
            if len(self.received) < count:
                return None
            taken = bytes(self.received[:count])
            del self.received[:count]
            return taken

        return await self.link.until(take, f"{count} bytes on stream {self.number}", deadline_s)

    async def finished(self, deadline_s: float = DEADLINE_S) -> bytes:
        """:returns: what is left when FIN has come. :raises Late, Ended:"""
        await self.link.until(lambda: self.fins or None, f"FIN of {self.number}", deadline_s)
        return bytes(self.received)

    async def opened(self, deadline_s: float = DEADLINE_S) -> int:
        """:returns: the value of the ACK that accepts the stream. :raises Late, Ended:"""
        acks = self.acks
        return await self.link.until(
            lambda: acks[0] if acks else None, f"ACK of {self.number}", deadline_s
        )


class MuxLink:
    """One end of a link, over a WebSocket that stands.

    :ivar window: SYNs are accepted with it as they come; None: they are not
    :ivar refunds: whether the bytes of each DAT are granted again as it comes
    :ivar pongs: whether Pings are answered
    :ivar frames: every mux frame that came
    :ivar pings: when Pings came, with their payloads; likewise :attr:`pongs_seen`
    :ivar close: the Close that came, None while there is none
    """

    def __init__(
        self,
        peer: RawPeer,
        *,
        window: int | None = MUX_WINDOW_BYTES,
        refunds: bool = True,
        pongs: bool = True,
    ) -> None:
        self.peer = peer
        self.window = window
        self.refunds = refunds
        self.pongs = pongs
        self.frames: list[MuxFrame] = []
        self.pings: list[tuple[float, bytes]] = []
        self.pongs_seen: list[bytes] = []
        self.close: Frame | None = None
        self.streams: dict[int, MuxStream] = {}
        self._asked: list[MuxStream] = []
        self._next = 0
        self._message = bytearray()
        self._fault: PeerError | None = None
        self._waiting: list[Deferred[None]] = []
        self.reading = Deferred.fromCoroutine(self._read())
        self.reading.addCallback(lambda _: self.changed())

    # -- sending ---------------------------------------------------------------------------------

    def send(self, kind: int, stream: int, payload: bytes = b"") -> None:
        """Send one frame."""
        self.peer.send(Op.BINARY, encode_mux(kind, stream, payload))

    def open(self) -> MuxStream:
        """Ask for a stream, as the server's side does: ids 0, 2, 4 …"""
        stream = self.streams[self._next] = MuxStream(
            self, self._next, credit=0, granted=MUX_WINDOW_BYTES
        )
        self._next += 2
        self.send(Mux.SYN, stream.number)
        return stream

    # -- receiving -------------------------------------------------------------------------------

    async def accept(self, deadline_s: float = DEADLINE_S) -> MuxStream:
        """:returns: the next stream that the other side asks for. :raises Late, Ended:"""
        asked = self._asked
        return await self.until(lambda: asked.pop(0) if asked else None, "SYN", deadline_s)

    async def until(
        self, ready: Callable[[], T | None], what: str, deadline_s: float = DEADLINE_S
    ) -> T:
        """Wait until ``ready`` gives something.

        :raises Late: at the deadline
        :raises Ended: when the link is over first
        :raises PeerError: when the other side broke the rules of the link
        """

        clock = self.peer.clock
        expiry = clock.seconds() + deadline_s
        while True:
            over = bool(self.reading.called)
            if (result := ready()) is not None:
                return result
            if self._fault is not None:
                raise self._fault
            if over:
                raise Ended(f"no {what}: the link is over, Close {self.close}")
            if (left := expiry - clock.seconds()) <= 0:
                raise Late(f"no {what} in {deadline_s} s; the last frames: {self.last()}")
            changed: Deferred[None] = Deferred()
            self._waiting.append(changed)
            timer = clock.callLater(left, self.changed)
            try:
                await changed
            finally:
                if timer.active():
                    timer.cancel()

    def changed(self) -> None:
        """Have everybody look who waits for something."""
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    def last(self) -> list[tuple[str, int, bytes]]:
        """:returns: the last frames, shortened, for messages"""
        return [(Mux(f.kind).name, f.stream, f.payload[:40]) for f in self.frames[-5:]]

    def of(self, kind: Mux, stream: int | None = None) -> list[MuxFrame]:
        """:returns: all frames of a type, perhaps of one stream only"""
        return [f for f in self.frames if f.kind == kind and stream in (None, f.stream)]

    async def ended(self, deadline_s: float = DEADLINE_S) -> Frame | None:
        """Wait for the end of TCP. :returns: the Close that came before. :raises Late:"""
        await until(lambda: bool(self.reading.called) or None, "end of the link", deadline_s)
        return self.close

    async def refused(self, deadline_s: float = DEADLINE_S) -> Frame:
        """Answer the Close that comes, and wait for the end of TCP behind it.

        :returns: the Close. :raises Late, Ended:
        """
        close = await self.until(lambda: self.close, "Close", deadline_s)
        if self.peer.end is None:
            self.peer.send(Op.CLOSE, close.payload)
        await self.ended(deadline_s)
        return close

    async def _read(self) -> None:
        try:
            while True:
                self._take(await self.peer.receive(FOREVER_S))
                self.changed()
        except Ended:
            return
        except PeerError as fault:
            self._fault = fault

    def _take(self, frame: Frame) -> None:
        now = self.peer.clock.seconds()
        if frame.opcode == Op.PING:
            self.pings.append((now, frame.payload))
            if self.pongs:
                self.peer.send(Op.PONG, frame.payload)
        elif frame.opcode == Op.PONG:
            self.pongs_seen.append(frame.payload)
        elif frame.opcode == Op.CLOSE:
            self.close = frame
        elif frame.opcode == Op.TEXT:
            raise PeerError(f"a text message: {frame}")
        else:
            self._message += frame.payload
            if frame.fin:
                self._mux(bytes(self._message), now)
                self._message.clear()

    def _mux(self, message: bytes, now: float) -> None:
        if len(message) < 5:
            raise PeerError(f"a message of {len(message)} bytes")
        kind, number = struct.unpack_from("<BI", message)
        payload = message[5:]
        self.frames.append(MuxFrame(kind, number, payload, now))
        if kind == Mux.SYN:
            if payload:
                raise PeerError("a SYN with payload")
            stream = self.streams[number] = MuxStream(
                self, number, credit=MUX_WINDOW_BYTES, granted=0
            )
            self._asked.append(stream)
            if self.window is not None:
                stream.accept(self.window)
            return
        if (known := self.streams.get(number)) is None:
            return
        if kind == Mux.DAT:
            self._data(known, payload)
        elif kind == Mux.ACK:
            (value,) = struct.unpack("<I", payload)
            known.acks.append(value)
            known.credit += value
        elif kind == Mux.FIN and not payload:
            known.fins += 1
        else:
            raise PeerError(f"no frame of §7.2: {message[:40]!r}")

    def _data(self, stream: MuxStream, payload: bytes) -> None:
        if not payload:
            raise PeerError("an empty DAT, which Go peers break on")
        stream.received += payload
        stream.arrived += len(payload)
        if stream.arrived > stream.granted:
            raise PeerError(f"stream {stream.number} overran its credit of {stream.granted}")
        if self.refunds:
            stream.ack(len(payload))
