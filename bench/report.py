"""What every script prints, and its exit status."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from relay.measuring.figures import Row, as_object, table

__all__ = [
    "Row",
    "add_arguments",
    "busiest",
    "histogram",
    "progress",
    "publish",
    "table",
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what every script takes."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def publish(title: str, rows: Sequence[Row], as_json: bool, text: Sequence[str] = ()) -> int:
    """Print the rows, and lines of text below them.

    :returns: the exit status: 1 when a target is missed
    """
    if as_json:
        value = {"title": title, "rows": [as_object(row) for row in rows], "text": list(text)}
        print(json.dumps(value, indent=1))
    else:
        print(title)
        for line in table(rows):
            print(line)
        for line in text:
            print(line)
    return 0 if all(row.meets for row in rows) else 1


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


def progress(text: str) -> None:
    """Say on standard error what goes on, if somebody watches."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)
