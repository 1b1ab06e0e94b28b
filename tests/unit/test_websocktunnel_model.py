"""Two muxers joined in memory, under any schedule: nothing is lost, exceeded, or stuck.

Either side's link can split or not, and either side's streams have sockets or not: where both are,
payload passes unread, and all is as where it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.vocabulary import Reason
from relay.wire.wsmux import WINDOW_BYTES, FrameReader, Kind
from tests.fakes import FakeStream, MemoryLink, PassingStream, SplittingLink, World, pump
from tests.unit.mux_rooms import End, host_end, router_end
from tests.unit.stream_rooms import CHUNK_BYTES, Joined, Side, kept, move, pattern
from tests.unit.wsmux_original import FragmentingLink, Original, OriginalStream

STREAMS = 3


class Way(NamedTuple):
    """What one side has.

    :ivar splits: whether its link can split
    :ivar has_sockets: whether its streams do
    :ivar cuts: how much each read of its link has
    """

    splits: bool
    has_sockets: bool
    cuts: tuple[int, ...]

    def link(self, buffer: int, fragment: int) -> MemoryLink:
        """A link."""
        if self.splits:
            return SplittingFragments(buffer, fragment, cuts=self.cuts)
        return FragmentingLink(buffer, fragment)

    def stream(self) -> FakeStream:
        """A stream's other side."""
        return PassingStream() if self.has_sockets else FakeStream()


class SplittingFragments(SplittingLink, FragmentingLink):
    """Splits what comes, and fragments what goes."""


WAYS = st.builds(
    Way, st.booleans(), st.booleans(), st.lists(st.integers(1, 700), max_size=5).map(tuple)
)


def set_room(stream: FakeStream, has_room: bool) -> None:
    """The socket of a stream takes no more, or does again; nothing where it has none."""
    if not isinstance(stream, PassingStream):
        return
    if has_room:
        stream.unblock()
    else:
        stream.has_room = False


def fins(link: MemoryLink) -> list[int]:
    """The streams that the far end took a FIN of."""
    reader = FrameReader()
    frames = [reader.feed(message) for message in link.sent]
    return [frame.stream for frame in frames if frame is not None and frame.kind is Kind.FIN]


# -- two of ours -----------------------------------------------------------------------------------

ENDS = st.integers(0, 1)
NUMBERS = st.integers(0, STREAMS - 1).map(lambda number: 2 * number)
STEPS = st.one_of(
    st.tuples(st.just("say"), ENDS, NUMBERS, st.integers(0, CHUNK_BYTES)),
    st.tuples(st.just("stop"), ENDS, NUMBERS, st.just(0)),
    st.tuples(st.just("read"), ENDS, NUMBERS, st.just(0)),
    st.tuples(st.just("room"), ENDS, NUMBERS, st.integers(0, 1)),
    st.tuples(st.just("answer"), st.just(1), NUMBERS, st.just(0)),
    st.tuples(st.just("move"), ENDS, st.just(0), st.integers(1, 8)),
    st.tuples(st.just("stuck"), ENDS, st.just(0), st.integers(0, 1)),
    st.tuples(st.just("finish"), ENDS, NUMBERS, st.just(0)),
)


class Ours(Joined[End, MemoryLink]):
    """A router's end and a host's, on one link."""

    def __init__(
        self,
        window: int,
        credit: int,
        frame: int,
        buffer: int,
        fragment: int,
        ways: Sequence[Way],
    ) -> None:
        super().__init__(World(frame_bytes=frame), [way.link(buffer, fragment) for way in ways])
        self.ends = [
            router_end(self.world, self.links[0], ways[0].stream),
            host_end(self.world, self.links[1], window, credit, ways[1].stream),
        ]
        for _ in range(STREAMS):
            self.ends[0].call()

    def do(self, what: str, end: int, number: int, amount: int) -> None:
        """One step of a schedule; steps of streams that do not stand yet do nothing."""
        side = self.ends[end].sides.get(number)
        if what != "room":
            super().do(what, end, number, amount)
        elif side is not None:
            set_room(side.stream, bool(amount))

    def settle(self) -> None:
        """Everybody reads, and says what is left to say, and that it was all."""
        for link in self.links:
            link.stuck = False
        self.begin()
        for side in self.sides():
            side.stream.read_on()
            side.finished = True
        moved = True
        while not all(side.over for side in self.sides()):
            assert moved, "a deadlock"
            for side in self.sides():
                side.flush()
            moved = move(self.links)


READ_BY_ALL = Way(splits=False, has_sockets=False, cuts=())


@settings(deadline=None, max_examples=150)
@example(
    begun=True,
    schedule=[("say", 0, 0, 1), ("stop", 1, 0, 0)],
    window=1,
    credit=1,
    frame=1,
    buffer=0,
    fragment=1,
    ways=(READ_BY_ALL, READ_BY_ALL),
)
@given(
    begun=st.booleans(),
    schedule=st.lists(STEPS, max_size=60),
    window=st.integers(1, 600),
    credit=st.integers(1, 600),
    frame=st.integers(1, 300),
    buffer=st.integers(0, 1500),
    fragment=st.integers(1, 300),
    ways=st.tuples(WAYS, WAYS),
)
def test_ours_never_lose_exceed_or_deadlock(
    begun: bool,
    schedule: list[tuple[str, int, int, int]],
    window: int,
    credit: int,
    frame: int,
    buffer: int,
    fragment: int,
    ways: tuple[Way, Way],
) -> None:
    """Whoever stalls when: all arrives in order, windows and memory hold, each FIN is sent once."""
    both = Ours(window, credit, frame, buffer, fragment, ways)
    if begun:
        both.begin()
    for step in schedule:
        both.do(*step)
        assert both.ends[0].held_bytes() <= kept(credit)
        assert both.ends[1].held_bytes() <= kept(window)
    both.settle()
    for number in range(0, 2 * STREAMS, 2):
        router, host = (end.sides[number] for end in both.ends)
        assert host.stream.payload() == bytes(router.said)
        assert router.stream.payload() == bytes(host.said)
        assert {router.stream.reset_reason(), host.stream.reset_reason()} <= {"finished", None}
        for end in both.ends:
            assert end.circuits[number].reason is Reason.FINISHED
            assert end.circuits[number].bytes() == end.sides[number].bytes()
    assert [end.session.reason for end in both.ends] == [None, None]
    assert [sorted(fins(link)) for link in both.links] == [[0, 2, 4], [0, 2, 4]]
    assert all(end.clean() for end in both.ends)
    assert both.world.ledger.total == 0


# -- one of ours and an original -------------------------------------------------------------------

BUFFERS = st.sampled_from([1024, 4096, WINDOW_BYTES])
SIZES = st.integers(0, CHUNK_BYTES)
AGAINST = st.one_of(
    st.tuples(st.sampled_from(["say", "told", "read"]), NUMBERS, SIZES),
    st.tuples(st.sampled_from(["stop", "go", "accept", "finish", "close"]), NUMBERS, st.just(0)),
    st.tuples(st.sampled_from(["leave", "break"]), NUMBERS, st.just(0)),
    st.tuples(st.just("room"), NUMBERS, st.integers(0, 1)),
    st.tuples(st.just("move"), st.just(0), st.integers(1, 40)),
)


class Mixed:
    """A session of ours and an original, which is the host or the router."""

    def __init__(self, buffer: int, window: int, opens: bool, way: Way) -> None:
        self.world = World(frame_bytes=1000)
        self.links = (way.link(4000, WINDOW_BYTES), FragmentingLink())
        self.links[0].far, self.links[1].far = self.links[1], self.links[0]
        self.original = Original(self.links[1], buffer, opens)
        self.window = min(window, buffer)
        self.buffer = buffer
        self.ours: End = (
            host_end(self.world, self.links[0], window, buffer, way.stream)
            if opens
            else router_end(self.world, self.links[0], way.stream)
        )
        self.left: set[int] = set()
        for _ in range(STREAMS):
            if opens:
                self.original.open()
            else:
                self.ours.call()

    def begin(self) -> None:
        """All calls are answered."""
        pump(*self.links)
        for number in range(0, 2 * STREAMS, 2):
            self.accept(number)
        pump(*self.links)

    def both(self, number: int) -> tuple[Side | None, OriginalStream | None]:
        """Our end of a stream, and the original's."""
        return self.ours.sides.get(number), self.original.streams.get(number)

    def do(self, what: str, number: int, amount: int) -> None:
        """One step; the upper half of the words is for the original."""
        side, stream = self.both(number)
        if what == "move":
            for _ in range(amount):
                for link in self.links:
                    link.step()
        elif stream is not None and what == "told":
            stream.write(pattern(len(stream.said), amount))
        elif stream is not None and what == "read":
            stream.read(amount)
        elif stream is not None and what == "close":
            stream.close()
        elif what == "accept":
            self.accept(number)
        elif side is not None:
            self._do_ours(what, number, side, amount)

    def accept(self, number: int) -> None:
        """Whose call it is not, takes it."""
        side, stream = self.both(number)
        if self.original.opens and side is not None:
            self.ours.answer(number)
        elif not self.original.opens and stream is not None:
            stream.accept()

    def _do_ours(self, what: str, number: int, side: Side, amount: int) -> None:
        if what == "say" and not side.waits:
            side.say(pattern(len(side.said), amount))
        elif what == "stop":
            side.stream.stop_reading()
        elif what == "go":
            side.stream.read_on()
        elif what == "room":
            set_room(side.stream, bool(amount))
        elif what == "finish":
            side.finish()
        elif side.joined and not side.over:
            self.left.add(number)
            side.stream.hang_up(Reason.PEER_CLOSED if what == "leave" else Reason.LOST)
        elif not side.joined and what == "break" and number not in self.left:
            self.left.add(number)
            self.ours.session.end_stream(number, Reason.HOST_SILENT)
            side.joined = True

    def settle(self) -> None:
        """Everybody reads, and says what is left to say, and that it was all."""
        self.begin()
        for side in self.ours.sides.values():
            side.stream.read_on()
            side.finished = True
        for stream in self.original.streams.values():
            stream.close()
        moved = True
        while moved:
            for side in self.ours.sides.values():
                side.flush()
            for stream in self.original.streams.values():
                stream.read(700)
            moved = move(self.links)
        assert all(stream.over for stream in self.original.streams.values()), "a deadlock"


@pytest.mark.parametrize("opens", [False, True], ids=["original host", "original router"])
def test_an_original_is_never_broken(opens: bool) -> None:
    """``test_schedules`` for either side; Hypothesis cannot be parametrized here."""

    @settings(deadline=None, max_examples=150)
    @given(
        st.booleans(),
        st.lists(AGAINST, max_size=60),
        BUFFERS,
        st.sampled_from([300, 1024, WINDOW_BYTES]),
        WAYS,
    )
    def test_schedules(
        begun: bool, schedule: list[tuple[str, int, int]], buffer: int, window: int, way: Way
    ) -> None:
        mixed = Mixed(buffer, window, opens, way)
        if begun:
            mixed.begin()
        for step in schedule:
            mixed.do(*step)
            assert mixed.ours.held_bytes() <= kept(buffer)
        mixed.settle()
        for number in range(0, 2 * STREAMS, 2):
            side, stream = mixed.ours.sides[number], mixed.original.streams[number]
            if number in mixed.left:
                assert bytes(side.said).startswith(bytes(stream.heard))
                assert bytes(stream.said).startswith(side.stream.payload())
            else:
                assert bytes(stream.heard) == bytes(side.said)
                assert side.stream.payload() == bytes(stream.said)
                assert mixed.ours.circuits[number].bytes() == side.bytes()
        assert mixed.ours.session.reason is None
        assert sorted(fins(mixed.links[0])) == [0, 2, 4]
        assert mixed.ours.clean()
        assert mixed.world.ledger.total == 0

    test_schedules()
