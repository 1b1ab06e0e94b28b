"""Viewers at the broker: calls without a link of their own, and what operation does to them."""

from __future__ import annotations

import pytest

from relay.core.session import Session
from relay.dialects.websocktunnel.mux import RouterMux
from relay.errors import GoingAway, HostAbsent, LimitReached, RelayError, Revoked
from relay.faces import Forwarding
from relay.http import Request
from relay.links.viewer.exchange import Exchange
from relay.settings.model import Limits
from relay.vocabulary import Answer, Call, Message, Offer, Reason
from relay.wire.wsmux import encode_ack, encode_dat, encode_fin, encode_syn
from tests.fakes import MemoryLink, grant, pump
from tests.unit.broker_desk import NAME, PENDING_S, Desk
from tests.unit.viewer_visit import HELLO, FakeVisit

FIELDS = (("host", "h"),)
ASKED = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Host:
    """A host of NAME, with the test as its far end."""

    def __init__(self, desk: Desk) -> None:
        self.link = MemoryLink()
        mux = RouterMux(Offer(NAME, Answer.STREAM))
        self.session = Session(self.link, mux, desk.broker, desk.broker._around, "host", grant())
        desk.broker.add(self.session)
        self.session.opened()

    def says(self, *frames: bytes) -> None:
        """Frames arrive."""
        self.link.arrive(*[Message(frame) for frame in frames])

    def heard(self) -> list[bytes]:
        """What it was sent since the last time."""
        pump(self.link)
        sent, self.link.sent = self.link.sent, []
        return [message.payload for message in sent]


class Viewer:
    """A viewer's request at the broker; it is asked for at once."""

    def __init__(self, desk: Desk) -> None:
        self.visit = FakeVisit()
        request = Request("GET", "/", "/", "", FIELDS, "192.0.2.7")
        forwarding = Forwarding(Call(NAME), "/", FIELDS)
        wheel = desk.broker._around.wheel
        self.exchange = Exchange(self.visit, wheel, request, forwarding, "viewer")
        try:
            desk.broker.call(self.exchange, grant(), forwarding.call)
        except RelayError as error:
            self.exchange.refuse(0, error)

    @property
    def told(self) -> list[str]:
        """What its connection was told."""
        return self.visit.told


def refused(desk: Desk) -> dict[Reason, int]:
    """What was refused, by reason."""
    return {reason: count for (_, reason), count in desk.metrics.refused_total.items()}


def ended(desk: Desk) -> dict[Reason, int]:
    """What circuits ended by."""
    return {reason: count for (_, reason), count in desk.metrics.circuits_total.items()}


def test_a_viewer_is_served() -> None:
    """SYN, the request behind its ACK, the answer, and FIN; nothing is left but the host."""
    desk = Desk()
    host = Host(desk)
    viewer = Viewer(desk)
    assert host.heard() == [encode_syn(0)]
    host.says(encode_ack(0, 1024))
    assert host.heard() == [encode_dat(0, ASKED)]
    host.says(encode_dat(0, HELLO))
    assert viewer.visit.transport.sent == HELLO
    assert viewer.told == ["kept"]
    assert host.heard()[0] == encode_fin(0)
    host.says(encode_fin(0))
    assert (refused(desk), ended(desk)) == ({}, {Reason.FINISHED: 1})
    assert desk.metrics.bytes_total["talk", "up"] == len(ASKED)
    assert desk.metrics.bytes_total["talk", "down"] == len(HELLO)
    host.link.lose()
    assert desk.is_clean()


def test_no_host() -> None:
    """Nobody is called, nothing is remembered."""
    desk = Desk()
    assert Viewer(desk).told == ["failed host-absent"]
    assert desk.is_clean()


@pytest.mark.parametrize(("late", "reason"), [(False, "host-silent"), (True, "limit")])
def test_a_host_that_accepts_nothing(late: bool, reason: str) -> None:
    """Who was announced hears that the host is silent, who was not that there is a limit."""
    desk = Desk(Limits(pending_calls=1))
    Host(desk)
    viewers = [Viewer(desk) for _ in range(2)]
    desk.world.passes(PENDING_S + 1)
    assert viewers[late].told == [f"failed {reason}"]
    assert refused(desk) == {Reason.HOST_SILENT: 1, Reason.LIMIT: 1}
    assert desk.broker.pending_calls() == 0


def test_too_many_streams() -> None:
    """Above ``streams`` the next viewer is refused, until one of the others has ended."""
    desk = Desk(Limits(streams=1))
    host = Host(desk)
    first, second = Viewer(desk), Viewer(desk)
    assert second.told == ["failed limit"]
    first.exchange.lost()
    host.says(encode_ack(0, 1024), encode_fin(0))
    third = Viewer(desk)
    host.says(encode_ack(2, 1024), encode_dat(2, HELLO))
    assert third.told == ["kept"]


def test_a_full_router() -> None:
    """Above ``buffered-bytes`` no viewer is let in."""
    desk = Desk(Limits(buffered_bytes=0))
    desk.world.ledger.cap_bytes = 0
    Host(desk)
    assert Viewer(desk).told == ["failed limit"]


@pytest.mark.parametrize("frames", [(encode_fin(0),), ()], ids=["refused", "lost"])
def test_a_call_that_fails_before_it_is_accepted(frames: tuple[bytes, ...]) -> None:
    """The viewer is told, and it is counted once."""
    desk = Desk()
    host = Host(desk)
    viewer = Viewer(desk)
    if frames:
        host.says(*frames)
    else:
        host.link.lose()
    assert viewer.told == ["failed target-refused"]
    assert (refused(desk), ended(desk)) == ({Reason.TARGET_REFUSED: 1}, {})
    viewer.exchange.lost()
    assert desk.broker.pending_calls() == 0


def test_a_viewer_that_leaves_before_the_ack() -> None:
    """Nobody is told, nothing is counted; the host hears of it when it accepts."""
    desk = Desk()
    host = Host(desk)
    viewer = Viewer(desk)
    viewer.exchange.lost()
    assert viewer.told == []
    assert host.heard() == [encode_syn(0)]
    host.says(encode_ack(0, 1024))
    assert host.heard()[0] == encode_fin(0)
    assert (refused(desk), ended(desk)) == ({}, {})
    assert desk.broker.pending_calls() == 0


def test_a_drain_and_viewers() -> None:
    """Who waits is turned away and counted, who is answered goes on, who comes is refused."""
    desk = Desk()
    host = Host(desk)
    running = Viewer(desk)
    host.says(encode_ack(0, 1024))
    waiting = Viewer(desk)
    drained: list[bool] = []
    desk.broker.drain(lambda: drained.append(True))
    assert waiting.told == ["failed going-away"]
    (error,) = waiting.visit.errors
    assert error.retry_after_s == 1
    assert refused(desk) == {Reason.GOING_AWAY: 1}
    late = Viewer(desk)
    assert late.told == ["failed going-away"]
    assert isinstance(late.visit.errors[0], GoingAway)
    assert drained == []
    host.says(encode_dat(0, HELLO))
    assert running.told == ["kept"]
    assert drained == [True]


def test_the_end_of_a_drain() -> None:
    """Viewers that are left are told, or broken off."""
    desk = Desk()
    host = Host(desk)
    asked, reading = Viewer(desk), Viewer(desk)
    host.says(encode_ack(0, 1024), encode_ack(2, 1024), encode_dat(2, HELLO[:-1]))
    desk.broker.drain(lambda: None)
    desk.broker.end_all()
    assert asked.told == ["failed going-away"]
    assert reading.told == ["broken"]
    assert ended(desk) == {Reason.GOING_AWAY: 2}
    assert desk.is_clean()


def test_a_revoked_offer_and_viewers() -> None:
    """The link ends and its viewers with it; new ones are refused."""
    desk = Desk()
    host = Host(desk)
    asked, reading = Viewer(desk), Viewer(desk)
    host.says(encode_ack(0, 1024), encode_ack(2, 1024), encode_dat(2, HELLO[:-1]))
    desk.broker.revoke(offer=NAME)
    assert asked.told == ["failed revoked"]
    assert reading.told == ["broken"]
    assert isinstance(Viewer(desk).visit.errors[0], Revoked)


def test_another_host_takes_over() -> None:
    """Viewers of the replaced host are told or broken off; the next ones reach the newer."""
    desk = Desk()
    old = Host(desk)
    asked = Viewer(desk)
    old.says(encode_ack(0, 1024))
    new = Host(desk)
    assert asked.told == ["failed replaced"]
    later = Viewer(desk)
    new.says(encode_ack(0, 1024), encode_dat(0, HELLO))
    assert later.told == ["kept"]


def test_an_idle_exchange() -> None:
    """After ``idle-s`` without a byte it ends, and its viewer is told."""
    desk = Desk(Limits(idle_s=5))
    host = Host(desk)
    viewer = Viewer(desk)
    host.says(encode_ack(0, 1024))
    desk.world.passes(10)
    assert viewer.told == ["failed idle"]
    assert ended(desk) == {Reason.IDLE: 1}


@pytest.mark.parametrize("error", [HostAbsent, LimitReached])
def test_a_refusal_is_told_once(error: type[RelayError]) -> None:
    """Whatever comes behind it."""
    desk = Desk()
    viewer = Viewer(desk)
    viewer.exchange.refuse(0, error("again"))
    viewer.exchange.end_stream(0, Reason.LOST)
    viewer.exchange.lost()
    assert viewer.told == ["failed host-absent"]
