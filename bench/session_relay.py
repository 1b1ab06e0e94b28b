"""Topics with many readers: ``python -m bench.session_relay``.

One writer says as much as is taken, or a message every so often; readers count what they hear and
compare it. The original's relay stands beside ours in the same round.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from bench.groups import Outcome, Plan, add_plan, read_plan, turns
from bench.originals import OURS, THEIRS, kib_each, over_theirs
from bench.programs import Program, Workshop
from bench.report import Row, progress, publish
from bench.topic_relays import BOOKING, NO_ORIGINAL, Maker, Relay, makers
from relay.measuring.figures import ratios
from relay.measuring.runs import HOLD_S, SPARE_S, load, told
from relay.measuring.topic_runs import TOPIC, Heard, topic

READERS, SMALL_BYTES, PICTURE_BYTES = 20, 4096, 60_000
LEAST_FANNED, LEAST_ONE = 1.0, 2.0
MOST_LATE = 1.5
LATE_READERS, LATE_EVERY_S = 10, 0.002
"""Beside a reader that stands still: its queue and the kernel's are full within a second or so."""

WARM_UP_S = 1.5
LEAST_LATE_S = 4.0
"""So long others are measured, once it stands still; the original ends it behind 10 s."""

BIG_BYTES, BIG_EVERY_S, BIG_S = 65_536, 0.01, 4.0
"""What is said while memory is watched: far more than any queue holds."""

MOST_WAITING_MIB = 24.0
"""A queue of 128 such messages, what the kernel does not count, and room for a collector."""

SITTING, QUICK_SITTING = 1000, 200
TOPICS = 50
AT_ONCE = 32
MOST_ASKED_S = 1.0
"""Only so many codes may wait to be shown; those of a round are void behind it."""


def main() -> int:
    """Measure and print. :returns: the exit status"""
    parser = argparse.ArgumentParser("bench.session_relay", description=__doc__)
    add_plan(parser)
    parser.add_argument("--sitting", type=int, help=f"that are idle; default: {SITTING}")
    parser.add_argument("--sides", nargs="+", choices=(OURS, THEIRS), help="default: both")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    options = parser.parse_args()
    sides = {name: make for name, make in makers().items() if name in (options.sides or makers())}
    parts = options.only or tuple(PARTS)
    outcome = measured(read_plan(options), parts, sides, options.sitting)
    return publish("session-relay", outcome.rows, options.json, outcome.left)


def measure(plan: Plan) -> Outcome:
    """Measure. :returns: what was found"""
    return measured(plan, tuple(PARTS), makers())


def measured(
    plan: Plan, parts: Sequence[str], sides: Mapping[str, Maker], sitting: int | None = None
) -> Outcome:
    """Measure some parts. :returns: what was found"""
    rows: list[Row] = []
    for part in parts:
        progress(part)
        if part == IDLE:
            rows += idle(plan, sides, sitting)
            continue
        with Workshop() as shop:
            rows += PARTS[part](shop, plan, {name: make(shop) for name, make in sides.items()})
    return Outcome(rows, () if THEIRS in makers() else (NO_ORIGINAL,))


# -- one topic -----------------------------------------------------------------------------------

Sides = Mapping[str, Relay]


def floods(
    what: str, readers: int, size: int, least: float
) -> Callable[[Workshop, Plan, Sides], list[Row]]:
    """:returns: what measures how much arrives when a writer says all that is taken"""

    def part(shop: Workshop, plan: Plan, sides: Sides) -> list[Row]:
        def pour(relay: Relay) -> Callable[[], Heard]:
            return lambda: topic(shop, relay, plan.seconds, readers, size)

        found = turns(plan, {name: pour(relay) for name, relay in sides.items()})
        rows: list[Row] = []
        for name, results in found.items():
            rows += [
                Row(f"{what}: {name}, heard", "MB/s", tuple(one.mb_s for one in results)),
                Row(f"{what}: {name}, said", "MB/s", tuple(one.offered_mb_s for one in results)),
                Row(f"{what}: {name}, lost", "%", tuple(100 * one.lost for one in results)),
                Row(f"{what}: {name}, processor", "s/GB", tuple(one.relay_s_gb for one in results)),
                Row(f"{what}: {name}, loads'", "s/GB", tuple(one.loads_s_gb for one in results)),
            ]
        ratio = f"{what}: heard, x the original"
        return [*rows, *over_theirs(ratio, found, lambda one: one.mb_s, least)]

    return part


def stalled(shop: Workshop, plan: Plan, sides: Sides) -> list[Row]:
    """:returns: how late readers hear, with and without one beside them that stands still"""
    seconds = WARM_UP_S + (plan.seconds if plan.quick else max(plan.seconds, LEAST_LATE_S))

    def hear(relay: Relay, still: int) -> Callable[[], Heard]:
        return lambda: topic(
            shop,
            relay,
            seconds,
            LATE_READERS,
            SMALL_BYTES,
            every_s=LATE_EVERY_S,
            stalled=still,
            skip_s=WARM_UP_S,
        )

    runs: dict[str, Callable[[], Heard]] = {}
    for name, relay in sides.items():
        runs[f"{name}, quiet"] = hear(relay, 0)
        runs[f"{name}, beside a stalled reader"] = hear(relay, 1)
    found = turns(plan, runs)
    what = f"{SMALL_BYTES} bytes each {LATE_EVERY_S * 1000:g} ms, {LATE_READERS} readers"
    rows: list[Row] = []
    for name, results in found.items():
        rows += [
            Row(f"{what}: {name}, median", "ms", tuple(one.p50_ms for one in results)),
            Row(f"{what}: {name}, p99", "ms", tuple(one.p99_ms for one in results)),
            Row(f"{what}: {name}, lost", "%", tuple(100 * one.lost for one in results)),
        ]
    for name in sides:
        quiet, late = (found[f"{name}, {when}"] for when in ("quiet", "beside a stalled reader"))
        values = ratios([one.p99_ms for one in late], [one.p99_ms for one in quiet])
        target = MOST_LATE if name == OURS else None
        missed = tuple(float(count) for one in late for count in one.still)
        rows.append(Row(f"{name}: p99 beside a stalled reader, x quiet", "x", values, target))
        rows.append(Row(f"{name}: what the stalled reader has missed", "messages", missed))
    return rows


def memory(shop: Workshop, plan: Plan, sides: Sides) -> list[Row]:
    """:returns: what relays grow by while one reader stands still"""

    def watch(relay: Relay) -> Callable[[], Heard]:
        return lambda: topic(
            shop, relay, BIG_S, 1, BIG_BYTES, every_s=BIG_EVERY_S, stalled=1, skip_s=WARM_UP_S
        )

    rounds = plan._replace(rounds=min(plan.rounds, 3))
    found = turns(rounds, {name: watch(relay) for name, relay in sides.items()})
    return [
        Row(
            f"beside a stalled reader of {BIG_BYTES} bytes each {BIG_EVERY_S * 1000:g} ms: "
            f"{name}, memory grown",
            "MiB",
            tuple(one.most_mib for one in results),
            MOST_WAITING_MIB if name == OURS else None,
            "worst",
        )
        for name, results in found.items()
    ]


# -- many sessions -------------------------------------------------------------------------------


def sessions(shop: Workshop, plan: Plan, sides: Sides) -> list[Row]:
    """:returns: sessions that are asked for in a second, each over a connection of its own"""

    def ask(relay: Relay) -> Callable[[], float]:
        def rate() -> float:
            pairs = [relay.seat(f"{TOPIC}{number}") for number in range(TOPICS)]
            seconds = min(plan.seconds, MOST_ASKED_S)
            booking = {"sessions": pairs, "seconds": seconds, "at_once": AT_ONCE}
            asking = load(shop, {"do": "book", **booking})
            counted = told(asking, "count", seconds + SPARE_S)
            shop.end(asking)
            relay.forget(BOOKING)
            return float(counted["count"] / counted["seconds"])

        return rate

    found = turns(plan, {name: ask(relay) for name, relay in sides.items()})
    what = "sessions asked for"
    rows = [Row(f"{what}: {name}", "/s", tuple(rates)) for name, rates in found.items()]
    return [*rows, *over_theirs(f"{what}: x the original", found, lambda rate: rate)]


def idle(plan: Plan, sides: Mapping[str, Maker], sitting: int | None = None) -> list[Row]:
    """:returns: what a member that says and hears nothing costs the relay"""
    count = sitting or (QUICK_SITTING if plan.quick else SITTING)

    def stand(make: Maker) -> Callable[[], float]:
        def cost() -> float:
            with Workshop() as shop:
                relay = make(shop)

                def come(stem: str, size: int) -> Program:
                    pairs = [relay.seat(f"{stem}{number % TOPICS}") for number in range(size)]
                    crowd = load(shop, {"do": "sit", "sessions": pairs})
                    told(crowd, "open", HOLD_S)
                    return crowd

                return kib_each(shop, relay.program, come, count)

        return cost

    rounds = plan._replace(rounds=min(plan.rounds, 2))
    found = turns(rounds, {name: stand(make) for name, make in sides.items()})
    return [Row(f"idle member: {name}", "KiB", tuple(values)) for name, values in found.items()]


IDLE = "idle"
FANNED = f"1 writer, {READERS} readers, {SMALL_BYTES} bytes"
ONE = f"1 writer, 1 reader, {PICTURE_BYTES} bytes"
PARTS: dict[str, Callable[[Workshop, Plan, Sides], list[Row]]] = {
    "fan": floods(FANNED, READERS, SMALL_BYTES, LEAST_FANNED),
    "one": floods(ONE, 1, PICTURE_BYTES, LEAST_ONE),
    "stalled": stalled,
    "memory": memory,
    "sessions": sessions,
    IDLE: lambda shop, plan, sides: [],
}

if __name__ == "__main__":
    sys.exit(main())
