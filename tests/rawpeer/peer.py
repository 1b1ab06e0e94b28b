"""One end of one connection, which does what the test says and nothing else."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    IReactorTime,
    ISystemHandle,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.rawpeer.waiting import DEADLINE_S, Ended, Late, PeerError
from tests.rawpeer.wire import (
    PERFECT_HANDSHAKE,
    Ending,
    Frame,
    Head,
    Op,
    accept_key,
    close_body,
    encode_frame,
    request_head,
    take_frame,
    take_head,
)

MASK = bytes.fromhex("37fa213d")

T = TypeVar("T")


class _Transport(ITCPTransport, ISystemHandle, IPushProducer, IConsumer):
    """What a TCP or TLS connection of Twisted offers, as far as it is used here."""


@implementer(IPushProducer, IHalfCloseableProtocol)
class RawPeer(Protocol):
    """One end of one connection.

    :ivar masks: whether :meth:`send` masks, as clients must
    :ivar end: why the connection is over, None while it is not
    :ivar stays_half_open: whether a FIN leaves this side open for sending
    """

    def __init__(
        self,
        clock: IReactorTime,
        masks: bool,
        connected: Callable[[RawPeer], None] = lambda _: None,
    ) -> None:
        self.clock = clock
        self._connected = connected
        self.masks = masks
        self.end: Failure | None = None
        self._buffer = bytearray()
        self._waiting: list[Deferred[None]] = []
        self._writable = True
        self.stays_half_open = False
        self._half_ended = False

    @property
    def _wire(self) -> _Transport:
        return cast(_Transport, self.transport)

    # -- what Twisted tells us -------------------------------------------------------------------

    def connectionMade(self) -> None:
        self._wire.registerProducer(self, True)
        self._connected(self)

    def dataReceived(self, data: bytes) -> None:
        self._buffer += data
        self._changed()

    def readConnectionLost(self) -> None:
        if self.stays_half_open:
            self._half_ended = True
            self._changed()
        else:
            self.drop()

    def writeConnectionLost(self) -> None:
        """Our own FIN is out."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.end = reason
        self._changed()

    def pauseProducing(self) -> None:
        self._writable = False

    def resumeProducing(self) -> None:
        self._writable = True
        self._changed()

    def stopProducing(self) -> None:
        """The transport takes no more; ``connectionLost`` follows."""

    # -- waiting ---------------------------------------------------------------------------------

    def _changed(self) -> None:
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    async def until(
        self, ready: Callable[[], T | None], what: str, deadline_s: float = DEADLINE_S
    ) -> T:
        """Wait until ``ready`` gives something, asking whenever this peer's state has changed.

        :raises Late: at the deadline
        :raises Ended: when the connection is over first
        """
        expiry = self.clock.seconds() + deadline_s
        while (found := ready()) is None:
            if self.end is not None:
                raise Ended(f"no {what}: {self.end.getErrorMessage()}; {self._unread()}")
            changed: Deferred[None] = Deferred()
            timer = self.clock.callLater(
                max(0.0, expiry - self.clock.seconds()), self._expire, changed, what
            )
            self._waiting.append(changed)
            try:
                await changed
            finally:
                if timer.active():
                    timer.cancel()
        return found

    def _expire(self, changed: Deferred[None], what: str) -> None:
        self._waiting.remove(changed)
        changed.errback(Late(f"no {what} in time; {self._unread()}"))

    def _unread(self) -> str:
        return f"unread: {len(self._buffer)} bytes, {bytes(self._buffer[:60])!r}"

    # -- sending ---------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._wire.write(data)

    def send(
        self,
        opcode: int,
        payload: bytes = b"",
        *,
        fin: bool = True,
        rsv: int = 0,
        masked: bool | None = None,
        length: int | None = None,
        length_bits: int | None = None,
    ) -> None:
        """Send one frame, masked as this side's frames must be unless told otherwise."""
        masks = self.masks if masked is None else masked
        self.write(
            encode_frame(
                opcode,
                payload,
                mask=MASK if masks else None,
                fin=fin,
                rsv=rsv,
                length=length,
                length_bits=length_bits,
            )
        )

    def send_close(self, code: int | None = 1000, reason: str = "") -> None:
        """Send a Close."""
        self.send(Op.CLOSE, close_body(code, reason))

    async def writable(self, deadline_s: float = DEADLINE_S) -> None:
        """Wait until the kernel has taken (nearly) all that was sent. :raises Late, Ended:"""
        await self.until(lambda: self._writable or None, "room for more", deadline_s)

    async def send_all(self, data: bytes, message_bytes: int = 1 << 16) -> None:
        """Send ``data`` as binary messages, no faster than the other end takes them."""
        for start in range(0, len(data), message_bytes):
            await self.writable()
            self.send(Op.BINARY, data[start : start + message_bytes])

    async def upgrade(
        self,
        target: str,
        headers: Mapping[str, str] | None = None,
        *,
        deadline_s: float = DEADLINE_S,
        version: str = "HTTP/1.1",
        method: str = "GET",
    ) -> Head:
        """Ask for a WebSocket in perfect form. :returns: the answer, whatever it is"""
        perfect = {**PERFECT_HANDSHAKE, **(headers or {})}
        self.write(request_head(target, perfect, version=version, method=method))
        return await self.response(deadline_s, body=method != "HEAD")

    def answer_upgrade(self, request: Head, headers: Mapping[str, str] | None = None) -> None:
        """As a server: send the 101 that ``request`` asks for."""
        key = request.header("Sec-WebSocket-Key")
        if key is None:
            raise PeerError("the request has no Sec-WebSocket-Key")
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Connection: Upgrade",
            "Upgrade: websocket",
            f"Sec-WebSocket-Accept: {accept_key(key)}",
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
        ]
        self.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def refuse(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        """As a server: answer with a refusal and close."""
        fields = {"Content-Length": "0", "Connection": "close", **(headers or {})}
        lines = [f"HTTP/1.1 {status} Refused", *(f"{k}: {v}" for k, v in fields.items())]
        self.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        self.drop()

    # -- receiving -------------------------------------------------------------------------------

    async def head(self, deadline_s: float = DEADLINE_S) -> Head:
        """:returns: the next head. :raises Late, Ended:"""
        return await self.until(lambda: take_head(self._buffer), "head", deadline_s)

    async def response(self, deadline_s: float = DEADLINE_S, *, body: bool = True) -> Head:
        """:param body: False for the answer to a HEAD
        :returns: the next response, with its body unless it is a 101
        :raises Late, Ended:
        """
        head = await self.head(deadline_s)
        if head.status == 101 or not body:
            return head
        length = head.header("Content-Length")
        if length is None:
            await self.until(lambda: self.end, "end of an answer without a length", deadline_s)
            return head._replace(body=bytes(self._buffer))
        return head._replace(body=await self.exactly(int(length), deadline_s))

    async def exactly(self, count: int, deadline_s: float = DEADLINE_S) -> bytes:
        """:returns: the next ``count`` bytes as they came. :raises Late, Ended:"""

        def take() -> bytes | None:
            if len(self._buffer) < count:
                return None
            taken = bytes(self._buffer[:count])
            del self._buffer[:count]
            return taken

        return await self.until(take, f"{count} bytes", deadline_s)

    async def some(self, deadline_s: float = DEADLINE_S) -> bytes:
        """:returns: what has come, at least one byte
        :raises Late:
        :raises Ended: behind the other end's FIN, too
        """
        await self.until(lambda: bool(self._buffer) or self._half_ended or None, "byte", deadline_s)
        if not self._buffer:
            raise Ended("a FIN and nothing before it")
        return await self.exactly(len(self._buffer))

    async def everything(self, deadline_s: float = DEADLINE_S) -> bytes:
        """:returns: all bytes until the end of the connection, which must be orderly
        :raises Late: when it does not end
        :raises Ended: when it was reset
        """
        await self.gone(deadline_s)
        if self.was_reset():
            raise Ended(f"a reset; {self._unread()}")
        return bytes(self._buffer)

    async def half_ended(self, deadline_s: float = DEADLINE_S) -> bytes:
        """:returns: all bytes until the other end's FIN; this side, :attr:`stays_half_open`"""
        await self.until(lambda: self._half_ended or None, "FIN", deadline_s)
        return bytes(self._buffer)

    async def write_all(self, data: bytes, chunk_bytes: int = 1 << 16) -> None:
        """Write ``data``, no faster than the other end takes it."""
        for start in range(0, len(data), chunk_bytes):
            await self.writable()
            self.write(data[start : start + chunk_bytes])

    async def receive(self, deadline_s: float = DEADLINE_S) -> Frame:
        """:returns: the next frame of whatever kind. :raises Late, Ended:"""
        return await self.until(lambda: take_frame(self._buffer), "frame", deadline_s)

    async def receive_bytes(self, count: int, deadline_s: float = DEADLINE_S) -> bytes:
        """:returns: ``count`` bytes of binary payload, however they were cut
        :raises PeerError: when another frame comes, or more bytes do
        """
        parts: list[bytes] = []
        missing = count
        while missing > 0:
            frame = await self.receive(deadline_s)
            if frame.opcode not in (Op.BINARY, Op.CONTINUATION):
                raise PeerError(f"{frame!r} among payload, {missing} bytes missing")
            parts.append(frame.payload)
            missing -= len(frame.payload)
        if missing < 0:
            raise PeerError(f"{-missing} bytes too many")
        return b"".join(parts)

    async def receive_message(self, deadline_s: float = DEADLINE_S) -> Frame:
        """:returns: the next whole message, its fragments joined. :raises Late, Ended:"""
        first = await self.receive(deadline_s)
        parts, last = [first.payload], first
        while not last.fin:
            last = await self.receive(deadline_s)
            if last.opcode != Op.CONTINUATION:
                raise PeerError(f"{last!r} within a fragmented message")
            parts.append(last.payload)
        return first._replace(payload=b"".join(parts), fin=True)

    def left(self) -> bytes:
        """:returns: everything that arrived so far and was not read"""
        return bytes(self._buffer)

    def nothing_came(self) -> bool:
        """:returns: whether everything that arrived so far was read"""
        return not self._buffer

    async def ending(
        self, deadline_s: float = DEADLINE_S, *, reply: bool = True, leave: bool = False
    ) -> Ending:
        """Read until the connection is over.

        :param reply: answer a Close as RFC 6455 asks
        :param leave: do not wait for the other end to close TCP behind its Close
        :raises Late: when it does not end
        """
        frames: list[Frame] = []
        close: Frame | None = None
        expiry = self.clock.seconds() + deadline_s

        def take() -> Frame | None:
            return take_frame(self._buffer)

        while True:
            try:
                frame = await self.until(take, "end", expiry - self.clock.seconds())
            except Ended:
                break
            if frame.opcode != Op.CLOSE:
                frames.append(frame)
                continue
            close = frame
            if reply and self.end is None:
                self.send(Op.CLOSE, frame.payload)
            if leave:
                self.drop()
        orderly = self.end is not None and self.end.check(ConnectionDone) is not None
        return Ending(frames, close, bytes(self._buffer), orderly)

    # -- misbehaving, and leaving ----------------------------------------------------------------

    def pause(self) -> None:
        """Read nothing until :meth:`resume`."""
        self._wire.pauseProducing()

    def shrink(self) -> None:
        """Make the kernel's buffer for what arrives small, so that a stop is soon felt."""
        handle = cast(socket.socket, self._wire.getHandle())
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)

    def resume(self) -> None:
        """Read again."""
        self._wire.resumeProducing()

    def half_close(self) -> None:
        """Send a FIN behind all that was sent, and go on reading."""
        self._wire.unregisterProducer()
        self._wire.loseWriteConnection()

    def drop(self) -> None:
        """Close TCP behind all that was sent, without a Close frame."""
        if self.end is None:
            self._wire.unregisterProducer()
            self._wire.loseConnection()

    def reset(self) -> None:
        """Send a RST at once (``SO_LINGER`` 0)."""
        if self.end is None:
            self._wire.abortConnection()

    async def gone(self, deadline_s: float = DEADLINE_S) -> None:
        """Wait until the connection is over on this side, whatever came before. :raises Late:"""
        await self.until(lambda: self.end, "end", deadline_s)

    def was_reset(self) -> bool:
        """:returns: whether the connection ended otherwise than with a FIN"""
        return self.end is not None and bool(self.end.check(ConnectionLost, ConnectionAborted))
