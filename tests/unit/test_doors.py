"""Where a tunnel meets its machine."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from relay.links.doors import Doors


@pytest.mark.parametrize(
    ("endpoint", "address", "said"),
    [
        ("tcp:0:interface=127.0.0.1", IPv4Address("TCP", "127.0.0.1", 8001), "127.0.0.1:8001"),
        ("tcp6:0:interface=\\:\\:1", IPv6Address("TCP", "::1", 8001), "[::1]:8001"),
    ],
)
def test_a_door_says_where_it_is(endpoint: str, address: Any, said: str) -> None:
    """The real address is told as a URL has it, an IPv6 one in brackets."""
    reactor: Any = MemoryReactorClock()
    listen = reactor.listenTCP

    def listen_there(*arguments: Any, **named: Any) -> Any:
        port = listen(*arguments, **named)
        port._hostAddress = address
        return port

    reactor.listenTCP = listen_there
    doors = Doors(reactor, None, lambda: None)
    listening = Deferred.fromCoroutine(doors.listen(endpoint, lambda _: None))
    results: list[str] = []
    listening.addCallback(results.append)
    assert results == [said]
