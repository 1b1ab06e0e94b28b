"""The account of all bytes that wait, and who ends when memory is short."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from relay.core.ledger import CHECK_S, PRESSURE_SHARE, PRESSURE_STALL_S, Ledger
from relay.core.liveness import TICK_S, Wheel
from relay.errors import LimitReached
from tests.fakes import passes

CAP = 1000
LATE_S = 2 * (CHECK_S + TICK_S)


class Holder:
    """A stream that waits for somebody slow."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.held = 0
        self.drained = 0
        self.overruns = 0

    def held_bytes(self) -> int:
        """Bytes of it that wait."""
        return self.held

    def drained_bytes(self) -> int:
        """Bytes that left."""
        return self.drained

    def overrun(self) -> None:
        """Give up."""
        self.overruns += 1
        self.drain(self.held)

    def hold(self, amount: int) -> None:
        """Keep more."""
        self.held += amount
        self.ledger.add(self, amount)

    def drain(self, amount: int) -> None:
        """Let go."""
        self.held -= amount
        self.drained += amount
        self.ledger.remove(self, amount)


@pytest.fixture
def clock() -> Clock:
    """Time."""
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    """An account with a cap of 1000 bytes."""
    return Ledger(CAP, Wheel(clock))


def test_the_sum_is_kept(ledger: Ledger) -> None:
    """What is added and removed is what waits."""
    one, other = Holder(ledger), Holder(ledger)
    one.hold(300)
    other.hold(200)
    one.drain(100)
    assert ledger.total == 400


def test_at_the_cap_nothing_new_begins(ledger: Ledger) -> None:
    """One byte below the cap is admitted; the refusal says how much waits and for how long."""
    holder = Holder(ledger)
    holder.hold(CAP - 1)
    ledger.admit()
    holder.hold(1)
    with pytest.raises(LimitReached, match="1000 bytes") as refusal:
        ledger.admit()
    assert refusal.value.retry_after_s == 5
    holder.drain(1)
    ledger.admit()


def test_without_pressure_a_standstill_is_allowed(ledger: Ledger, clock: Clock) -> None:
    """Up to three quarters of the cap nobody is ended, and no timer runs."""
    holder = Holder(ledger)
    holder.hold(int(CAP * PRESSURE_SHARE))
    assert clock.getDelayedCalls() == []
    passes(clock, 100)
    assert holder.overruns == 0


def test_under_pressure_the_largest_goes_first(ledger: Ledger, clock: Clock) -> None:
    """Of those that stand still the largest ends, and no more than needed."""
    small, large, middle = Holder(ledger), Holder(ledger), Holder(ledger)
    small.hold(200)
    large.hold(400)
    middle.hold(300)
    passes(clock, PRESSURE_STALL_S - TICK_S)
    assert large.overruns == 0
    passes(clock, LATE_S)
    assert (small.overruns, large.overruns, middle.overruns) == (0, 1, 0)
    passes(clock, 100)
    assert small.overruns == middle.overruns == 0


def test_who_drains_is_spared(ledger: Ledger, clock: Clock) -> None:
    """The largest stays as long as a byte leaves it every ten seconds."""
    slow, stuck = Holder(ledger), Holder(ledger)
    slow.hold(800)
    stuck.hold(150)
    for _ in range(10):
        passes(clock, PRESSURE_STALL_S - 2 * CHECK_S - TICK_S)
        slow.drain(1)
    assert slow.overruns == 0
    assert stuck.overruns == 1


def test_a_standstill_counts_from_its_beginning(ledger: Ledger, clock: Clock) -> None:
    """Who has stood still long before memory got short is ended at the next look."""
    old = Holder(ledger)
    old.hold(700)
    passes(clock, 60)
    fresh = Holder(ledger)
    fresh.hold(200)
    passes(clock, LATE_S)
    assert (old.overruns, fresh.overruns) == (1, 0)


def test_who_was_empty_begins_anew(ledger: Ledger, clock: Clock) -> None:
    """A stream that had drained everything is not judged by what it held before."""
    holder = Holder(ledger)
    holder.hold(900)
    passes(clock, PRESSURE_STALL_S - 2 * TICK_S)
    holder.drain(900)
    holder.hold(900)
    passes(clock, PRESSURE_STALL_S - 2 * CHECK_S)
    assert holder.overruns == 0
    passes(clock, LATE_S + 2 * CHECK_S)
    assert holder.overruns == 1


def test_looking_stops_with_the_pressure(ledger: Ledger, clock: Clock) -> None:
    """No timer is left behind, and the next pressure is noticed again."""
    holder = Holder(ledger)
    holder.hold(900)
    holder.drain(900)
    passes(clock, LATE_S)
    assert clock.getDelayedCalls() == []
    holder.hold(900)
    passes(clock, PRESSURE_STALL_S + LATE_S)
    assert holder.overruns == 1
