"""Payload of streams that share a link passes unread, through real sockets."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator, Sequence

import pytest
from typing_extensions import override

from relay.outlets import Span
from relay.vocabulary import Reason
from relay.wire.wsmux import MESSAGE_BYTES, Kind, encode_ack, encode_dat
from tests.fakes import PassingStream
from tests.integration.mux_wire import WINDOW, KiB, Wire
from tests.rawpeer import Frame, Op, close_body, noise

pytestmark = [
    pytest.mark.cut_through,
    pytest.mark.skipif(not hasattr(select, "epoll"), reason="there is no epoll here"),
]

MakeWire = Callable[..., Wire]
SIZES = [1, 119, 120, 121, 65529, 65530, 65531, 300_000]
"""Around where the length of a frame needs more bytes: five are not payload."""


@pytest.fixture(params=["router", "host"])
def make_wire(request: pytest.FixtureRequest) -> Iterator[MakeWire]:
    """Links of either side; they are dropped in the end."""
    made: list[Wire] = []

    def make(**options: object) -> Wire:
        made.append(Wire(request.param == "router", **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for wire in made:
        wire.drop()


# -- both ways -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_payload_passes_in(make_wire: MakeWire, size: int) -> None:
    """A DAT of any length is unmasked where it must be, and nobody reads it."""
    wire = make_wire()
    payload = noise(min(size, WINDOW))
    wire.arrive(wire.dat(2, payload))
    assert wire.passing(2).payload() == payload
    # a long one may be cut within its header: that part is read
    assert wire.passing(2).passed_bytes == len(payload)
    assert wire.passing(0).payload() == b""
    assert wire.room.session.streams()[2].bytes_in == len(payload)


@pytest.mark.parametrize("size", SIZES)
def test_payload_passes_out(make_wire: MakeWire, size: int) -> None:
    """What goes out is one DAT, masked where it must be, with the shortest form of its length."""
    wire = make_wire(frame_bytes=1 << 20)
    payload = noise(size)
    wire.passing(2).speak(payload)
    wire.turn()
    assert wire.frames == [Frame(Op.BINARY, encode_dat(2, payload), masked=not wire.is_router)]


def test_payload_is_cut_to_frames(make_wire: MakeWire) -> None:
    """No DAT is longer than frames may be; nothing is lost between them."""
    wire = make_wire(frame_bytes=1000)
    payload = noise(4500)
    wire.passing(0).speak(payload)
    wire.turn()
    assert wire.heard(0) == payload
    assert [len(message.payload) for message in wire.messages()] == [1000] * 4 + [500]


def test_payload_that_must_not_be_masked_in_place(make_wire: MakeWire) -> None:
    """It is copied first."""
    wire = make_wire()
    payload = noise(2000)
    outlet = wire.room.session.streams()[0].outlet()
    assert outlet is not None
    assert outlet.put(memoryview(payload), ((100, 1000, True), (1000, 1900, True)), False)
    wire.turn()
    assert wire.heard(0) == payload[100:1900]


def test_payload_that_credit_does_not_cover_waits(make_wire: MakeWire) -> None:
    """What waits was not masked, and goes when it is granted."""
    wire = make_wire(credit=10)
    payload = noise(5000)
    wire.passing(0).speak(payload)
    wire.turn()
    assert wire.heard(0) == payload[:10]
    assert wire.passing(0).paused
    wire.passing(2).speak(b"another")
    wire.arrive(wire.binary(encode_ack(0, 2000)), wire.binary(encode_ack(0, 4000)))
    assert wire.heard(0) == payload
    assert wire.heard(2) == b"another"
    assert not wire.passing(0).paused


def test_a_reader_that_stops_holds_all_writers_of_the_link(make_wire: MakeWire) -> None:
    """The kernel takes no more: all streams are paused, and go on when it does."""
    wire = make_wire()
    payload = noise(8 << 20)
    wire.passing(0).speak(payload)
    assert wire.link.has_unsent()
    assert wire.passing(0).paused
    assert wire.passing(2).paused
    wire.turn()
    assert wire.heard(0) == payload
    assert not wire.passing(0).paused
    assert not wire.passing(2).paused


# -- cuts and order --------------------------------------------------------------------------------


def test_frames_cut_anywhere(make_wire: MakeWire) -> None:
    """Wherever two reads are cut, the same payload comes, once, and the same ends."""
    wire = make_wire()
    conversation = (
        wire.dat(0, b"zero")
        + wire.dat(2, b"two" * 50)
        + wire.binary(encode_ack(2, 7))
        + wire.frame(Op.BINARY, b"\0", fin=False)
        + wire.frame(Op.CONTINUATION, b"\0\0\0", fin=False)
        + wire.frame(Op.PING, b"ping")
        + wire.frame(Op.CONTINUATION, b"\0 and", fin=False)
        + wire.frame(Op.CONTINUATION, b"", fin=False)
        + wire.frame(Op.CONTINUATION, b" more", fin=False)
        + wire.frame(Op.CONTINUATION)
        + wire.fin(0)
    )
    passed_bytes = 0
    for cut in range(len(conversation)):
        wire = make_wire()
        wire.arrive(conversation[:cut], conversation[cut:])
        assert wire.passing(0).payload() == b"zero and more"
        assert wire.passing(0).events[-1] == "finish"
        assert wire.passing(2).payload() == b"two" * 50
        passed_bytes += wire.passing(0).passed_bytes + wire.passing(2).passed_bytes
        assert Frame(Op.PONG, b"ping", masked=not wire.is_router) in wire.frames
        assert wire.reason() is None
    assert passed_bytes > len(conversation) ** 2 / 2


class Noting(PassingStream):
    """Notes what it is told, in one list for all streams."""

    def __init__(self, told: list[str]) -> None:
        super().__init__()
        self.told = told

    @override
    def put(self, view: memoryview, spans: Sequence[Span], text: bool) -> bool:
        self.told.append(b"".join(bytes(view[start:end]) for start, end, _ in spans).decode())
        return super().put(view, spans, text)

    @override
    def resume(self) -> None:
        super().resume()
        self.told.append("credit")

    @override
    def finish(self) -> None:
        super().finish()
        self.told.append("fin")


def test_what_stands_between_payload_keeps_its_place(make_wire: MakeWire) -> None:
    """Grants and ends are neither overtaken by payload nor overtake it."""
    told: list[str] = []
    wire = make_wire(credit=16, make=lambda: Noting(told))
    for number in (0, 2):
        wire.passing(number).speak(bytes(17))
    told.clear()
    wire.arrive(
        wire.dat(0, b"a")
        + wire.dat(0, b"b")
        + wire.binary(encode_ack(0, 1))
        + wire.dat(0, b"c")
        + wire.dat(2, b"d")
        + wire.fin(0)
        + wire.dat(2, b"e")
        + wire.binary(encode_ack(2, 1))
        + wire.fin(2)
    )
    assert told == ["ab", "credit", "c", "d", "fin", "e", "credit", "fin"]


def test_our_fin_is_sent_behind_payload_that_waits(make_wire: MakeWire) -> None:
    """Credit for the rest lets it out, and then the FIN."""
    wire = make_wire(credit=16)
    wire.passing(0).speak(bytes(20))
    wire.passing(0).end()
    wire.turn()
    assert [message.kind for message in wire.messages()] == [Kind.DAT]
    wire.arrive(wire.binary(encode_ack(0, 4)))
    assert [message.kind for message in wire.messages()] == [Kind.DAT, Kind.DAT, Kind.FIN]


@pytest.mark.parametrize("control", [Op.PING, Op.PONG])
def test_control_frames_between_payload(make_wire: MakeWire, control: Op) -> None:
    """Payload passes on both sides of them, and a Ping is answered."""
    wire = make_wire()
    wire.arrive(wire.dat(0, b"a") + wire.frame(control, b"!") + wire.dat(0, b"b"))
    assert wire.passing(0).payload() == b"ab"
    assert wire.passing(0).passed_bytes == 2
    pong = Frame(Op.PONG, b"!", masked=not wire.is_router)
    assert wire.frames == ([pong] if control is Op.PING else [])


def test_a_close_behind_payload(make_wire: MakeWire) -> None:
    """What came before it in the same read arrives; it is answered."""
    wire = make_wire()
    close = wire.frame(Op.CLOSE, close_body(1001, "bye"))
    wire.arrive(wire.dat(0, b"a") + wire.dat(2, b"b") + close + wire.dat(0, b"never"))
    assert (wire.passing(0).payload(), wire.passing(2).payload()) == (b"a", b"b")
    assert wire.codes() == [1001]
    assert wire.reason() is not None


def test_a_connection_that_ends_behind_payload(make_wire: MakeWire) -> None:
    """What came before arrives; then both streams are over."""
    wire = make_wire()
    wire.arrive(wire.dat(0, b"a") + wire.dat(2, b"b"))
    wire.far.shutdown(socket.SHUT_WR)
    wire.turn()
    assert (wire.passing(0).payload(), wire.passing(2).payload()) == (b"a", b"b")
    assert wire.reason() is Reason.PEER_CLOSED
    assert wire.room.session.streams() == {}


def test_a_text_within_payload_is_a_fault(make_wire: MakeWire) -> None:
    """Only binary belongs here: 1008, behind what came before."""
    wire = make_wire()
    wire.arrive(wire.dat(0, b"a") + wire.frame(Op.TEXT, b"text") + wire.dat(0, b"never"))
    assert wire.passing(0).payload() == b"a"
    assert wire.codes() == [1008]


def test_a_message_that_is_too_long(make_wire: MakeWire) -> None:
    """A message in parts that nobody reads is counted all the same."""
    wire = make_wire()
    part = bytes(8 * KiB)
    wire.arrive(wire.frame(Op.BINARY, encode_dat(0, part), fin=False))
    while not wire.codes():
        assert len(wire.passing(0).payload()) <= MESSAGE_BYTES
        wire.arrive(wire.frame(Op.CONTINUATION, part, fin=False))
    assert wire.codes() == [1009]
