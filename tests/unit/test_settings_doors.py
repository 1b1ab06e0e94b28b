"""Where clients accept programs beside them: endpoints for bytes, and WebSockets."""

from __future__ import annotations

import pytest

from relay.settings.endpoints import (
    behind_websocket,
    check_door,
    check_server,
    is_loopback,
    reach,
    same_port,
)
from relay.settings.faults import Wrong


@pytest.mark.parametrize(
    ("text", "endpoint", "where"),
    [
        ("ws:8000", "tcp:8000:interface=127.0.0.1", "loopback only"),
        ("ws:port=0", "tcp:0:interface=127.0.0.1", "loopback only"),
        ("ws:8000:interface=0.0.0.0", "tcp:8000:interface=0.0.0.0", "every interface"),
        ("ws:8000:10.0.0.1", "tcp:8000:interface=10.0.0.1", "interface 10.0.0.1"),
        ("ws:8000:interface=\\:\\:1", "tcp6:8000:interface=\\:\\:1", "loopback only"),
        ("tcp:8000:interface=127.0.0.1", None, "loopback only"),
        ("stdio:", None, "standard input only"),
    ],
)
def test_doors(text: str, endpoint: str | None, where: str) -> None:
    """A client's door may take WebSockets, on loopback unless it says otherwise."""
    assert check_door(text) == text
    assert behind_websocket(text) == endpoint
    assert reach(text) == where
    if endpoint is not None:
        assert check_server(endpoint) == endpoint
        assert is_loopback(endpoint) == is_loopback(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("ws:", "names no port"),
        ("ws:x", '"x" is not a number'),
        ("ws:80:intrface=127.0.0.1", 'did you mean "interface"?'),
        ("ws:80:127.0.0.1:50", "more parts than ws:port:interface"),
        ("ws://h/x", "is a URL"),
    ],
)
def test_wrong_doors(text: str, hint: str) -> None:
    """They are told as wrong endpoints are."""
    with pytest.raises(Wrong) as caught:
        check_door(text)
    assert hint in str(caught.value)


def test_doors_in_each_others_way() -> None:
    """A WebSocket door takes its port as any other does."""
    assert same_port("ws:8000", "tcp:8000")
    assert same_port("ws:8000", "tcp:8000:interface=127.0.0.1")
    assert not same_port("ws:8000", "tcp:8000:interface=10.0.0.1")
    assert not same_port("ws:0", "ws:0")
