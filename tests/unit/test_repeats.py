"""What is refused again and again, in the log and in memory."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from twisted.logger import LogEvent, capturedLogs

from relay.core import repeats
from relay.core.repeats import KINDS, TOLD, WINDOW_S, Repeats
from relay.errors import NoSuchOffer
from relay.settings.model import Limits
from relay.vocabulary import Reason
from tests.dialects.taas_rooms import Room


def refusals(events: Sequence[LogEvent]) -> list[object]:
    """Of the router: what kind each is of, and from where."""
    told = ("refused", "refused-often", "login-failed")
    return [(event["event"], event["peer"]) for event in events if event.get("event") in told]


def test_a_peer_in_a_tight_loop_does_not_fill_the_log() -> None:
    """A hundred times within a minute are told, and that there are more; others are heard of."""
    room = Room()

    def refuse(peer: str) -> None:
        room.reception.refused("taas", peer, "/", NoSuchOffer("there is none"))

    with capturedLogs() as events:
        for _ in range(5 * TOLD):
            refuse("192.0.2.66")
        refuse("192.0.2.67")
        room.passes(WINDOW_S)
        refuse("192.0.2.66")
    once = [("refused", "192.0.2.66")]
    assert refusals(events) == [
        *once * TOLD,
        ("refused-often", "192.0.2.66"),
        ("refused", "192.0.2.67"),
        *once,
    ]
    assert room.around.metrics.refused_total["taas", Reason.NO_SUCH_OFFER] == 5 * TOLD + 2


def test_failed_logins_are_all_told() -> None:
    """Programs that block addresses count them in the log."""
    room = Room(limits=Limits(failed_logins_per_min=0))
    with capturedLogs() as events:
        for _ in range(2 * TOLD):
            room.register(shown="", peer="192.0.2.66")
    assert refusals(events) == [("login-failed", "192.0.2.66")] * 2 * TOLD


def test_kinds_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one whose window began first is forgotten first."""
    assert KINDS >= TOLD
    monkeypatch.setattr(repeats, "KINDS", 2)
    known = Repeats()
    for peer in ("a", "b", "a", "c", "b"):
        known.count(peer, "taas", Reason.LIMIT, 0.0)
    assert len(known) == 2
    assert known.count("a", "taas", Reason.LIMIT, 0.0) == 0


def test_a_clock_that_is_set_back_begins_a_window() -> None:
    """Nobody is silent for longer than usual."""
    known = Repeats()
    known.count("a", "taas", Reason.LIMIT, 1000.0)
    assert known.count("a", "taas", Reason.LIMIT, 1.0) == 0
    assert known.count("a", "taas", Reason.LIMIT, 1.0 + WINDOW_S) == 0
