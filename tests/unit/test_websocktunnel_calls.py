"""Calls of a router that an original host answers on streams of its link: the broker's part."""

from __future__ import annotations

from relay.core.session import Session
from relay.dialects.websocktunnel.mux import SILENT_CALLS, UNANSWERED_SYNS, RouterMux
from relay.settings.model import Limits
from relay.vocabulary import Answer, Message, Offer, Reason
from relay.wire.wsmux import encode_ack, encode_dat, encode_fin, encode_syn
from tests.fakes import MemoryLink, grant, pump
from tests.unit.broker_desk import NAME, PENDING_S, Desk


class Host:
    """An original host of NAME, with the test as its far end."""

    def __init__(self, desk: Desk) -> None:
        self.link = MemoryLink()
        mux = RouterMux(Offer(NAME, Answer.STREAM))
        around = desk.broker._around
        self.session = Session(self.link, mux, desk.broker, around, "host", grant())
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


def test_a_call_becomes_a_circuit() -> None:
    """SYN, ACK, payload each way, and one FIN when the caller has left."""
    desk = Desk()
    host, caller = Host(desk), desk.caller()
    assert host.heard() == [encode_syn(0)]
    host.says(encode_ack(0, 1024), encode_dat(0, b"down"))
    assert caller.accepted()
    caller.says(b"up")
    assert caller.payload() == b"down"
    assert host.heard() == [encode_dat(0, b"up")]
    caller.link.lose()
    assert host.heard()[0] == encode_fin(0)
    host.says(encode_fin(0))
    assert host.session.streams() == {}
    assert host.session.reason is None


def test_a_call_that_the_host_refuses() -> None:
    """A FIN instead of an ACK: the caller is told, the link goes on."""
    desk = Desk()
    host, caller = Host(desk), desk.caller()
    host.says(encode_fin(0))
    assert caller.reason is Reason.TARGET_REFUSED
    assert host.heard() == [encode_syn(0)]
    assert host.session.reason is None
    assert desk.broker.pending_calls() == 0


def test_a_call_that_waits_too_long_is_given_up() -> None:
    """Its caller is told after 30 s; the host hears of it when it accepts at last."""
    desk = Desk()
    host, caller = Host(desk), desk.caller()
    desk.world.passes(PENDING_S + 1)
    assert caller.reason is Reason.HOST_SILENT
    assert host.heard() == [encode_syn(0)]
    host.says(encode_ack(0, 1024))
    assert host.heard()[0] == encode_fin(0)
    assert host.session.reason is None


def test_a_host_that_never_accepts_loses_its_link() -> None:
    """Its callers are told why, those that still wait, too, and the name is free."""
    desk = Desk()
    host = Host(desk)
    callers = [desk.caller() for _ in range(SILENT_CALLS)]
    desk.world.passes(1)
    callers.append(desk.caller())
    desk.world.passes(PENDING_S)
    assert host.session.reason is Reason.HOST_SILENT
    assert [caller.reason for caller in callers] == [Reason.HOST_SILENT] * len(callers)
    assert desk.is_clean()


def test_callers_that_come_and_go_freeze_nobody() -> None:
    """``Impatient`` callers: no more SYNs wait than an original stands, then they are refused."""
    desk = Desk(Limits(pending_calls=1000))
    host = Host(desk)
    for _ in range(UNANSWERED_SYNS):
        desk.caller().link.lose()
    assert len(host.heard()) == UNANSWERED_SYNS
    assert desk.caller().reason is Reason.LIMIT
    host.says(encode_ack(0, 1024))
    caller = desk.caller()
    host.says(encode_ack(2 * UNANSWERED_SYNS, 1024))
    assert caller.accepted()
