"""What ``relay bench`` prints: one line for each thing that was measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from relay.measuring.figures import ratios, shown


class Line(NamedTuple):
    """One measured thing, round by round.

    :ivar relay: through the tunnel's programs
    :ivar plain: through the plain relay; nothing where that cannot do it
    """

    what: str
    unit: str
    relay: tuple[float, ...]
    plain: tuple[float, ...]

    @property
    def ratio(self) -> float | None:
        """:returns: the median of ours over theirs; None where theirs is nothing"""
        each = ratios(self.relay, self.plain) if self.plain else ()
        return statistics.median(each) if each else None


def line_of(what: str, unit: str, rounds: Sequence[Sequence[float]]) -> Line:
    """:param rounds: of both in turn. :returns: the line that they make"""
    relay, plain = zip(*rounds, strict=True)
    return Line(what, unit, relay, plain)


def table(lines: Sequence[Line]) -> list[str]:
    """:returns: the lines of a table: medians, and the ratios' median"""
    rows = [("", "", "relay", "plain TCP relay", "relay/plain")]
    for line in lines:
        ours, theirs = (
            shown(statistics.median(side)) if side else "-" for side in (line.relay, line.plain)
        )
        ratio = "-" if line.ratio is None else shown(line.ratio)
        rows.append((line.what, line.unit, ours, theirs, ratio))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    aligned: tuple[Callable[[str, int], str], ...] = (str.ljust, str.ljust, *(str.rjust,) * 3)
    return [
        "  ".join(
            align(cell, width) for align, cell, width in zip(aligned, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
