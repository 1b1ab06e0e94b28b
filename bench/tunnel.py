"""From TCP to TCP through client, router and host: ``python -m bench.tunnel``.

Beside a chain of three socats, of three portforwards, and the originals' three programs. What
arrives is counted and compared, up (the user sends) and down (the service does).
"""

from __future__ import annotations

import sys

from bench.bulk import NO_SOCAT, absolute, carried
from bench.groups import Outcome, Plan, run_alone, turns
from bench.lanes import Lane, forwards, has_socat, originals, socats, tunnel
from bench.processes import PEERS_VARIABLE
from bench.programs import Workshop
from relay.measuring.figures import times

PROGRAMS = 3
TARGETS = {
    "3 socats": (1.0, "stretch 1.25"),
    "3 portforwards": (None, ""),
    "the originals": (1.15, ""),
}
"""The least ratio, and more that would be good to have."""

NO_ORIGINALS = f"beside the originals: left out, {PEERS_VARIABLE} names no folder that has them"


def measure(plan: Plan) -> Outcome:
    """Measure. :returns: what was found"""
    rows, left = [], []
    with Workshop() as shop:
        lanes: dict[str, Lane] = {"relay": tunnel(shop)}
        if has_socat():
            lanes["3 socats"] = socats(shop, PROGRAMS)
        else:
            left.append(NO_SOCAT)
        lanes["3 portforwards"] = forwards(shop, PROGRAMS)
        if theirs := originals(shop):
            lanes["the originals"] = theirs
        else:
            left.append(NO_ORIGINALS)
        for up, word in ((True, "up"), (False, "down")):
            sides = {name: carried(shop, plan, lane, up=up) for name, lane in lanes.items()}
            found = turns(plan, sides)
            speed = {name: [one.gb_s for one in speeds] for name, speeds in found.items()}
            used = {name: [one.cpu_s_gb for one in speeds] for name, speeds in found.items()}
            for name, speeds in found.items():
                rows += absolute(f"{word}: {name}", speeds)
            for name in found:
                if name != "relay":
                    what = f"{word}: relay, x {name}"
                    least, note = TARGETS[name]
                    rows.append(times(what, speed["relay"], speed[name], least, note=note))
            if "3 socats" in found:
                what = f"{word}: relay, processor x 3 socats'"
                rows.append(times(what, used["relay"], used["3 socats"]))
    return Outcome(rows, left)


if __name__ == "__main__":
    sys.exit(run_alone("tunnel", __doc__, measure))
