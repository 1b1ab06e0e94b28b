"""Questions and answers of 64 bytes through the router: ``python -m bench.small``.

One pair of connections and 64 pairs, each asking again as soon as it is answered; then a question
that is written in two parts, which shows whether anybody holds back the second for an
acknowledgement of the first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from bench.groups import Outcome, Plan, run_alone, turns
from bench.lanes import Lane, Router, autobahn, direct, forwards
from bench.programs import Workshop
from bench.report import Row
from relay.measuring.figures import times
from relay.measuring.runs import Trips, trips

MANY = 64
TARGETS = {1: 1.2, MANY: 1.6}
IN_PARTS_MS = 1.0
MS = 1000
SHARE = 0.5
"""Of the plan's seconds: thousands of trips fit into less."""


def measure(plan: Plan) -> Outcome:
    """Measure. :returns: what was found"""
    rows: list[Row] = []
    with Workshop() as shop:
        lanes = {
            "nothing between": direct(),
            "router": Router(shop).lane(),
            "portforward": forwards(shop, 1),
            "autobahn": autobahn(shop),
        }
        for count, target in TARGETS.items():
            what = f"{count} pair{'s' if count > 1 else ''}"
            sides = {name: asked(shop, plan, lane, count) for name, lane in lanes.items()}
            results = turns(plan, sides).items()
            rate = {name: tuple(one.per_s for one in found) for name, found in results}
            for name, values in rate.items():
                rows.append(Row(f"{what}: {name}", "trips/s", values))
            for name in ("portforward", "autobahn"):
                least = target if name == "portforward" else None
                rows.append(times(f"{what}: router, x {name}", rate["router"], rate[name], least))
        parts = {name: asked(shop, plan, lane, 1, 2) for name, lane in lanes.items()}
        for name, found in turns(plan, parts).items():
            # the mean: an acknowledgement that is waited for now and then does not show in a median
            values = tuple(MS / one.per_s for one in found)
            most = IN_PARTS_MS if name == "router" else None
            rows.append(Row(f"written in two parts: {name}, mean", "ms", values, most))
    return Outcome(rows)


def asked(
    shop: Workshop, plan: Plan, lane: Lane, count: int, pieces: int = 1
) -> Callable[[], Trips]:
    """:returns: what asks once for as long as the plan says."""

    def once() -> Trips:
        with lane() as way:
            return trips(shop, way, plan.seconds * SHARE, count, pieces)

    return once


if __name__ == "__main__":
    sys.exit(run_alone("small", __doc__, measure))
