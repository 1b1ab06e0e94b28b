"""A reader that stops: ``python -m bench.stalled``.

Bulk is offered to the router while nobody reads at the other end: what does its memory grow by?
Then all is read, and every byte must be there.
"""

from __future__ import annotations

import sys
import time

from bench.bulk import SMALL
from bench.groups import Outcome, Plan, run_alone, turns
from bench.lanes import Router
from bench.programs import Workshop
from bench.report import Row
from relay.measuring.frames import UNIT_BYTES
from relay.measuring.runs import SPARE_S, Inexact, Way, bulk, load, told

MIB = 1024 * 1024
GROWTH_MIB = 2.0
STALL_S = 1.5
WARM_UP_S = 0.5
OFFERED_UNITS = 256
SAMPLE_S = 0.02


def measure(plan: Plan) -> Outcome:
    """Measure. :returns: what was found"""
    with Workshop() as shop:
        router = Router(shop)
        way = router.way(1)
        bulk(shop, way, WARM_UP_S, SMALL)
        grown = turns(plan, {"router": lambda: stalled_once(shop, way)})["router"]
    offered = OFFERED_UNITS * UNIT_BYTES // MIB
    note = f"{offered} MiB offered for {STALL_S:g} s, then read: nothing lost"
    values = tuple(grown)
    return Outcome([Row("router, memory grown", "MiB", values, GROWTH_MIB, "worst", note)])


def stalled_once(shop: Workshop, way: Way) -> float:
    """:returns: MiB that the router grew by. :raises Inexact: when something was lost"""
    (router,) = way.programs
    base = router.rss_kib()
    job = {"do": "take", "place": way.far, "framed": True, "stall_s": STALL_S}
    taker = load(shop, job)
    told(taker, "ready")
    job = {"do": "send", "place": way.near, "message_bytes": SMALL, "units": OFFERED_UNITS}
    sender = load(shop, job)
    told(taker, "stalled")
    most = base
    while taker.is_running():  # it ends once it has read all
        most = max(most, router.rss_kib())
        time.sleep(SAMPLE_S)
    took = told(taker, "took", SPARE_S)
    shop.end(sender, taker)
    if not took["exact"] or took["took"] != (OFFERED_UNITS + 1) * UNIT_BYTES:
        raise Inexact(f"{took['took']} bytes came, or not the same")
    return (most - base) / 1024


if __name__ == "__main__":
    sys.exit(run_alone("stalled", __doc__, measure))
