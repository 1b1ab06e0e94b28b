"""A big file and a slow reader: ``python -m bench.throttled``.

A file goes through client, router and host, down and up. At first its reader takes little: memory
of the three programs must not grow. Then it takes all it can get: every byte must be there.
"""

from __future__ import annotations

import argparse
import hashlib
import queue
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

from bench.programs import LOOPBACK, Workshop, free_ports
from bench.report import Row, add_arguments, progress, publish
from bench.targets import Service, noise

MIB = 1024 * 1024
GROWTH_MIB = 32.0
BLOCK_BYTES = MIB
WARM_UP_BYTES = 64 * MIB
SIP_BYTES = 64 * 1024
SAMPLE_S = 0.1
READ_TIMEOUT_S = 30.0


class Reading(NamedTuple):
    """What a reader has seen.

    :ivar seconds: of reading at full speed
    :ivar fast_bytes: that came in that time
    """

    size: int
    digest: str
    seconds: float
    fast_bytes: int


def main() -> int:
    """Measure and print. :returns: the exit status."""
    parser = argparse.ArgumentParser("bench.throttled", description=__doc__)
    parser.add_argument("--size", type=int, default=1024, metavar="MIB")
    parser.add_argument("--rate", type=float, default=2.0, metavar="MIB/S", help="while throttled")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long it is throttled")
    parser.add_argument("--rounds", type=int, default=2)
    add_arguments(parser)
    options = parser.parse_args()
    size = options.size * MIB
    expected = digest_of(size)
    rows: list[Row] = []
    names = ("router", "client", "host")
    for direction in ("down", "up"):
        growth: dict[str, list[float]] = {name: [] for name in names}
        speed: list[float] = []
        exact: list[float] = []
        for number in range(options.rounds):
            with Workshop() as shop:
                transfer = Transfer(shop, direction)
                transfer.run(WARM_UP_BYTES, 0, 0)
                base = transfer.memory()
                most = dict(base)
                over = threading.Event()
                watcher = threading.Thread(target=watch, args=(transfer, most, over))
                watcher.start()
                try:
                    reading = transfer.run(size, options.rate * MIB, options.seconds, over)
                finally:
                    over.set()
                watcher.join()
                for name in names:
                    growth[name].append((most[name] - base[name]) / 1024)
                speed.append(reading.fast_bytes / MIB / max(reading.seconds, 1e-6))
                exact.append(float((reading.size, reading.digest) == (size, expected)))
                progress(f"{direction}, round {number + 1}: {speed[-1]:.0f} MiB/s")
        for name in names:
            what = f"{direction}: memory of the {name} grown while throttled"
            rows.append(Row(what, "MiB", tuple(growth[name]), GROWTH_MIB, "worst"))
        rows.append(Row(f"{direction}: speed once unthrottled", "MiB/s", tuple(speed)))
        rows.append(Row(f"{direction}: bit-exact", "of 1", tuple(exact), 1.0, "least"))
    slow = f"{options.rate:g} MiB/s for {options.seconds:g} s"
    title = f"throttled: {options.size} MiB, {slow}, then all"
    return publish(title, rows, options.json)


def blocks(size: int) -> Iterator[bytes]:
    """:returns: a file in blocks, each of them numbered, so that none can stand for another."""
    base = noise(BLOCK_BYTES)
    for number in range(0, size // BLOCK_BYTES):
        yield number.to_bytes(8, "big") + base[8:]


def digest_of(size: int) -> str:
    """:returns: the SHA-256 of the file."""
    seen = hashlib.sha256()
    for block in blocks(size):
        seen.update(block)
    return seen.hexdigest()


def send(connection: socket.socket, size: int) -> None:
    """Send the file and end."""
    try:
        for block in blocks(size):
            connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        return


def read(
    connection: socket.socket, rate: float, seconds: float, sipped: threading.Event | None
) -> Reading:
    """Read to the end: at first no faster than ``rate`` bytes a second.

    :param sipped: set when the slow part is over
    """
    connection.settimeout(READ_TIMEOUT_S)
    seen = hashlib.sha256()
    total = 0
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < seconds:
        if total > rate * elapsed:
            time.sleep(0.01)
            continue
        chunk = connection.recv(SIP_BYTES)
        if not chunk:
            break
        seen.update(chunk)
        total += len(chunk)
    if sipped is not None:
        sipped.set()
    slow_bytes, started = total, time.monotonic()
    try:
        while chunk := connection.recv(BLOCK_BYTES):
            seen.update(chunk)
            total += len(chunk)
    except OSError as error:
        progress(f"the reader met {error!r} after {total} bytes")
    return Reading(total, seen.hexdigest(), time.monotonic() - started, total - slow_bytes)


class Transfer:
    """Client, router and host, and a service behind them.

    :param direction: ``down``: the service sends; ``up``: the user does
    """

    def __init__(self, shop: Workshop, direction: str) -> None:
        self._direction = direction
        self._wanted: queue.Queue[tuple[int, float, float, threading.Event | None]] = queue.Queue()
        self._readings: queue.Queue[Reading] = queue.Queue()
        service = Service(self._serve)
        port, self._door = free_ports(2)
        router = shop.router(port)
        router.says("ready")
        host = shop.host(port, 1, service.port)
        host.says("stands for")
        client = shop.client(port, 1, self._door)
        client.says("leads to")
        self._programs = {"router": router, "client": client, "host": host}

    def memory(self) -> dict[str, float]:
        """:returns: KiB by program."""
        return {name: program.rss_kib() for name, program in self._programs.items()}

    def run(
        self, size: int, rate: float, seconds: float, sipped: threading.Event | None = None
    ) -> Reading:
        """Carry one file."""
        self._wanted.put((size, rate, seconds, sipped))
        with socket.create_connection((LOOPBACK, self._door)) as connection:
            if self._direction == "down":
                return read(connection, rate, seconds, sipped)
            send(connection, size)
            return self._readings.get(timeout=seconds + 120)

    def _serve(self, connection: socket.socket) -> None:
        size, rate, seconds, sipped = self._wanted.get()
        if self._direction == "down":
            send(connection, size)
        else:
            self._readings.put(read(connection, rate, seconds, sipped))


def watch(transfer: Transfer, most: dict[str, float], over: threading.Event) -> None:
    """Note the most memory that each program ever has."""
    while not over.wait(SAMPLE_S):
        for name, value in transfer.memory().items():
            most[name] = max(most[name], value)


if __name__ == "__main__":
    sys.exit(main())
