"""What an endpoint string becomes before Twisted reads it."""

from __future__ import annotations

import pytest
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactor

from relay.links.listening import BACKLOG, with_backlog


@pytest.mark.parametrize(
    ("endpoint", "backlog"),
    [
        ("tcp:8080", BACKLOG),
        ("tcp:8080:interface=127.0.0.1", BACKLOG),
        ("tcp:port=8080:interface=\\:\\:1", BACKLOG),
        ("tcp:8080:backlog=7", 7),
        ("tcp:8080:backlog=7:interface=127.0.0.1", 7),
    ],
)
def test_a_crowd_may_wait_to_be_accepted(endpoint: str, backlog: int) -> None:
    """More than Twisted's 50, unless the user says how many."""
    reactor = MemoryReactor()
    serverFromString(reactor, with_backlog(endpoint)).listen(Factory())
    assert [server[2] for server in reactor.tcpServers] == [backlog]


@pytest.mark.parametrize("endpoint", ["stdio:", "systemd:domain=INET6:index=0"])
def test_other_kinds_are_left_alone(endpoint: str) -> None:
    """What has no backlog gets none."""
    assert with_backlog(endpoint) == endpoint
