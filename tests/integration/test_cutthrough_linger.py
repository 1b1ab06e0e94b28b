"""A lively exchange stays with the hub; whatever else the reactor has to do comes first.

The hub's reactor is one that nobody runs: the test takes its place.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from relay.links.cutthrough import Hub, RawEnd
from relay.links.cutthrough.channel import PlainChannel
from relay.links.cutthrough.hub import LINGER_S

pytestmark = pytest.mark.cut_through

HERE = IPv4Address("TCP", "127.0.0.1", 1)
ROUNDS = 5


class Talker:
    """An application that answers each of its peer's words with the next one."""

    def __init__(self, hub: Hub) -> None:
        self.heard = 0
        near, self.far = socket.socketpair()
        near.setblocking(False)
        self.end = RawEnd(hub, PlainChannel(near), b"", self, HERE, HERE)
        self.end.resumeProducing()
        self.far.send(b"word")

    def dataReceived(self, data: bytes) -> None:
        self.heard += 1
        if self.heard < ROUNDS:
            self.far.send(b"word")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The test is over."""


class Other:
    """Somebody else whom the reactor serves."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd


@pytest.fixture
def reactor() -> Iterator[EPollReactor]:
    """Says that it runs."""
    made = EPollReactor()
    made.running = True
    yield made
    made.running = False
    made.disconnectAll()


@pytest.fixture
def hub(reactor: EPollReactor) -> Hub:
    """One that has just served a lone word."""
    made = Hub(reactor)
    made._lone_at = time.monotonic() + 3600
    return made


def served(hub: Hub, talker: Talker) -> int:
    """:returns: how many words were heard in one turn"""
    hub.doRead()
    heard = talker.heard
    talker.end.lose_now(Failure(ConnectionDone()))
    talker.far.close()
    return heard


def test_a_lively_exchange_needs_no_reactor(hub: Hub) -> None:
    """Word upon word is served in one turn, which ends when none comes for a while."""
    assert served(hub, Talker(hub)) == ROUNDS


def test_a_first_word_is_not_waited_upon(hub: Hub) -> None:
    """Who said nothing for a while goes through the reactor."""
    hub._lone_at = time.monotonic() - 2 * LINGER_S
    assert served(hub, Talker(hub)) == 1


def test_whoever_else_is_ready_is_served(hub: Hub, reactor: EPollReactor) -> None:
    """The reactor has its turn as soon as another descriptor has something."""
    read, write = os.pipe()
    os.write(write, b"x")
    reactor.addReader(Other(read))
    assert served(hub, Talker(hub)) == 1
    reactor.removeAll()
    os.close(read)
    os.close(write)


def test_a_timer_that_is_due_is_not_kept_waiting(hub: Hub, reactor: EPollReactor) -> None:
    """What was put off to the reactor's next turn comes first."""
    timer = reactor.callLater(0, lambda: None)
    assert served(hub, Talker(hub)) == 1
    timer.cancel()


def test_a_reactor_that_stops_is_not_stood_in_for(hub: Hub, reactor: EPollReactor) -> None:
    """It has to come to its end."""
    reactor.running = False
    assert served(hub, Talker(hub)) == 1


def test_another_reactor_is_asked_each_time(reactor: EPollReactor) -> None:
    """Without the epoll reactor's poller nothing can be waited for in its place."""
    hub = Hub(reactor)
    hub._poller = None
    hub._lone_at = time.monotonic() + 3600
    assert served(hub, Talker(hub)) == 1
