"""Is the end there when a transfer ends with a close? ``python -m bench.tails``.

Uploads and downloads whose sender closes right behind the last byte, through every mix of our
programs and the originals': how many arrive whole.
"""

from __future__ import annotations

import argparse
import queue
import socket
import sys
import time
from collections import Counter
from typing import NamedTuple

from bench.processes import peer
from bench.programs import LOOPBACK, Workshop, free_ports
from bench.report import Row, add_arguments, progress, publish
from bench.targets import Service, Taken, digest, giver, noise, read_all, taker

SIZES = {"100B": 100, "64K": 64 * 1024, "1M": 1024 * 1024, "10M": 10 * 1024 * 1024}
MIXES = ("ours/ours/ours", "rust/ours/ours", "ours/ours/rust", "rust/ours/rust", "ours/demo/ours")
"""Host / router / client."""
TRY_S = 8.0
PAUSE_S = {"ours": 0.0, "demo": 0.05}
"""The demo router drops a host's control link after each call; give it time to come back."""
SETTLE_S = 1.0
MAX_SHOWN = 3


class Try(NamedTuple):
    """How one transfer went.

    :ivar complaint: empty when it was whole
    """

    complaint: str
    seconds: float


def main() -> int:
    """Measure and print. :returns: the exit status."""
    parser = argparse.ArgumentParser("bench.tails", description=__doc__)
    parser.add_argument("--tries", type=int, default=50, help="of each kind")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--mixes", nargs="+", default=list(MIXES), metavar="HOST/ROUTER/CLIENT")
    parser.add_argument("--ways", nargs="+", default=["down", "up"], choices=["down", "up"])
    add_arguments(parser)
    options = parser.parse_args()
    rows: list[Row] = []
    complaints: list[str] = []
    for mix in options.mixes:
        if not at_hand(mix):
            progress(f"{mix}: skipped, the originals are not at hand")
            continue
        with Workshop() as shop:
            lane = Lane(shop, mix)
            for way in options.ways:
                for name in options.sizes:
                    tries = [lane.carry(way, SIZES[name]) for _ in range(options.tries)]
                    whole = sum(not one.complaint for one in tries)
                    slowest = max(one.seconds for one in tries)
                    # what the demo router loses is not ours to promise
                    target = None if "demo" in mix else float(options.tries)
                    note = f"slowest {slowest:.2f} s"
                    rows.append(
                        Row(f"{mix} {way} {name}", "whole", (float(whole),), target, "least", note)
                    )
                    wrong = Counter(one.complaint for one in tries if one.complaint)
                    complaints += [
                        f"  {mix} {way} {name}: {count} x {text}"
                        for text, count in wrong.most_common(MAX_SHOWN)
                    ]
                    progress(f"{mix} {way} {name}: {whole} of {options.tries}, {note}")
    title = f"tails: transfers that end with a close, whole of {options.tries} (host/router/client)"
    text = ["what went wrong:", *complaints] if complaints else []
    return publish(title, rows, options.json, text)


def at_hand(mix: str) -> bool:
    """:returns: whether the programs of the mix can be started."""
    host, router, client = mix.split("/")
    if "rust" in (host, client) and peer("tcp-forward") is None:
        return False
    return router != "demo" or peer("demo-router") is not None


class Lane:
    """One mix of programs, running."""

    def __init__(self, shop: Workshop, mix: str) -> None:
        self._mix = mix
        host, self._router, client = mix.split("/")
        self._payload = b""
        self._taken: queue.Queue[Taken] = queue.Queue()
        self._givers = Service(giver(lambda: self._payload))
        self._takers = Service(taker(self._taken, TRY_S))
        port, *self._doors = free_ports(3)
        if self._router == "demo":
            _, port = shop.demo()
        else:
            shop.router(port).says("ready")
        targets = (self._givers.port, self._takers.port)
        # each way has a portal, a host and a client of its own
        for portal_id, target, door in zip((1, 2), targets, self._doors, strict=True):
            if host == "ours":
                shop.host(port, portal_id, target).says("stands for")
            else:
                shop.original_host(port, portal_id, target)
            if client == "ours":
                shop.client(port, portal_id, door).says("leads to")
            else:
                shop.original_client(port, portal_id, door)
        time.sleep(SETTLE_S)

    def carry(self, way: str, size: int) -> Try:
        """Carry one payload."""
        time.sleep(PAUSE_S[self._router])
        self._payload = noise(size, size)
        expected = digest(self._payload)
        started = time.monotonic()
        try:
            taken = self._down() if way == "down" else self._up()
        except (OSError, queue.Empty) as error:
            return Try(f"nothing came: {type(error).__name__}", time.monotonic() - started)
        seconds = time.monotonic() - started
        if (taken.size, taken.digest) == (size, expected):
            return Try("" if taken.ending == "eof" else f"whole, then {taken.ending}", seconds)
        missing = size - taken.size
        what = f"{missing} bytes missing" if missing else "other bytes"
        return Try(f"{what}, then {taken.ending}", seconds)

    def _down(self) -> Taken:
        with socket.create_connection((LOOPBACK, self._doors[0]), TRY_S) as connection:
            return read_all(connection)

    def _up(self) -> Taken:
        while not self._taken.empty():
            self._taken.get_nowait()
        with socket.create_connection((LOOPBACK, self._doors[1]), TRY_S) as connection:
            connection.sendall(self._payload)
        return self._taken.get(timeout=2 * TRY_S)


if __name__ == "__main__":
    sys.exit(main())
