"""One-way bulk: who sends as much as will go, and who takes it and compares it."""

from __future__ import annotations

import signal
import socket
import ssl
import struct
import time
from typing import Any

from relay.measuring.frames import COMMON, LAST, UNIT_BYTES, Checker, Deframer, framed
from relay.measuring.places import Connection, connections, say

READ_BYTES = 1024 * 1024
FIRST_BYTES = 1024
QUIET_S = 10.0
"""A taker to whom nothing comes for so long gives up."""


def send(job: dict[str, Any]) -> None:
    """Send whole units for ``seconds``, then the last one; wait for a signal.

    ``message_bytes`` is the size of WebSocket messages, absent for plain TCP; ``masks`` is false
    where the taker is at the other end of the same connection; ``units`` counts instead of seconds.
    """
    common, last = COMMON, LAST
    masks = job.get("masks", True) and job["place"]["kind"] != "serve"
    if size := job.get("message_bytes"):
        common, last = (framed(unit, size, masks) for unit in (common, last))
    (connection,) = connections(job["place"])
    target = connection.socket
    target.settimeout(None)
    started = time.monotonic()
    end = started + job.get("seconds", 0.0)
    used = time.process_time()
    units, least = 0, job.get("units", 0)
    while units < least or time.monotonic() < end:
        target.sendall(common)
        units += 1
    target.sendall(last)
    say(
        sent=(units + 1) * UNIT_BYTES,
        seconds=time.monotonic() - started,
        cpu_s=time.process_time() - used,
    )
    signal.pause()


def take(job: dict[str, Any]) -> None:
    """Read to the end of the last unit.

    ``framed``: whether frames carry it; ``every``: one unit in so many is compared; ``stall_s``:
    how long nothing is read behind the first bytes. The result has the bytes, the seconds from the
    first read to the last, and whether all was exact.
    """
    checker = Checker(job.get("every", 1))
    feed = Deframer(checker.feed).feed if job.get("framed") else None
    (connection,) = connections(job["place"])
    source = connection.socket
    _be_patient(source)
    if stall_s := job.get("stall_s"):
        connection = connection._replace(rest=connection.rest + source.recv(FIRST_BYTES))
        say(stalled=True)
        time.sleep(stall_s)
    used = time.process_time()
    seconds = _read(connection, checker, feed)
    say(
        took=checker.bytes,
        seconds=seconds,
        cpu_s=time.process_time() - used,
        exact=checker.exact and checker.done,
    )


def _read(connection: Connection, checker: Checker, feed: Any) -> float:
    """:returns: the seconds from the first bytes to the last."""
    source = connection.socket
    buffer = bytearray(READ_BYTES)
    view = memoryview(buffer)
    kept = len(connection.rest)
    buffer[:kept] = connection.rest
    first = last = 0.0
    while not checker.done:
        try:
            size = source.recv_into(view[kept:])
        except (BlockingIOError, ssl.SSLWantReadError):
            break  # nothing came for long
        if not size:
            break
        last = time.monotonic()
        first = first or last
        if feed is None:
            checker.feed(view[: kept + size])
            kept = 0
        else:
            whole = kept + size
            kept = feed(view[:whole])
            buffer[:kept] = buffer[whole - kept : whole]
    return last - first


def _be_patient(source: socket.socket) -> None:
    """Let the kernel bound the waits: a timeout of Python's own is another call a read.

    It does so for sockets alone.
    """
    if not isinstance(source, socket.socket):
        source.settimeout(QUIET_S)
        return
    source.settimeout(None)
    limit = struct.pack("ll", int(QUIET_S), 0)
    source.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
