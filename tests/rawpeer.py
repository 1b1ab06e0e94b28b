"""A WebSocket peer made of bytes: it sends what a test asks for, right or wrong.

Either side of a connection: :func:`connect` makes a client, :class:`RawServer` hands out servers.
Nothing is answered by itself; every wait has a deadline.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    IListeningPort,
    IOpenSSLClientConnectionCreator,
    IPushProducer,
    IReactorTCP,
    IReactorTime,
    IStreamClientEndpoint,
    ISystemHandle,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

DEADLINE_S = 5.0
POLL_S = 0.005
RFC6455_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MASK = bytes.fromhex("37fa213d")
SAMPLE_KEY = "cG9ydGFsLXNwZWMta2V5IQ=="
PERFECT_HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": SAMPLE_KEY,
}

T = TypeVar("T")


class Op(IntEnum):
    """RFC 6455 §5.2 opcodes."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class PeerError(AssertionError):
    """The other end did not behave as the test expects."""


class Late(PeerError):
    """What was waited for did not come in time."""


class Ended(PeerError):
    """The connection ended instead."""


class Reactor(IReactorTCP, IReactorTime):
    """What the reactor offers and these tests need."""


def the_reactor() -> Reactor:
    """:returns: the running reactor"""
    from twisted.internet import reactor

    return cast(Reactor, reactor)


async def until(
    found: Callable[[], T | None], what: str | Callable[[], str], deadline_s: float = DEADLINE_S
) -> T:
    """Poll until ``found`` gives something. :raises Late: at the deadline, naming ``what``"""
    reactor = the_reactor()
    expiry = reactor.seconds() + deadline_s
    while (result := found()) is None:
        if reactor.seconds() > expiry:
            raise Late(f"no {what if isinstance(what, str) else what()} in {deadline_s} s")
        await deferLater(reactor, POLL_S)
    return result


def together(*coroutines: Coroutine[Any, Any, T]) -> Deferred[list[T]]:
    """Run all at once. :returns: their results in order, or the first failure"""
    running = [Deferred.fromCoroutine(coroutine) for coroutine in coroutines]

    def fail(failure: Failure) -> Failure:
        for each in running:
            each.cancel()
        return failure.value.subFailure if isinstance(failure.value, FirstError) else failure

    return gatherResults(running, consumeErrors=True).addErrback(fail)


class Frame(NamedTuple):
    """One frame as it came, unmasked."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    masked: bool = False

    @property
    def code(self) -> int | None:
        """:returns: the code of a Close, None for an empty body"""
        return int.from_bytes(self.payload[:2], "big") if self.payload else None

    @property
    def reason(self) -> str:
        """:returns: the text of a Close"""
        return self.payload[2:].decode()


class Head(NamedTuple):
    """A request or response head, and the body of a response that is no 101."""

    first_line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    @property
    def status(self) -> int:
        """:returns: a response's status"""
        return int(self.first_line.split(" ")[1])

    @property
    def target(self) -> str:
        """:returns: a request's target"""
        return self.first_line.split(" ")[1]

    def header(self, name: str) -> str | None:
        """:returns: the only header of that name, None when there is none"""
        values = self.headers_named(name)
        if len(values) > 1:
            raise PeerError(f"{name} came {len(values)} times")
        return values[0] if values else None

    def headers_named(self, name: str) -> list[str]:
        """:returns: the values of all headers of that name"""
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass(frozen=True)
class Ending:
    """How a connection ended.

    :ivar frames: what came before the end, without the Close
    :ivar close: the other end's Close, if it sent one
    :ivar rest: bytes that are no whole frame
    :ivar orderly: it ended with a FIN rather than a reset
    """

    frames: list[Frame]
    close: Frame | None
    rest: bytes
    orderly: bool

    @property
    def data(self) -> bytes:
        """:returns: the payload of all data frames that came before the end"""
        return b"".join(frame.payload for frame in self.frames if frame.opcode < Op.CLOSE)


def xor(data: bytes, mask: bytes) -> bytes:
    """:returns: ``data`` masked or unmasked (RFC 6455 §5.3)"""
    size = len(data)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def encode_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    mask: bytes | None = None,
    fin: bool = True,
    rsv: int = 0,
    length: int | None = None,
    length_bits: int | None = None,
) -> bytes:
    """:param mask: four bytes, None: unmasked
    :param length: what the header says, when that is not the payload's length
    :param length_bits: 7, 16 or 64, when that is not the shortest form
    :returns: the frame's bytes
    """
    length = len(payload) if length is None else length
    if length_bits is None:
        length_bits = 7 if length < 126 else 16 if length < 1 << 16 else 64
    masked = 0x80 if mask is not None else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if length_bits == 7:
        head += bytes([masked | length])
    elif length_bits == 16:
        head += struct.pack("!BH", masked | 126, length)
    else:
        head += struct.pack("!BQ", masked | 127, length)
    return head + payload if mask is None else head + mask + xor(payload, mask)


def close_body(code: int | None, reason: str = "") -> bytes:
    """:returns: the payload of a Close"""
    return b"" if code is None else code.to_bytes(2, "big") + reason.encode()


def take_frame(buffer: bytearray) -> Frame | None:
    """Remove one whole frame from the front of ``buffer``."""
    if len(buffer) < 2:
        return None
    length, start = buffer[1] & 0x7F, 2
    if length == 126:
        length, start = int.from_bytes(buffer[2:4], "big"), 4
    elif length == 127:
        length, start = int.from_bytes(buffer[2:10], "big"), 10
    mask = b""
    if buffer[1] & 0x80:
        mask = bytes(buffer[start : start + 4])
        start += 4
    if len(buffer) < start or len(buffer) < start + length:
        return None
    payload = bytes(buffer[start : start + length])
    first = buffer[0]
    del buffer[: start + length]
    return Frame(
        first & 0x0F,
        xor(payload, mask) if mask else payload,
        bool(first & 0x80),
        first >> 4 & 7,
        bool(mask),
    )


def take_head(buffer: bytearray) -> Head | None:
    """Remove one whole head from the front of ``buffer``."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    first_line, *lines = buffer[:end].decode("latin-1").split("\r\n")
    del buffer[: end + 4]
    pairs = (line.partition(":") for line in lines)
    return Head(first_line, tuple((name, value.strip()) for name, _, value in pairs))


def request_head(
    target: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    version: str = "HTTP/1.1",
) -> bytes:
    """:returns: a request head with exactly these headers behind ``Host``"""
    lines = [f"{method} {target} {version}", "Host: router.example"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def accept_key(key: str) -> str:
    """:returns: the ``Sec-WebSocket-Accept`` that answers ``key`` (RFC 6455 §4.2.2)"""
    return base64.b64encode(hashlib.sha1(key.encode() + RFC6455_GUID).digest()).decode()


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


class _PeerFactory(Factory):
    noisy = False

    def __init__(self, build: Callable[[], RawPeer]) -> None:
        self._build = build

    def buildProtocol(self, addr: IAddress | None) -> RawPeer:
        return self._build()


async def connect(
    port: int, *, host: str = "127.0.0.1", tls: IOpenSSLClientConnectionCreator | None = None
) -> RawPeer:
    """Open a connection.

    :param tls: how to verify; None: plain TCP
    """
    reactor = the_reactor()
    endpoint: IStreamClientEndpoint = TCP4ClientEndpoint(reactor, host, port)
    if tls is not None:
        endpoint = wrapClientTLS(tls, endpoint)
    peer = RawPeer(reactor, masks=True)
    await endpoint.connect(_PeerFactory(lambda: peer))
    return peer


class RawServer:
    """Listens on a port of its own and hands out its connections in order of arrival."""

    def __init__(self) -> None:
        self._reactor = the_reactor()
        self._arrived: list[RawPeer] = []
        self._waiting: list[Deferred[None]] = []
        self._listening: IListeningPort | None = None
        self.peers: list[RawPeer] = []

    async def listen(self, port: int = 0) -> int:
        """:returns: the port that really listens"""
        endpoint = TCP4ServerEndpoint(self._reactor, port, interface="127.0.0.1")
        factory = _PeerFactory(lambda: RawPeer(self._reactor, False, self._arrives))
        self._listening = await endpoint.listen(factory)
        return cast(IPv4Address, self._listening.getHost()).port

    def _arrives(self, peer: RawPeer) -> None:
        self.peers.append(peer)
        self._arrived.append(peer)
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    @property
    def arrivals(self) -> int:
        """:returns: how many connections have come so far"""
        return len(self.peers)

    async def accept(self, deadline_s: float = DEADLINE_S) -> RawPeer:
        """:returns: the next connection. :raises Late: when none comes"""
        expiry = self._reactor.seconds() + deadline_s
        while not self._arrived:
            arrival: Deferred[None] = Deferred()
            self._waiting.append(arrival)
            timer = self._reactor.callLater(
                max(0.0, expiry - self._reactor.seconds()),
                arrival.errback,
                Late("no connection in time"),
            )
            try:
                await arrival
            except Late:
                self._waiting.remove(arrival)
                raise
            finally:
                if timer.active():
                    timer.cancel()
        return self._arrived.pop(0)

    async def accept_request(self, deadline_s: float = DEADLINE_S) -> tuple[RawPeer, Head]:
        """:returns: the next connection and its request head"""
        peer = await self.accept(deadline_s)
        return peer, await peer.head(deadline_s)

    async def accept_upgrade(self, deadline_s: float = DEADLINE_S) -> tuple[RawPeer, Head]:
        """:returns: the next connection, already answered with a 101, and its request head"""
        peer, request = await self.accept_request(deadline_s)
        peer.answer_upgrade(request)
        return peer, request

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._listening is not None:
            stopped = self._listening.stopListening()
            if stopped is not None:
                await stopped
            self._listening = None
        for peer in self.peers:
            peer.reset()


def noise(count: int) -> bytes:
    """:returns: ``count`` random bytes"""
    return os.urandom(count)
