"""What ``relay bench`` takes and prints."""

from __future__ import annotations

import pytest

from relay.commands.bench import Line, _table
from relay.commands.main import main

DOWN = Line("download", "MB/s", (100.0, 300.0, 200.0), (400.0, 600.0, 400.0))
IDLE = Line("idle connection", "KiB", (12.5,), (0.0,))


def test_ratio_is_of_rounds() -> None:
    """It is the median of the rounds' ratios, not the ratio of medians."""
    assert DOWN.ratio == 0.5


def test_no_ratio_to_nothing() -> None:
    """Where the plain relay costs nothing measurable there is none."""
    assert IDLE.ratio is None


def test_table() -> None:
    """Columns are aligned and figures short."""
    assert _table([DOWN, IDLE]) == [
        "                       relay  plain TCP relay  relay/plain",
        "download         MB/s    200              400          0.5",
        "idle connection  KiB    12.5                0            -",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--seconds", "0"], "'0' is no time"),
        (["--seconds", "long"], "'long' is no time"),
        (["--seconds", "1000"], "up to 60"),
        (["--rounds", "0"], "'0' is no count"),
        (["--dialect", "klingon"], "klingon"),
    ],
)
def test_wrong_usage(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What it does not take is wrong usage, before anything starts."""
    assert main(["bench", *words]) == 2
    assert told in capsys.readouterr().err
