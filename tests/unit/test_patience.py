"""How long a daemon waits before it tries again."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.patience import MAX_RETRY_AFTER_S, Patience, Repetition

Source = Callable[[], float]
LEAST: Source = (0.0).__pos__
MIDDLE: Source = (0.5).__pos__
MOST: Source = (1 - 2**-53).__pos__
"""Random numbers that are always the same."""


def test_nothing_answers() -> None:
    """0.25 s doubling to 1 s, as upper bounds."""
    patience = Patience(MOST)
    waits = [patience.unreachable() for _ in range(6)]
    assert waits == pytest.approx([0.25, 0.5, 1, 1, 1, 1])


def test_nothing_answers_with_full_jitter() -> None:
    """A fleet spreads over the whole wait, from at once on."""
    assert Patience(LEAST).unreachable() == 0
    source = random.Random(1)
    patience = Patience(source.random)
    waits = [patience.unreachable() for _ in range(1000)][2:]
    assert min(waits) < 0.05
    assert max(waits) > 0.95
    assert 0.45 < sum(waits) / len(waits) < 0.55


def test_an_answer_refuses() -> None:
    """1 s doubling to 30 s."""
    patience = Patience(MIDDLE)
    assert [patience.refused() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]


def test_a_dialect_may_ask_for_shorter_pauses() -> None:
    """1 s doubling to what it names."""
    patience = Patience(MIDDLE, longest_s=10)
    assert [patience.refused() for _ in range(6)] == [1, 2, 4, 8, 10, 10]


@pytest.mark.parametrize(("source", "share"), [(LEAST, 0.75), (MOST, 1.25)])
def test_refusals_are_spread_by_a_quarter(source: Source, share: float) -> None:
    """Each wait is within 25 % of its length, the longest included."""
    patience = Patience(source)
    for expected in (1, 2, 4, 8, 16, 30, 30):
        assert patience.refused() == pytest.approx(expected * share)


@pytest.mark.parametrize("source", [LEAST, MIDDLE, MOST])
def test_retry_after_is_obeyed(source: Source) -> None:
    """Nobody comes back earlier than told, nor much later; without it the doubling goes on."""
    patience = Patience(source)
    assert 10 <= patience.refused(10) <= 12.5
    assert 1.5 <= patience.refused() <= 2.5
    assert 0.75 * 4 <= patience.refused(1) <= 1.25 * 4


def test_retry_after_has_a_cap() -> None:
    """A router that asks for a day gets five minutes."""
    for source in (LEAST, MOST):
        wait_s = Patience(source).refused(86_400)
        assert MAX_RETRY_AFTER_S <= wait_s <= 1.25 * MAX_RETRY_AFTER_S


def test_replaced_by_another_host() -> None:
    """1 s doubling to five minutes while registrations are short."""
    patience = Patience(MIDDLE)
    waits = [patience.replaced(0.5) for _ in range(11)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_a_long_registration_forgives() -> None:
    """More than twice the last wait resets it; exactly twice does not, nor does a mere connect."""
    patience = Patience(MIDDLE)
    assert [patience.replaced(0), patience.replaced(0)] == [1, 2]
    patience.stood()
    assert patience.replaced(4) == 4
    assert patience.replaced(8.1) == 1


def test_a_link_that_stands_forgets_failures() -> None:
    """Both kinds of failures begin anew."""
    patience = Patience(MIDDLE)
    for _ in range(5):
        patience.unreachable()
        patience.refused()
    patience.stood()
    assert patience.refused() == 1
    assert patience.unreachable() == 0.125


def test_a_lost_link_comes_back_at_once_but_spread() -> None:
    """Within a quarter of a second of the loss, not all at the same moment."""
    assert Patience(LEAST).ended(60.0) == 0
    assert Patience(MOST).ended(60.0) == pytest.approx(0.25)


def test_link_that_hardly_stood_counts_as_a_failure() -> None:
    """A router that accepts and drops at once is left alone for longer and longer."""
    patience = Patience(MOST)
    assert [patience.ended(0.1) for _ in range(4)] == pytest.approx([0.25, 0.5, 1.0, 1.0])
    assert patience.ended(2.0) == pytest.approx(0.25)


def test_the_kinds_do_not_mix() -> None:
    """A refusal says nothing about how long to wait for a router that is gone."""
    patience = Patience(MIDDLE)
    for _ in range(5):
        patience.refused()
        patience.replaced(0)
    assert patience.unreachable() == 0.125


@given(st.lists(st.sampled_from(["unreachable", "refused", "replaced", "stood"]), max_size=50))
def test_no_wait_is_ever_longer_than_promised(steps: list[str]) -> None:
    """Whatever happens in whatever order: 1 s, 30 s and 300 s, each with its jitter."""
    patience = Patience(random.Random(7).random)
    for step in steps:
        if step == "unreachable":
            assert 0 <= patience.unreachable() <= 1
        elif step == "refused":
            assert 0.75 <= patience.refused() <= 37.5
        elif step == "replaced":
            assert 0.75 <= patience.replaced(1) <= 375
        else:
            patience.stood()


def test_repetitions_are_thinned_out() -> None:
    """The same line is said the first, second, fourth, eighth time, and so on."""
    repetition = Repetition()
    said = [number for number in range(1, 40) if repetition.says("refused")]
    assert said == [1, 2, 4, 8, 16, 32]


def test_news_is_always_said() -> None:
    """Another text, or the same after things went well, is no repetition."""
    repetition = Repetition()
    assert repetition.says("a")
    assert repetition.says("b")
    for _ in range(3):
        repetition.says("c")
    repetition.forget()
    assert repetition.says("c")


def test_messages_that_take_turns_are_thinned_out() -> None:
    """Each of several failures that alternate counts for itself; few are remembered."""
    repetition = Repetition()
    said = [text + str(n) for n in range(1, 6) for text in "ab" if repetition.says(text)]
    assert said == ["a1", "b1", "a2", "b2", "a4", "b4"]
    assert all(repetition.says(str(number)) for number in range(100))
    assert repetition.says("a")
