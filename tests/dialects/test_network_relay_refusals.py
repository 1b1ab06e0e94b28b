"""How a refusal reads, and what is read out of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.network_relay.refusals import (
    LINE_CHARACTERS,
    NO_AGENT,
    NO_CONNECTION,
    WRONG_SECRET,
    client_reason,
    client_text,
    reason_in,
    refusal_in,
    sentence,
    shown,
)
from relay.vocabulary import CLEAN_REASONS, Reason

ROUTERS_OWN = {
    Reason.TOKEN_INVALID,
    Reason.TOKEN_MISSING,
    Reason.TOKEN_EXPIRED,
    Reason.HOST_ABSENT,
}
WHYS = st.text(max_size=40)


def test_the_texts_of_the_original_are_exact() -> None:
    """Programs may look at them."""
    assert client_text(Reason.TOKEN_INVALID, "whatever") == "Invalid access client secret"
    assert client_text(Reason.HOST_ABSENT, "whatever") == "Agent not registered"
    assert client_text(Reason.TARGET_REFUSED, "x") == "Error initiating connection: x"


@given(st.sampled_from(Reason), WHYS)
def test_a_reason_survives_the_way_to_the_client(reason: Reason, why: str) -> None:
    """Agent to router in words, router to client in words; a router's own have texts of theirs."""
    if reason in ROUTERS_OWN | CLEAN_REASONS | {Reason.INTERNAL}:
        return
    said = sentence(reason, why)
    expected = reason if reason_in(why) is None else reason_in(why)
    if expected in CLEAN_REASONS or expected is Reason.INTERNAL:
        expected = Reason.TARGET_REFUSED
    assert refusal_in(said) is expected
    assert client_reason(client_text(refusal_in(said), said)) is expected


@given(WHYS, st.sampled_from(Reason))
def test_no_agent_passes_for_its_router(why: str, reason: Reason) -> None:
    """Whatever it says, its client is not told of a wrong secret or of an agent that is absent."""
    for text in (why, reason.value, f"{reason.value}: {why}"):
        told = client_text(refusal_in(text), text)
        assert told.startswith(NO_CONNECTION)
        assert told not in (WRONG_SECRET, NO_AGENT)
        assert client_reason(told) not in ROUTERS_OWN


def test_a_word_is_said_once() -> None:
    """Whoever passes a refusal on adds nothing to one that has its word."""
    assert sentence(Reason.LIMIT, "") == "limit"
    assert sentence(Reason.LIMIT, "too many") == "limit: too many"
    assert sentence(Reason.LIMIT, "limit: too many") == "limit: too many"
    assert client_text(Reason.LIMIT, "limit: too many") == NO_CONNECTION + "limit: too many"


@pytest.mark.parametrize(
    ("text", "reason"),
    [("limit", Reason.LIMIT), ("limit:x", Reason.LIMIT), ("limits", None), ("", None), (":", None)],
)
def test_a_word_stands_at_the_beginning(text: str, reason: Reason | None) -> None:
    """All of it, up to a colon or the end."""
    assert reason_in(text) is reason


def test_people_are_told_the_word_once() -> None:
    """It is shown beside the text."""
    text = NO_CONNECTION + "limit: too many"
    assert shown(Reason.LIMIT, text) == NO_CONNECTION + "too many"
    assert shown(Reason.OVERRUN, text) == text


def test_a_long_text_is_cut_for_people() -> None:
    """A router that says sixteen megabytes fills no terminal, and no pipe that nobody reads."""
    long = "x" * LINE_CHARACTERS
    assert shown(Reason.TARGET_REFUSED, long) == long
    assert shown(Reason.TARGET_REFUSED, f"{long}x") == f"{long}..."
