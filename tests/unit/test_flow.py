"""Who stops whom: windows, bounded buffers, order, and fairness on shared links."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from zope.interface import implementer

from relay.core.flow.credit import MOST_WINDOWS
from relay.core.flow.creditless import STALL_S, STREAM_BUFFER_BYTES
from relay.core.flow.shared import ITEM_BYTES, MERGE_BYTES
from relay.core.liveness import TICK_S
from relay.core.session import Session
from relay.core.stream import Circuit, join
from relay.errors import LimitReached
from relay.interfaces import ICircuit, IStream
from relay.vocabulary import Call, Carries, Close, Data, Event, Message, OfferName, Reason
from tests.fakes import (
    BOTH,
    DEFAULT_WINDOW_BYTES,
    HALF_CLOSE,
    CreditTalk,
    FakeStream,
    FakeSwitch,
    MemoryLink,
    MuxTalk,
    Talk,
    World,
    joined_links,
    passes,
    pump,
)

MiB = 1024 * 1024
WINDOW = DEFAULT_WINDOW_BYTES


class Shared:
    """A shared link of which the test is the far end, and a reader for each of its streams."""

    def __init__(self, talk: MuxTalk, world: World | None = None) -> None:
        self.world = world or World()
        self.talk = talk
        self.link = MemoryLink()
        self.switch = FakeSwitch()
        self.session = Session(self.link, talk, self.switch, self.world.around, "shared")
        self.session.opened()
        self.circuits: dict[int, Circuit] = {}

    def stream(self, number: int, carries: Carries = HALF_CLOSE, credit: int = 0) -> FakeStream:
        """Join stream ``number`` with a reader of its own."""
        reader = FakeStream(carries, f"reader-{number}")
        stream = self.session.open_stream(number, credit)
        self.circuits[number] = join("n", stream, reader, self.world.wheel, lambda _: None)
        return reader

    def data(self, number: int, payload: bytes, final: bool = True, text: bool = False) -> None:
        """Payload arrives on stream ``number``."""
        flags = bytes([text + 2 * final])
        self.frame(b"D", number, flags + payload)

    def frame(self, kind: bytes, number: int, body: bytes = b"") -> None:
        """A frame arrives."""
        self.link.arrive(Message(kind + number.to_bytes(4, "big") + body))

    def sent(self, kind: bytes) -> list[tuple[int, bytes]]:
        """Stream and body of the frames of that kind which the far end took."""
        pump(self.link)
        return [
            (int.from_bytes(message.payload[1:5], "big"), message.payload[5:])
            for message in self.link.sent
            if message.payload[:1] == kind
        ]

    def payload_sent(self, number: int) -> bytes:
        """All payload that went out on stream ``number``."""
        return b"".join(body[1:] for stream, body in self.sent(b"D") if stream == number)


def credit_link(window: int = WINDOW, world: World | None = None) -> Shared:
    """A link with windows."""
    world = world or World(window_bytes=window)
    return Shared(CreditTalk(window_bytes=window), world)


def creditless_link(world: World | None = None) -> Shared:
    """A link without."""
    return Shared(MuxTalk(), world)


# -- streams with credit ---------------------------------------------------------------------------


def test_a_consumer_that_reads_is_refunded_at_half_a_window() -> None:
    """Small pieces are paid back together, once they amount to half a window."""
    shared = credit_link(1000)
    shared.stream(1)
    shared.data(1, bytes(499))
    assert shared.sent(b"C") == []
    shared.data(1, bytes(1))
    assert shared.sent(b"C") == [(1, (500).to_bytes(4, "big"))]
    shared.data(1, bytes(600))
    assert shared.sent(b"C")[1:] == [(1, (600).to_bytes(4, "big"))]


def test_a_consumer_that_stops_is_refunded_nothing() -> None:
    """What a paused reader has not taken is kept, in order, and its writer runs dry."""
    shared = credit_link(1000)
    reader = shared.stream(1)
    reader.stop_reading()
    shared.data(1, b"a" * 600)
    shared.data(1, b"b" * 400)
    assert reader.payload() == b""
    assert shared.sent(b"C") == []
    reader.read_on()
    assert reader.payload() == b"a" * 600 + b"b" * 400
    assert sum(int.from_bytes(body, "big") for _, body in shared.sent(b"C")) == 1000


def test_a_stalled_stream_stops_its_own_writer_and_nobody_else() -> None:
    """The link is never paused; a neighbour goes through window after window meanwhile."""
    shared = credit_link(1000)
    stalled, neighbour = shared.stream(1), shared.stream(2)
    stalled.stop_reading()
    shared.data(1, bytes(1000))
    for _ in range(50):
        shared.data(2, bytes(1000))
    assert len(neighbour.payload()) == 50_000
    assert shared.link.reading
    assert shared.session.reason is None


def test_exceeds_its_window_breaks_the_rules() -> None:
    """A peer that sends one byte more than granted ends its link."""
    shared = credit_link(1000)
    shared.stream(1).stop_reading()
    shared.data(1, bytes(1000))
    assert shared.session.reason is None
    shared.data(1, b"x")
    assert shared.session.reason is Reason.PROTOCOL_ERROR


def test_grants_beyond_belief_break_the_rules() -> None:
    """Credit whose sum passes 2^32-1 ends the link."""
    shared = credit_link()
    shared.stream(1)
    shared.frame(b"C", 1, b"\xff\xff\xff\xff")
    assert shared.session.reason is None
    shared.frame(b"C", 1, b"\0\0\0\1")
    assert shared.session.reason is Reason.PROTOCOL_ERROR


def test_memory_of_a_stalled_stream_is_a_window() -> None:
    """The account holds one window and the cost of its pieces, and is empty after the end."""
    shared = credit_link(WINDOW)
    reader = shared.stream(1)
    reader.stop_reading()
    shared.data(1, bytes(WINDOW))
    assert WINDOW <= shared.world.ledger.total <= WINDOW + ITEM_BYTES
    reader.hang_up()
    assert shared.world.ledger.total == 0


def test_crumbs_of_a_byte_stream_are_put_together() -> None:
    """A window of single bytes does not cost a hundred times its size."""
    shared = Shared(CreditTalk(window_bytes=8192, carries=HALF_CLOSE), World(window_bytes=8192))
    reader = shared.stream(1)
    reader.stop_reading()
    for number in range(8192):
        shared.data(1, bytes([number % 251]))
    assert shared.world.ledger.total <= 8192 + 3 * ITEM_BYTES
    reader.read_on()
    assert reader.payload() == bytes(number % 251 for number in range(8192))
    assert max(len(data.payload) for data in reader.heard) <= MERGE_BYTES


def test_messages_keep_their_boundaries_while_they_wait() -> None:
    """Where both sides keep boundaries, nothing is put together but the parts of one message."""
    shared = credit_link()
    reader = shared.stream(1, BOTH)
    reader.stop_reading()
    shared.data(1, b"one")
    shared.data(1, b"tw", final=False)
    shared.data(1, b"o")
    shared.data(1, b"")
    shared.data(1, b"text", text=True)
    reader.read_on()
    assert [(data.payload, data.final, data.text) for data in reader.heard] == [
        (b"one", True, False),
        (b"two", True, False),
        (b"", True, False),
        (b"text", True, True),
    ]


def test_endless_empty_messages_end_their_stream() -> None:
    """``FloodsWithNothing``: messages without payload pass every window, but not for ever."""
    shared = credit_link(1000)
    flooded, neighbour = shared.stream(1, BOTH), shared.stream(2, BOTH)
    flooded.stop_reading()
    for _ in range(MOST_WINDOWS * 1000 // ITEM_BYTES + 1):
        shared.data(1, b"")
    assert flooded.reset_reason() == "overrun"
    assert shared.sent(b"R") == [(1, b"overrun")]
    assert shared.world.ledger.total == 0
    shared.data(2, b"still here")
    assert neighbour.payload() == b"still here"


# -- sending with credit ---------------------------------------------------------------------------


def test_payload_waits_for_credit() -> None:
    """Only what was granted goes out, in frames that are not too long; the writer is paused."""
    shared = credit_link(world=World(frame_bytes=100))
    writer = shared.stream(1, credit=250)
    writer.speak(b"".join(bytes([n]) * 100 for n in range(6)))
    frames = shared.sent(b"D")
    assert [len(body) - 1 for _, body in frames] == [100, 100, 50]
    assert writer.is_paused()
    shared.frame(b"C", 1, (250).to_bytes(4, "big"))
    assert writer.is_paused()
    shared.frame(b"C", 1, (100).to_bytes(4, "big"))
    assert not writer.is_paused()
    assert shared.payload_sent(1) == b"".join(bytes([n]) * 100 for n in range(6))


def test_only_the_last_frame_of_a_message_is_its_end() -> None:
    """A message that is cut by frame size or credit keeps its boundary and its kind."""
    shared = credit_link(world=World(frame_bytes=4))
    writer = shared.stream(1, credit=6)
    writer.speak(b"0123456789", text=True)
    shared.frame(b"C", 1, (100).to_bytes(4, "big"))
    assert [body[0] for _, body in shared.sent(b"D")] == [1, 1, 3]
    assert shared.payload_sent(1) == b"0123456789"


@pytest.mark.parametrize("credit", [0, 4])
def test_an_empty_message_is_a_message(credit: int) -> None:
    """A boundary without payload passes, needs no credit, and keeps its place."""
    shared = credit_link()
    writer = shared.stream(1, BOTH, credit=credit)
    writer.speak(b"four", final=False)
    writer.speak(b"")
    shared.frame(b"C", 1, (4).to_bytes(4, "big"))
    assert [body for _, body in shared.sent(b"D")] == [b"\0four", b"\2"]


def test_the_outbox_is_bounded() -> None:
    """A writer that honours its pause leaves one chunk behind; all of it is on the account."""
    shared = credit_link()
    writer = shared.stream(1)
    written = 0
    while not writer.is_paused():
        writer.speak(bytes(1000))
        written += 1
    assert written == 1
    assert shared.world.ledger.total == 1000
    writer.hang_up(Reason.LOST)
    assert shared.world.ledger.total == 0


def test_ends_wait_behind_payload_that_waits() -> None:
    """A Finish, and likewise a clean Reset, goes out behind the last byte."""
    for end, kind in ((FakeStream.end, b"F"), (FakeStream.hang_up, b"R")):
        shared = credit_link()
        writer = shared.stream(1)
        writer.speak(b"tail")
        end(writer)
        assert shared.sent(kind) == []
        shared.frame(b"C", 1, (2).to_bytes(4, "big"))
        assert shared.sent(kind) == []
        shared.frame(b"C", 1, (2).to_bytes(4, "big"))
        assert shared.payload_sent(1) == b"tail"
        assert len(shared.sent(kind)) == 1
        assert shared.link.sent[-1].payload[:1] == kind
        assert shared.talk.breaches == []


def test_an_unclean_end_does_not_wait() -> None:
    """After a loss nobody waits for credit: the peer is told, the rest is dropped."""
    shared = credit_link()
    writer = shared.stream(1)
    writer.speak(b"tail")
    writer.hang_up(Reason.LOST)
    assert shared.sent(b"R") == [(1, b"lost")]
    assert shared.world.ledger.total == 0


def test_what_comes_for_a_stream_that_waits_to_end_is_dropped() -> None:
    """Its peer may still send, and reset it, without anything being kept."""
    shared = credit_link()
    writer = shared.stream(1)
    writer.stop_reading()
    writer.speak(b"tail")
    writer.hang_up()
    shared.data(1, bytes(500))
    assert shared.world.ledger.total == 4
    shared.frame(b"R", 1, b"lost")
    assert shared.world.ledger.total == 0
    assert shared.session.streams() == {}
    assert shared.talk.breaches == []


def test_a_writer_goes_on_when_its_reader_has_left() -> None:
    """A peer that resets a stream releases who waited for its credit."""
    shared = credit_link()
    writer = shared.stream(1)
    writer.stop_reading()
    shared.data(1, b"unread")
    writer.speak(b"tail")
    assert writer.is_paused()
    shared.frame(b"R", 1, b"lost")
    assert not writer.is_paused()
    writer.speak(b"into the void")
    writer.read_on()
    assert writer.payload() == b"unread"
    assert writer.reset_reason() == "lost"


# -- streams without credit ------------------------------------------------------------------------

CHUNK = 64 * 1024


def fill(shared: Shared, number: int, upto: int = STREAM_BUFFER_BYTES) -> int:
    """Send on one stream until its link stops reading. :returns: bytes that were taken."""
    sent = 0
    while shared.link.reading and sent <= 2 * upto:
        shared.data(number, bytes(CHUNK))
        sent += CHUNK
    return sent


def test_a_reader_that_stops_is_buffered_while_others_go_on() -> None:
    """Up to the cap a stalled stream costs its neighbours nothing."""
    shared = creditless_link()
    stalled, neighbour = shared.stream(1), shared.stream(2)
    stalled.stop_reading()
    for _ in range(STREAM_BUFFER_BYTES // 2 // CHUNK):
        shared.data(1, bytes(CHUNK))
        shared.data(2, bytes(CHUNK))
    assert len(neighbour.payload()) == STREAM_BUFFER_BYTES // 2
    assert shared.link.reading


def test_a_stream_that_stands_still_over_the_cap_is_overrun() -> None:
    """The link pauses at 8 MiB, for 2 s; then that stream ends, and the others go on."""
    shared = creditless_link()
    stalled, neighbour = shared.stream(1), shared.stream(2)
    stalled.stop_reading()
    taken = fill(shared, 1)
    assert STREAM_BUFFER_BYTES - CHUNK <= taken <= STREAM_BUFFER_BYTES + CHUNK
    shared.world.passes(STALL_S - TICK_S)
    assert not shared.link.reading
    assert stalled.reset_reason() is None
    shared.world.passes(2 * TICK_S)
    assert stalled.reset_reason() == "overrun"
    assert shared.sent(b"R") == [(1, b"overrun")]
    assert shared.link.reading
    assert shared.world.ledger.total == 0
    shared.data(2, b"still here")
    assert neighbour.payload() == b"still here"


def test_a_stream_that_still_drains_keeps_its_link_waiting() -> None:
    """A slow reader is waited for; below the cap the link reads on."""
    shared = creditless_link()
    slow = shared.stream(1)
    slow.stop_reading()
    taken = fill(shared, 1)
    for _ in range(10):
        shared.world.passes(STALL_S - TICK_S)
        slow.heard.clear()
        slow.refuses = True
        assert slow.partner is not None
        slow.partner.resume()  # takes one piece, then refuses again
        if shared.link.reading:
            break
    assert slow.reset_reason() is None
    assert shared.link.reading
    slow.read_on()
    assert shared.world.ledger.total == 0
    assert shared.circuits[1].bytes()[0] == taken


def test_one_of_two_full_streams_does_not_release_the_link() -> None:
    """The link reads on when the last of them has drained or ended."""
    shared = creditless_link()
    first, second = shared.stream(1), shared.stream(2)
    for number, reader in ((1, first), (2, second)):
        reader.stop_reading()
        shared.session.streams()[number].deliver(Data(bytes(STREAM_BUFFER_BYTES + 1)))
    first.read_on()
    assert not shared.link.reading
    shared.world.passes(STALL_S + 2 * TICK_S)
    assert second.reset_reason() == "overrun"
    assert first.reset_reason() is None
    assert shared.link.reading


def test_the_tail_of_a_stream_that_ended_does_not_hold_its_link() -> None:
    """After the peer's Reset the link reads on, and the slow reader gets all of the tail."""
    shared = creditless_link()
    slow = shared.stream(1)
    slow.stop_reading()
    taken = fill(shared, 1)
    shared.session.streams()[1].peer_reset(Reason.FINISHED, None)
    assert shared.link.reading
    shared.world.passes(5 * STALL_S)
    assert slow.reset_reason() is None
    slow.read_on()
    assert len(slow.payload()) == taken
    assert slow.reset_reason() == "finished"


def test_the_tail_survives_the_loss_of_its_link() -> None:
    """What had arrived is delivered before the end, however slow its reader."""
    shared = creditless_link()
    slow = shared.stream(1)
    slow.stop_reading()
    shared.data(1, b"tail")
    shared.link.lose()
    assert shared.session.reason is Reason.LOST
    assert slow.reset_reason() is None
    shared.world.passes(60)
    slow.read_on()
    assert slow.payload() == b"tail"
    assert slow.reset_reason() == "lost"
    assert shared.world.ledger.total == 0


@pytest.mark.parametrize("kind", [b"F", b"R"])
@pytest.mark.parametrize("make", [credit_link, creditless_link])
def test_an_end_does_not_overtake_payload(make: Callable[[], Shared], kind: bytes) -> None:
    """A reader that paused gets the payload first, then the Finish or Reset behind it."""
    shared = make()
    reader = shared.stream(1)
    reader.stop_reading()
    shared.data(1, b"first")
    shared.frame(kind, 1, b"finished" if kind == b"R" else b"")
    assert "finish" not in reader.events
    assert reader.reset_reason() is None
    reader.read_on()
    assert reader.payload() == b"first"
    assert ("finish" in reader.events) == (kind == b"F")
    assert (reader.reset_reason() == "finished") == (kind == b"R")


def test_what_a_pending_caller_said_is_forgotten_with_it() -> None:
    """A stream that ends before it had a partner leaves nothing on the account."""
    shared = credit_link()
    reader = FakeStream()
    stream = shared.session.open_stream(1)
    stream.circuit = _Nobody()
    shared.data(1, b"early")
    assert shared.world.ledger.total > 0
    shared.frame(b"R", 1, b"lost")
    assert shared.world.ledger.total == 0
    assert reader.heard == []


@implementer(ICircuit)
class _Nobody:
    """A circuit that does not care."""

    def finished(self, side: IStream) -> None:
        """Whatever."""

    def broken(self, side: IStream, reason: Reason, close: Close | None = None) -> None:
        """Whatever."""


# -- the link's send buffer ------------------------------------------------------------------------


def test_a_full_link_pauses_every_writer() -> None:
    """And streams that begin while it is full as well."""
    shared = creditless_link()
    early = shared.stream(1)
    shared.link.stuck = True
    early.speak(bytes(100 * 1024))
    assert early.is_paused()
    late = shared.stream(2)
    assert late.is_paused()
    shared.link.stuck = False
    pump(shared.link)
    assert not early.is_paused()
    assert not late.is_paused()


class Greedy(FakeStream):
    """Sends a chunk whenever it is let, and counts them."""

    chunks = 0

    def resume(self) -> None:
        """Speak until somebody asks for a pause."""
        super().resume()
        while not self.paused and self.partner is not None and self.chunks < 1000:
            self.chunks += 1
            self.speak(bytes(100 * 1024))


def test_a_link_that_fills_up_again_stops_the_round() -> None:
    """Of many greedy writers only as many go on as the buffer takes; then all wait again."""
    shared = creditless_link()
    shared.link.stuck = True
    writers = []
    for number in range(1, 21):
        writers.append(Greedy())
        stream = shared.session.open_stream(number)
        join("n", stream, writers[-1], shared.world.wheel, lambda _: None)
    assert [writer.chunks for writer in writers] == [1] + [0] * 19
    for _ in range(20):
        shared.link.stuck = False
        shared.link.step()
        shared.link.stuck = True
        assert shared.link.most_unsent_bytes <= 101 * 1024
        assert all(writer.is_paused() for writer in writers)


def test_writers_take_turns() -> None:
    """Each of many greedy writers gets its share of a slow link: nobody starves."""
    shared = creditless_link()
    shared.link.stuck = True
    writers = []
    for number in range(1, 6):
        writers.append(Greedy())
        stream = shared.session.open_stream(number)
        join("n", stream, writers[-1], shared.world.wheel, lambda _: None)
    for _ in range(50):
        shared.link.stuck = False
        shared.link.step()
        shared.link.stuck = True
    assert max(writer.chunks for writer in writers) - min(w.chunks for w in writers) <= 1


# -- the account -----------------------------------------------------------------------------------


def test_new_streams_are_refused_when_memory_is_short() -> None:
    """At the global cap nothing new begins, and what is there goes on."""
    shared = credit_link(1000, World(buffered_bytes=1500, window_bytes=1000))
    first, second = shared.stream(1), shared.stream(2)
    first.stop_reading()
    second.stop_reading()
    shared.data(1, bytes(1000))
    shared.data(2, bytes(1000))
    with pytest.raises(LimitReached):
        shared.session.open_stream(3)
    first.read_on()
    shared.session.open_stream(3)


def test_memory_pressure_ends_who_stands_still() -> None:
    """Above three quarters of the cap the stream that takes nothing for 10 s is overrun."""
    shared = credit_link(1000, World(buffered_bytes=1300, window_bytes=1000))
    stalled, neighbour = shared.stream(1), shared.stream(2)
    stalled.stop_reading()
    shared.data(1, bytes(1000))
    for _ in range(48):
        shared.world.passes(TICK_S)
        shared.data(2, bytes(100))
    assert stalled.reset_reason() == "overrun"
    assert neighbour.reset_reason() is None
    assert len(neighbour.payload()) == 4800


def test_traffic_one_way_does_not_hide_a_standstill_the_other_way() -> None:
    """``TricklesUp``: a client that never takes its download is overrun though it keeps sending."""
    shared = credit_link(1000, World(buffered_bytes=1300, window_bytes=1000))
    writer = shared.stream(1)
    writer.speak(bytes(1200))
    for _ in range(60):
        shared.world.passes(TICK_S)
        shared.data(1, b"x")
    assert writer.reset_reason() == "overrun"
    assert shared.world.ledger.total == 0


# -- two sessions, any schedule --------------------------------------------------------------------

STREAMS = 3


@dataclass
class Side:
    """One end of a stream: what it was told to say, and what it heard."""

    stream: FakeStream
    said: list[bytes] = field(default_factory=list)
    backlog: list[bytes] = field(default_factory=list)
    finished: bool = False

    def flush(self) -> None:
        """Say what waits, as far as the other side takes it."""
        while self.backlog and not self.stream.paused:
            self.stream.speak(self.backlog.pop(0))


class TwoSessions:
    """Two sessions over one credit link, each stream with a fake at either end."""

    def __init__(self, window: int, frame: int, buffer: int) -> None:
        self.world = World(window_bytes=window, frame_bytes=frame)
        self.links = joined_links(buffer)
        self.talks = (CreditTalk(window_bytes=window), CreditTalk(window_bytes=window))
        self.sides: tuple[list[Side], list[Side]] = ([], [])
        self.switches = (FakeSwitch(), FakeSwitch())
        self.window = window
        self.sessions = tuple(
            Session(link, talk, switch, self.world.around, label)
            for link, talk, switch, label in zip(
                self.links, self.talks, self.switches, ("left", "right"), strict=True
            )
        )
        self.switches[1].on_request = self._called
        for session in self.sessions:
            session.opened()
        for number in range(1, STREAMS + 1):
            call = Call(OfferName("x"), stream=number)
            stream = self.sessions[0].open_stream(number, window)
            self._join(0, stream.stream_id)
            self.sessions[0].perform(call)
        pump(*self.links)

    def _called(self, session: Session, event: Event) -> None:
        assert isinstance(event, Call)
        session.open_stream(event.stream)
        self._join(1, event.stream)

    def _join(self, end: int, number: int) -> None:
        fake = FakeStream(BOTH, f"{end}/{number}")
        stream = self.sessions[end].open_stream(number)
        join("n", stream, fake, self.world.wheel, lambda _: None)
        self.sides[end].append(Side(fake))

    def side(self, end: int, number: int) -> Side:
        """One end of one stream."""
        return self.sides[end][number]

    def settle(self) -> None:
        """Everybody reads and speaks until nothing is left to say."""
        for side in self.sides[0] + self.sides[1]:
            side.stream.read_on()
        for _ in range(10_000):
            pump(*self.links)
            waiting = [side for side in self.sides[0] + self.sides[1] if side.backlog]
            if not waiting:
                return
            before = sum(len(side.backlog) for side in waiting)
            for side in waiting:
                side.flush()
            pump(*self.links)
            assert sum(len(side.backlog) for side in waiting) < before, "deadlock"
        raise AssertionError("livelock")


def whole_messages(heard: list[Data]) -> list[bytes]:
    """The messages that these pieces are parts of."""
    messages = [b""]
    for data in heard:
        messages[-1] += data.payload
        if data.final:
            messages.append(b"")
    assert messages.pop() == b"", "a message without its end"
    return messages


ENDS = st.integers(0, 1)
NUMBERS = st.integers(0, STREAMS - 1)
STEPS = st.one_of(
    st.tuples(st.just("say"), ENDS, NUMBERS, st.integers(0, 700)),
    st.tuples(st.just("stop"), ENDS, NUMBERS, st.just(0)),
    st.tuples(st.just("read"), ENDS, NUMBERS, st.just(0)),
    st.tuples(st.just("move"), ENDS, st.just(0), st.integers(1, 8)),
    st.tuples(st.just("stuck"), ENDS, st.just(0), st.integers(0, 1)),
    st.tuples(st.just("finish"), ENDS, NUMBERS, st.just(0)),
)


@settings(deadline=None, max_examples=150)
@given(
    schedule=st.lists(STEPS, max_size=60),
    window=st.integers(1, 600),
    frame=st.integers(1, 300),
    buffer=st.integers(0, 1500),
)
@example(  # over before the end of the schedule
    schedule=[("finish", 0, 0, 0), ("finish", 1, 0, 0), ("move", 0, 0, 1), ("move", 1, 0, 1)],
    window=1,
    frame=1,
    buffer=0,
)
def test_no_schedule_loses_reorders_or_deadlocks(
    schedule: list[tuple[str, int, int, int]], window: int, frame: int, buffer: int
) -> None:
    """Whoever stalls when: every byte arrives in order, windows and buffers hold, all ends come."""
    both = TwoSessions(window, frame, buffer)
    for what, end, number, amount in schedule:
        side = both.side(end, number)
        if what == "say" and not side.finished:
            chunk = bytes((len(side.said) + i) % 251 for i in range(amount))
            side.said.append(chunk)
            side.backlog.append(chunk)
            side.flush()
        elif what == "stop":
            side.stream.stop_reading()
        elif what == "read":
            side.stream.read_on()
        elif what == "move":
            for _ in range(amount):
                both.links[end].step()
        elif what == "stuck":
            both.links[end].stuck = bool(amount)
        elif what == "finish" and not side.finished and not side.backlog:
            side.finished = True
            side.stream.end()
        for session in both.sessions:
            for stream in session.streams().values():
                held = stream.held_bytes() if hasattr(stream, "held_bytes") else 0
                assert held <= window + 700 + ITEM_BYTES * (window + 1)
    for link in both.links:
        link.stuck = False
    both.settle()
    for end in (0, 1):
        for number in range(STREAMS):
            here, there = both.side(end, number), both.side(1 - end, number)
            assert whole_messages(there.stream.heard) == here.said
            told = "finish" in there.stream.events or there.stream.reset_reason() is not None
            assert told == here.finished
            assert there.stream.reset_reason() in (None, "finished")
    assert [talk.breaches for talk in both.talks] == [[], []]
    assert [session.reason for session in both.sessions] == [None, None]
    assert both.world.ledger.total == 0


def test_a_dedicated_and_a_shared_link_make_a_circuit() -> None:
    """Shapes mix: credit at one end stops the socket at the other, and lets it go on."""
    shared = credit_link()
    link = MemoryLink()
    session = Session(link, Talk(carries=BOTH), FakeSwitch(), shared.world.around, "dedicated")
    session.opened()
    stream = shared.session.open_stream(1, 10)
    join("n", session.stream(), stream, shared.world.wheel, lambda _: None)
    link.arrive(*[Message(b"0123456") for _ in range(5)])
    assert not link.reading
    assert shared.payload_sent(1) == b"0123456012"
    shared.frame(b"C", 1, (100).to_bytes(4, "big"))
    pump(link)
    assert link.reading
    assert shared.payload_sent(1) == b"0123456" * 5
    passes(shared.world.clock, 1)
