"""Who may knock at the same time: counts by address, handshakes in progress, and the queue."""

from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet.task import Clock

from relay.errors import LimitReached
from relay.links.turns import BUSY_RETRY_S, QUEUE_TIMEOUT_S, Turn, Turns
from relay.settings.model import Limits

ADDRESS = "192.0.2.7"


class Visitor:
    """A connection: it begins to shake hands when it may, and records what it is told."""

    def __init__(self, room: Room, address: str = ADDRESS) -> None:
        self.told: list[str] = []
        self.errors: list[LimitReached] = []
        self.turn: Turn = room.turns.arrive(self, address)
        if room.turns.may_begin():
            self.turn.shake()
        else:
            self.turn.wait()

    def begin(self) -> None:
        """It is its turn."""
        self.told.append("begin")
        self.turn.shake()

    def turned_away(self, error: LimitReached) -> None:
        """It has waited too long."""
        self.told.append("turned away")
        self.errors.append(error)


class Room:
    """The turns of one router."""

    def __init__(self, limits: Limits) -> None:
        self.clock = Clock()
        self.limits = limits
        self.turns = Turns(self.clock, lambda: self.limits)

    def is_clean(self) -> bool:
        """Nobody is counted, nobody waits, and no timer is left."""
        turns = self.turns
        timers = self.clock.getDelayedCalls()
        return not (turns.visitors or turns.handshakes or turns.queue or timers)


def test_who_finds_room_begins_at_once() -> None:
    """Nobody waits below the limit, and whoever is gone is counted no more."""
    room = Room(Limits(handshakes=2))
    visitors = [Visitor(room) for _ in range(2)]
    assert room.turns.handshakes == 2
    assert room.turns.visitors[ADDRESS] == 2
    assert not any(visitor.turn.waits for visitor in visitors)
    for visitor in visitors:
        visitor.turn.forget()
    assert room.is_clean()


def test_others_wait_in_order() -> None:
    """Each handshake that ends lets the one in that has waited longest."""
    room = Room(Limits(handshakes=1))
    first, second, third = (Visitor(room) for _ in range(3))
    assert (second.turn.waits, third.turn.waits) == (True, True)
    first.turn.shaken()
    assert (second.told, third.told) == (["begin"], [])
    second.turn.forget()
    assert third.told == ["begin"]
    third.turn.forget()
    first.turn.forget()
    assert room.is_clean()


def test_a_handshake_is_over_once() -> None:
    """However often it is said."""
    room = Room(Limits(handshakes=1))
    first, second, third = (Visitor(room) for _ in range(3))
    first.turn.shaken()
    first.turn.shaken()
    first.turn.forget()
    assert (second.told, third.told) == (["begin"], [])
    assert room.turns.handshakes == 1


def test_who_waits_too_long_is_turned_away() -> None:
    """It is told once when to come again; its turn does not come any more."""
    room = Room(Limits(handshakes=1))
    first, second = Visitor(room), Visitor(room)
    room.clock.advance(QUEUE_TIMEOUT_S)
    assert second.told == ["turned away"]
    (error,) = second.errors
    assert error.retry_after_s == BUSY_RETRY_S
    first.turn.forget()
    assert second.told == ["turned away"]
    second.turn.forget()
    assert room.is_clean()


def test_who_leaves_the_queue_is_forgotten() -> None:
    """No timer, no place, no count."""
    room = Room(Limits(handshakes=1))
    first, second, third = (Visitor(room) for _ in range(3))
    second.turn.forget()
    first.turn.forget()
    assert (second.told, third.told) == ([], ["begin"])
    third.turn.forget()
    assert room.is_clean()


def test_a_kept_connection_is_no_handshake() -> None:
    """Whoever was answered holds nobody back, and still counts by its address."""
    room = Room(Limits(handshakes=1, links_per_address=3))
    for _ in range(3):
        Visitor(room).turn.shaken()
    assert room.turns.handshakes == 0
    assert room.turns.visitors[ADDRESS] == 3
    with pytest.raises(LimitReached):
        Visitor(room)


def test_too_many_of_one_address() -> None:
    """They are refused, others are not; a credential, or an end, makes room again."""
    room = Room(Limits(links_per_address=2))
    first, second = Visitor(room), Visitor(room)
    with pytest.raises(LimitReached) as refused:
        Visitor(room)
    assert refused.value.retry_after_s == 1
    assert room.turns.visitors[ADDRESS] == 2
    Visitor(room, "192.0.2.8").turn.forget()
    first.turn.leave()
    first.turn.leave()
    third = Visitor(room)
    for visitor in (first, second, third):
        visitor.turn.forget()
    assert room.is_clean()


def test_limits_count_as_they_are_now() -> None:
    """A reload counts for the next visitor, and lets all in that wait, as far as there is room."""
    room = Room(Limits(handshakes=1, links_per_address=0))
    visitors = [Visitor(room) for _ in range(5)]
    room.limits = replace(room.limits, handshakes=3)
    visitors[0].turn.shaken()
    assert [visitor.told for visitor in visitors[1:]] == [["begin"]] * 3 + [[]]
    assert room.turns.handshakes == 3


def test_a_visitor_that_ends_in_its_turn() -> None:
    """``FallsOver``: it is gone as soon as it may begin; the next one has its place."""
    room = Room(Limits(handshakes=1))

    class FallsOver(Visitor):
        def begin(self) -> None:
            super().begin()
            self.turn.forget()

    first, second, third = Visitor(room), FallsOver(room), Visitor(room)
    first.turn.forget()
    assert third.told == ["begin"]
    third.turn.forget()
    second.turn.forget()
    assert room.is_clean()
