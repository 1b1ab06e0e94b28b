"""Ends of connections that are not read just then, as the kernel tells of them.

Connections are pairs of this process over loopback; nothing is timed but the looks of Twisted's
gear, by a clock of the test's own.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import pytest
import pytest_twisted
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from relay.interfaces import ILinkReceiver
from relay.links.cutthrough import Hub, RawEnd
from relay.links.cutthrough.channel import PlainChannel
from relay.links.raw_link import LOOK_S, RawLink
from relay.links.sockets import RAW_KEEPALIVE, USUAL_KEEPALIVE, tune
from relay.vocabulary import Close, Message, Reason
from tests.integration.cutthrough_log import reactor_turns
from tests.rawpeer import the_reactor, until

HERE = IPv4Address("TCP", "127.0.0.1", 1)
RESET = struct.pack("ii", 1, 0)


class Pair(NamedTuple):
    """Both ends of a TCP connection."""

    near: socket.socket
    far: socket.socket

    def reset(self) -> None:
        """The far end resets."""
        self.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.far.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A connection within this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    near.setblocking(False)
    yield Pair(near, far)
    near.close()
    far.close()


class Hears:
    """The protocol of an end, and the receiver of a link: remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def dataReceived(self, data: bytes) -> None:
        self.told.append(data)

    def readConnectionLost(self) -> None:
        self.told.append("end")

    def writeConnectionLost(self) -> None:
        """Our half-close is out."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.told.append(reason.type)

    def message_received(self, message: Message) -> None:
        """A part, or the end."""
        self.told.append("end" if message.final else message.payload)

    def link_lost(self, close: Close | None, reason: Reason, detail: str) -> None:
        """It is gone."""
        self.told.append(reason)

    def pauseProducing(self) -> None:
        """It is full."""

    def resumeProducing(self) -> None:
        """It is not."""


# -- the cut-through gear --------------------------------------------------------------------------


class Ended(NamedTuple):
    """An end that is not read, and what it tells."""

    end: RawEnd
    hears: Hears


def unread_end(pair: Pair) -> Ended:
    """:returns: an end that tells of ends, though nobody reads it"""
    hears = Hears()
    end = RawEnd(Hub(the_reactor()), PlainChannel(pair.near), b"", hears, HERE, HERE)
    end.tell_of_ends()
    return Ended(end, hears)


@pytest.mark.cut_through
@pytest_twisted.ensureDeferred
async def test_a_fin_with_nothing_before_it(pair: Pair) -> None:
    """It is told at once, and once."""
    end, hears = unread_end(pair)
    pair.far.shutdown(socket.SHUT_WR)
    await until(lambda: hears.told or None, "end")
    await reactor_turns(3)
    assert hears.told == ["end"]
    end.loseConnection()
    await until(lambda: hears.told[1:] or None, "loss")


@pytest.mark.cut_through
@pytest_twisted.ensureDeferred
async def test_a_fin_behind_bytes(pair: Pair) -> None:
    """The bytes come first, when they are read."""
    end, hears = unread_end(pair)
    pair.far.send(b"bytes")
    pair.far.shutdown(socket.SHUT_WR)
    await reactor_turns(5)
    assert hears.told == []
    end.resumeProducing()
    await until(lambda: hears.told[1:] or None, "end")
    assert hears.told == [b"bytes", "end"]
    end.abortConnection()
    await until(lambda: hears.told[2:] or None, "loss")


@pytest.mark.cut_through
@pytest.mark.parametrize("behind", ["", "bytes", "a fin"])
@pytest_twisted.ensureDeferred
async def test_a_reset_is_told(pair: Pair, behind: str) -> None:
    """Whatever lies unread before it, and also behind a FIN."""
    _, hears = unread_end(pair)
    if behind == "bytes":
        pair.far.send(b"bytes")
    elif behind:
        pair.far.shutdown(socket.SHUT_WR)
        await until(lambda: hears.told or None, "end")
        hears.told.clear()
    await reactor_turns(3)
    pair.reset()
    await until(lambda: hears.told or None, "loss")
    assert hears.told == [ConnectionLost]


@pytest.mark.cut_through
@pytest_twisted.ensureDeferred
async def test_two_half_closes_are_no_reset(pair: Pair) -> None:
    """What lies unread before the peer's is still to be had behind ours."""
    end, hears = unread_end(pair)
    pair.far.send(b"bytes")
    pair.far.shutdown(socket.SHUT_WR)
    end.loseWriteConnection()
    assert pair.far.recv(1) == b""
    await reactor_turns(5)
    assert hears.told == []
    end.resumeProducing()
    await until(lambda: hears.told[1:] or None, "end")
    assert hears.told == [b"bytes", "end"]
    end.loseConnection()
    await until(lambda: hears.told[2:] or None, "loss")


# -- Twisted's gear --------------------------------------------------------------------------------


class Transport:
    """Twisted's side of a connection that is not read: as much of it as a link asks for."""

    def __init__(self, handle: socket.socket) -> None:
        self._handle = handle
        self.aborted = False

    def getHandle(self) -> socket.socket:
        return self._handle

    def abortConnection(self) -> None:
        self.aborted = True

    def _nothing(self, *_: object) -> None:
        return

    pauseProducing = resumeProducing = registerProducer = unregisterProducer = _nothing
    loseConnection = _nothing


# a name of Twisted's, by which a TCP connection is told from others
Transport.setTcpNoDelay = Transport._nothing  # type: ignore[attr-defined]


class Paused:
    """A link in Twisted's gear that has been paused."""

    def __init__(self, pair: Pair) -> None:
        self.clock = Clock()
        self.hears = Hears()
        self.transport = Transport(pair.near)
        self.link = RawLink(self.clock, None)
        self.link.makeConnection(cast(Any, self.transport))
        self.link.start(cast(ILinkReceiver, self.hears))
        self.link.pause_reading()


def test_looks_at_what_is_not_read(pair: Pair) -> None:
    """A FIN with nothing before it is found, and then a reset behind it."""
    room = Paused(pair)
    room.clock.advance(LOOK_S)
    assert room.hears.told == []
    pair.far.shutdown(socket.SHUT_WR)
    room.clock.advance(LOOK_S)
    assert room.hears.told == ["end"]
    pair.reset()
    room.clock.advance(LOOK_S)
    assert room.transport.aborted
    room.link.connectionLost(Failure(ConnectionLost()))
    assert room.hears.told == ["end", Reason.LOST]
    assert room.link.cut
    assert room.clock.getDelayedCalls() == []


def test_looks_no_further_than_unread_bytes(pair: Pair) -> None:
    """A FIN behind them is not told before them."""
    room = Paused(pair)
    pair.far.send(b"bytes")
    pair.far.shutdown(socket.SHUT_WR)
    room.clock.advance(LOOK_S)
    assert room.hears.told == []
    room.link.resume_reading()
    assert room.clock.getDelayedCalls() == []


@pytest.mark.parametrize(("keepalive", "idle_s"), [(RAW_KEEPALIVE, 30), (USUAL_KEEPALIVE, 60)])
def test_how_soon_the_kernel_asks(pair: Pair, keepalive: Any, idle_s: int) -> None:
    """Of a raw link sooner than of others, and then three times."""
    tune(Transport(pair.near), keepalive)
    options = [
        pair.near.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
    ]
    assert options == list(keepalive)
    assert options[0] == idle_s
    assert pair.near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
