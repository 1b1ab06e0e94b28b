"""What ``relay bench`` takes and prints."""

from __future__ import annotations

import pytest

from relay.commands.bench_table import Line, line_of, table
from relay.commands.main import main
from relay.measuring.processes import Late
from relay.measuring.runs import Inexact

DOWN = Line("download", "MB/s", (100.0, 300.0, 200.0), (400.0, 600.0, 400.0))
IDLE = Line("idle connection", "KiB", (12.5,), (0.0,))
FANNED = Line("heard by 20", "MB/s", (500.0,), ())


def test_ratio_is_of_rounds() -> None:
    """It is the median of the rounds' ratios, not the ratio of medians."""
    assert DOWN.ratio == 0.5


def test_no_ratio_to_nothing() -> None:
    """Where the plain relay costs nothing measurable, or cannot do it, there is none."""
    assert IDLE.ratio is None
    assert FANNED.ratio is None


def test_rounds() -> None:
    """Both sides of each round are kept apart, in the order of the rounds."""
    assert line_of("a", "b", [(1.0, 2.0), (3.0, 4.0)]) == Line("a", "b", (1.0, 3.0), (2.0, 4.0))


def test_table() -> None:
    """Columns are aligned and figures short."""
    assert table([DOWN, IDLE, FANNED]) == [
        "                       relay  plain TCP relay  relay/plain",
        "download         MB/s    200              400          0.5",
        "idle connection  KiB    12.5                0            -",
        "heard by 20      MB/s    500                -            -",
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


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Late("'ready' from relay-router: not within 20 s"), "'ready' from relay-router"),
        (Late("relay-host has ended; it printed: a\n\nb\nno such file\n"), "… no such file"),
        (Inexact("9 bytes were sent, 8 came, or not the same"), "8 came"),
    ],
)
def test_failure(
    error: Exception,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What went wrong is one line, with what to try."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("relay.commands.bench._measure", fail)
    monkeypatch.setattr("relay.measuring.processes.signal.signal", lambda *_: None)
    assert main(["bench"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert told in line
    assert "relay demo" in line
