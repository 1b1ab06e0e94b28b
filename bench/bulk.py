"""One-way bulk through the router process alone: ``python -m bench.bulk``.

The loads play a portal's client and host; between them stands our router, or a relay that somebody
might use instead. What arrives is counted and compared. The first rows have nothing in between: as
long as they are far above the others, the loads are not what is measured.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial

from bench.groups import Outcome, Plan, run_alone, turns
from bench.lanes import Lane, Router, autobahn, direct, forwards, has_socat, raw, socats
from bench.programs import Workshop
from bench.report import Row
from relay.measuring.figures import times
from relay.measuring.runs import Speed, bulk

SMALL = 64 * 1024
LARGE = 256 * 1024
NO_SOCAT = "beside socat: left out, socat is not installed"


def measure(plan: Plan) -> Outcome:
    """Measure. :returns: what was found"""
    with Workshop() as shop:
        run = partial(carried, shop, plan)
        router = Router(shop).lane()
        nothing = direct()
        sides = {
            "nothing between, TCP": run(nothing),
            "nothing between, 64 KiB messages": run(nothing, SMALL),
            "router, 64 KiB messages": run(router, SMALL),
            "router, 256 KiB messages": run(router, LARGE),
            "portforward": run(forwards(shop, 1)),
            "local streams": run(raw(shop)),
            "autobahn, 64 KiB messages": run(autobahn(shop), SMALL),
        }
        if has_socat():
            sides["socat"] = run(socats(shop, 1))
        found = turns(plan, sides)
    rows = [row for name, speeds in found.items() for row in absolute(name, speeds)]
    rows += compared(found)
    return Outcome(rows, [] if has_socat() else [NO_SOCAT])


def carried(
    shop: Workshop, plan: Plan, lane: Lane, message_bytes: int = 0, up: bool = True
) -> Callable[[], Speed]:
    """:returns: what measures the lane once."""

    def once() -> Speed:
        with lane() as way:
            return bulk(shop, way, plan.seconds, message_bytes, up)

    return once


def absolute(name: str, speeds: Sequence[Speed]) -> list[Row]:
    """:returns: rows without a target: machines differ, and this one from hour to hour."""
    rows = [Row(name, "GB/s", tuple(speed.gb_s for speed in speeds))]
    used = tuple(speed.cpu_s_gb for speed in speeds)
    if any(used):
        rows.append(Row(f"{name}: processor", "s/GB", used))
    else:
        loads = tuple(speed.loads_s_gb for speed in speeds)
        rows.append(Row(f"{name}: processor of both loads", "s/GB", loads))
    return rows


def compared(found: dict[str, list[Speed]]) -> list[Row]:
    """:returns: our router beside the others."""
    speed = {name: [one.gb_s for one in speeds] for name, speeds in found.items()}
    used = {name: [one.cpu_s_gb for one in speeds] for name, speeds in found.items()}
    small, large = "router, 64 KiB messages", "router, 256 KiB messages"
    plain = "autobahn, 64 KiB messages"
    rows = []
    if "socat" in found:
        rows += [
            times("64 KiB, x socat", speed[small], speed["socat"], at_least=0.75),
            times("256 KiB, x socat", speed[large], speed["socat"], at_least=0.9),
            times("64 KiB, processor x socat's", used[small], used["socat"]),
            times("256 KiB, processor x socat's", used[large], used["socat"]),
            times("local streams, x socat", speed["local streams"], speed["socat"], at_least=1.25),
            times(
                "local streams, processor x socat's",
                used["local streams"],
                used["socat"],
                at_most=0.4,
            ),
        ]
    return [
        *rows,
        times("64 KiB, x portforward", speed[small], speed["portforward"], at_least=1.4),
        times("256 KiB, x portforward", speed[large], speed["portforward"], at_least=1.8),
        times("64 KiB, x autobahn", speed[small], speed[plain], at_least=4.5),
    ]


if __name__ == "__main__":
    sys.exit(run_alone("bulk", __doc__, measure))
