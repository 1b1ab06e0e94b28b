"""Patterns of play files, in RE2 where it is installed, else in Python's own language."""

from __future__ import annotations

import pytest

from relay.dialects.session_relay import patterns
from relay.dialects.session_relay.patterns import BadPattern, compile_pattern


@pytest.fixture(params=[True, False], ids=["re2", "python"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether RE2 is there."""
    installed: bool = request.param
    monkeypatch.setattr(patterns, "is_linear", lambda: installed)
    return installed


@pytest.mark.parametrize(
    ("pattern", "line", "matches"),
    [
        (b"b+", b"abbc", True),
        (b"^b", b"ab", False),
        (rb'"speed":\s*3', b'{"speed":  3}', True),
        (b"(?i)SPEED", b"speed", True),
        (b"a.b", b"a\xffb", True),
        ("é".encode(), "caf\u00e9".encode(), True),
        (b"", b"", True),
    ],
)
def test_a_pattern_stands_anywhere(
    engine: bool, pattern: bytes, line: bytes, matches: bool
) -> None:
    """In either language alike; what is no UTF-8 is one character."""
    assert compile_pattern(pattern).matches(line) is matches


@pytest.mark.parametrize("pattern", [b"(", b"a**", b"[z-a]", b"\xff"])
def test_what_is_none_is_told_so(engine: bool, pattern: bytes) -> None:
    """With a reason."""
    with pytest.raises(BadPattern) as refused:
        compile_pattern(pattern)
    assert str(refused.value)
