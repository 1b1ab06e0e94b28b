"""Payload of one stream among many that nobody reads: order, room, and what happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from typing_extensions import override

from relay.core.flow import CreditStream
from relay.core.flow.shared import MERGE_BYTES
from relay.outlets import Span
from relay.vocabulary import Message, Reason
from relay.wire.wsmux import (
    FrameReader,
    Kind,
    encode_ack,
    encode_dat,
    encode_fin,
    encode_syn,
)
from tests.fakes import FakeStream, MemoryLink, PassingStream, SplittingLink, World, pump
from tests.unit.mux_rooms import End, host_end

WINDOW = 100


class Room:
    """Our host's end of a link that can split; the test is the router.

    :ivar stream: what stream 0 is joined with; stream 2 has another
    """

    def __init__(
        self,
        make: Callable[[], FakeStream] = PassingStream,
        link: MemoryLink | None = None,
        credit: int = WINDOW,
        window: int = WINDOW,
    ) -> None:
        self.world = World()
        self.link = link or SplittingLink()
        self.host: End = host_end(self.world, self.link, window, credit, make)
        for number in (0, 2):
            self.says(encode_syn(number))
            self.host.answer(number)
        pump(self.link)
        self.link.sent.clear()
        self.stream = self.host.sides[0].stream
        self.other = self.host.sides[2].stream

    def says(self, *messages: bytes) -> None:
        """All of them come in one read."""
        self.link.arrive(*map(Message, messages))

    @property
    def ours(self) -> CreditStream:
        """Stream 0."""
        stream = self.host.session.streams()[0]
        assert isinstance(stream, CreditStream)
        return stream

    def sent(self, kind: Kind) -> list[tuple[int, bytes, int]]:
        """Stream, payload and amount of what the router took."""
        pump(self.link)
        reader = FrameReader()
        frames = [reader.feed(message) for message in self.link.sent]
        return [(f.stream, f.payload, f.amount) for f in frames if f is not None and f.kind is kind]


class Acting(PassingStream):
    """Does something whenever something comes for it.

    :ivar acts: what, in turn
    """

    def __init__(self) -> None:
        super().__init__()
        self.acts: list[Callable[[], None]] = []

    def _act(self) -> None:
        if self.acts:
            self.acts.pop(0)()

    @override
    def put(self, view: memoryview, spans: Sequence[Span], text: bool) -> bool:
        taken = super().put(view, spans, text)
        self._act()
        return taken

    @override
    def send(self, data: object) -> None:
        super().send(data)  # type: ignore[arg-type]
        self._act()

    @override
    def pause(self) -> None:
        super().pause()
        self._act()


def passing_room(**options: object) -> tuple[Room, Acting]:
    """:returns: a room, and what its stream 0 is joined with"""
    room = Room(Acting, **options)  # type: ignore[arg-type]
    assert isinstance(room.stream, Acting)
    return room, room.stream


# -- what passes -----------------------------------------------------------------------------------


def test_payload_passes_where_both_sides_can() -> None:
    """It is counted, refunded, and seen by nobody."""
    room, stream = passing_room()
    room.says(encode_dat(0, b"a" * 30), encode_dat(0, b"b" * 30), encode_dat(2, b"c"))
    assert stream.payload() == b"a" * 30 + b"b" * 30
    assert stream.passed_bytes == 60
    assert len(stream.heard) == 2
    assert room.ours.bytes_in == 60
    assert room.sent(Kind.ACK) == [(0, b"", 60)]


@pytest.mark.parametrize(
    ("make", "link"), [(PassingStream, MemoryLink()), (FakeStream, SplittingLink())]
)
def test_payload_is_read_where_one_side_cannot(
    make: Callable[[], FakeStream], link: MemoryLink
) -> None:
    """Neither a link that splits nor a stream with a socket is enough."""
    room = Room(make, link)
    room.says(encode_dat(0, b"a" * 60))
    assert room.stream.payload() == b"a" * 60
    assert room.sent(Kind.ACK) == [(0, b"", 60)]
    if isinstance(link, SplittingLink):
        assert not link.passed_bytes


def test_payload_goes_out_within_credit() -> None:
    """What is left was copied before the buffer is used again; its writer is paused."""
    room, stream = passing_room(credit=10)
    stream.speak(b"0123456789abc")
    assert room.sent(Kind.DAT) == [(0, b"0123456789", 0)]
    assert stream.paused
    room.says(encode_ack(0, 100))
    assert room.sent(Kind.DAT)[1:] == [(0, b"abc", 0)]
    assert not stream.paused


def test_several_spans_go_out_in_order() -> None:
    """Behind one that has to wait, all wait."""
    room = Room(credit=4)
    view = memoryview(bytearray(b"..one..two..three"))
    outlet = room.ours.outlet()
    assert outlet is not None
    outlet.put(view, ((2, 5, True), (5, 5, True), (7, 10, True), (12, 17, True)), False)
    room.says(encode_ack(0, 100))
    assert b"".join(payload for _, payload, _ in room.sent(Kind.DAT)) == b"onetwothree"


def test_a_pause_that_ends_the_circuit_keeps_nothing() -> None:
    """The first span that waits pauses the writer, which ends it all: the rest is not kept."""
    room, stream = passing_room(credit=4)
    stream.acts = [lambda: stream.hang_up(Reason.LOST)]
    outlet = room.ours.outlet()
    assert outlet is not None
    outlet.put(memoryview(bytearray(b"one two three")), ((0, 7, True), (7, 13, True)), False)
    assert room.world.ledger.total == 0
    assert 0 not in room.host.session.streams()
    assert [stream for stream, _, _ in room.sent(Kind.FIN)] == [0]


# -- changing ways ---------------------------------------------------------------------------------


def test_a_message_changes_its_way() -> None:
    """Its parts pass, wait, are delivered and pass again, in order."""
    room, stream = passing_room()
    parts = [encode_dat(0, b"a"), b"b", b"c", b"d", b"e"]
    last = len(parts) - 1
    before: list[Callable[[], None]] = [
        lambda: None,
        room.ours.pause,
        lambda: None,
        room.ours.resume,
        lambda: None,
    ]
    for number, (part, act) in enumerate(zip(parts, before, strict=True)):
        act()
        room.link.arrive(Message(part, final=number == last))
    assert stream.payload() == b"abcde"
    assert stream.passed_bytes == 3
    assert room.ours.bytes_in == 5
    room.says(encode_dat(0, b"f"), encode_fin(0))
    assert stream.payload() == b"abcdef"
    assert stream.events[-1] == "finish"


def test_what_comes_while_there_is_no_room_waits() -> None:
    """Nothing overtakes it when there is room, neither payload nor the end."""
    room, stream = passing_room()
    stream.has_room = False
    room.says(encode_dat(0, b"a"), encode_ack(0, 1), encode_dat(0, b"b"), encode_fin(0))
    assert stream.payload() == b"a"
    assert room.ours.is_paused()
    assert "finish" not in stream.events
    stream.unblock()
    assert stream.payload() == b"ab"
    assert stream.events[-1] == "finish"


def test_two_reasons_to_wait() -> None:
    """Room alone, or the partner's consent alone, is not enough."""
    room, stream = passing_room()
    stream.has_room = False
    room.says(encode_dat(0, b"a"))
    room.ours.pause()
    room.says(encode_dat(0, b"b"))
    stream.unblock()
    assert stream.payload() == b"a"
    stream.has_room = False
    room.ours.resume()
    assert stream.payload() == b"ab"
    room.ours.pause()
    stream.has_room = True
    room.ours.resume()
    room.says(encode_dat(0, b"c"))
    assert stream.payload() == b"abc"


def test_a_stream_without_room_is_bounded_by_its_window() -> None:
    """What waits is not refunded; the other stream goes on."""
    room, stream = passing_room()
    stream.has_room = False
    room.says(encode_dat(0, bytes(WINDOW)))
    room.link.sent.clear()
    room.says(encode_dat(0, bytes(WINDOW)))
    assert room.ours.held_bytes() >= WINDOW
    assert room.sent(Kind.ACK) == []
    room.says(encode_dat(2, b"goes on"))
    assert room.other.payload() == b"goes on"
    room.says(encode_dat(0, b"x"))
    assert room.host.session.reason is Reason.PROTOCOL_ERROR
    assert room.world.ledger.total > 0
    stream.unblock()
    assert room.world.ledger.total == 0
    assert stream.reset_reason() == "protocol-error"


# -- in the midst of something ---------------------------------------------------------------------


def test_a_pause_and_a_consent_while_what_waited_is_delivered() -> None:
    """The rest follows in order, once, and what comes then passes."""
    size = 2 * MERGE_BYTES
    room, stream = passing_room(credit=4 * size, window=4 * size)
    ours = room.ours
    ours.pause()
    room.says(*[encode_dat(0, bytes((number,)) * size) for number in range(3)])
    assert len(ours._inbox) > 2

    def hesitate() -> None:
        ours.pause()
        ours.resume()

    stream.acts = [hesitate, hesitate, ours.pause, ours.resume]
    ours.resume()
    assert ours.is_paused()
    ours.resume()
    assert stream.payload() == b"".join(bytes((number,)) * size for number in range(3))
    room.says(encode_dat(0, b"next"))
    assert stream.payload().endswith(b"\2next")
    assert stream.passed_bytes == len(b"next")
    assert ours.bytes_in == 3 * size + len(b"next")


def test_an_end_while_what_waited_is_delivered() -> None:
    """Nothing follows it, and nothing is left."""
    room, stream = passing_room()
    room.ours.pause()
    room.says(encode_dat(0, b"a" * 50), encode_fin(0))
    stream.acts = [stream.hang_up]
    room.ours.resume()
    assert stream.payload() == b"a" * 50
    assert "finish" not in stream.events
    assert room.world.ledger.total == 0
    room.says(encode_dat(2, b"goes on"))
    assert room.other.payload() == b"goes on"


def test_an_end_while_payload_passes() -> None:
    """What the read still has of it is dropped, and granted again like what was taken."""
    room, stream = passing_room()
    stream.acts = [stream.hang_up]
    room.says(encode_dat(0, b"a" * 30), encode_dat(2, b"b"), encode_dat(0, b"c" * 20))
    assert stream.payload() == b"a" * 30
    assert room.other.payload() == b"b"
    assert [stream for stream, _, _ in room.sent(Kind.FIN)] == [0]
    assert sum(amount for stream, _, amount in room.sent(Kind.ACK) if stream == 0) == 50
    room.says(encode_fin(0))
    assert room.host.talk._draining == {}


def test_the_end_of_the_link_while_payload_passes() -> None:
    """No stream hears anything behind its reset."""
    room, stream = passing_room()
    stream.acts = [lambda: room.host.session.close(Reason.GOING_AWAY)]
    room.says(encode_dat(2, b"a"), encode_dat(0, b"b"), encode_dat(2, b"c"), encode_dat(0, b"d"))
    assert (room.other.payload(), stream.payload()) == (b"a", b"b")
    assert room.other.reset_reason() == stream.reset_reason() == "going-away"
