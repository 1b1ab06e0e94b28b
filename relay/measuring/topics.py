"""Loads on a topic: who writes, who reads, who sits there, who asks for sessions.

``sessions`` of a job are pairs of session URL and token. Messages have one size each time: a number
and the time (both 8 bytes, big-endian; the time in nanoseconds of the monotonic clock, which all
processes share), then bytes that are always the same. Wherever a relay has cut or glued them,
payload is read as one row of such messages, so that one that is lost shows in the numbers, and a
byte that is lost or changed in all that follows.
"""

from __future__ import annotations

import selectors
import signal
import socket
import struct
import time
from typing import Any

from relay.measuring.figures import percentile
from relay.measuring.frames import COMMON, Deframer, frame
from relay.measuring.places import Connection, say
from relay.measuring.seats import REGISTERED_S, TIMEOUT_S, answer, connect, request, seat

HEAD = struct.Struct("!QQ")
MASK = bytes.fromhex("37fa213d")
MASK_TWICE = int.from_bytes(MASK * 2, "big")
"""What a number of eight bytes is masked with."""

READ_BYTES = 256 * 1024
BATCH_BYTES = 256 * 1024
COMPARED_EVERY = 16
QUIET_S = 1.0
"""Readers to whom nothing comes for so long have heard all of it."""

SMALL_BYTES = 4096
"""What the kernel keeps for a reader that stands still."""


# -- readers -------------------------------------------------------------------------------------


class Reader:
    """One member that hears, and what it has heard.

    :ivar heard: messages
    :ivar number: of the last one
    :ivar exact: whether all were what they had to be
    :ivar late_ns: how old each was
    """

    def __init__(self, size: int, timed: bool) -> None:
        self.size = size
        self.heard = 0
        self.number = -1
        self.exact = True
        self.late_ns: list[int] = []
        self._timed = timed
        self._head = bytearray()
        self._offset = 0
        self._compares = False
        self._deframer = Deframer(self._payload)
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)
        self._kept = 0

    def read(self, source: socket.socket) -> bool:
        """Take what has come. :returns: whether the connection stands"""
        size = source.recv_into(self._view[self._kept :])
        if not size:
            return False
        whole = self._kept + size
        self._kept = kept = self._deframer.feed(self._view[:whole])
        if kept:
            self._buffer[:kept] = self._buffer[whole - kept : whole]
        return True

    def feed(self, data: bytes) -> None:
        """Take what came behind the handshake."""
        self._buffer[: len(data)] = data
        self._kept = self._deframer.feed(self._view[: len(data)])
        self._buffer[: self._kept] = data[len(data) - self._kept :]

    def _payload(self, piece: memoryview) -> None:
        start, end, size = 0, len(piece), self.size
        while start < end:
            offset = self._offset
            if offset < HEAD.size:
                if not offset and end - start >= HEAD.size:
                    self._begin(*HEAD.unpack_from(piece, start))
                    taken = HEAD.size
                else:
                    # cut within it
                    taken = min(end - start, HEAD.size - offset)
                    self._head += piece[start : start + taken]
                    if offset + taken == HEAD.size:
                        self._begin(*HEAD.unpack(self._head))
                        self._head.clear()
                self._offset = offset + taken
                start += taken
                continue
            stop = min(end, start + size - offset)
            if self._compares:
                self.exact &= COMMON.startswith(piece[start:stop], offset - HEAD.size)
            self._offset = offset + stop - start
            start = stop
            if self._offset == size:
                self._offset = 0
                self.heard += 1

    def _begin(self, number: int, then: int) -> None:
        if self._timed:
            self.late_ns.append(time.monotonic_ns() - then)
        self.exact &= number > self.number
        self.number = number
        self._compares = self.heard % COMPARED_EVERY == 0


def read(job: dict[str, Any]) -> None:
    """Hear messages of ``message_bytes`` on each of ``sessions``, until all is quiet.

    ``stalled``: sessions of those that read nothing until then; ``timed``: whether to say how old
    messages were, of those that were younger than ``after_s`` when the first came. The result has
    the messages, those that the first to the last number say were lost, the seconds from the first
    to the last, and whether all were exact.
    """
    size, timed = job["message_bytes"], job.get("timed", False)
    still = [seat(url, token, SMALL_BYTES) for url, token in job.get("stalled", ())]
    selector = selectors.DefaultSelector()
    readers: list[Reader] = []
    for pair in job["sessions"]:
        connection = seat(*pair)
        readers.append(_enrol(selector, connection, Reader(size, timed)))
    time.sleep(REGISTERED_S)
    say(ready=True)
    used = time.process_time()
    seconds = _hear(selector, job.get("patience_s", TIMEOUT_S))
    used = time.process_time() - used
    late = sorted(ns for one in readers for ns in one.late_ns[job.get("skip", 0) :])
    # the last number that anybody heard: what came behind it was lost to all
    most = max(one.number for one in readers) + 1
    say(
        heard=[one.heard for one in readers],
        bytes=sum(one.heard for one in readers) * size,
        last=most,
        seconds=seconds,
        cpu_s=used,
        exact=all(one.exact for one in readers),
        p50_ms=percentile(late, 0.5) / 1e6,
        p99_ms=percentile(late, 0.99) / 1e6,
        still=[_rest(connection, Reader(size, False)) for connection in still],
    )


def _enrol(selector: selectors.BaseSelector, connection: Connection, reader: Reader) -> Reader:
    if connection.rest:
        reader.feed(connection.rest)
    connection.socket.setblocking(False)
    selector.register(connection.socket, selectors.EVENT_READ, reader)
    return reader


def _hear(selector: selectors.BaseSelector, patience_s: float) -> float:
    """:returns: the seconds from the first bytes to the last"""
    first = last = 0.0
    while ready := selector.select(QUIET_S if first else patience_s):
        last = time.monotonic()
        first = first or last
        for key, _ in ready:
            if not key.data.read(key.fileobj):
                selector.unregister(key.fileobj)
    return last - first


def _rest(connection: Connection, reader: Reader) -> int:
    """Let one read that stood still. :returns: how many messages it heard, -1 for wrong ones"""
    selector = selectors.DefaultSelector()
    _enrol(selector, connection, reader)
    _hear(selector, QUIET_S)
    return reader.heard if reader.exact else -1


# -- writers -------------------------------------------------------------------------------------


def write(job: dict[str, Any]) -> None:
    """Say messages of ``message_bytes`` for ``seconds``; wait for a signal.

    ``every_s``: one so often; without it, as many as are taken. The result has how many.
    """
    size, every_s = job["message_bytes"], job.get("every_s", 0.0)
    one = frame(bytes(HEAD.size) + COMMON[: size - HEAD.size], MASK)
    many = 1 if every_s else max(1, BATCH_BYTES // len(one))
    batch = bytearray(one * many)
    offsets = [start + len(one) - size for start in range(0, len(batch), len(one))]
    connection = seat(*job["sessions"][0]).socket
    connection.settimeout(None)
    time.sleep(REGISTERED_S)
    say(ready=True)
    used, begun = time.process_time(), time.monotonic()
    end, number = begun + job["seconds"], 0
    due = begun
    while time.monotonic() < end:
        stamp = time.monotonic_ns() ^ MASK_TWICE
        for offset in offsets:
            HEAD.pack_into(batch, offset, number ^ MASK_TWICE, stamp)
            number += 1
        connection.sendall(batch)
        if every_s:
            due += every_s
            time.sleep(max(0.0, due - time.monotonic()))
    say(said=number, seconds=time.monotonic() - begun, cpu_s=time.process_time() - used)
    signal.pause()


# -- guests --------------------------------------------------------------------------------------


def sit(job: dict[str, Any]) -> None:
    """Take a seat for each of ``sessions``, and stay, until a signal."""
    held = [seat(*pair) for pair in job["sessions"]]
    time.sleep(REGISTERED_S)
    say(open=len(held))
    signal.pause()


def book(job: dict[str, Any]) -> None:
    """Ask for sessions, ``at_once`` at a time, for ``seconds``; the result says how many."""
    requests = [(url, request(url, token)) for url, token in job["sessions"]]
    started, count = time.monotonic(), 0
    while time.monotonic() < started + job["seconds"]:
        batch: list[socket.socket] = []
        for _ in range(job["at_once"]):
            url, asked = requests[count % len(requests)]
            batch.append(connect(url))
            batch[-1].sendall(asked)
            count += 1
        for connection in batch:
            answer(connection)
            connection.close()
    say(count=count, seconds=time.monotonic() - started)
