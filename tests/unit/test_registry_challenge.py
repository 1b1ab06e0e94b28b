"""Names that a live host keeps: who asks for one makes the router ask whether its holder lives."""

from __future__ import annotations

import pytest

from relay.core.challenge import ASK_EVERY_S, CHALLENGE_S
from relay.core.liveness import TICK_S
from relay.vocabulary import Reason, Rivalry
from tests.unit.broker_desk import NAME, Desk, Party

KEEPS = Rivalry.LIVE_KEEPS


def answers(party: Party) -> None:
    """The peer gives a sign of life."""
    party.link.heard = True


def test_a_holder_that_answers_keeps_its_name() -> None:
    """It is asked at once; the newcomer is refused as soon as it answers."""
    desk = Desk()
    first = desk.host(rivalry=KEEPS)
    second = desk.host(rivalry=KEEPS)
    assert first.link.pings == 1
    assert (first.reason, second.reason) == (None, None)
    answers(first)
    desk.world.passes(2 * TICK_S)
    assert (first.reason, second.reason) == (None, Reason.LIMIT)
    assert desk.broker.offers() == {NAME: first.session}
    assert (first.told(), second.told()) == ([b"stands"], [])


def test_a_holder_that_is_silent_loses_its_name() -> None:
    """It is asked more than once, dropped as lost, and calls reach the newcomer."""
    desk = Desk()
    first = desk.host(rivalry=KEEPS)
    second = desk.host(rivalry=KEEPS)
    desk.world.passes(CHALLENGE_S - TICK_S)
    assert (first.reason, second.reason) == (None, None)
    assert first.link.pings == int(CHALLENGE_S / ASK_EVERY_S)
    assert second.told() == []
    desk.world.passes(2 * TICK_S)
    assert (first.reason, second.reason) == (Reason.LOST, None)
    assert desk.broker.offers() == {NAME: second.session}
    assert second.told() == [b"stands"]
    desk.caller()
    assert len(second.keys()) == 1


def test_what_was_heard_before_is_no_sign_of_life() -> None:
    """Only what comes after the question counts."""
    desk = Desk()
    first = desk.host(rivalry=KEEPS)
    answers(first)
    desk.host(rivalry=KEEPS)
    desk.world.passes(CHALLENGE_S)
    assert first.reason is Reason.LOST


def test_a_holder_that_is_not_read_is_taken_for_alive() -> None:
    """Its answer could not be heard."""
    desk = Desk()
    first = desk.host(rivalry=KEEPS)
    first.session.pause_for(first.session.open_stream(1))
    second = desk.host(rivalry=KEEPS)
    assert (first.reason, second.reason) == (None, Reason.LIMIT)


def test_a_holder_that_ends_meanwhile_leaves_its_name_to_the_newcomer() -> None:
    """Nobody else need ask for it."""
    desk = Desk()
    first = desk.host(rivalry=KEEPS)
    second = desk.host(rivalry=KEEPS)
    first.link.lose()
    desk.world.passes(2 * TICK_S)
    assert second.reason is None
    assert desk.broker.offers() == {NAME: second.session}


def test_a_newcomer_that_leaves_meanwhile_costs_nobody_anything() -> None:
    """The holder keeps its name, even where it never answers."""
    desk = Desk()
    first = desk.host(rivalry=KEEPS)
    second = desk.host(rivalry=KEEPS)
    second.link.lose()
    desk.world.passes(2 * CHALLENGE_S)
    assert first.reason is None
    assert desk.broker.offers() == {NAME: first.session}


def test_one_newcomer_at_a_time() -> None:
    """A third is refused while the second waits, and may try again when that has left."""
    desk = Desk()
    first = desk.host(rivalry=KEEPS)
    second = desk.host(rivalry=KEEPS)
    assert desk.host(rivalry=KEEPS).reason is Reason.LIMIT
    second.link.lose()
    fourth = desk.host(rivalry=KEEPS)
    assert fourth.reason is None
    desk.world.passes(CHALLENGE_S)
    assert (first.reason, fourth.reason) == (Reason.LOST, None)


@pytest.mark.parametrize("alive", [True, False])
def test_a_refused_newcomer_is_counted(alive: bool) -> None:
    """Under ``limit``, as other refusals; who wins is not."""
    desk = Desk()
    first = desk.host(rivalry=KEEPS)
    desk.host(rivalry=KEEPS)
    if alive:
        answers(first)
    desk.world.passes(CHALLENGE_S)
    refused = desk.metrics.refused_total
    assert sum(refused.values()) == int(alive)
