"""Figures in words: medians, spread, tables, verdicts."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """One measured thing.

    :ivar what: what was measured, in words
    :ivar values: in ``unit``, one a round
    :ivar target: what the worst or the median, as ``of`` says, may be at most; None: no promise
    :ivar of: ``median``, ``worst`` (the largest) or ``least``; the last is a target from below
    :ivar note: anything else worth a reader's while
    """

    what: str
    unit: str
    values: tuple[float, ...]
    target: float | None = None
    of: str = "median"
    note: str = ""

    @property
    def figure(self) -> float:
        """:returns: what is judged; NaN when nothing was measured."""
        if not self.values:
            return float("nan")
        if self.of == "worst":
            return max(self.values)
        if self.of == "least":
            return min(self.values)
        return statistics.median(self.values)

    @property
    def meets(self) -> bool:
        """:returns: whether the target, if there is one, is met."""
        if self.target is None:
            return True
        return self.figure >= self.target if self.of == "least" else self.figure <= self.target


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what every script takes."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def publish(title: str, rows: Sequence[Row], as_json: bool, text: Sequence[str] = ()) -> int:
    """Print the rows, and lines of text below them.

    :returns: the exit status: 1 when a target is missed
    """
    if as_json:
        print(json.dumps({"title": title, "rows": [_as_object(row) for row in rows]}, indent=1))
    else:
        print(title)
        for line in table(rows):
            print(line)
        for line in text:
            print(line)
    return 0 if all(row.meets for row in rows) else 1


def table(rows: Sequence[Row]) -> list[str]:
    """:returns: the lines of a table with aligned columns."""
    cells = [("", "n", "median", "least", "worst", "unit", "target", "")]
    for row in rows:
        cells.append(
            (
                row.what,
                str(len(row.values)),
                shown(statistics.median(row.values)) if row.values else "-",
                shown(min(row.values)) if row.values else "-",
                shown(max(row.values)) if row.values else "-",
                row.unit,
                _target(row),
                row.note,
            )
        )
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column in (0, 5, 6, 7) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]


def histogram(counts: Sequence[int], width_s: float, start_s: float = 0.0) -> list[str]:
    """:returns: a line a bin, with a bar; empty bins at the end are left out."""
    last = max((index for index, count in enumerate(counts) if count), default=-1)
    most = max(counts, default=0)
    return [
        f"  {start_s + index * width_s:7.2f} s {count:5} {'#' * round(50 * count / most)}"
        for index, count in enumerate(counts[: last + 1])
    ]


def busiest(times: Sequence[float], window_s: float) -> int:
    """:returns: the largest number of ``times`` (sorted, in seconds) within any such window."""
    most = start = 0
    for end, time in enumerate(times):
        while time - times[start] >= window_s:
            start += 1
        most = max(most, end - start + 1)
    return most


def shown(value: float) -> str:
    """:returns: three significant digits, no more."""
    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def progress(text: str) -> None:
    """Say on standard error what goes on, if somebody watches."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)


def _target(row: Row) -> str:
    if row.target is None:
        return ""
    sign = ">=" if row.of == "least" else "<="
    return f"{row.of} {sign} {shown(row.target)} {'met' if row.meets else 'MISSED'}"


def _as_object(row: Row) -> dict[str, object]:
    return {
        "what": row.what,
        "unit": row.unit,
        "values": list(row.values),
        "median": statistics.median(row.values) if row.values else None,
        "target": row.target,
        "of": row.of,
        "met": row.meets,
        "note": row.note,
    }
