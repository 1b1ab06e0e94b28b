"""What an idle host costs the router: ``python -m bench.idle``.

Resident memory of the router with and without a thousand registered hosts, plain and over TLS,
beside the original's router; then as many clients come, wait unanswered, and go, again and again:
memory and descriptors must not grow.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable

from bench.groups import Outcome, Plan
from bench.processes import peer
from bench.programs import Program, Workshop, free_ports, wait
from bench.report import Row, add_arguments, progress, publish
from relay.measuring.places import Place
from relay.measuring.runs import hold
from relay.vocabulary import Role

TARGET_KIB = 1.5
TLS_TARGET_KIB = 36.0
LEFT_OVER_KIB = 2048.0
WARM_UP = 30
SETTLE_S = 1.0
LEAVE_S = 120.0
HOSTS = 1000
CYCLES = 4
QUICK_HOSTS = 300


def main() -> int:
    """Measure and print. :returns: the exit status."""
    parser = argparse.ArgumentParser("bench.idle", description=__doc__)
    parser.add_argument("--hosts", type=int, default=HOSTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cycles", type=int, default=CYCLES, help="of clients that come and go")
    add_arguments(parser)
    options = parser.parse_args()
    hosts: int = options.hosts
    rows = idled(hosts, options.rounds, options.cycles)
    return publish(f"idle: {hosts} hosts, then {hosts} waiting clients", rows, options.json)


def measure(plan: Plan) -> Outcome:
    """:returns: what is found in a few rounds"""
    return Outcome(idled(QUICK_HOSTS, 1, 2) if plan.quick else idled(HOSTS, 2, 3))


def idled(hosts: int, rounds: int, cycles: int) -> list[Row]:
    """Let hosts come to stay, and clients come and go. :returns: what they cost"""
    ours: list[float] = []
    secure: list[float] = []
    theirs: list[float] = []
    waiting: list[float] = []
    grown: list[float] = []
    leaked: list[float] = []
    for number in range(rounds):
        with Workshop() as shop:
            lounge = Lounge(shop, *our_router(shop))
            ours.append(lounge.cost_kib(hosts))
            before = lounge.router.rss_kib()
            after: list[float] = []
            for _ in range(cycles):
                clients = lounge.come("/connect/client/echo", Role.CLIENT, range(hosts))
                peak = lounge.router.rss_kib()
                lounge.go(clients)
                after.append(lounge.router.rss_kib())
                if len(after) == 1:
                    waiting.append((peak - before) / hosts)
            grown.append(after[-1] - after[0])
            lounge.all_go()
            leaked.append(lounge.router.descriptors() - lounge.descriptors)
            progress(f"round {number + 1}: {ours[-1]:.1f} KiB a host")
        with Workshop() as shop:
            router, place = our_router(shop, tls=True)
            secure.append(Lounge(shop, router, place).cost_kib(hosts))
        if peer("demo-router"):
            with Workshop() as shop:
                router, port = shop.demo()
                place = {"kind": "ws", "port": port}
                theirs.append(Lounge(shop, router, place).cost_kib(hosts))
    rows = [
        Row("idle host at our router", "KiB", tuple(ours), TARGET_KIB),
        Row("idle host at our router, TLS", "KiB", tuple(secure), TLS_TARGET_KIB),
    ]
    if theirs:
        rows.append(Row("idle host at the original's router", "KiB", tuple(theirs)))
    change = f"memory grown, from the first to the last of {cycles} such crowds"
    return [
        *rows,
        Row("waiting client at our router, the first time", "KiB", tuple(waiting)),
        Row(change, "KiB", tuple(grown), LEFT_OVER_KIB, "worst"),
        Row("descriptors left when all have gone", "", tuple(leaked), 0, "worst"),
    ]


def our_router(shop: Workshop, tls: bool = False) -> tuple[Program, Place]:
    """:returns: our router, and the place to knock at."""
    (port,) = free_ports(1)
    router = shop.router(port, tls=tls)
    router.says("ready")
    place: Place = {"kind": "ws", "port": port}
    if tls:
        place["ca"] = str(shop.certificate)
    return router, place


class Lounge:
    """Crowds at one router.

    :ivar descriptors: of the router, with nobody there
    """

    def __init__(self, shop: Workshop, router: Program, place: Place) -> None:
        self._shop = shop
        self.router = router
        self._place = place
        self._crowds: dict[Program, int] = {}
        self.go(self.come("/connect/host_control", Role.HOST, range(10_000, 10_000 + WARM_UP)))
        self.descriptors = router.descriptors()

    def cost_kib(self, hosts: int) -> float:
        """Let hosts come to stay. :returns: what each costs."""
        before = self.router.rss_kib()
        self.come("/connect/host_control", Role.HOST, range(hosts))
        return (self.router.rss_kib() - before) / hosts

    def come(self, path: str, role: Role, portals: Iterable[int]) -> Program:
        """:returns: a crowd, once all are in and the router has settled. :raises Late:"""
        links = [(path, self._shop.token(role, portal)) for portal in portals]
        crowd = hold(self._shop, self._place, links)
        time.sleep(SETTLE_S)
        self._crowds[crowd] = len(links)
        return crowd

    def go(self, crowd: Program) -> None:
        """Let it go, and the router notice."""
        size = self._crowds.pop(crowd)
        before = self.router.descriptors()
        self._shop.end(crowd)
        wait(
            lambda: self.router.descriptors() <= before - size,
            f"the router letting go of {size} links",
            LEAVE_S,
        )
        time.sleep(SETTLE_S)

    def all_go(self) -> None:
        """Let all go."""
        for crowd in tuple(self._crowds):
            self.go(crowd)


if __name__ == "__main__":
    sys.exit(main())
