"""Ends in the midst of a read whose payload passes unread: nothing overtakes, nothing is harmed."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator, Sequence

import pytest
from twisted.logger import LogEvent
from typing_extensions import override

from relay.errors import ProtocolError
from relay.outlets import Span
from relay.vocabulary import Reason
from relay.wire.wsmux import WINDOW_BYTES, Kind, encode_ack
from tests.fakes import PassingStream
from tests.integration.mux_wire import WINDOW, Wire
from tests.rawpeer import Op

pytestmark = [
    pytest.mark.cut_through,
    pytest.mark.skipif(not hasattr(select, "epoll"), reason="there is no epoll here"),
]

MakeWire = Callable[..., Wire]


class Acting(PassingStream):
    """Does something within each put, once.

    :ivar act: what; None: nothing
    """

    def __init__(self) -> None:
        super().__init__()
        self.act: Callable[[], None] | None = None

    @override
    def put(self, view: memoryview, spans: Sequence[Span], text: bool) -> bool:
        taken = super().put(view, spans, text)
        act, self.act = self.act, None
        if act is not None:
            act()
        return taken


@pytest.fixture(params=["router", "host"])
def make_wire(request: pytest.FixtureRequest) -> Iterator[MakeWire]:
    """Links of either side; they are dropped in the end."""
    made: list[Wire] = []

    def make(**options: object) -> Wire:
        made.append(Wire(request.param == "router", make=Acting, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for wire in made:
        wire.drop()


def acting(wire: Wire, number: int) -> Acting:
    """What a stream is joined with."""
    stream = wire.passing(number)
    assert isinstance(stream, Acting)
    return stream


BEHIND = {
    "nothing": lambda wire: b"",
    "its own": lambda wire: wire.dat(0, b"more"),
    "another's": lambda wire: wire.dat(2, b"more"),
    "both": lambda wire: wire.dat(2, b"more") + wire.dat(0, b"more") + wire.dat(2, b"more"),
    "a ping": lambda wire: wire.frame(Op.PING) + wire.dat(2, b"more"),
    "a grant": lambda wire: wire.binary(encode_ack(2, 1)) + wire.dat(2, b"more"),
    "a close": lambda wire: wire.frame(Op.CLOSE) + wire.dat(2, b"more"),
    "a fault": lambda wire: wire.frame(Op.CONTINUATION) + wire.dat(2, b"more"),
}
FOLLOWED = pytest.mark.parametrize("behind", BEHIND)


# -- the end of the link ---------------------------------------------------------------------------


@FOLLOWED
def test_a_window_overrun_ends_the_link(make_wire: MakeWire, behind: str) -> None:
    """1008, once; nothing of what follows in the same read comes anywhere."""
    wire = make_wire()
    window = WINDOW_BYTES if wire.is_router else WINDOW
    wire.room.session.pauseProducing()  # nothing is granted to a peer that does not read
    wire.arrive(wire.dat(0, bytes(window)))
    assert wire.passing(0).passed_bytes == window
    wire.arrive(wire.dat(2, b"before") + wire.dat(0, b"x") + BEHIND[behind](wire))
    assert wire.reason() is Reason.PROTOCOL_ERROR
    assert wire.codes() == [1008]
    assert wire.passing(2).payload() == b"before"
    assert wire.passing(0).reset_reason() == wire.passing(2).reset_reason() == "protocol-error"


ENDS = {
    "closes": lambda wire: wire.room.session.close(Reason.GOING_AWAY),
    "fails": lambda wire: wire.room.session.fail(ProtocolError("of the test")),
    "is dead": lambda wire: (wire.link.abort(), wire.room.session.link_lost(None, Reason.LOST, "")),
    "is lost": lambda wire: wire.link._lose_done(),
    "ends in order": lambda wire: wire.room.session.end(Reason.FINISHED),
}


@FOLLOWED
@pytest.mark.parametrize("end", ENDS)
def test_a_link_that_ends_within_a_put(make_wire: MakeWire, end: str, behind: str) -> None:
    """Whatever its read still has goes nowhere."""
    wire = make_wire()
    acting(wire, 0).act = lambda: ENDS[end](wire)
    wire.arrive(wire.dat(0, b"first") + BEHIND[behind](wire))
    wire.turn()
    assert wire.passing(0).payload().startswith(b"first")
    assert wire.passing(2).payload() == b""
    assert wire.reason() is not None
    assert wire.passing(2).reset_reason() is not None


# -- the end of a stream ---------------------------------------------------------------------------


@FOLLOWED
@pytest.mark.parametrize("reason", [Reason.FINISHED, Reason.LOST])
def test_a_stream_that_ends_within_a_put(make_wire: MakeWire, behind: str, reason: Reason) -> None:
    """Its peer is told, and granted what goes nowhere; other streams go on."""
    wire = make_wire()
    acting(wire, 0).act = lambda: wire.passing(0).hang_up(reason)
    wire.arrive(wire.dat(0, b"first") + BEHIND[behind](wire))
    assert wire.passing(0).payload() in (b"first", b"firstmore")
    kinds = [message.kind for message in wire.messages() if message.stream == 0]
    assert kinds.count(Kind.FIN) == 1
    assert 0 not in wire.room.session.streams()
    if behind not in ("nothing", "its own", "a close", "a fault"):
        assert wire.passing(2).payload().startswith(b"more")
        assert wire.reason() is None


def test_a_stream_that_another_ends(make_wire: MakeWire) -> None:
    """What was claimed for it, and not yet handed on, goes nowhere."""
    wire = make_wire()
    acting(wire, 0).act = lambda: wire.passing(2).hang_up(Reason.PEER_CLOSED)
    wire.arrive(wire.dat(0, b"first") + wire.dat(2, b"late") + wire.dat(0, b" second"))
    assert wire.passing(2).payload() == b""
    assert wire.passing(0).payload() == b"first second"
    wire.arrive(wire.fin(2))
    assert list(wire.room.talk._open) == [0]
    assert wire.room.talk._draining == {}


def test_what_a_stream_is_granted_that_another_ends_behind_a_tail(make_wire: MakeWire) -> None:
    """Its own tail waits for credit: its writer is granted again what goes nowhere."""
    wire = make_wire(credit=16)
    wire.passing(2).speak(bytes(20))
    acting(wire, 0).act = lambda: wire.passing(2).hang_up(Reason.PEER_CLOSED)
    wire.arrive(wire.dat(0, b"first") + wire.dat(2, bytes(16)))
    wire.arrive(*[wire.dat(2, bytes(16))] * 10)
    if not wire.is_router:  # a window of 4 MiB is not refunded yet
        granted = [m.amount for m in wire.messages() if m.kind is Kind.ACK and m.stream == 2]
        assert sum(granted) == 11 * 16
    wire.arrive(wire.binary(encode_ack(2, 4)))
    assert wire.heard(2) == bytes(20)
    assert wire.reason() is None


def test_room_that_comes_too_late(make_wire: MakeWire) -> None:
    """A socket that has room again when its circuit is over: nobody is told anything."""
    wire = make_wire()
    stream = wire.passing(0)
    stream.has_room = False
    wire.arrive(wire.dat(0, b"first") + wire.dat(0, b"kept") + wire.dat(2, b"other"))
    wire.arrive(wire.dat(0, b" waits"))
    source = stream._source
    assert source is not None
    stream.hang_up()
    assert stream._source is None
    source.unblock()
    assert stream.payload() == b"firstkept"
    wire.arrive(wire.dat(0, b"x") + wire.dat(2, b" goes on"))
    assert wire.passing(2).payload() == b"other goes on"
    assert wire.world.ledger.total == 0


def test_a_put_that_fails_ends_the_link(
    make_wire: MakeWire, expected_log_errors: Callable[..., list[LogEvent]]
) -> None:
    """A mistake of ours is logged, and ends the link with all of its streams, and nothing else."""
    wire = make_wire()
    other = make_wire()

    def mistake() -> None:
        raise RuntimeError("of the test")

    acting(wire, 0).act = mistake
    wire.arrive(wire.dat(0, b"first") + wire.dat(2, b"never"))
    assert wire.reason() is not None
    assert wire.passing(0).reset_reason() is not None
    assert wire.passing(2).reset_reason() is not None
    assert len(expected_log_errors(RuntimeError)) == 1
    other.arrive(other.dat(0, b"goes on"))
    assert other.passing(0).payload() == b"goes on"
