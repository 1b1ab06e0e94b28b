"""Raw links without a socket: what is told when, and what is left behind."""

from __future__ import annotations

from typing import Any, cast

import pytest
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from relay.interfaces import IByteLink, ILinkReceiver
from relay.links.linger import CHECK_S, CLOSE_REPLY_S
from relay.links.raw_link import RawFactory, RawLink
from relay.vocabulary import Close, Message, Reason

END = Message(b"", final=True)


class Transport(StringTransport):
    """Remembers how it was ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[str] = []

    def loseWriteConnection(self) -> None:
        self.ends.append("half-close")

    def loseConnection(self) -> None:
        self.ends.append("close")

    def abortConnection(self) -> None:
        self.ends.append("abort")

    def unregisterProducer(self) -> None:
        self.producer = None


class Receiver:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def message_received(self, message: Message) -> None:
        self.told.append(message)

    def link_lost(self, close: Close | None, reason: Reason, detail: str) -> None:
        self.told.append(reason)

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")


class Room:
    """A link, connected."""

    def __init__(self, started: bool = True) -> None:
        self.clock = Clock()
        self.ready: list[RawLink] = []
        self.gone: list[RawLink] = []
        self.transport = Transport()
        self.receiver = Receiver()
        self.link = RawFactory(self.clock, None, self.ready.append).buildProtocol(None)
        self.link.gone = self.gone.append
        self.link.makeConnection(self.transport)
        if started:
            self.start()

    def start(self) -> None:
        """Begin to read."""
        self.link.start(cast(ILinkReceiver, self.receiver))

    def lose(self, error: type[Exception] = ConnectionLost) -> None:
        """The connection is gone."""
        self.link.connectionLost(Failure(error()))


def test_is_a_link() -> None:
    """It has all that one has."""
    assert verifyObject(IByteLink, Room().link)


def test_nothing_is_read_before_it_starts() -> None:
    """Whoever waits for connections has it as soon as it stands."""
    room = Room(started=False)
    assert room.ready == [room.link]
    assert room.transport.producerState == "paused"
    room.start()
    assert room.transport.producerState == "producing"


def test_what_came_before_it_starts() -> None:
    """It is delivered, in a turn of its own, before all else is read."""
    room = Room(started=False)
    room.link.dataReceived(b"ear")
    room.link.dataReceived(b"ly")
    room.start()
    assert room.receiver.told == []
    assert room.transport.producerState == "paused"
    room.clock.advance(0)
    assert room.receiver.told == [Message(b"early", final=False)]
    assert room.transport.producerState == "producing"


@pytest.mark.parametrize("closed", [False, True])
def test_lost_before_it_starts(closed: bool) -> None:
    """It is told in a turn of its own, unless nobody cares any more."""
    room = Room(started=False)
    room.lose()
    assert room.gone == [room.link]
    room.start()
    assert room.receiver.told == []
    if closed:
        room.link.abort()
    room.clock.advance(0)
    assert room.receiver.told == ([] if closed else [Reason.LOST])
    assert room.transport.ends == []


def test_one_endless_message_each_way() -> None:
    """Only an empty final one is an end; nothing is sent behind it."""
    room = Room()
    room.link.dataReceived(b"here")
    room.link.readConnectionLost()
    room.link.readConnectionLost()
    assert room.receiver.told == [Message(b"here", final=False), END]
    room.link.send_message(Message(b"", final=False))
    room.link.send_message(Message(b"there", final=True))
    assert room.transport.ends == []
    room.link.send_message(END)
    room.link.send_message(Message(b"more"))
    room.link.send_message(END)
    assert room.transport.value() == b"there"
    assert room.transport.ends == ["half-close"]


def test_who_has_nothing_more_to_send_waits_for_no_room() -> None:
    """A producer that stays would keep the half-close from going out."""
    room = Room()
    room.link.pauseProducing()
    room.link.send_message(END)
    assert room.transport.producer is None
    assert room.receiver.told == ["pause", "resume"]


@pytest.mark.parametrize(
    ("error", "reason", "cut"),
    [(ConnectionDone, Reason.PEER_CLOSED, False), (ConnectionLost, Reason.LOST, True)],
)
def test_how_it_ends(error: type[Exception], reason: Reason, cut: bool) -> None:
    """In order, or not; it is told once."""
    room = Room()
    room.lose(error)
    assert room.receiver.told == [reason]
    assert room.link.cut is cut
    assert room.gone == [room.link]
    room.link.close(Close(None))
    room.link.abort()
    room.link.pause_reading()
    assert room.transport.ends == []
    assert room.clock.getDelayedCalls() == []


def test_closing_in_order() -> None:
    """A half-close, what still comes is dropped, then the peer's own or a bounded wait."""
    room = Room()
    room.link.close(Close(1000, "finished"))
    room.link.dataReceived(b"too late")
    room.link.send_message(Message(b"too late"))
    assert room.transport.ends == ["half-close"]
    room.link.readConnectionLost()
    assert room.transport.ends == ["half-close", "close"]
    room.lose(ConnectionDone)
    assert room.receiver.told == []
    assert room.transport.value() == b""
    assert room.clock.getDelayedCalls() == []


def test_closing_on_one_that_stays() -> None:
    """It is let go after a while."""
    room = Room()
    room.link.close(Close(None))
    room.clock.pump([CHECK_S] * int(CLOSE_REPLY_S / CHECK_S + 1))
    assert room.transport.ends == ["half-close", "close"]
    room.link.close(Close(None))
    room.lose(ConnectionDone)
    assert room.clock.getDelayedCalls() == []


def test_closing_behind_the_peers_end() -> None:
    """Nothing is waited for but what was sent."""
    room = Room()
    room.link.readConnectionLost()
    room.link.close(Close(None))
    assert room.transport.ends == ["close"]
    room.link.abort()
    assert room.transport.ends == ["close", "abort"]


def test_signs_of_life() -> None:
    """Bytes are one; there is nothing to ask with."""
    room = Room()
    room.link.ping()
    assert not room.link.heard
    room.link.dataReceived(b"x")
    assert room.link.heard
    room.link.heard = False
    assert not room.link.heard


def test_payload_is_not_forwarded_here() -> None:
    """Only where Twisted was left."""
    room = Room()
    counted: Any = object()
    room.link.forward(counted, None)
    assert room.link.outlet() is None
    assert not room.link.is_blocked()
    assert room.link.has_left() is None
    room.link.dataReceived(b"x")
    assert room.receiver.told == [Message(b"x", final=False)]
