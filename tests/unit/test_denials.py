"""Revocations: found at once however many there are, taken back, bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core import denials as module
from relay.core.denials import Denials
from relay.errors import Revoked
from relay.vocabulary import Grant, OfferName, Role

WORDS = st.sampled_from(["a", "b"])
MAYBE = st.none() | WORDS
DENIALS = st.lists(st.tuples(MAYBE, MAYBE, MAYBE, MAYBE, st.none() | st.integers(0, 4)), max_size=8)


def is_denied(denials: Denials, grant: Grant, now: float, names: tuple[str, ...] = ()) -> bool:
    """Whether the grant is refused."""
    try:
        denials.check(grant, now, names)
    except Revoked:
        return True
    return False


@given(DENIALS, WORDS, WORDS, MAYBE, MAYBE, st.lists(WORDS), st.integers(0, 4))
def test_the_table_says_what_each_denial_says(
    made: list[tuple[str | None, str | None, str | None, str | None, int | None]],
    dialect: str,
    subject: str,
    name: str | None,
    token_id: str | None,
    names: list[str],
    now: int,
) -> None:
    """A grant is refused exactly when one of those that still hold means it; the last of equal
    ones counts.
    """
    denials, kept = Denials(), {}
    for whose, whom, offer, token, until in made:
        if (whom, offer, token) != (None, None, None):
            kept[whose, whom, offer, token] = denials.add(whose, whom, offer, token, until)
    grant = Grant(
        dialect, Role.CLIENT, subject, None if name is None else OfferName(name), None, token_id
    )
    expected = any(
        denial.matches(grant, names) and not denial.is_over(now) for denial in kept.values()
    )
    assert is_denied(denials, grant, now, tuple(names)) is expected
    assert is_denied(denials, grant, now, tuple(names)) is expected


def test_what_was_revoked_can_be_permitted() -> None:
    """One subject alone, and it is on the list no more."""
    denials = Denials()
    for subject in ("bk-1", "bk-2"):
        denials.add("talk", subject, None, None, 100)
    denials.add("other", "bk-3", None, None, 100)
    denials.add("talk", "bk-4", "talk:x", None, 100)
    assert list(denials.subjects("talk", 99)) == ["bk-1", "bk-2"]
    denials.remove("talk", "bk-1")
    denials.remove("talk", "bk-unknown")
    assert not is_denied(denials, Grant("talk", Role.CLIENT, "bk-1"), 0)
    assert is_denied(denials, Grant("talk", Role.CLIENT, "bk-2"), 0)
    assert list(denials.subjects("talk", 100)) == []


def test_the_list_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is over goes first, then what ends soonest."""
    monkeypatch.setattr(module, "MAX_DENIALS", 3)
    denials = Denials()
    for number, until in enumerate((10, 5, None, 7)):
        denials.add("talk", f"bk-{number}", None, None, until, now=0)
    assert list(denials.subjects("talk", 0)) == ["bk-0", "bk-2", "bk-3"]
    denials.add("talk", "bk-4", None, None, 20, now=10)
    assert list(denials.subjects("talk", 10)) == ["bk-2", "bk-4"]


def test_the_list_does_not_grow_by_being_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each word on somebody replaces the one before, whichever ends sooner."""
    monkeypatch.setattr(module, "MAX_DENIALS", 3)
    denials = Denials()
    for number in range(10_000):
        denials.add("talk", "bk", None, None, 100 + number % 2)
        denials.add("talk", f"bk-{number % 2}", None, None, None)
        denials.remove("talk", f"bk-{number % 2}")
    assert len(denials._ends) <= 2 + module.SPARE_ENDS + 1
    assert list(denials.subjects("talk", 100)) == ["bk"]
    assert list(denials.subjects("talk", 101)) == []
    denials.add("talk", "late", None, None, 50, now=60)
    denials.add("talk", "next", None, None, 500, now=200)
    assert list(denials.subjects("talk", 60)) == ["next"]


def test_a_revocation_means_somebody() -> None:
    """One of a whole dialect, or of nothing, is a mistake."""
    with pytest.raises(ValueError, match="names a subject"):
        Denials().add("talk", None, None, None, None)
