"""The rules by which two joined streams end."""

from __future__ import annotations

import gc
import weakref

import pytest

from relay.core.liveness import TICK_S
from relay.core.stream import (
    HALF_CLOSE_CALLEE_S,
    HALF_CLOSE_S,
    HOLD_CHECK_S,
    Circuit,
    Stream,
    join,
)
from relay.vocabulary import Carries, Close, Data, Reason
from tests.fakes import FakeStream, World

LATE_S = 2 * HOLD_CHECK_S + 2 * TICK_S
"""How much later than promised a held Finish may be told."""
WITHOUT = Carries()


class Pair:
    """A circuit of two fakes."""

    def __init__(
        self,
        caller: FakeStream | None = None,
        callee: FakeStream | None = None,
        idle_s: float = 0,
    ) -> None:
        self.world = World()
        self.caller = caller or FakeStream(label="caller")
        self.callee = callee or FakeStream(label="callee")
        self.closed: list[Circuit] = []
        self.circuit = join(
            "name", self.caller, self.callee, self.world.wheel, self.closed.append, idle_s
        )

    def resets(self) -> list[str | None]:
        """Why caller and callee were reset."""
        return [self.caller.reset_reason(), self.callee.reset_reason()]


def test_joined_streams_deliver_to_each_other() -> None:
    """What one side says the other hears, in order, with boundary and text flag."""
    pair = Pair()
    pair.caller.speak(b"one", final=False)
    pair.caller.speak(b"two", text=True)
    pair.callee.speak(b"back")
    assert pair.callee.heard == [Data(b"one", final=False), Data(b"two", text=True)]
    assert pair.caller.payload() == b"back"
    assert pair.circuit.bytes() == (6, 4)


def test_join_lets_both_sides_speak() -> None:
    """Each side is resumed once both know their partner, never before."""
    pair = Pair()
    assert pair.caller.events == pair.callee.events == ["resume"]


def test_a_stream_counts_and_hands_on() -> None:
    """The shared base class delivers to its partner and counts what came in."""
    partner = FakeStream()
    stream = Stream(WITHOUT, "s")
    stream.attach(partner)
    stream.deliver(Data(b"four"))
    assert (stream.bytes_in, partner.payload()) == (4, b"four")
    assert stream.has_left() is None


# -- half-close ------------------------------------------------------------------------------------


def test_a_finish_is_told_where_it_can_be_carried() -> None:
    """A side with half-close hears of the other's Finish at once, and the circuit goes on."""
    pair = Pair()
    pair.caller.end()
    assert pair.callee.events[-1] == "finish"
    pair.callee.speak(b"answer")
    assert pair.caller.payload() == b"answer"
    assert pair.circuit.reason is None


def test_the_second_finish_ends_the_circuit() -> None:
    """When both have finished, both are reset in order: finished, caller first, told once."""
    pair = Pair()
    pair.caller.end()
    pair.callee.end()
    assert pair.resets() == ["finished", "finished"]
    assert [circuit.reason for circuit in pair.closed] == [Reason.FINISHED]


def test_the_same_side_may_finish_twice() -> None:
    """A Finish that is repeated is no second Finish."""
    pair = Pair()
    pair.caller.end()
    pair.caller.end()
    assert pair.circuit.reason is None
    assert pair.callee.events.count("finish") == 1


@pytest.mark.parametrize(
    ("side", "grace_s"), [("caller", HALF_CLOSE_S), ("callee", HALF_CLOSE_CALLEE_S)]
)
def test_a_finish_is_held_where_it_cannot_be_carried(side: str, grace_s: float) -> None:
    """Towards a side without half-close a Finish waits out its sender's grace, then all ends."""
    pair = Pair(FakeStream(WITHOUT), FakeStream(WITHOUT))
    (pair.caller if side == "caller" else pair.callee).end()
    pair.world.passes(grace_s - TICK_S)
    assert pair.circuit.reason is None
    assert "finish" not in pair.caller.events + pair.callee.events
    pair.world.passes(LATE_S)
    assert pair.circuit.reason is Reason.FINISHED
    assert pair.resets() == ["finished", "finished"]


@pytest.mark.parametrize(
    ("side", "grace_s"), [("caller", HALF_CLOSE_S), ("callee", HALF_CLOSE_CALLEE_S)]
)
def test_progress_extends_a_held_finish(side: str, grace_s: float) -> None:
    """As long as bytes come back the circuit stays; the grace counts from the last of them."""
    pair = Pair(FakeStream(WITHOUT), FakeStream(WITHOUT))
    first, second = pair.caller, pair.callee
    if side == "callee":
        first, second = second, first
    first.end()
    for _ in range(5):
        pair.world.passes(grace_s * 0.75 - TICK_S)
        second.speak(b"more")
    assert pair.circuit.reason is None
    pair.world.passes(grace_s - TICK_S)
    assert pair.circuit.reason is None
    pair.world.passes(LATE_S)
    assert pair.circuit.reason is Reason.FINISHED
    assert first.payload() == b"more" * 5


def test_the_other_end_releases_a_held_finish() -> None:
    """When the other direction ends too, nothing is waited for."""
    pair = Pair(FakeStream(WITHOUT), FakeStream(WITHOUT))
    pair.caller.end()
    pair.callee.end()
    assert pair.resets() == ["finished", "finished"]


def test_a_blocked_answer_extends_a_held_finish() -> None:
    """Silence says nothing while the side that answers is kept from speaking."""
    pair = Pair(FakeStream(WITHOUT), FakeStream(WITHOUT))
    pair.callee.end()
    pair.callee.stop_reading()
    assert pair.caller.is_paused()
    pair.world.passes(10 * HALF_CLOSE_CALLEE_S)
    assert pair.circuit.reason is None
    pair.callee.read_on()
    pair.world.passes(HALF_CLOSE_CALLEE_S + LATE_S)
    assert pair.circuit.reason is Reason.FINISHED


def test_only_the_direction_that_cannot_carry_holds() -> None:
    """A Finish from a side without half-close is told at once to a side with it."""
    pair = Pair(FakeStream(WITHOUT), FakeStream())
    pair.caller.end()
    assert pair.callee.events[-1] == "finish"
    pair.world.passes(2 * HALF_CLOSE_S)
    assert pair.circuit.reason is None


def test_a_finish_of_somebody_who_left_ends_all() -> None:
    """An application that closed for good cannot read an answer: no grace, no half-close."""
    for carries in (WITHOUT, Carries(half_close=True)):
        pair = Pair(callee=FakeStream(carries))
        pair.caller.left = True
        pair.caller.end()
        assert pair.resets() == ["finished", "finished"]


def test_somebody_who_leaves_during_the_grace_ends_all() -> None:
    """The far end is asked while a Finish is held."""
    pair = Pair(callee=FakeStream(WITHOUT))
    pair.caller.end()
    pair.caller.left = True
    pair.world.passes(LATE_S)
    assert pair.resets() == ["finished", "finished"]


def test_a_clock_that_jumps_does_not_end_a_grace() -> None:
    """An hour that passes between two looks is no hour of silence."""
    pair = Pair(FakeStream(WITHOUT), FakeStream(WITHOUT))
    pair.caller.end()
    pair.world.passes(2.0)
    pair.world.clock.advance(3600.0)
    assert pair.circuit.reason is None


# -- the end ---------------------------------------------------------------------------------------


def test_an_orphan_ends_at_once() -> None:
    """When one side breaks the other is reset with the same reason, and the broken one is left."""
    pair = Pair()
    pair.callee.hang_up(Reason.LOST)
    assert pair.resets() == ["lost", None]
    assert pair.closed == [pair.circuit]


def test_an_orphan_ends_during_a_grace() -> None:
    """A held Finish does not keep a circuit of which one side is gone."""
    pair = Pair(FakeStream(WITHOUT), FakeStream(WITHOUT))
    pair.caller.end()
    pair.callee.hang_up(Reason.PEER_CLOSED)
    assert pair.resets() == ["peer-closed", None]
    pair.world.passes(2 * HALF_CLOSE_S)
    assert len(pair.closed) == 1


def test_a_circuit_ends_once() -> None:
    """Whatever else is reported after the end changes nothing."""
    pair = Pair()
    pair.circuit.broken(pair.callee, Reason.GOING_AWAY)
    pair.circuit.broken(pair.caller, Reason.LOST)
    pair.circuit.finished(pair.caller)
    assert pair.circuit.reason is Reason.GOING_AWAY
    assert pair.resets() == ["going-away", None]
    assert len(pair.closed) == 1


def test_streams_are_reset_before_the_end_is_reported() -> None:
    """Whoever is told that a circuit closed finds both sides over, the caller's first."""
    order: list[str] = []

    class Tells(FakeStream):
        def reset(self, reason: Reason, close: Close | None) -> None:
            order.append(f"{self.label} {close.code if close else None}")

    world = World()
    caller, callee = Tells(label="caller"), Tells(label="callee")
    circuit = join("n", caller, callee, world.wheel, lambda _: order.append("closed"))
    circuit.finished(caller)
    circuit.finished(callee)
    assert order == ["caller None", "callee None", "closed"]


def test_a_close_reaches_the_other_side() -> None:
    """The Close that one side sent is handed to the other with the reason."""
    closes: list[Close | None] = []

    class Tells(FakeStream):
        def reset(self, reason: Reason, close: Close | None) -> None:
            closes.append(close)

    pair = Pair(callee=Tells())
    pair.caller.hang_up(Reason.PEER_CLOSED, Close(4000, "bye"))
    assert closes == [Close(4000, "bye")]


# -- idle ------------------------------------------------------------------------------------------


def test_an_idle_circuit_ends() -> None:
    """With ``idle-s`` a circuit on which nothing moves ends for that reason, not earlier."""
    pair = Pair(idle_s=5)
    pair.world.passes(4)
    pair.callee.speak(b"x")
    pair.world.passes(5 - TICK_S)
    assert pair.circuit.reason is None
    pair.world.passes(LATE_S)
    assert pair.resets() == ["idle", "idle"]


def test_without_idle_s_silence_is_allowed() -> None:
    """By default a circuit may be silent for ever, and costs no timer."""
    pair = Pair()
    pair.world.passes(3600, step_s=60)
    assert pair.circuit.reason is None
    assert pair.world.clock.getDelayedCalls() == []


class AlreadyOver(FakeStream):
    """A stream whose end came before it had a partner: it is told when somebody resumes it."""

    def resume(self) -> None:
        """Tell."""
        super().resume()
        self.hang_up(Reason.LOST)


@pytest.mark.parametrize("over", ["caller", "callee"])
def test_joining_a_stream_that_is_over_ends_the_circuit(over: str) -> None:
    """An end that came early is not lost, and only the other side is reset."""
    late, other = AlreadyOver(), FakeStream()
    pair = Pair(late, other) if over == "caller" else Pair(other, late)
    assert pair.circuit.reason is Reason.LOST
    assert (late.reset_reason(), other.reset_reason()) == (None, "lost")
    assert len(pair.closed) == 1


def test_an_ended_circuit_leaves_no_cycle() -> None:
    """Streams of a circuit that is over are freed at once, without the garbage collector."""
    gc.disable()
    try:
        caller, callee = FakeStream(), FakeStream()
        circuit = join("portal:1/web", caller, callee, World().wheel, lambda _: None)
        gone = weakref.ref(caller)
        circuit.broken(caller, Reason.LOST)
        del circuit, caller, callee
        assert gone() is None
    finally:
        gc.enable()
