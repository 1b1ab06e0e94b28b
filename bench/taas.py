"""Pairs of raw connections through a taas server: ``python -m bench.taas``.

A hidden connection waits at the port that its registration was answered with, a caller follows a
redirect; what the caller sends is counted and compared where the hidden one takes it. A socat with
buffers of the same size, and the original's server, stand beside ours in the same round.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from bench.bulk import NO_SOCAT, carried
from bench.groups import Outcome, Plan, add_plan, read_plan, turns
from bench.lanes import has_socat, socats, standing
from bench.originals import OURS, THEIRS, kib_each, over_theirs
from bench.programs import Program, Workshop
from bench.rendezvous_relays import NO_ORIGINAL, Maker, Server, makers
from bench.report import Row, progress, publish
from relay.measuring.figures import times
from relay.measuring.runs import HOLD_S, SPARE_S, Speed, load, told

SOCAT = "socat"
MB_IN_GB = 1000.0
LEAST_RAW, MOST_PROCESSOR = 1.25, 0.4
POOL = 15
"""Hidden connections that wait at a time, as those of the steward do."""

AT_ONCE = 4
WAITING, QUICK_WAITING = 900, 300
FIRST_ID, OTHER_IDS = 0, 10
"""Whose labels are used: those of the first who come to stay, and the others'."""

Sides = Mapping[str, Server]


class Called(NamedTuple):
    """What became of calls.

    :ivar redirected_ms: median until the redirect was followed
    :ivar p50_ms: until the answer's first bytes
    :ivar drained: share of connections that an empty queue ended, in percent
    """

    per_s: float
    redirected_ms: float
    p50_ms: float
    p99_ms: float
    drained: float


def main() -> int:
    """Measure and print. :returns: the exit status"""
    parser = argparse.ArgumentParser("bench.taas", description=__doc__)
    add_plan(parser)
    parser.add_argument("--waiting", type=int, help=f"that are idle; default: {WAITING}")
    parser.add_argument("--sides", nargs="+", choices=(OURS, THEIRS), help="default: both")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    options = parser.parse_args()
    sides = {name: make for name, make in makers().items() if name in (options.sides or makers())}
    outcome = measured(read_plan(options), options.only or tuple(PARTS), sides, options.waiting)
    return publish("taas", outcome.rows, options.json, outcome.left)


def measure(plan: Plan) -> Outcome:
    """Measure. :returns: what was found"""
    return measured(plan, tuple(PARTS), makers())


def measured(
    plan: Plan, parts: Sequence[str], sides: Mapping[str, Maker], waiting: int | None = None
) -> Outcome:
    """Measure some parts. :returns: what was found"""
    rows: list[Row] = []
    for part in parts:
        progress(part)
        if part == IDLE:
            rows += idle(plan, sides, waiting)
            continue
        with Workshop() as shop:
            rows += PARTS[part](shop, plan, {name: make(shop) for name, make in sides.items()})
    left = [] if has_socat() else [NO_SOCAT]
    return Outcome(rows, left if THEIRS in makers() else [*left, NO_ORIGINAL])


# -- parts ---------------------------------------------------------------------------------------


def raw(shop: Workshop, plan: Plan, sides: Sides) -> list[Row]:
    """:returns: bulk from the caller to the hidden connection"""

    ways = {name: server.way(FIRST_ID) for name, server in sides.items()}
    runs = {name: carried(shop, plan, standing(way)) for name, way in ways.items()}
    if has_socat():
        runs[SOCAT] = carried(shop, plan, socats(shop, 1))
    found = turns(plan, runs)
    rows: list[Row] = []
    for name, speeds in found.items():
        rows += [
            Row(f"raw copy: {name}", "MB/s", tuple(one.gb_s * MB_IN_GB for one in speeds)),
            Row(f"raw copy: {name}, processor", "s/GB", tuple(one.cpu_s_gb for one in speeds)),
            Row(f"raw copy: {name}, loads'", "s/GB", tuple(one.loads_s_gb for one in speeds)),
        ]
    if {OURS, SOCAT} <= found.keys():
        rows += _beside_socat(found[OURS], found[SOCAT])
    return [*rows, *over_theirs("raw copy: x the original", found, lambda one: one.gb_s)]


def _beside_socat(ours: Sequence[Speed], socat: Sequence[Speed]) -> list[Row]:
    speed, their_speed = ([one.gb_s for one in side] for side in (ours, socat))
    used, they_used = ([one.cpu_s_gb for one in side] for side in (ours, socat))
    return [
        times("raw copy: x socat", speed, their_speed, at_least=LEAST_RAW),
        times("raw copy: processor, x socat's", used, they_used, at_most=MOST_PROCESSOR),
    ]


def calls(at_once: int, what: str) -> Callable[[Workshop, Plan, Sides], list[Row]]:
    """:returns: what measures calls, each a redirect, a connection and one question"""

    def part(shop: Workshop, plan: Plan, sides: Sides) -> list[Row]:
        def ring(server: Server) -> Callable[[], Called]:
            return lambda: _called(shop, server, plan.seconds, at_once)

        found = turns(plan, {name: ring(server) for name, server in sides.items()})
        rows: list[Row] = []
        for name, results in found.items():
            rows += [
                Row(f"{what}: {name}", "/s", tuple(one.per_s for one in results)),
                Row(f"{what}: {name}, redirect", "ms", tuple(one.redirected_ms for one in results)),
                Row(f"{what}: {name}, first byte", "ms", tuple(one.p50_ms for one in results)),
                Row(f"{what}: {name}, p99", "ms", tuple(one.p99_ms for one in results)),
                Row(f"{what}: {name}, found nobody", "%", tuple(one.drained for one in results)),
            ]
        return [*rows, *over_theirs(f"{what}: x the original", found, lambda one: one.per_s)]

    return part


def _called(shop: Workshop, server: Server, seconds: float, at_once: int) -> Called:
    attendant = load(shop, {"do": "attend", "place": server.hidden(FIRST_ID), "count": POOL})
    told(attendant, "ready")
    job = {"do": "call", "place": server.mobile(FIRST_ID), "seconds": seconds, "at_once": at_once}
    caller = load(shop, job)
    heard = told(caller, "count", seconds + SPARE_S)
    shop.end(caller, attendant)
    count = heard["count"]
    lost = 100 * heard["drained"] / max(1, count + heard["drained"])
    times_ms = (heard["redirected_ms"], heard["p50_ms"], heard["p99_ms"])
    return Called(count / heard["seconds"], *times_ms, lost)


def idle(plan: Plan, sides: Mapping[str, Maker], waiting: int | None = None) -> list[Row]:
    """:returns: what a hidden connection that waits costs the server"""
    count = waiting or (QUICK_WAITING if plan.quick else WAITING)

    def stand(make: Maker) -> Callable[[], float]:
        def cost() -> float:
            with Workshop() as shop:
                server = make(shop)

                def come(stem: str, size: int) -> Program:
                    start = FIRST_ID if stem == "first" else OTHER_IDS
                    ids = range(start, start + -(-size // POOL))
                    places = [server.hidden(number) for number in ids]
                    crowd = load(shop, {"do": "wait", "places": places, "count": POOL})
                    told(crowd, "open", HOLD_S)
                    return crowd

                return kib_each(shop, server.program, come, count)

        return cost

    rounds = plan._replace(rounds=min(plan.rounds, 2))
    found = turns(rounds, {name: stand(make) for name, make in sides.items()})
    return [Row(f"idle responder: {name}", "KiB", tuple(values)) for name, values in found.items()]


IDLE = "idle"
PARTS: dict[str, Callable[[Workshop, Plan, Sides], list[Row]]] = {
    "raw": raw,
    "latency": calls(1, "one call after the other"),
    "sessions": calls(AT_ONCE, f"{AT_ONCE} calls at once"),
    IDLE: lambda shop, plan, sides: [],
}

if __name__ == "__main__":
    sys.exit(main())
