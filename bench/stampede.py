"""A fleet loses its router and comes back: ``python -m bench.stampede``.

Several hundred hosts in a few processes; the router is killed, stays away, and is started again.
Shown is when they dial (a histogram), how many do within any 100 ms, and when all stand again.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.programs import Program, Workshop, free_ports, listens, wait
from bench.report import Row, add_arguments, busiest, histogram, progress, publish

WINDOW_S = 0.1
BIN_S = 0.1
ALL_BACK_S = 3.0
STANDS = re.compile(r"offer \S+ stands")


def main() -> int:
    """Measure and print. :returns: the exit status."""
    parser = argparse.ArgumentParser("bench.stampede", description=__doc__)
    parser.add_argument("--hosts", type=int, default=300)
    parser.add_argument("--processes", type=int, default=3, help="that the hosts share")
    parser.add_argument("--away", type=float, default=5.0, metavar="SECONDS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.6, help="in any 100 ms, at most")
    add_arguments(parser)
    options = parser.parse_args()
    at_loss: list[float] = []
    meanwhile: list[float] = []
    on_return: list[float] = []
    back: list[float] = []
    half_back: list[float] = []
    refused: list[float] = []
    lines: list[str] = []
    with Workshop() as shop:
        port, nowhere = free_ports(2)
        records = [shop.folder / f"dialled-{number}" for number in range(options.processes)]
        sections = [
            shop.tunnel("host", port, number, f"forward = tcp:127.0.0.1:{nowhere}")
            for number in range(options.hosts)
        ]
        router = shop.router(port)
        router.says("ready")
        for number, record in enumerate(records):
            shop.tunnels("host", sections[number :: options.processes], watched=record)
        wait(lambda: standing(router) >= options.hosts, "all hosts registered", 60, 0.02)
        for number in range(options.rounds):
            time.sleep(3.0)
            lost = time.monotonic()
            router.kill()
            time.sleep(options.away)
            router = shop.router(port)
            listening = wait(lambda: listens(port), "the router listening", 20)
            half = wait(lambda: standing(router) >= options.hosts / 2, "half of them", 60, 0.01)  # noqa: B023
            whole = wait(lambda: standing(router) >= options.hosts, "all of them", 60, 0.01)  # noqa: B023
            half_back.append(half - listening)
            back.append(whole - listening)
            refused.append(router.printed().count("refused "))
            dialled = times(records, port)
            at_loss.append(busiest(between(dialled, lost, lost + 0.5), WINDOW_S))
            meanwhile.append(busiest(between(dialled, lost + 0.5, listening), WINDOW_S))
            on_return.append(busiest(between(dialled, listening, whole), WINDOW_S))
            progress(f"round {number + 1}: all back after {back[-1]:.2f} s")
            if number == options.rounds - 1:
                lines = picture(dialled, lost, listening, whole)
    most = options.share * options.hosts
    rows = [
        Row("dials in any 100 ms, as the router dies", "dials", tuple(at_loss), most, "worst"),
        Row("dials in any 100 ms, while it is away", "dials", tuple(meanwhile), most, "worst"),
        Row("dials in any 100 ms, once it listens", "dials", tuple(on_return), most, "worst"),
        Row("half stand again after", "s", tuple(half_back)),
        Row("all stand again after", "s", tuple(back), ALL_BACK_S, "worst"),
        Row("refused meanwhile", "requests", tuple(refused)),
    ]
    title = f"stampede: {options.hosts} hosts, router away {options.away:g} s"
    return publish(title, rows, options.json, lines)


def standing(router: Program) -> int:
    """:returns: how many offers have stood since the router began."""
    return len(STANDS.findall(router.printed()))


def times(records: Sequence[Path], port: int) -> list[float]:
    """:returns: when the port was dialled, in order."""
    lines = [line for record in records for line in record.read_text().splitlines()]
    rows = (line.split() for line in lines)
    return sorted(float(row[0]) for row in rows if len(row) == 2 and int(row[1]) == port)


def between(moments: list[float], start: float, end: float) -> list[float]:
    """:returns: those within."""
    return [moment for moment in moments if start <= moment < end]


def picture(dialled: list[float], lost: float, listening: float, whole: float) -> list[str]:
    """:returns: the last round as a histogram."""
    counts = [0] * (int((whole - lost) / BIN_S) + 1)
    for moment in between(dialled, lost, whole):
        counts[int((moment - lost) / BIN_S)] += 1
    head = f"dials by time since the loss, last round (listening again at {listening - lost:.2f} s)"
    return [head, *histogram(counts, BIN_S)]


if __name__ == "__main__":
    sys.exit(main())
