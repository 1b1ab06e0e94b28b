"""A router's and an agent's end of one link, under any schedule, with and without credit."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.flow.creditless import STALL_S, STREAM_BUFFER_BYTES
from relay.core.stream import HALF_CLOSE_CALLEE_S
from relay.dialects.network_relay.serving import FIRST_PAUSE_S
from relay.dialects.network_relay.tunnels import WINDOW_BYTES
from relay.vocabulary import Reason
from tests.dialects.network_relay_samples import TARGET
from tests.fakes import FakeStream, PassingStream, World, pump
from tests.unit.stream_rooms import CHUNK_BYTES, Joined, Side, kept, move
from tests.unit.tunnel_rooms import (
    TellingLink,
    TunnelsEnd,
    agent_end,
    behind_ends,
    numbers_by_id,
    router_end,
)

TUNNELS = 3
ROUTER, HOST = 0, 1


class Both(Joined[TunnelsEnd, TellingLink]):
    """A router's end and our agent's, on one link.

    :param windows: bytes that each takes ahead
    :param cuts: how much each read of the links has
    :param has_sockets: whose tunnels have sockets, to and from which payload passes unread
    :ivar left: who has left which tunnel, and how
    :ivar finished: tunnels of which a direction ended before all was settled
    """

    def __init__(
        self,
        binary: bool,
        windows: Sequence[int] = (WINDOW_BYTES, WINDOW_BYTES),
        frame: int = 64 * 1024,
        buffer: int = 64 * 1024,
        cuts: Sequence[Sequence[int]] = ((), ()),
        has_sockets: Sequence[bool] = (False, False),
    ) -> None:
        self.binary = binary
        self.windows = windows
        super().__init__(World(frame_bytes=frame), [TellingLink(buffer, cuts=cut) for cut in cuts])
        make = [PassingStream if has else FakeStream for has in has_sockets]
        self.ends = [
            router_end(self.world, self.links[0], binary, windows[0], make[0]),
            agent_end(self.world, self.links[1], binary, windows[1], make[1]),
        ]
        self.left: dict[tuple[int, int], Reason] = {}
        self.finished: set[int] = set()
        pump(*self.links)

    def call(self, count: int = TUNNELS) -> None:
        """Tunnels are asked for."""
        for _ in range(count):
            self.ends[ROUTER].call(str(TARGET))

    def side(self, end: int, number: int) -> Side:
        """One end of a tunnel."""
        return self.ends[end].sides[number]

    def do(self, what: str, end: int, number: int, amount: int) -> None:
        """One step of a schedule; steps of tunnels that do not stand yet do nothing."""
        stands = number in self.ends[end].sides
        if what not in ("leave", "break"):
            super().do(what, end, number, amount)
        elif stands:
            self.leave(end, number, Reason.PEER_CLOSED if what == "leave" else Reason.LOST)
        if stands and what == "finish":
            self.finished.add(number)

    def leave(self, end: int, number: int, reason: Reason) -> None:
        """One side of a tunnel is over, its answer awaited or not."""
        side = self.side(end, number)
        if side.over or (end, number) in self.left or (end == HOST and not side.joined):
            return
        self.left[end, number] = reason
        del side.said[len(side.said) - len(side.waits) :]
        side.waits.clear()
        side.finished = True
        if side.joined:
            side.stream.hang_up(reason)
        else:
            self.ends[end].session.end_stream(number, reason)
            side.joined = True

    def settle(self) -> None:
        """Everybody reads, and says what is left to say, and that it was all."""
        for link in self.links:
            link.stuck = False
        self.begin()
        sides = self.sides()
        for side in sides:
            side.stream.read_on()
        moved = True
        while moved:
            for side in sides:
                side.flush()
            moved = move(self.links)
        assert not [side for side in sides if side.waits and not side.over], "a deadlock"
        for side in sides:
            side.finish()
        pump(*self.links)
        if not self.binary:  # ends are told by time, where nothing else tells them
            for _ in range(8):
                self.world.passes((HALF_CLOSE_CALLEE_S + FIRST_PAUSE_S) / 4 + 1, step_s=0.5)
                pump(*self.links)
        assert all(side.over for side in sides), "a deadlock"


# -- any schedule ----------------------------------------------------------------------------------

ENDS = st.integers(0, 1)
NUMBERS = st.integers(0, TUNNELS - 1)
STEPS = st.one_of(
    st.tuples(st.just("say"), ENDS, NUMBERS, st.integers(0, CHUNK_BYTES)),
    st.tuples(st.sampled_from(["stop", "read", "finish"]), ENDS, NUMBERS, st.just(0)),
    st.tuples(st.sampled_from(["leave", "break"]), ENDS, NUMBERS, st.just(0)),
    st.tuples(st.just("answer"), st.just(HOST), NUMBERS, st.just(0)),
    st.tuples(st.just("move"), ENDS, st.just(0), st.integers(1, 8)),
    st.tuples(st.just("stuck"), ENDS, st.just(0), st.integers(0, 1)),
)
CUTS = st.lists(st.integers(1, 700), max_size=5)


def check_tunnel(both: Both, number: int) -> None:
    """What came is what was said, all of it but where an end allows for less."""
    left = {end: both.left.get((end, number)) for end in (ROUTER, HOST)}
    for end in (ROUTER, HOST):
        teller, hearer = both.side(end, number), both.side(1 - end, number)
        heard, said = hearer.stream.payload(), bytes(teller.said)
        if left[1 - end] is None and left[end] in (None, Reason.PEER_CLOSED):
            assert heard == said
        else:
            assert said.startswith(heard)
    if not any(left.values()):
        for room in both.ends:
            assert room.circuits[number].reason is Reason.FINISHED
            assert sorted(room.circuits[number].bytes()) == sorted(room.sides[number].bytes())
        return
    leaver = HOST if left[ROUTER] is None else ROUTER
    if left[1 - leaver] is None and number in both.ends[1 - leaver].circuits:
        # the one who stayed was told what kind of end it was
        told = both.side(1 - leaver, number).stream.reset_reason()
        clean = {"finished", "peer-closed", None}
        if left[leaver] is Reason.PEER_CLOSED:
            assert told in clean
        elif (leaver == HOST or both.binary) and number not in both.finished:
            assert told not in clean


@pytest.mark.parametrize("binary", [False, True], ids=["an original's way", "our own way"])
def test_no_schedule_loses_repeats_or_stops_anything(binary: bool) -> None:
    """``test_schedules`` for either; Hypothesis cannot be parametrized here."""

    @settings(deadline=None, max_examples=150)
    @given(
        begun=st.booleans(),
        schedule=st.lists(STEPS, max_size=60),
        windows=st.tuples(st.integers(1, 600), st.integers(1, 600)),
        frame=st.integers(1, 300),
        buffer=st.integers(0, 1500),
        cuts=st.tuples(CUTS, CUTS),
        has_sockets=st.tuples(st.booleans(), st.booleans()),
    )
    def test_schedules(
        begun: bool,
        schedule: list[tuple[str, int, int, int]],
        windows: tuple[int, int],
        frame: int,
        buffer: int,
        cuts: tuple[list[int], list[int]],
        has_sockets: tuple[bool, bool],
    ) -> None:
        both = Both(binary, windows, frame, buffer, cuts, has_sockets)
        both.call()
        if begun:
            both.begin()
        for step in schedule:
            both.do(*step)
            if binary:
                assert both.ends[ROUTER].held_bytes() <= kept(windows[0])
                assert both.ends[HOST].held_bytes() <= kept(windows[1])
        both.settle()
        for number in both.ends[HOST].sides:
            check_tunnel(both, number)
        numbers = numbers_by_id(both.links[ROUTER].said)
        for end, link in zip(both.ends, both.links, strict=True):
            assert end.session.reason is None
            assert end.is_clean()
            assert behind_ends(link.said, numbers) == []
        assert both.world.ledger.total == 0

    test_schedules()


# -- a consumer that stands still ------------------------------------------------------------------

PIECE = bytes(64 * 1024)


def upload(both: Both, end: int, number: int, amount: int) -> int:
    """Say so much on one tunnel, as far as it is taken and read. :returns: how much that was"""
    side, said = both.side(end, number), 0
    while said < amount and not side.stream.paused and both.links[1 - end].reading:
        side.stream.speak(PIECE)
        said += len(PIECE)
        pump(*both.links)
    return said


@pytest.mark.parametrize("end", [ROUTER, HOST])
def test_with_credit_a_stalled_consumer_stops_nobody_else(end: int) -> None:
    """Its writer waits after one window, for as long as it takes; all others go on."""
    both = Both(binary=True)
    both.call()
    both.begin()
    both.side(1 - end, 0).stream.stop_reading()
    said = upload(both, end, 0, 4 * WINDOW_BYTES)
    assert WINDOW_BYTES <= said <= WINDOW_BYTES + 2 * len(PIECE)
    both.world.passes(10 * STALL_S)
    pump(*both.links)
    assert upload(both, end, 1, 4 * WINDOW_BYTES) == 4 * WINDOW_BYTES
    assert len(both.side(1 - end, 1).stream.payload()) == 4 * WINDOW_BYTES
    both.side(1 - end, 0).stream.read_on()
    pump(*both.links)
    assert len(both.side(1 - end, 0).stream.payload()) == said
    assert not both.side(end, 0).stream.paused


@pytest.mark.parametrize("end", [ROUTER, HOST])
def test_without_credit_a_stalled_consumer_is_ended_and_nobody_else(end: int) -> None:
    """Others wait for 2 s at most, once 8 MiB are kept for it; nothing of theirs is lost."""
    both = Both(binary=False)
    both.call()
    both.begin()
    stalled, other = both.side(1 - end, 0), both.side(1 - end, 1)
    stalled.stream.stop_reading()
    said = upload(both, end, 0, 2 * STREAM_BUFFER_BYTES)
    assert STREAM_BUFFER_BYTES - len(PIECE) < said <= STREAM_BUFFER_BYTES + len(PIECE)
    assert both.ends[1 - end].held_bytes() <= STREAM_BUFFER_BYTES + 2 * len(PIECE)
    both.world.passes(STALL_S - 0.5)
    assert stalled.stream.reset_reason() is None
    both.world.passes(1)
    pump(*both.links)
    assert stalled.stream.reset_reason() == "overrun"
    assert both.side(end, 0).over
    assert upload(both, end, 1, WINDOW_BYTES) == WINDOW_BYTES
    assert len(other.stream.payload()) == WINDOW_BYTES
    assert both.world.ledger.total == 0
    assert [both.ends[one].session.reason for one in (ROUTER, HOST)] == [None, None]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("end", [ROUTER, HOST])
def test_the_loss_of_the_link_ends_every_tunnel(binary: bool, end: int) -> None:
    """What came before is delivered; nobody takes it for the whole."""
    both = Both(binary)
    both.call()
    both.begin()
    for number in range(TUNNELS):
        both.side(1 - end, number).stream.stop_reading()
        both.side(end, number).say(b"tail")
    pump(*both.links)
    for link in both.links:
        link.lose()
    for number in range(TUNNELS):
        side = both.side(1 - end, number)
        side.stream.read_on()
        assert side.stream.payload() == b"tail"
        assert side.stream.reset_reason() == "lost"
    assert both.world.ledger.total == 0


def test_a_consumer_that_is_slow_but_reads_is_waited_for() -> None:
    """Without credit, for as long as it takes some of it in every 2 s."""
    both = Both(binary=False)
    both.call()
    both.begin()
    slow = both.side(ROUTER, 0).stream
    slow.stop_reading()
    said = upload(both, HOST, 0, 2 * STREAM_BUFFER_BYTES)
    for _ in range(20):
        both.world.passes(STALL_S - 0.5)
        assert slow.partner is not None
        slow.partner.resume()  # takes one piece, then refuses again
    assert slow.reset_reason() is None
    slow.read_on()
    pump(*both.links)
    assert len(slow.payload()) == said
    assert both.links[ROUTER].reading
