"""All measurements as one table: ``python -m bench``.

Figures are ratios to something else that was measured in the same round, or counts; absolute
speeds stand beside them for orientation. Exits with 1 when a target is missed, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import plot
from bench.groups import Outcome, Plan, add_plan, read_plan
from bench.report import Row, progress, publish
from relay import __version__
from relay.measuring.processes import Late
from relay.measuring.runs import Inexact

GROUPS = {
    "bulk": "one-way bulk through the router alone",
    "tunnel": "TCP to TCP through client, router and host",
    "encrypted": "bulk through the router, TLS on both legs",
    "small": "64-byte questions and answers",
    "beside": "64 interactive streams beside one bulk transfer",
    "stalled": "a reader that stops",
    "handshakes": "handshakes with a JWT",
    "short": "short connections through client, router and host",
    "websocktunnel": "viewers' requests through router and host of websocktunnel",
    "network_relay": "calls through client, router and agent of network-relay",
    "session_relay": "topics with many readers of session-relay",
    "taas": "raw connections, redirects and idle hidden servers of taas",
    "idle": "idle hosts and waiting clients",
    "start": "what a start costs",
    "recovery": "the router away and back",
}
"""Each is a module of this package, and can be run alone as ``python -m bench.NAME``."""


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print. :returns: the exit status"""
    parser = argparse.ArgumentParser("bench", description=__doc__)
    add_plan(parser)
    parser.add_argument(
        "--only", nargs="+", choices=GROUPS, metavar="NAME", help=f"of {', '.join(GROUPS)}"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="the ratios as a PNG")
    options = parser.parse_args(words)
    if options.plot:
        try:
            plot.check()
        except plot.NoMatplotlib as error:
            parser.error(str(error))
    names = [name for name in GROUPS if name in (options.only or GROUPS)]
    rows, left = measured(names, read_plan(options))
    if options.plot:
        plot.draw(rows, title(), options.plot)
    return publish(title(), rows, options.json, left)


def measured(names: Sequence[str], plan: Plan) -> tuple[list[Row], list[str]]:
    """Measure the groups, one behind the other.

    A group that fails is told as left out: the others are still worth something.

    :returns: all rows, and what was left out
    """
    rows: list[Row] = []
    left: list[str] = []
    for name in names:
        progress(f"{name}: {GROUPS[name]}")
        try:
            outcome: Outcome = importlib.import_module(f"bench.{name}").measure(plan)
        except (Late, Inexact, OSError) as error:
            left.append(f"{name}: FAILED, {type(error).__name__}: {error}")
            rows.append(Row("failed", "", (1.0,), 0.0, "worst", group=heading(name)))
            continue
        rows += [row._replace(group=heading(name)) for row in outcome.rows]
        left += outcome.left
    return rows, left


def heading(name: str) -> str:
    """:returns: what stands above a group's rows."""
    return f"{name}: {GROUPS[name]}"


def title() -> str:
    """:returns: what was measured where."""
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {sys.platform}"
    return f"relay {__version__} on {machine}, loopback; x: ours over theirs in the same round"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
