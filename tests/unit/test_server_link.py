"""The router's side of a WebSocket: its answer to a handshake, and what it is from then on."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from relay import __version__
from relay.links.websocket import ServerLink, ServerLinkFactory
from relay.links.websocket.engine import WebSocketLink, quieten
from relay.links.websocket.rest import HANDSHAKE
from relay.vocabulary import Message

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEADERS = {"X-Relay-Half-Close": "yes"}
APART = {*HANDSHAKE, "allowedOriginsPatterns", "factory", "headers", "transport"}
CALL = b"\x82\x83\x00\x00\x00\x00abc"
REQUEST = (
    "GET / HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
)


class Autobahn(WebSocketLink, WebSocketServerProtocol):  # type: ignore[misc]  # autobahn has no types
    """autobahn's own answer."""

    headers: dict[str, str] = {}

    def connectionMade(self) -> None:
        """Without its report on the transport."""
        self._connectionMade()

    def onConnect(self, request: object) -> tuple[None, dict[str, str]]:
        """No subprotocol, and these headers."""
        return None, self.headers

    def _onOpen(self) -> None:
        """It stands."""


def reference(key: str, headers: dict[str, str]) -> Any:
    """:returns: a link that autobahn has opened by itself"""
    clock = Clock()
    factory = WebSocketServerFactory(server=f"relay/{__version__}", reactor=clock)
    quieten(factory)
    factory.setProtocolOptions(versions=[13], webStatus=False, maxConnections=0)
    factory.protocol = Autobahn
    link: Any = factory.buildProtocol(None)
    link.headers = headers
    link.makeConnection(StringTransport())
    link.dataReceived(REQUEST.format(key=key).encode())
    return link


class Receiver:
    """What a session hears."""

    def __init__(self) -> None:
        self.heard: list[Message] = []

    def message_received(self, message: Message) -> None:
        """A message arrived."""
        self.heard.append(message)


def ours(
    key: str, headers: dict[str, str] | None = None, received: bytes = b""
) -> tuple[ServerLink, Receiver]:
    """:returns: a link of ours that stands, and what it hands on"""
    link: Any = ServerLinkFactory(Clock()).buildProtocol(None)
    receiver = Receiver()
    if headers is not None:
        link.upgrade_headers = headers
    link.opened = lambda link: link.start(receiver)
    link.makeConnection(StringTransport())
    link.begin(key, received)
    return link, receiver


def sent(link: Any) -> bytes:
    """:returns: what went out"""
    value: bytes = link.transport.value()
    return value


def test_the_answer_of_the_standard() -> None:
    """The key and the answer that RFC 6455 has in section 1.3."""
    link, _ = ours(KEY)
    assert sent(link) == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Server: relay/" + __version__.encode() + b"\r\n"
        b"Upgrade: WebSocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )


@given(
    st.binary(min_size=16, max_size=16),
    st.dictionaries(st.sampled_from(["X-A", "X-B"]), st.text("az09 ", min_size=1)),
)
def test_the_answer_of_autobahn(nonce: bytes, headers: dict[str, str]) -> None:
    """Byte by byte what autobahn would send, whatever the key and our own headers."""
    key = base64.b64encode(nonce).decode()
    assert sent(ours(key, headers)[0]) == sent(reference(key, headers))


def test_the_state_of_autobahn() -> None:
    """The engine finds all that its own handshake would have left."""
    link, _ = ours(KEY)
    link.transport.unregisterProducer()
    for name, value in vars(reference(KEY, {})).items():
        if name not in APART and not callable(value):
            assert getattr(link, name) == value, name


@pytest.mark.parametrize("size", [1, 3, len(CALL)])
def test_what_followed_the_request(size: int) -> None:
    """Frames that came in one piece with the handshake are heard, cut anywhere."""
    link, receiver = ours(KEY, HEADERS, CALL[:size])
    link.dataReceived(CALL[size:])
    assert receiver.heard == [Message(b"abc")]


def test_nothing_of_the_handshake_is_kept() -> None:
    """Thousands of links may be idle."""
    link, _ = ours(KEY, HEADERS)
    assert not HANDSHAKE & vars(link).keys()


def test_frames_go_out_at_once() -> None:
    """Unmasked, in order, and whole."""
    link, _ = ours(KEY)
    before = len(sent(link))
    link.send_message(Message(b"abc"))
    link.send_message(Message(b"def", text=True, final=False))
    assert sent(link)[before:] == b"\x82\x03abc\x01\x03def"
    assert not HANDSHAKE & vars(link).keys()
