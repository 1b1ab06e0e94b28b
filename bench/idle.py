"""What an idle host costs the router: ``python -m bench.idle``.

Resident memory of the router with and without a thousand registered hosts, beside the original's
router; then as many clients come, wait unanswered, and go, again and again: memory and descriptors
must not grow.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Iterable

from bench.processes import peer
from bench.programs import Program, Workshop, free_ports, wait
from bench.report import Row, add_arguments, progress, publish
from relay.vocabulary import Role

TARGET_KIB = 12.0
LEFT_OVER_KIB = 2048.0
WARM_UP = 30
SETTLE_S = 1.0
CROWD_S = 120.0


def main() -> int:
    """Measure and print. :returns: the exit status."""
    parser = argparse.ArgumentParser("bench.idle", description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cycles", type=int, default=4, help="how often the clients come and go")
    add_arguments(parser)
    options = parser.parse_args()
    hosts: int = options.hosts
    ours: list[float] = []
    theirs: list[float] = []
    waiting: list[float] = []
    grown: list[float] = []
    leaked: list[float] = []
    for number in range(options.rounds):
        with Workshop() as shop:
            (port,) = free_ports(1)
            router = shop.router(port)
            router.says("ready")
            lounge = Lounge(shop, router, port)
            ours.append(lounge.cost_kib(hosts))
            before = router.rss_kib()
            after: list[float] = []
            for _ in range(options.cycles):
                clients = lounge.come("/connect/client/echo", Role.CLIENT, range(hosts))
                peak = router.rss_kib()
                lounge.go(clients)
                after.append(router.rss_kib())
                if len(after) == 1:
                    waiting.append((peak - before) / hosts)
            grown.append(after[-1] - after[0])
            lounge.all_go()
            leaked.append(router.descriptors() - lounge.descriptors)
            progress(f"round {number + 1}: {ours[-1]:.1f} KiB a host")
        if peer("demo-router"):
            with Workshop() as shop:
                router, port = shop.demo()
                theirs.append(Lounge(shop, router, port).cost_kib(hosts))
    rows = [Row("idle host at our router", "KiB", tuple(ours), TARGET_KIB)]
    if theirs:
        rows.append(Row("idle host at the original's router", "KiB", tuple(theirs)))
    change = f"memory grown, from the first to the last of {options.cycles} such crowds"
    rows += [
        Row("waiting client at our router, the first time", "KiB", tuple(waiting)),
        Row(change, "KiB", tuple(grown), LEFT_OVER_KIB, "worst"),
        Row("descriptors left when all have gone", "", tuple(leaked), 0, "worst"),
    ]
    return publish(f"idle: {hosts} hosts, then {hosts} waiting clients", rows, options.json)


class Lounge:
    """Crowds at one router.

    :ivar descriptors: of the router, with nobody there
    """

    def __init__(self, shop: Workshop, router: Program, port: int) -> None:
        self._shop = shop
        self._router = router
        self._port = port
        self._crowds: dict[Program, int] = {}
        self.go(self.come("/connect/host_control", Role.HOST, range(10_000, 10_000 + WARM_UP)))
        self.descriptors = router.descriptors()

    def cost_kib(self, hosts: int) -> float:
        """Let hosts come to stay. :returns: what each costs."""
        before = self._router.rss_kib()
        self.come("/connect/host_control", Role.HOST, range(hosts))
        return (self._router.rss_kib() - before) / hosts

    def come(self, path: str, role: Role, portals: Iterable[int]) -> Program:
        """:returns: a crowd, once all are in and the router has settled. :raises Late:"""
        lines = [f"{path} {self._shop.token(role, portal)}" for portal in portals]
        file = self._shop.folder / f"crowd-{secrets.token_hex(3)}"
        file.write_text("\n".join(lines))
        crowd = self._shop.module("crowd", str(self._port), str(file))
        crowd.says(f"open {len(lines)}", CROWD_S)
        time.sleep(SETTLE_S)
        self._crowds[crowd] = len(lines)
        return crowd

    def go(self, crowd: Program) -> None:
        """Let it go, and the router notice."""
        size = self._crowds.pop(crowd)
        before = self._router.descriptors()
        crowd.process.terminate()
        crowd.process.wait()
        wait(
            lambda: self._router.descriptors() <= before - size,
            f"the router letting go of {size} links",
            CROWD_S,
        )
        time.sleep(SETTLE_S)

    def all_go(self) -> None:
        """Let all go."""
        for crowd in tuple(self._crowds):
            self.go(crowd)


if __name__ == "__main__":
    sys.exit(main())
