"""One-way bulk through the router with TLS on both legs: ``python -m bench.encrypted``.

Beside the plain autobahn relay under Twisted's TLS, with the same certificate.
"""

from __future__ import annotations

import shutil
import sys

from bench.bulk import SMALL, absolute, carried
from bench.groups import Outcome, Plan, run_alone, turns
from bench.lanes import Router, autobahn
from bench.programs import Workshop
from relay.measuring.figures import times

NO_HAPROXY = "TLS beside haproxy and a C relay: left out, haproxy is not installed"
NOT_YET = "TLS beside haproxy and a C relay: left out, bench/ has no relay in C"


def measure(plan: Plan) -> Outcome:
    """Measure. :returns: what was found"""
    with Workshop() as shop:
        sides = {
            "router, wss": carried(shop, plan, Router(shop, tls=True).lane(), SMALL),
            "autobahn, wss": carried(shop, plan, autobahn(shop, tls=True), SMALL),
        }
        found = turns(plan, sides)
    rows = [row for name, speeds in found.items() for row in absolute(name, speeds)]
    ours, theirs = found.values()
    rows += [
        times("TLS, x autobahn", [a.gb_s for a in ours], [b.gb_s for b in theirs], at_least=2.5),
        times(
            "TLS, processor x autobahn's",
            [a.cpu_s_gb for a in ours],
            [b.cpu_s_gb for b in theirs],
        ),
    ]
    return Outcome(rows, [NOT_YET if shutil.which("haproxy") else NO_HAPROXY])


if __name__ == "__main__":
    sys.exit(run_alone("encrypted", __doc__, measure))
