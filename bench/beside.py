"""Interactive streams beside one bulk transfer through the same relay: ``python -m bench.beside``.

64 streams ask 64 bytes every 50 ms each, alone and then beside bulk of 64 KiB messages; their p50
and p99 say how much the bulk holds them up. The wait counts from when a question was due.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from bench.bulk import SMALL
from bench.groups import Outcome, Plan, run_alone, turns
from bench.lanes import Router, at, behind, direct
from bench.programs import Workshop, free_ports
from bench.report import Row
from relay.measuring.figures import times
from relay.measuring.runs import Trips, Way, paced, paced_beside

STREAMS = 64
EVERY_S = 0.05
MOST = 5.0


def measure(plan: Plan) -> Outcome:
    """Measure. :returns: what was found"""
    with Workshop() as shop:
        router = Router(shop)
        ours = (router.way(1), router.way(2))
        theirs = two_forwards(shop)

        with direct()() as nothing:
            pass

        def alone(way: Way) -> Callable[[], Trips]:
            return lambda: paced(shop, way, plan.seconds, STREAMS, EVERY_S)

        def pressed(way: Way, busy: Way) -> Callable[[], Trips]:
            size = SMALL if busy.framed else 0
            return lambda: paced_beside(shop, way, plan.seconds, STREAMS, EVERY_S, busy, size)

        found = turns(
            plan,
            {
                "nothing between, alone": alone(nothing),
                "router, alone": alone(ours[0]),
                "router, beside bulk": pressed(*ours),
                "portforward, alone": alone(theirs[0]),
                "portforward, beside bulk": pressed(*theirs),
            },
        )
    rows = []
    for name, results in found.items():
        rows.append(Row(f"{name}: p50", "ms", tuple(one.p50_ms for one in results)))
        rows.append(Row(f"{name}: p99", "ms", tuple(one.p99_ms for one in results)))
    for name, most in (("router", MOST), ("portforward", None)):
        beside, by_itself = found[f"{name}, beside bulk"], found[f"{name}, alone"]
        for member in ("p50_ms", "p99_ms"):
            what = f"{name}: {member[:3]} beside bulk, x alone"
            late, usual = ([getattr(one, member) for one in side] for side in (beside, by_itself))
            at_most = most if member == "p99_ms" else None
            note = "a stretch" if at_most else ""
            rows.append(times(what, late, usual, at_most=at_most, note=note))
    return Outcome(rows)


def two_forwards(shop: Workshop) -> tuple[Way, Way]:
    """:returns: two ways through one portforward process."""
    ports = free_ports(4)
    program = shop.forward(*ports)
    ways = zip(ports[::2], ports[1::2], strict=True)
    one, other = (Way(at(near), behind(far), False, (program,)) for near, far in ways)
    return one, other


if __name__ == "__main__":
    sys.exit(run_alone("beside", __doc__, measure))
