"""Durations as Go programs read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.session_relay.durations import duration_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("300ms", 0.3),
        ("1.5h", 5400.0),
        ("2m45s", 165.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("-1s", -1.0),
        ("+1s", 1.0),
        ("10us", 1e-5),
        ("10µs", 1e-5),
        ("1h5.3m0.5s", 3918.5),
        ("2540400h", 2540400 * 3600.0),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    """Each unit, fractions and sums."""
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "1", "00", "0.1", "s", ".s", "1x", "1s1", "1 s", "--1s", "1e3s", "2600000h", "1s" * 50],
)
def test_what_is_none_is_told(text: str) -> None:
    """With what one looks like."""
    with pytest.raises(ValueError, match="is no duration such as 300ms"):
        duration_s(text)


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_not(text: str) -> None:
    """Nothing else comes of it."""
    try:
        assert isinstance(duration_s(text), float)
    except ValueError:
        pass
