"""The ratios of a run as a picture; matplotlib is wanted for this and for nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.report import Row

MET = "#3a7d44"
MISSED = "#b23a48"
PLAIN = "#6b7280"
ROW_INCHES = 0.32
SPARE_INCHES = 1.2
WIDTH_INCHES = 9.0


class NoMatplotlib(Exception):
    """It is not installed; the argument says how to install it."""


def check() -> None:
    """:raises NoMatplotlib: before anything is measured in vain."""
    try:
        import matplotlib
    except ImportError as error:
        raise NoMatplotlib(
            "--plot needs matplotlib, which is not installed; try: pip install '.[bench]'"
        ) from error
    matplotlib.use("Agg")


def draw(rows: Sequence[Row], title: str, path: Path) -> None:
    """Write a PNG: one bar a ratio, its spread, and its target."""
    from matplotlib import pyplot

    shown = [row for row in rows if row.is_ratio and row.values][::-1]
    size = (WIDTH_INCHES, SPARE_INCHES + ROW_INCHES * len(shown))
    figure, axes = pyplot.subplots(figsize=size, layout="constrained")
    for number, row in enumerate(shown):
        _bar(axes, number, row)
    axes.set_yticks(
        range(len(shown)),
        [f"{row.group.partition(':')[0]}: {row.what}" for row in shown],
        fontsize=8,
    )
    axes.axvline(1.0, color="black", linewidth=0.6)
    axes.set_xscale("log")
    axes.set_xlabel("ours / theirs in the same round: median, least to most, target (|)")
    axes.set_title(title, fontsize=10)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _bar(axes: Any, number: int, row: Row) -> None:
    median = statistics.median(row.values)
    colour = PLAIN if row.target is None else (MET if row.meets else MISSED)
    spread = [[median - min(row.values)], [max(row.values) - median]]
    axes.errorbar(
        median, number, xerr=spread, fmt="o", color=colour, ecolor=colour, capsize=2, markersize=5
    )
    if row.target is not None:
        axes.plot(row.target, number, "|", color="black", markersize=12)
