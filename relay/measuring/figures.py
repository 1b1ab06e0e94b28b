"""Figures in words: medians, ratios, spread, tables, verdicts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

RATIO = "x"
"""The unit of ratios."""


class Row(NamedTuple):
    """One measured thing.

    :ivar what: what was measured, in words
    :ivar values: in ``unit``, one a round
    :ivar target: what the figure that ``of`` names may be at most; None: no promise
    :ivar of: ``median``, ``worst`` (the largest) or ``least``; the last is a target from below
    :ivar note: anything else worth a reader's while
    :ivar floor: the target is one from below, whatever ``of`` says
    :ivar group: what the row belongs to; :func:`table` shows it as a heading
    """

    what: str
    unit: str
    values: tuple[float, ...]
    target: float | None = None
    of: str = "median"
    note: str = ""
    floor: bool = False
    group: str = ""

    @property
    def from_below(self) -> bool:
        """:returns: whether the target is the least that will do."""
        return self.floor or self.of == "least"

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
        return self.figure >= self.target if self.from_below else self.figure <= self.target

    @property
    def is_ratio(self) -> bool:
        """:returns: whether the values are ours over another's in the same round."""
        return self.unit == RATIO


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, ...]:
    """:returns: round by round, ours over theirs.

    Rounds in which theirs is 0 are dropped. What drifts from round to round, as a busy machine
    does, cancels out: the two were measured one behind the other.
    """
    return tuple(a / b for a, b in zip(ours, theirs, strict=True) if b)


def times(
    what: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    at_least: float | None = None,
    at_most: float | None = None,
    note: str = "",
) -> Row:
    """:returns: the row for a ratio; its target is judged by the median of the rounds.

    :param at_least: a target from below
    :param at_most: a target from above
    """
    target = at_least if at_least is not None else at_most
    return Row(what, RATIO, ratios(ours, theirs), target, note=note, floor=at_least is not None)


def percentile(values: Sequence[float], share: float) -> float:
    """:returns: the smallest value that at least this share (0 to 1) of them do not exceed.

    NaN when there are none.
    """
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def table(rows: Sequence[Row]) -> list[str]:
    """:returns: the lines of a table with aligned columns, a heading before each group."""
    head = ("", "n", "median", "min", "max", "unit", "target", "")
    cells = [head]
    headings: dict[int, str] = {}
    group = ""
    for row in rows:
        if row.group != group:
            group = row.group
            headings[len(cells)] = group
        cells.append(
            (
                row.what,
                str(len(row.values)),
                shown(statistics.median(row.values)) if row.values else "-",
                shown(min(row.values)) if row.values else "-",
                shown(max(row.values)) if row.values else "-",
                row.unit,
                verdict(row),
                row.note,
            )
        )
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    lines: list[str] = []
    for number, line in enumerate(cells):
        if number in headings:
            lines += ["", headings[number]]
        lines.append(
            "  ".join(
                cell.ljust(width) if column in (0, 5, 6, 7) else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
        )
    return lines


def shown(value: float) -> str:
    """:returns: three significant digits, no more."""
    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def verdict(row: Row) -> str:
    """:returns: the target and whether it is met, or nothing."""
    if row.target is None:
        return ""
    sign = ">=" if row.from_below else "<="
    return f"{row.of} {sign} {shown(row.target)} {'met' if row.meets else 'MISSED'}"


def as_object(row: Row) -> dict[str, object]:
    """:returns: the row for JSON."""
    return {
        "group": row.group,
        "what": row.what,
        "unit": row.unit,
        "values": list(row.values),
        "median": statistics.median(row.values) if row.values else None,
        "target": row.target,
        "of": row.of,
        "at": "least" if row.from_below else "most",
        "met": row.meets,
        "note": row.note,
    }
