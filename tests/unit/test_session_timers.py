"""What a session does as time passes: liveness and deadlines."""

from __future__ import annotations

import pytest

from relay.core.liveness import TICK_S
from relay.core.stream import join
from relay.vocabulary import Accept, Event, Message, Reason
from tests.fakes import ControlTalk, FakeStream, MemoryLink, Ping, Talk, pump
from tests.unit.session_room import Room, Says

# -- liveness --------------------------------------------------------------------------------------

PING_S, DEAD_S = 20.0, 45.0
CHECK_S = 5.0 + TICK_S
"""What a look may be late."""


def live_room(talk: Talk | None = None) -> tuple[Room, MemoryLink]:
    """A control link with liveness, whose peer the test must play."""
    room = Room()
    room.open(talk or ControlTalk(dead_timer=True), PING_S, DEAD_S)
    return room, room.links[0]


def test_a_silent_peer_is_pinged_then_dead() -> None:
    """A ping after ``ping_s``; after ``dead_s`` the link is dropped with ``lost``."""
    room, link = live_room()
    room.world.passes(PING_S - TICK_S)
    assert link.pings == 0
    room.world.passes(CHECK_S + TICK_S)
    pump(link)
    assert link.pings == 1
    room.world.passes(DEAD_S - PING_S - CHECK_S - TICK_S)
    assert room.switches[0].losses == []
    room.world.passes(CHECK_S + TICK_S)
    assert link.aborted
    assert room.loss() == (Reason.LOST, None, "heard nothing for 45 s")


def test_any_byte_is_a_sign_of_life() -> None:
    """A peer that says anything at all, now and then, is neither pinged nor dead."""
    room, link = live_room()
    for _ in range(20):
        room.world.passes(PING_S - CHECK_S - TICK_S)
        link.arrive(Ping(answer=True))
    assert link.pings == 0
    assert room.switches[0].losses == []


def test_an_answered_ping_keeps_a_link() -> None:
    """A peer that only answers pings lives for ever."""
    room, link = live_room()
    for _ in range(100):
        room.world.passes(2)
        pump(link)
        if link.pings:
            link.pings = 0
            link.arrive(Ping(answer=True))
    assert room.switches[0].losses == []


def test_without_a_dead_timer_silence_ends_nothing() -> None:
    """Where the dialect says so the peer is asked but never given up."""
    room, link = live_room(ControlTalk(dead_timer=False))
    for _ in range(40):
        room.world.passes(DEAD_S / 10)
        pump(link)
    assert link.pings >= 6
    assert room.switches[0].losses == []


def test_no_false_alarm_while_we_do_not_read() -> None:
    """A peer whose answers we leave unread is not dead, however long; then it has its full time."""
    room = Room()
    session = room.open(Talk(dead_timer=True), PING_S, DEAD_S)
    other = FakeStream()
    join("n", session.stream(), other, room.world.wheel, lambda _: None)
    other.stop_reading()
    room.world.passes(10 * DEAD_S)
    assert room.links[0].pings == 0
    other.read_on()
    room.world.passes(DEAD_S - CHECK_S)
    assert room.switches[0].losses == []


def test_no_false_alarm_while_early_payload_waits() -> None:
    """Likewise when reading stopped because nobody has joined yet."""
    room = Room()
    session = room.open(Talk(dead_timer=True), PING_S, DEAD_S)
    session.stream()
    room.links[0].arrive(Message(b"early"))
    room.world.passes(10 * DEAD_S)
    assert room.switches[0].losses == []


def test_no_false_alarm_while_bytes_of_ours_are_unsent() -> None:
    """A peer that has not taken our bytes cannot be expected to see a ping behind them."""
    room, link = live_room()
    link.stuck = True
    link.send_message(Message(b"waiting"))
    room.world.passes(10 * DEAD_S)
    assert link.pings == 0
    assert room.switches[0].losses == []


def test_a_ping_that_is_itself_unsent_is_no_excuse() -> None:
    """Behind a cut cable our own ping lies unsent: the peer is dead all the same, in time."""
    room, link = live_room()
    link.cut = True
    room.world.passes(DEAD_S + CHECK_S)
    assert link.pings >= 1
    assert room.loss()[0] is Reason.LOST


def test_a_clock_that_jumps_kills_nobody() -> None:
    """After a jump of hours, forth or back, the peer is asked before it is given up."""
    for jump_s in (7200.0, -7200.0):
        room, link = live_room()
        room.world.passes(10)
        if jump_s > 0:
            room.world.clock.advance(jump_s)
        else:
            room.world.clock.rightNow += jump_s
        pump(link)
        assert room.switches[0].losses == []
        assert link.pings == 0


def test_a_link_without_liveness_costs_no_timer() -> None:
    """Links for which both times are 0 are left in peace."""
    room = Room()
    room.open(Talk(dead_timer=True))
    assert room.world.clock.getDelayedCalls() == []


# -- deadlines -------------------------------------------------------------------------------------


def test_a_conversation_is_woken_at_its_deadline() -> None:
    """Once, no earlier and at most a tick later."""
    room = Room()
    talk = Says([Accept()])
    talk.when = 3.0
    room.open(talk)
    room.world.passes(2.75)
    assert talk.woken == []
    room.world.passes(2 * TICK_S)
    assert talk.woken == [3.25]
    room.world.passes(10)
    assert len(talk.woken) == 1


@pytest.mark.parametrize("answers", [(), (Accept(),)])
def test_a_deadline_may_move(answers: tuple[Event, ...]) -> None:
    """Each step of a conversation may name another time, even one that says nothing else."""
    room = Room()
    talk = Says(answers)
    talk.when = 100.0
    room.open(talk)
    talk.when = 2.0
    room.links[0].arrive(Message(b""))
    room.world.passes(3)
    assert len(talk.woken) == 1


def test_a_deadline_may_be_withdrawn() -> None:
    """What is no longer wanted does not happen."""
    room = Room()
    talk = Says()
    talk.when = 2.0
    room.open(talk)
    talk.when = None
    room.links[0].arrive(Message(b""))
    room.world.passes(5)
    assert talk.woken == []


def test_nobody_is_woken_after_the_end() -> None:
    """The end of a link takes its timers with it."""
    room = Room()
    talk = Says(dead_timer=True)
    talk.when = 2.0
    session = room.open(talk, PING_S, DEAD_S)
    session.end(Reason.FINISHED)
    room.world.passes(5)
    assert talk.woken == []
    assert room.links[0].pings == 0
