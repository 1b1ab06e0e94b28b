"""Handshakes with a JWT: ``python -m bench.handshakes``.

Hosts register and leave, each handshake with a token of another portal, sixteen at once, at our
router and at a plain autobahn server that does ``jwt.decode`` in ``onConnect`` and nothing more.
"""

from __future__ import annotations

import sys

from bench.groups import Outcome, Plan, run_alone, turns
from bench.lanes import Router
from bench.programs import Workshop, free_ports
from bench.report import Row
from relay.measuring.figures import times
from relay.measuring.places import Place
from relay.measuring.runs import knocks
from relay.vocabulary import Role

TOKENS = 64
AT_ONCE = 16
LEAST = 2.0


def measure(plan: Plan) -> Outcome:
    """Measure. :returns: what was found"""
    with Workshop() as shop:
        router = Router(shop)
        (port,) = free_ports(1)
        secret = str(shop.folder / "portal.secret")
        shop.module("autobahn_server", str(port), "--secret", secret).says("listening")
        tokens = [shop.token(Role.HOST, number) for number in range(TOKENS)]
        links = [("/connect/host_control", token) for token in tokens]

        def rate(port: int) -> float:
            place: Place = {"kind": "ws", "port": port}
            return knocks(shop, place, links, plan.seconds, AT_ONCE)

        sides = {"router": lambda: rate(router.port), "autobahn": lambda: rate(port)}
        found = turns(plan, sides)
    rows = [Row(name, "handshakes/s", tuple(values)) for name, values in found.items()]
    ours, theirs = found.values()
    rows.append(times("router, x autobahn", ours, theirs, at_least=LEAST, note="stretch 2.5"))
    return Outcome(rows)


if __name__ == "__main__":
    sys.exit(run_alone("handshakes", __doc__, measure))
