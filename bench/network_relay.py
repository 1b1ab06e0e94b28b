"""Calls through router, agent and client of network-relay: ``python -m bench.network_relay``.

A user's bytes enter at a client's standard input, as ssh's ProxyCommand gives them, and leave at a
service beside the agent, and the other way round; every byte is compared. The originals stand
beside ours in the same round.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from bench.groups import Outcome, Plan, add_plan, read_plan, turns
from bench.originals import FIRST, OURS, THEIRS, kib_each, over_theirs
from bench.programs import Program, Workshop, free_ports
from bench.report import Row, progress, publish
from bench.trios import NO_ORIGINALS, Trio, makers, routers
from relay.measuring.figures import ratios
from relay.measuring.runs import Speed, Trips, Way, bulk, enrol, paced, paced_beside_stalled, trips

LEAST_BULK, LEAST_TRIPS = 20.0, 2.0
MOST_LATE, MOST_AGENT_KIB = 5.0, 12.0
EVERY_S = 0.01
LEAST_PACED_S, QUICK_PACED_S = 4.0, 1.5
"""So long a user types at each turn: a p99 needs some hundred questions."""

AGENTS, QUICK_AGENTS = 500, 100
MB_IN_GB = 1000.0
DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
"""What the originals' agents offer."""

BINARY = {"X-Relay-Network-Relay": "binary"}
"""What ours offer."""

Sides = Mapping[str, Trio]


def main() -> int:
    """Measure and print. :returns: the exit status"""
    parser = argparse.ArgumentParser("bench.network_relay", description=__doc__)
    add_plan(parser)
    parser.add_argument("--agents", type=int, help=f"that are idle; default: {AGENTS}")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    options = parser.parse_args()
    outcome = measured(read_plan(options), options.only or tuple(PARTS), options.agents)
    return publish("network-relay", outcome.rows, options.json, outcome.left)


def measure(plan: Plan) -> Outcome:
    """Measure. :returns: what was found"""
    return measured(plan, tuple(PARTS))


def measured(plan: Plan, parts: Sequence[str], agents: int | None = None) -> Outcome:
    """Measure some parts. :returns: what was found"""
    rows: list[Row] = []
    for part in parts:
        progress(part)
        if part == IDLE:
            rows += idle(plan, agents)
            continue
        with Workshop() as shop:
            rows += PARTS[part](shop, plan, {name: make(shop) for name, make in makers().items()})
    return Outcome(rows, () if THEIRS in makers() else (NO_ORIGINALS,))


# -- parts ---------------------------------------------------------------------------------------


def throughput(shop: Workshop, plan: Plan, trios: Sides) -> list[Row]:
    """:returns: bulk each way; the slower ones carry less, as they have no more time"""
    rows: list[Row] = []
    for up, word in ((False, "download"), (True, "upload")):

        def pour(way: Way, up: bool = up) -> Callable[[], Speed]:
            return lambda: bulk(shop, way, plan.seconds, up=up)

        sides = {name: pour(trio.way()) for name, trio in trios.items()}
        sides[f"{OURS}, a client that listens"] = pour(trios[OURS].door_way())
        found = turns(plan, sides)
        for name, speeds in found.items():
            values = tuple(one.gb_s * MB_IN_GB for one in speeds)
            rows.append(Row(f"{word}: {name}", "MB/s", values))
        rows += over_theirs(f"{word}: x the originals", found, lambda one: one.gb_s, LEAST_BULK)
        processor = f"{word}: processor, x the originals'"
        rows += over_theirs(processor, found, lambda one: one.cpu_s_gb)
    return rows


def round_trips(shop: Workshop, plan: Plan, trios: Sides) -> list[Row]:
    """:returns: 64 bytes to and fro, each asked as soon as the one before is answered"""

    def ask(trio: Trio) -> Callable[[], Trips]:
        return lambda: trips(shop, trio.way(), plan.seconds)

    what = "64 bytes to and fro"
    found = turns(plan, {name: ask(trio) for name, trio in trios.items()})
    rows: list[Row] = []
    for name, results in found.items():
        rows.append(Row(f"{what}: {name}", "/s", tuple(one.per_s for one in results)))
        rows.append(Row(f"{what}: {name}, median", "ms", tuple(one.p50_ms for one in results)))
    what += ": x the originals"
    return [*rows, *over_theirs(what, found, lambda one: one.per_s, LEAST_TRIPS)]


def stalled(shop: Workshop, plan: Plan, trios: Sides) -> list[Row]:
    """:returns: a user who types, alone and beside a download of the same agent that stands still

    The sender of that download goes on for as long as anybody takes what it sends.
    """
    seconds = QUICK_PACED_S if plan.quick else max(plan.seconds, LEAST_PACED_S)

    def alone(trio: Trio) -> Callable[[], Trips]:
        return lambda: paced(shop, trio.way(), seconds, 1, EVERY_S)

    def beside(trio: Trio) -> Callable[[], Trips]:
        return lambda: paced_beside_stalled(shop, trio.way(), seconds, 1, EVERY_S, trio.way(1))

    sides: dict[str, Callable[[], Trips]] = {}
    for name, trio in trios.items():
        sides[f"{name}, quiet"] = alone(trio)
        sides[f"{name}, beside a stalled download"] = beside(trio)
    found = turns(plan, sides)
    rows = [
        Row(
            f"a key each {EVERY_S * 1000:g} ms: {name}, p99", "ms", tuple(r.p99_ms for r in results)
        )
        for name, results in found.items()
    ]
    for name in trios:
        quiet, late = (found[f"{name}, {when}"] for when in ("quiet", "beside a stalled download"))
        values = ratios([one.p99_ms for one in late], [one.p99_ms for one in quiet])
        target = MOST_LATE if name == OURS else None
        rows.append(Row(f"{name}: p99 beside a stalled download, x quiet", "x", values, target))
    return rows


def idle(plan: Plan, agents: int | None = None) -> list[Row]:
    """:returns: what a registered agent without calls costs the router"""
    count = agents or (QUICK_AGENTS if plan.quick else AGENTS)
    crowds = {OURS: {"": BINARY, ", agents of the originals'": DEFLATE}}
    if THEIRS in makers():
        crowds[THEIRS] = {"": DEFLATE, ", no compression": {}}
    sides = {
        f"{name}{kind}": _standing(name, count, headers)
        for name, kinds in crowds.items()
        for kind, headers in kinds.items()
    }
    found = turns(plan._replace(rounds=min(plan.rounds, 2)), sides)
    return [
        Row(
            f"idle agent: {name}",
            "KiB",
            tuple(values),
            MOST_AGENT_KIB if name.startswith(OURS) else None,
        )
        for name, values in found.items()
    ]


def _standing(name: str, count: int, headers: Mapping[str, str]) -> Callable[[], float]:
    def stand() -> float:
        with Workshop() as shop:
            (port,) = free_ports(1)
            names = [*_names("first", FIRST), *_names("then", count)]
            router = routers()[name](shop, port, dict.fromkeys(names, shop.secret))
            place = {"kind": "ws", "port": port}

            def come(stem: str, size: int) -> Program:
                agents = [(agent, shop.secret) for agent in _names(stem, size)]
                return enrol(shop, place, agents, headers)

            return kib_each(shop, router, come, count)

    return stand


def _names(stem: str, count: int) -> list[str]:
    return [f"{stem}{number}" for number in range(count)]


IDLE = "idle"
PARTS: dict[str, Callable[[Workshop, Plan, Sides], list[Row]]] = {
    "throughput": throughput,
    "trips": round_trips,
    "stalled": stalled,
    IDLE: lambda shop, plan, trios: idle(plan),
}

if __name__ == "__main__":
    sys.exit(main())
