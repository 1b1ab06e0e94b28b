"""All kinds of traffic at once, for long: ``python -m bench.soak --minutes 30``.

Router, host and client as processes; users who upload, download, ask, wait, stop and break off;
peers that keep no rule; hosts and clients that are killed; the originals, where they are at hand.
All that arrives is compared with what was sent. When every kind had its turns, memory and
descriptors are noted, then again and again, and at last when all is quiet: nothing may be left.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.mixture import Kind
from bench.programs import Workshop
from bench.report import Row, add_arguments, progress, publish
from bench.yard import MAX_SHOWN, NAMES, PLAIN, SECURE, Sample, Yard
from relay.measuring.figures import percentile

GROWTH_MIB = 5.0
DRIFT_MIB = 2.0
"""What leaks does so for ever; pools of memory have found their size in the first quarter."""

SAMPLE_S = 5.0
WARM_UP_ROUNDS = 3
"""Behind one, pools of memory have not yet reached the size at which they stay."""

GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""glibc keeps up to some 8 MiB of freed buffers otherwise, and they would hide what leaks."""

REST_S = 90.0
QUIET_S = 5.0


def main() -> int:
    """Run and print. :returns: the exit status"""
    parser = argparse.ArgumentParser("bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--only", default="", metavar="TEXT", help="kinds whose name has it")
    parser.add_argument("--cut-through", choices=("yes", "no"), default="yes")
    parser.add_argument("--pools", action="store_true", help="let glibc keep what was freed")
    parser.add_argument("--logs", type=Path, metavar="FOLDER", help="where to copy them at the end")
    add_arguments(parser)
    options = parser.parse_args()
    with Workshop() as shop:
        shop.environment["RELAY_CUT_THROUGH"] = options.cut_through
        if not options.pools:
            shop.environment.update(GIVES_BACK)
        yard = Yard(shop)
        traffic = Traffic([kind for kind in yard.kinds() if options.only in kind.name], yard.over)
        rows = soak(yard, traffic, options.minutes * 60)
        if options.logs:
            options.logs.mkdir(parents=True, exist_ok=True)
            for log in shop.folder.glob("*.log"):
                shutil.copy(log, options.logs)
        complaints = traffic.complaints + yard.complaints()
    return publish(f"soak: {options.minutes:g} minutes", rows, options.json, complaints)


class Tally:
    """What became of one kind."""

    def __init__(self) -> None:
        self.visits = 0
        self.bytes = 0
        self.failed = 0


class Traffic:
    """All kinds at once, each with threads of its own.

    :ivar tallies: by kind
    :ivar complaints: what went wrong, in words
    """

    def __init__(self, kinds: Sequence[Kind], over: threading.Event) -> None:
        self.kinds = kinds
        self._over = over
        self._lock = threading.Lock()
        self.tallies = {kind.name: Tally() for kind in kinds}
        self._wrong: Counter[str] = Counter()
        self._threads: list[threading.Thread] = []

    @property
    def complaints(self) -> list[str]:
        """:returns: what went wrong"""
        return [f"{count} x {text}" for text, count in self._wrong.most_common(MAX_SHOWN)]

    def once(self) -> None:
        """Every kind once, as many at once as later."""
        self._run([kind for kind in self.kinds for _ in range(kind.at_once)], self._pay)
        self.join()

    def begin(self) -> None:
        """Let it flow."""

        def visits(kind: Kind) -> None:
            dice = random.Random()
            while not self._over.wait(dice.uniform(0.5, 1.5) * kind.pause_s):
                self._pay(kind)

        self._run([kind for kind in self.kinds for _ in range(kind.at_once)], visits)

    def join(self) -> None:
        """Wait for all of it to end."""
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _run(self, kinds: Sequence[Kind], work: Callable[[Kind], None]) -> None:
        for kind in kinds:
            thread = threading.Thread(target=work, args=(kind,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _pay(self, kind: Kind) -> None:
        tally, carried, wrong = self.tallies[kind.name], 0, ""
        started = time.strftime("%H:%M:%S")
        try:
            carried = kind.visit()
        except Exception as error:  # a visit that fails in any way has gone wrong
            wrong = f"{kind.name}: {type(error).__name__}: {error}"
        with self._lock:
            tally.visits += 1
            tally.bytes += carried
            if wrong:
                tally.failed += 1
                self._wrong[f"{wrong} (begun {started})"] += 1
                progress(wrong)


def soak(yard: Yard, traffic: Traffic, seconds: float) -> list[Row]:
    """Let every kind have its turns, then all at once. :returns: what was seen"""
    progress("warming up")
    for _ in range(WARM_UP_ROUNDS):
        traffic.once()
    time.sleep(QUIET_S)
    start = rested(yard, None)
    used = {name: program.cpu_s() for name, program in yard.measured.items()}
    own_s = time.process_time()
    samples: list[dict[str, Sample]] = [start]
    progress(f"start: {start}")
    began = time.monotonic()
    traffic.begin()
    while time.monotonic() < began + seconds:
        time.sleep(SAMPLE_S)
        samples.append(yard.sample())
        progress(f"{time.monotonic() - began:.0f} s: {samples[-1]}")
    yard.over.set()
    traffic.join()
    lasted_s = time.monotonic() - began
    shares = {
        name: 100 * (program.cpu_s() - used[name]) / lasted_s
        for name, program in yard.measured.items()
    }
    own = 100 * (time.process_time() - own_s) / lasted_s
    end = rested(yard, start)
    progress(f"end: {end}")
    rows: list[Row] = []
    for name in yard.measured:
        grown = end[name].rss_mib - start[name].rss_mib
        left = end[name].descriptors - start[name].descriptors
        said = f"from {start[name].rss_mib:.1f} to {end[name].rss_mib:.1f} MiB"
        rows += [
            Row("memory grown", "MiB", (grown,), GROWTH_MIB, "worst", said, group=name),
            Row("memory", "MiB", tuple(one[name].rss_mib for one in samples), group=name),
            Row(
                "memory, last quarter over second",
                "MiB",
                drift(samples, name),
                DRIFT_MIB,
                group=name,
            ),
            Row("descriptors left, or missing", "", (abs(left),), 0, "worst", group=name),
            Row("descriptors", "", tuple(one[name].descriptors for one in samples), group=name),
            Row("processor", "%", (shares[name],), group=name),
        ]
    rows.append(Row("processor", "%", (own,), group="users, service and rude peers"))
    return [*rows, *carried_rows(yard, traffic)]


def drift(samples: Sequence[dict[str, Sample]], name: str) -> tuple[float]:
    """:returns: how much more memory (median) a program has at last than when all had grown"""
    values, quarter = [one[name].rss_mib for one in samples], max(1, len(samples) // 4)
    before, after = values[-3 * quarter : -2 * quarter] or values[:1], values[-quarter:]
    return (statistics.median(after) - statistics.median(before),)


def carried_rows(yard: Yard, traffic: Traffic) -> list[Row]:
    """:returns: what became of each kind, and of all"""
    group = "traffic, with the first turns"
    rows = [
        Row(
            f"{name}: carried",
            "MB",
            (tally.bytes / 1e6,),
            note=f"{tally.visits} visits",
            group=group,
        )
        for name, tally in traffic.tallies.items()
    ]
    waits = sorted(w for portal in (PLAIN, SECURE) for w in yard.users[portal].waits)
    if waits:
        rows += [
            Row(
                f"interactive answers, p{share * 100:g}",
                "ms",
                (percentile(waits, share) * 1000,),
                group=group,
            )
            for share in (0.5, 0.99, 1.0)
        ]
    tallies = traffic.tallies.values()
    failed = sum(tally.failed for tally in tallies)
    return [
        *rows,
        Row("all: carried", "MB", (sum(tally.bytes for tally in tallies) / 1e6,), group=group),
        Row("all: visits", "", (sum(tally.visits for tally in tallies),), group=group),
        Row("visits that went wrong", "", (failed,), 0, "worst", group=group),
        Row(
            "lines in logs that should not be",
            "",
            (len(yard.complaints()),),
            0,
            "worst",
            group=group,
        ),
    ]


def rested(yard: Yard, start: dict[str, Sample] | None) -> dict[str, Sample]:
    """Wait until nothing changes any more, for as long as a closing socket may take.

    :param start: whose descriptors are waited for
    """
    until = time.monotonic() + REST_S
    last = yard.sample()
    while time.monotonic() < until:
        time.sleep(QUIET_S)
        now = yard.sample()
        still = all(now[name].descriptors == last[name].descriptors for name in NAMES)
        back = start is None or all(
            now[name].descriptors == start[name].descriptors for name in NAMES
        )
        if still and back:
            return now
        last = now
    return last


if __name__ == "__main__":
    sys.exit(main())
