"""Order, whoever stalls when: two sessions, ends behind payload, and shapes that mix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.core.flow.shared import ITEM_BYTES
from relay.core.session import Session
from relay.core.stream import join
from relay.vocabulary import Call, Data, Event, Message, OfferName
from tests.fakes import (
    BOTH,
    CreditTalk,
    FakeStream,
    FakeSwitch,
    MemoryLink,
    Talk,
    World,
    joined_links,
    passes,
    pump,
)
from tests.unit.shared_link import Shared, credit_link, creditless_link

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
