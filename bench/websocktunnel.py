"""Viewers through router and host of websocktunnel: ``python -m bench.websocktunnel``.

Requests and WebSockets enter at the router and end at an application beside the host. Beside ours
stand the originals' server and client. Every answer is verified. ``--sizes`` chooses the bodies
of downloads and uploads, in KiB (1048576 is 1 GiB); ``--hosts`` how many are idle at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from bench.groups import Outcome, Plan, add_plan, read_plan, turns
from bench.originals import OURS, THEIRS, kib_each, over_theirs
from bench.pairs import NO_ORIGINALS, Pair, makers, routers, token
from bench.programs import Workshop, free_ports
from bench.report import Row, progress, publish
from relay.measuring.figures import times
from relay.measuring.runs import (
    Speed,
    Trips,
    bulk,
    enlist,
    fetched,
    paced_beside_fetch,
    trips,
)

CONNECTIONS = 16
WARM_UP_S = 4.0
BESIDE = 50
BESIDE_EVERY_S = 0.5
KIB = 1024
SIZES_KIB = (64, 64 * 1024)
QUICK_SIZES_KIB = (64, 8 * 1024)
BULK_KIB = 1024
"""Bodies from this size on are bulk, and have a target."""

MESSAGE_BYTES = 64 * 1024
HOSTS, QUICK_HOSTS = 1000, 200
LEAST_GETS, MOST_MEMORY, LEAST_BULK = 5.0, 0.1, 1.0
MOST_MEDIAN_MS, MOST_HOST_KIB = 2.0, 12.0

Sides = Mapping[str, Pair]


class Asked(NamedTuple):
    """As :class:`Trips`.

    :ivar cpu_ms: processor time of router and host together, for each trip
    """

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float


def main() -> int:
    """Measure and print. :returns: the exit status"""
    parser = argparse.ArgumentParser("bench.websocktunnel", description=__doc__)
    add_plan(parser)
    parser.add_argument("--sizes", type=int, nargs="+", metavar="KIB", help="of bodies")
    parser.add_argument("--hosts", type=int, help=f"default: {HOSTS}")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    options = parser.parse_args()
    plan = read_plan(options)
    outcome = measured(plan, options.only or tuple(PARTS), options.sizes, options.hosts)
    return publish("websocktunnel", outcome.rows, options.json, outcome.left)


def measure(plan: Plan) -> Outcome:
    """Measure. :returns: what was found"""
    return measured(plan, tuple(PARTS))


def measured(
    plan: Plan,
    parts: Sequence[str],
    sizes_kib: Sequence[int] | None = None,
    hosts: int | None = None,
) -> Outcome:
    """Measure some parts. :returns: what was found"""
    rows: list[Row] = []
    sizes = sizes_kib or (QUICK_SIZES_KIB if plan.quick else SIZES_KIB)
    for part in parts:
        progress(part)
        if part == IDLE:
            rows += idle(plan, hosts or (QUICK_HOSTS if plan.quick else HOSTS))
            continue
        with Workshop() as shop:
            pairs = {name: make(shop) for name, make in makers().items()}
            rows += PARTS[part](shop, plan, pairs, sizes)
    return Outcome(rows, () if THEIRS in makers() else (NO_ORIGINALS,))


# -- requests ------------------------------------------------------------------------------------


def small(shop: Workshop, plan: Plan, pairs: Sides, sizes: Sequence[int]) -> list[Row]:
    """:returns: small GETs on kept connections, and the memory that stays behind them

    The first seconds are told apart: the originals become many times slower as their heaps grow,
    and stay so.
    """
    before = {name: pair.rss_mib() for name, pair in pairs.items()}
    first = {name: [trips(shop, pair.web, WARM_UP_S, CONNECTIONS)] for name, pair in pairs.items()}
    what = f"small GETs, the first {WARM_UP_S:g} s"
    rows = [row for name, results in first.items() for row in _trips(f"{what}: {name}", results)]
    rows += over_theirs(f"{what}: x the originals", first, lambda one: one.per_s)
    for count in (CONNECTIONS, 1):
        what = f"small GETs, {count} connection{'s' if count > 1 else ''}"
        found = turns(
            plan, {n: _asking(shop, plan.seconds, pair, count) for n, pair in pairs.items()}
        )
        for name, results in found.items():
            most = MOST_MEDIAN_MS if (name, count) == (OURS, 1) else None
            rows += _trips(f"{what}: {name}", results, most)
        least = LEAST_GETS if count == CONNECTIONS else None
        rows += over_theirs(f"{what}: x the originals", found, lambda one: one.per_s, least)
        for name, results in found.items():
            used = tuple(one.cpu_ms for one in results)
            rows.append(Row(f"{what}: {name}, processor each", "ms", used))
        if count == CONNECTIONS:
            rows += _memory(pairs, before)
    return rows


def _memory(pairs: Sides, before: Mapping[str, float]) -> list[Row]:
    """:returns: what router and host hold together"""
    after = {name: pair.rss_mib() for name, pair in pairs.items()}
    rows: list[Row] = []
    for name, pair in pairs.items():
        each = " + ".join(f"{program.rss_kib() / KIB:.0f}" for program in pair.programs)
        rows.append(Row(f"memory before: {name}", "MiB", (before[name],)))
        rows.append(Row(f"memory after small GETs: {name}", "MiB", (after[name],), note=each))
    if {OURS, THEIRS} <= pairs.keys():
        what = "memory after small GETs: x the originals"
        rows.append(times(what, (after[OURS],), (after[THEIRS],), at_most=MOST_MEMORY))
    return rows


def bodies(shop: Workshop, plan: Plan, pairs: Sides, sizes: Sequence[int]) -> list[Row]:
    """:returns: downloads and uploads, one body behind the other on one connection"""
    rows: list[Row] = []
    for size in sizes:
        for up, word in ((False, "download"), (True, "upload")):
            what = f"{word}, {size} KiB each"
            sides = {n: _fetching(shop, plan, pair, size, up) for n, pair in pairs.items()}
            rows += _speeds(what, turns(plan, sides), LEAST_BULK if size >= BULK_KIB else None)
    return rows


def beside(shop: Workshop, plan: Plan, pairs: Sides, sizes: Sequence[int]) -> list[Row]:
    """:returns: small GETs every half second on fifty connections, while one download goes on"""
    size = max(sizes) * KIB

    def press(pair: Pair) -> Callable[[], Trips]:
        return lambda: paced_beside_fetch(
            shop, pair.web, max(plan.seconds, 1.0), BESIDE, BESIDE_EVERY_S, size
        )

    found = turns(plan, {name: press(pair) for name, pair in pairs.items()})
    what = f"{BESIDE} connections beside a download"
    rows = [row for name, results in found.items() for row in _trips(f"{what}: {name}", results)]
    return [*rows, *over_theirs(f"{what}: p99, x the originals", found, lambda one: one.p99_ms)]


# -- WebSockets ----------------------------------------------------------------------------------


def sockets(shop: Workshop, plan: Plan, pairs: Sides, sizes: Sequence[int]) -> list[Row]:
    """:returns: a viewer's WebSocket: 64 bytes to and fro, and messages of 64 KiB"""
    found = turns(plan, {name: _chatting(shop, plan, pair) for name, pair in pairs.items()})
    what = "WebSocket, 64 bytes to and fro"
    rows = [row for name, results in found.items() for row in _trips(f"{what}: {name}", results)]
    rows += over_theirs(f"{what}: x the originals", found, lambda one: one.per_s)
    for up, word in ((False, "down"), (True, "up")):
        sides = {name: _pouring(shop, plan, pair, up) for name, pair in pairs.items()}
        rows += _speeds(f"WebSocket, 64 KiB messages {word}", turns(plan, sides))
    return rows


# -- idle hosts ----------------------------------------------------------------------------------


def idle(plan: Plan, hosts: int) -> list[Row]:
    """:returns: what a registered host without viewers costs the router"""
    sides = {name: _standing(name, hosts) for name in routers() if name in makers()}
    found = turns(plan._replace(rounds=min(plan.rounds, 2)), sides)
    target = {OURS: MOST_HOST_KIB}
    return [
        Row(f"idle host: {name}", "KiB", tuple(values), target.get(name))
        for name, values in found.items()
    ]


def _standing(name: str, hosts: int) -> Callable[[], float]:
    def stand() -> float:
        with Workshop() as shop:
            (port,) = free_ports(1)
            router = routers()[name](shop, port)
            place = {"kind": "ws", "port": port}
            return kib_each(
                shop, router, lambda stem, size: enlist(shop, place, _ids(shop, stem, size)), hosts
            )

    return stand


def _ids(shop: Workshop, stem: str, count: int) -> list[tuple[str, str]]:
    return [(name, token(shop, name)) for name in (f"{stem}{n}" for n in range(count))]


IDLE = "idle"
PARTS: dict[str, Callable[[Workshop, Plan, Sides, Sequence[int]], list[Row]]] = {
    "small": small,
    "bodies": bodies,
    "beside": beside,
    "sockets": sockets,
    IDLE: lambda shop, plan, pairs, sizes: idle(plan, HOSTS),
}

# -- one side in one round -----------------------------------------------------------------------


def _asking(shop: Workshop, seconds: float, pair: Pair, count: int) -> Callable[[], Asked]:
    def ask() -> Asked:
        before = pair.web.cpu_s()
        heard = trips(shop, pair.web, seconds, count)
        used = pair.web.cpu_s() - before
        return Asked(*heard, used / (heard.per_s * seconds) * 1000)

    return ask


def _chatting(shop: Workshop, plan: Plan, pair: Pair) -> Callable[[], Trips]:
    return lambda: trips(shop, pair.socket, plan.seconds)


def _fetching(
    shop: Workshop, plan: Plan, pair: Pair, size_kib: int, up: bool
) -> Callable[[], Speed]:
    return lambda: fetched(shop, pair.web, plan.seconds, size_kib * KIB, up)


def _pouring(shop: Workshop, plan: Plan, pair: Pair, up: bool) -> Callable[[], Speed]:
    return lambda: bulk(shop, pair.socket, plan.seconds, MESSAGE_BYTES, up)


# -- rows ----------------------------------------------------------------------------------------


def _trips(what: str, results: Sequence[Trips | Asked], most_ms: float | None = None) -> list[Row]:
    return [
        Row(what, "/s", tuple(one.per_s for one in results)),
        Row(f"{what}: p50", "ms", tuple(one.p50_ms for one in results), most_ms),
        Row(f"{what}: p99", "ms", tuple(one.p99_ms for one in results)),
    ]


def _speeds(
    what: str, found: Mapping[str, Sequence[Speed]], least: float | None = None
) -> list[Row]:
    rows = [
        Row(f"{what}: {name}", "GB/s", tuple(one.gb_s for one in speeds))
        for name, speeds in found.items()
    ]
    rows += over_theirs(f"{what}: x the originals", found, lambda one: one.gb_s, least)
    processor = f"{what}: processor, x the originals'"
    return [*rows, *over_theirs(processor, found, lambda one: one.cpu_s_gb)]


if __name__ == "__main__":
    sys.exit(main())
