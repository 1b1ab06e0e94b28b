"""What a router's doors have in common: when no answer is on its way, and when all are closed."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.task import Clock

from relay.links.cutthrough import Hub
from relay.links.hall import EMPTY_S, Hall
from tests.fakes import World


class Door:
    """A connection that is no link, and may be answering."""

    def __init__(self, hall: Hall, answering: bool = False) -> None:
        self.hall = hall
        self.answering = answering
        self.left = 0
        hall.doors.add(self)

    def is_answering(self) -> bool:
        """As the test says."""
        return self.answering

    def leave(self) -> None:
        """The router stops."""
        self.left += 1

    def answered(self) -> None:
        """The answer is out."""
        self.answering = False
        self.hall.answered()

    def gone(self) -> None:
        """The connection is lost."""
        self.hall.doors.discard(self)
        self.hall.answered()


def hall() -> tuple[Hall, Clock]:
    """A hall of nobody, and its clock."""
    world, nobody = World(), cast(Any, None)
    made = Hall(
        nobody, nobody, world.around, nobody, world.clock, lambda peer, _: peer, Hub(world.clock)
    )
    return made, world.clock


def test_quiet_at_once() -> None:
    """Doors that wait for a request keep nobody."""
    made, _ = hall()
    Door(made)
    heard: list[bool] = []
    made.when_quiet(lambda: heard.append(True))
    assert heard == [True]


def test_quiet_behind_the_last_answer() -> None:
    """It is told once, when every answer is out or its viewer gone."""
    made, _ = hall()
    first, second, _ = Door(made, True), Door(made, True), Door(made)
    heard: list[bool] = []
    made.when_quiet(lambda: heard.append(True))
    first.answered()
    assert heard == []
    second.gone()
    assert heard == [True]
    first.answered()
    assert heard == [True]


def test_empty_behind_the_last_door() -> None:
    """Doors are told to close, and waited for; who does not go is not waited for long."""
    for lets_go in (True, False):
        made, clock = hall()
        door = Door(made)
        made.close_doors()
        assert door.left == 1
        empty = made.when_empty()
        assert not empty.called
        if lets_go:
            door.gone()
        else:
            clock.advance(EMPTY_S)
        assert empty.called
        assert not clock.getDelayedCalls()
