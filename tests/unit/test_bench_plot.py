"""The picture of a run's ratios."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import plot
from bench.report import Row
from relay.measuring.figures import times

pytest.importorskip("matplotlib", reason="the extra bench is not installed")


def test_draw(tmp_path: Path) -> None:
    """It is a PNG, also with rows that cannot be drawn among the others."""
    rows = [
        times("64 KiB, x socat", [1.0, 3.0], [2.0, 2.0], at_least=0.75)._replace(group="bulk: all"),
        times("processor", [4.0, 3.0], [2.0, 2.0]),
        times("nothing", [], [], at_least=1.0),
        Row("socat", "GB/s", (1.0,)),
    ]
    path = tmp_path / "ratios.png"
    plot.check()
    plot.draw(rows, "a run", path)
    assert path.read_bytes().startswith(b"\x89PNG")
