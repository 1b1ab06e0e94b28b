"""One timer for everybody, and when silence is death."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from relay.core.liveness import LATE_S, MAX_CHECK_S, TICK_S, Liveness, Wheel
from tests.conftest import Flush
from tests.fakes import passes


@pytest.fixture
def clock() -> Clock:
    """Time."""
    return Clock()


# -- the wheel -------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 30, allow_subnormal=False), max_size=20), st.floats(0, 2_000_000_000))
def test_entries_fire_once_and_in_time(delays: list[float], start: float) -> None:
    """Never early, at most a tick late, each once, wherever the clock stands."""
    clock = Clock()
    clock.rightNow = float(start)
    wheel = Wheel(clock)
    fired: list[tuple[float, float]] = []

    def wait(delay: float) -> None:
        due = wheel.now() + delay
        wheel.after(delay, lambda: fired.append((due, wheel.now())))

    for delay in delays:
        wait(delay)
    passes(clock, 31, TICK_S / 4)
    assert len(fired) == len(delays)
    for due, now in fired:
        assert due <= now + 1e-6
        assert now <= due + 1.25 * TICK_S + 1e-6


def test_many_entries_cost_one_timer(clock: Clock) -> None:
    """However many wait, the reactor knows one of them, for the earliest."""
    wheel = Wheel(clock)
    for number in range(1000):
        wheel.after(100 - number / 100, lambda: None)
    (timer,) = clock.getDelayedCalls()
    assert timer.getTime() == pytest.approx(90, abs=2 * TICK_S)


def test_a_cancelled_entry_does_not_fire(clock: Clock) -> None:
    """Cancelling twice, or after the fact, is harmless."""
    wheel = Wheel(clock)
    fired: list[str] = []
    cancelled = wheel.after(1, lambda: fired.append("cancelled"))
    kept = wheel.after(1, lambda: fired.append("kept"))
    cancelled.cancel()
    passes(clock, 2)
    cancelled.cancel()
    kept.cancel()
    assert fired == ["kept"]


def test_an_entry_may_cancel_its_neighbour(clock: Clock) -> None:
    """Of two that are due at the same tick and cancel each other one fires."""
    wheel = Wheel(clock)
    fired: list[str] = []

    def first() -> None:
        fired.append("first")
        two.cancel()

    def second() -> None:
        fired.append("second")
        one.cancel()

    one, two = wheel.after(1, first), wheel.after(1, second)
    passes(clock, 2)
    assert len(fired) == 1


def test_a_callback_may_wait_again(clock: Clock) -> None:
    """An entry made while another fires comes in its own time."""
    wheel = Wheel(clock)
    fired: list[float] = []

    def again() -> None:
        fired.append(wheel.now())
        wheel.after(0, lambda: fired.append(wheel.now()))

    wheel.after(1, again)
    passes(clock, 3)
    assert fired == [1.25, 1.5]


def test_a_callback_that_fails_harms_nobody(clock: Clock, expected_log_errors: Flush) -> None:
    """It is logged, and the others fire."""
    wheel = Wheel(clock)
    fired: list[str] = []

    def fails() -> None:
        raise KeyError("unexpected")

    for _ in range(3):
        wheel.after(1, fails)
        wheel.after(1, lambda: fired.append("fired"))
    passes(clock, 2)
    assert fired == ["fired"] * 3
    assert len(expected_log_errors(KeyError)) == 3


def test_a_stopped_wheel_is_silent(clock: Clock) -> None:
    """Nothing fires any more, not even what was due at the same moment, and no timer is left."""
    wheel = Wheel(clock)
    fired: list[str] = []

    def stop() -> None:
        fired.append("stop")
        wheel.stop()

    for delay in (1, 1, 1.5):
        wheel.after(delay, stop)
    clock.advance(2)
    wheel.after(1, stop)
    passes(clock, 5)
    assert fired == ["stop"]
    assert clock.getDelayedCalls() == []


def test_an_earlier_entry_moves_the_timer(clock: Clock) -> None:
    """What comes later but is due earlier does not wait for what was there first."""
    wheel = Wheel(clock)
    fired: list[str] = []
    wheel.after(60, lambda: fired.append("late"))
    wheel.after(1, lambda: fired.append("early"))
    passes(clock, 2)
    assert fired == ["early"]


def test_a_clock_that_was_set_back_delays_and_loses_nothing(clock: Clock) -> None:
    """Entries fire when their time comes again."""
    wheel = Wheel(clock)
    clock.advance(100)
    fired: list[str] = []
    wheel.after(1, lambda: fired.append("fired"))
    clock.rightNow -= 50
    passes(clock, 52)
    assert fired == ["fired"]


# -- silence ---------------------------------------------------------------------------------------


def look(
    liveness: Liveness, seconds: float, heard: bool = False, excused: bool = False, start: float = 0
) -> list[tuple[float, str]]:
    """Look at a link for so long. :returns: when it was pinged and given up."""
    told = []
    now = start
    while now < start + seconds:
        now += liveness.next_look_s()
        ping, dead = liveness.judge(now, heard, excused)
        if ping:
            told.append((now, "ping"))
        if dead:
            return [*told, (now, "dead")]
    return told


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(("ping_s", "dead_s"), [(20, 45), (20, 40), (54, 60), (1, 3), (0, 30)])
def test_silence_is_asked_about_and_then_death(ping_s: float, dead_s: float, at_once: bool) -> None:
    """For the times of every dialect: pinged in time, dead in time, never dead unasked."""
    liveness = Liveness(ping_s, dead_s, 0)
    if at_once:
        liveness.ask()
    told = look(liveness, 2 * dead_s)
    assert told[-1][1] == "dead"
    earliest = dead_s - LATE_S if at_once else dead_s
    assert earliest <= told[-1][0] <= earliest + TICK_S
    pings = [now for now, what in told if what == "ping"]
    if ping_s:
        assert ping_s <= pings[0] <= ping_s + liveness.check_s < dead_s
    else:
        assert pings == []


def test_looks_are_cheap() -> None:
    """Usual times need a look every five seconds, short ones more often, never below a tick."""
    assert Liveness(20, 45, 0).check_s == MAX_CHECK_S
    assert Liveness(54, 60, 0).check_s == 1.5
    assert Liveness(0.1, 0.2, 0).check_s == TICK_S


@pytest.mark.parametrize("sign", ["heard", "excused"])
def test_a_sign_of_life_begins_anew(sign: str) -> None:
    """After a byte, or an excuse, the full time counts again, ping included."""
    liveness = Liveness(20, 45, 0)
    look(liveness, 40)
    assert liveness.asked
    liveness.judge(45, sign == "heard", sign == "excused")
    assert not liveness.asked
    assert look(liveness, 40, start=45) == [(65, "ping"), (85, "ping")]


def test_excuses_never_ask(clock: Clock) -> None:
    """While we do not read, no ping is sent and nobody is dead."""
    assert look(Liveness(20, 45, 0), 3600, excused=True) == []


def test_a_jump_counts_as_two_looks() -> None:
    """After hours of sleep the peer is asked first, and has its time to answer."""
    liveness = Liveness(20, 45, 0)
    assert liveness.judge(10_000, False, False) == (False, False)
    told = look(liveness, 60, start=10_000)
    assert told[0] == (10_010, "ping")
    assert told[-1] == (10_035, "dead")


def test_a_clock_set_back_counts_nothing() -> None:
    """A look in the past adds no silence."""
    liveness = Liveness(20, 45, 1000)
    for now in range(999, 0, -1):
        assert liveness.judge(now, False, False) == (False, False)
