"""What a start costs: ``python -m bench.start``.

``relay --help`` beside a bare interpreter, and the router from its start to listening.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from bench.groups import Outcome, Plan
from bench.programs import ROOT, Workshop, free_ports, listens, wait
from bench.report import Row, add_arguments, publish
from relay.measuring.figures import RATIO

HELP_RATIO = 4.0
LISTENING_S = 0.7
LISTENING_KIB = 64 * 1024.0
CONSOLE_SCRIPT = "import sys; from relay.commands.main import main; sys.exit(main())"


def main() -> int:
    """Measure and print. :returns: the exit status."""
    parser = argparse.ArgumentParser("bench.start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    add_arguments(parser)
    options = parser.parse_args()
    return publish("start", started(options.rounds), options.json)


def measure(plan: Plan) -> Outcome:
    """:returns: what is found in as many rounds as the plan has"""
    return Outcome(started(plan.rounds))


def started(rounds: int) -> list[Row]:
    """Start everything so often. :returns: what it cost"""
    bare: list[float] = []
    help_s: list[float] = []
    listening: list[float] = []
    cpu: list[float] = []
    memory: list[float] = []
    with Workshop() as shop:
        for _ in range(rounds):
            bare.append(timed(["-c", "pass"]))
            help_s.append(timed(["-c", CONSOLE_SCRIPT, "--help"]))
            (port,) = free_ports(1)
            router = shop.router(port)
            at = wait(lambda: listens(port), "the router listening", 20)  # noqa: B023
            listening.append(at - router.started)
            router.says("ready")
            cpu.append(router.cpu_s())
            memory.append(router.rss_kib())
            router.kill()
    ratios = tuple(full / plain for full, plain in zip(help_s, bare, strict=True))
    return [
        Row("bare interpreter", "s", tuple(bare)),
        Row("relay --help", "s", tuple(help_s)),
        Row("relay --help / bare interpreter", RATIO, ratios, HELP_RATIO),
        Row("router, start to listening", "s", tuple(listening), LISTENING_S),
        Row("router, processor time until then", "s", tuple(cpu)),
        Row("router, memory when ready", "KiB", tuple(memory), LISTENING_KIB),
    ]


def timed(arguments: Sequence[str]) -> float:
    """:returns: the seconds of one run of the interpreter."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment
    )
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
