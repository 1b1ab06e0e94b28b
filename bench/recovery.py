"""How soon a tunnel works again after the router was gone: ``python -m bench.recovery``.

The router is killed, stays away, and is started again; measured is the time from its listening
until a byte has gone client - router - host - target and back.
"""

from __future__ import annotations

import argparse
import socket
import sys
import threading
import time
from collections.abc import Sequence

from bench.groups import Outcome, Plan
from bench.programs import LOOPBACK, Late, Workshop, free_ports, listens, wait
from bench.report import Row, add_arguments, progress, publish
from bench.targets import Service, echo

MEDIAN_S = 1.0
WORST_S = 2.5
KNOCK_S = 0.05
GIVE_UP_S = 60.0


def main() -> int:
    """Measure and print. :returns: the exit status."""
    parser = argparse.ArgumentParser("bench.recovery", description=__doc__)
    parser.add_argument("--away", type=float, nargs="+", default=[2, 10, 60], metavar="SECONDS")
    parser.add_argument("--rounds", type=int, nargs="+", default=[6, 4, 2], help="of each --away")
    parser.add_argument("--tunnels", type=int, default=5, help="measured at once")
    add_arguments(parser)
    options = parser.parse_args()
    rounds = [*options.rounds, *[options.rounds[-1]] * len(options.away)]
    rows = recovered(options.away, rounds, options.tunnels)
    return publish("recovery: from listening again to the first byte through", rows, options.json)


def measure(plan: Plan) -> Outcome:
    """:returns: what is found for short times away; the script itself has longer ones"""
    rows = recovered([2.0], [1], 3) if plan.quick else recovered([2.0, 10.0], [3, 1], 5)
    return Outcome(rows)


def recovered(away: Sequence[float], rounds: Sequence[int], tunnels: int) -> list[Row]:
    """Take the router away for so long, so often each. :returns: how long tunnels needed"""
    rows: list[Row] = []
    with Workshop() as shop:
        service = Service(echo)
        port, *doors = free_ports(1 + tunnels)
        hosts = [
            shop.tunnel("host", port, number, f"forward = tcp:{LOOPBACK}:{service.port}")
            for number in range(tunnels)
        ]
        clients = [
            shop.tunnel("client", port, number, f"listen = tcp:{door}:interface={LOOPBACK}")
            for number, door in enumerate(doors)
        ]
        router = shop.router(port)
        router.says("ready")
        shop.tunnels("host", hosts).says("ready")
        shop.tunnels("client", clients).says("ready")
        all_back(doors, time.monotonic())
        for away_s, count in zip(away, rounds, strict=False):
            times: list[float] = []
            for number in range(count):
                router.kill()
                time.sleep(away_s)
                router = shop.router(port)
                listening = wait(lambda: listens(port), "the router listening", 20)
                times += all_back(doors, listening)
                worst_s = max(times[-len(doors) :])
                progress(f"away {away_s:g} s, round {number + 1}: {worst_s:.2f} s")
                time.sleep(1.5)
            what = f"router away {away_s:g} s"
            rows.append(Row(what, "s", tuple(times), MEDIAN_S))
            rows.append(Row(what, "s", tuple(times), WORST_S, "worst"))
        service.close()
    return rows


def all_back(doors: list[int], since: float) -> list[float]:
    """:returns: for each door, the seconds until a byte came back. :raises Late:"""
    times: dict[int, float] = {}
    watchers = [
        threading.Thread(target=watch, args=(door, since, times), daemon=True) for door in doors
    ]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        watcher.join(GIVE_UP_S + 5)
    if len(times) < len(doors):
        raise Late(f"{len(doors) - len(times)} of {len(doors)} tunnels did not come back")
    return list(times.values())


def watch(door: int, since: float, times: dict[int, float]) -> None:
    """Knock again and again, not waiting for the earlier ones, until one is answered."""
    answered = threading.Event()

    def knock() -> None:
        with socket.socket() as connection:
            connection.settimeout(GIVE_UP_S)
            try:
                connection.connect((LOOPBACK, door))
                connection.sendall(b"?")
                if connection.recv(1) != b"?" or answered.is_set():
                    return
            except OSError:
                return
            times.setdefault(door, time.monotonic() - since)
            answered.set()

    end = time.monotonic() + GIVE_UP_S
    while not answered.wait(KNOCK_S) and time.monotonic() < end:
        threading.Thread(target=knock, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
