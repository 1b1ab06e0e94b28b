"""What one side of a connection says, taken apart twice: by our reader and by autobahn's engine.

Both give the same :class:`Heard`, so that tests compare them byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from typing_extensions import override

from relay.wire.wsframe import (
    CLOSE,
    CONTROL,
    PING,
    PONG,
    TEXT,
    FrameFault,
    FrameReader,
    parse_close,
)
from tests.rawpeer.wire import accept_key

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cG9ydGFsLXNwZWMta2V5IQ==\r\n\r\n"
)
ANSWER = (
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Accept: {}\r\n\r\n"
)

KEY = bytes.fromhex("37fa213d")
LENGTHS = (0, 1, 2, 7, 124, 125, 126, 127, 300, 1023, 1024, 1025, 65535, 65536, 66000)
"""On both sides of every border: of the three forms of a length, and of native code."""


def pattern(length: int, seed: int = 0) -> bytes:
    """:returns: bytes that differ from their neighbours, four apart as well"""
    return bytes((seed + index * 7 + index // 251) & 0xFF for index in range(length))


class Part(NamedTuple):
    """A message, or what came of one that is not over."""

    text: bool
    payload: bytes
    final: bool


class Control(NamedTuple):
    """A Ping or a Pong."""

    opcode: int
    payload: bytes


class Ended(NamedTuple):
    """A Close as it came."""

    code: int | None
    text: str


class Fault(NamedTuple):
    """The verdict: the code of the Close that says so."""

    code: int


Heard = list[Part | Control | Ended | Fault]


class _Notes:
    """Collects what is heard; parts of one message become one."""

    def __init__(self) -> None:
        self.heard: Heard = []

    def part(self, text: bool, payload: bytes, final: bool) -> None:
        """A part of a message; control frames may stand between it and the part before."""
        for index in range(len(self.heard) - 1, -1, -1):
            last = self.heard[index]
            if isinstance(last, Part):
                if last.final:
                    break
                del self.heard[index]
                text, payload = last.text, last.payload + payload
                break
        self.heard.append(Part(text, payload, final))


def by_reader(reader: FrameReader, chunks: Iterable[bytes]) -> Heard:
    """:returns: what relay's reader finds, up to a Close or a fault."""
    notes = _Notes()
    for chunk in chunks:
        data = bytearray(reader.head + chunk)
        reader.head = b""
        view, start = memoryview(data), 0
        try:
            while start < len(data):
                piece = reader.take(view, start, len(data))
                if piece is None:
                    break
                opcode, first, start, final = piece
                assert opcode < CONTROL or final
                if opcode == CLOSE:
                    notes.heard.append(Ended(*parse_close(reader.control)))
                    return notes.heard
                if opcode in (PING, PONG):
                    notes.heard.append(Control(opcode, reader.control))
                else:
                    notes.part(opcode == TEXT, bytes(data[first:start]), final)
        except FrameFault as fault:
            notes.heard.append(Fault(fault.code))
            return notes.heard
    return notes.heard


def by_engine(server: bool, chunks: Sequence[bytes]) -> Heard:
    """:returns: what autobahn's engine finds, up to a Close or a fault.

    :param server: whether it is the server's: then frames must be masked
    """
    notes = _Notes()
    factory: Any = (WebSocketServerFactory if server else WebSocketClientFactory)(reactor=Clock())
    # that a text is UTF-8 is not the reader's affair
    factory.setProtocolOptions(utf8validateIncoming=False, tcpNoDelay=False)
    protocol: Any = (_ServerEngine if server else _ClientEngine)()
    protocol.factory = factory
    protocol.notes = notes
    protocol.makeConnection(StringTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 1)))
    try:
        if server:
            protocol.dataReceived(REQUEST)
        else:
            protocol.dataReceived(
                ANSWER.format(accept_key(protocol.websocket_key.decode())).encode()
            )
        for chunk in chunks:
            protocol.dataReceived(chunk)
    except _Over:
        pass
    return notes.heard


class _Over(Exception):
    """Nothing of what follows matters."""


class _Engine(WebSocketProtocol):
    """Writes down what autobahn's engine tells."""

    notes: _Notes
    _text: bool

    def _fail_connection(self, code: int = 0, reason: str = "") -> None:
        self.notes.heard.append(Fault(code))
        raise _Over

    @override
    def dropConnection(self, abort: bool = False) -> None:
        """There is none."""

    def _onMessageBegin(self, isBinary: bool) -> None:
        self._text = not isBinary

    def _onMessageFrameBegin(self, length: int) -> None:
        """Nothing of it has come."""

    def _onMessageFrameData(self, payload: bytes) -> None:
        self.notes.part(self._text, payload, False)

    def _onMessageFrameEnd(self) -> None:
        """More may follow."""

    def _onMessageEnd(self) -> None:
        self.notes.part(self._text, b"", True)

    def _onPing(self, payload: bytes) -> None:
        self.notes.heard.append(Control(PING, payload))

    def _onPong(self, payload: bytes) -> None:
        self.notes.heard.append(Control(PONG, payload))

    @override
    def onCloseFrame(self, code: Any, reasonRaw: Any) -> bool | None:  # autobahn passes None, too
        super().onCloseFrame(code, reasonRaw)  # judges the Close
        text = "" if reasonRaw is None else reasonRaw.decode()
        self.notes.heard.append(Ended(code, text))
        raise _Over


class _ServerEngine(_Engine, WebSocketServerProtocol):  # type: ignore[misc]  # autobahn has no types
    """A server's."""


class _ClientEngine(_Engine, WebSocketClientProtocol):  # type: ignore[misc]  # autobahn has no types
    """A client's."""


def heard(data: bytes, masked: bool = True) -> Heard:
    """:returns: what the reader finds in bytes that come at once"""
    return by_reader(FrameReader(masked), [data])


def cut(data: bytes, at: list[int]) -> list[bytes]:
    """:returns: ``data`` in pieces; some may be empty"""
    marks = sorted({0, len(data), *(mark % (len(data) + 1) for mark in at)})
    return [data[start:end] for start, end in pairwise(marks)]
