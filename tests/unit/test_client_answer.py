"""The answers to a handshake that are read without the engine, and those that are left to it."""

from __future__ import annotations

import pytest

from relay.links.websocket.accept import accept_key
from relay.links.websocket.client import plain_answer

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
LINES = (
    b"HTTP/1.1 101 Switching Protocols",
    b"Server: relay",
    b"Upgrade: WebSocket",
    b"Connection: Upgrade",
    b"X-Relay-Half-Close: yes",
    b"Sec-WebSocket-Accept: " + ACCEPT.encode(),
)


def answer(*more: bytes, without: int | None = None, instead: bytes | None = None) -> bytes:
    """The head of an answer.

    :param without: the line that is left out
    :param instead: what stands in its place
    """
    lines = [line for number, line in enumerate(LINES) if number != without]
    if instead is not None:
        assert without is not None
        lines.insert(without, instead)
    return b"\r\n".join([*lines, *more])


def test_the_key_of_the_standard() -> None:
    """RFC 6455, section 1.3."""
    assert accept_key(KEY) == ACCEPT


def test_a_plain_answer() -> None:
    """Its headers, with names in lower case."""
    assert plain_answer(answer(b"x-empty:"), ACCEPT) == {
        "server": "relay",
        "upgrade": "WebSocket",
        "connection": "Upgrade",
        "x-relay-half-close": "yes",
        "sec-websocket-accept": ACCEPT,
        "x-empty": "",
    }


@pytest.mark.parametrize(
    "head",
    [
        b"",
        answer(without=0),
        answer(without=2),
        answer(without=3),
        answer(without=5),
        answer(without=0, instead=b"HTTP/1.1 200 OK"),
        answer(without=0, instead=b"HTTP/1.0 101 Switching Protocols"),
        answer(without=0, instead=b"HTTP/1.1 1011 Switching Protocols"),
        answer(without=2, instead=b"Upgrade: h2c"),
        answer(without=3, instead=b"Connection: keep-alive"),
        answer(without=5, instead=b"Sec-WebSocket-Accept: " + ACCEPT.lower().encode()),
        answer(LINES[5]),
        answer(b"upgrade: websocket"),
        answer(b"no colon"),
        answer(b"Sec-WebSocket-Extensions: permessage-deflate"),
        answer(b"Sec-WebSocket-Protocol: chat"),
        answer(b"\xe9: latin"),
        answer(b"X-Latin: \xe9"),
    ],
)
def test_any_other_is_left_to_the_engine(head: bytes) -> None:
    """Which says what is the matter, or takes it all the same."""
    assert plain_answer(head, ACCEPT) is None
