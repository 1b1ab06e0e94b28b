"""Short connections: ``python -m bench.short``.

Connect, ask 64 bytes, hear the answer, close, eight at once, through client, router and host,
beside three portforwards.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from bench.groups import Outcome, Plan, run_alone, turns
from bench.lanes import Lane, direct, forwards, tunnel
from bench.programs import Workshop
from bench.report import Row
from relay.measuring.figures import times
from relay.measuring.runs import visits

AT_ONCE = 8
PROGRAMS = 3
LEAST = 1.0


def measure(plan: Plan) -> Outcome:
    """Measure. :returns: what was found"""
    with Workshop() as shop:

        def visited(lane: Lane) -> Callable[[], float]:
            def once() -> float:
                with lane() as way:
                    return visits(shop, way, plan.seconds, AT_ONCE)

            return once

        sides = {
            "nothing between": visited(direct()),
            "relay": visited(tunnel(shop)),
            "3 portforwards": visited(forwards(shop, PROGRAMS)),
        }
        found = turns(plan, sides)
    rows = [Row(name, "connections/s", tuple(values)) for name, values in found.items()]
    relay, forward = found["relay"], found["3 portforwards"]
    return Outcome([*rows, times("relay, x 3 portforwards", relay, forward, at_least=LEAST)])


if __name__ == "__main__":
    sys.exit(run_alone("short", __doc__, measure))
