"""A service that does what its visitor's first line says, and payload that both can verify.

The line is ``KIND NUMBER SIZE SEED PACE``; NUMBER names the visit, so that what the service has
seen of it can be asked for afterwards. What it is that flows follows from SIZE and SEED.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from bench.targets import noise

KiB = 1024
MIB = 1024 * 1024
PERIOD_BYTES = 1_048_573
"""A prime, so that no block of a usual size can go missing unseen."""

PIECE_BYTES = 128 * KiB
SIP_BYTES = 16 * KiB
SLOW_S = 6.0
STOP_S = 2.5
LINE_BYTES = 200
PATIENCE_S = 90.0
GREETING = b"!"
RESET = struct.pack("ii", 1, 0)

_NOISE = memoryview(noise(PERIOD_BYTES) * 2)


class Wrong(Exception):
    """Something was lost, altered, or ended in another way than it must."""


class Flow:
    """Payload of so many bytes.

    :ivar done: bytes that were made, or checked
    :ivar exact: whether all that was checked is what was to come
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.done = 0
        self.exact = True
        self._start = seed * 7919

    def next(self, most: int = PIECE_BYTES) -> memoryview:
        """:returns: the next piece, of :data:`PIECE_BYTES` at most; empty at the end"""
        start = (self._start + self.done) % PERIOD_BYTES
        piece = _NOISE[start : start + min(most, PIECE_BYTES, self.size - self.done)]
        self.done += len(piece)
        return piece

    def check(self, chunk: bytes | memoryview) -> None:
        """Compare with what has to come next."""
        view = memoryview(chunk)
        while view and self.exact:
            expected = self.next(len(view))
            self.exact = len(expected) > 0 and view[: len(expected)] == expected
            view = view[len(expected) :]


class Verdict(NamedTuple):
    """What the service has seen of a visit.

    :ivar done: bytes that came, or were sent
    :ivar exact: whether they were the right ones, as far as they came
    :ivar ending: ``eof``, or the name of what the operating system said instead
    """

    done: int
    exact: bool
    ending: str


class Verdicts:
    """What the service has seen, by visit."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._known: dict[int, Verdict] = {}
        self._last = 0

    def number(self) -> int:
        """:returns: one for a new visit"""
        with self._changed:
            self._last += 1
            return self._last

    def tell(self, number: int, verdict: Verdict) -> None:
        """The service is done with a visit."""
        with self._changed:
            self._known[number] = verdict
            self._changed.notify_all()

    def of(self, number: int, patience_s: float = PATIENCE_S) -> Verdict:
        """:returns: once the service is done with it; :raises Wrong: when it is not, in time"""
        with self._changed:
            if not self._changed.wait_for(lambda: number in self._known, patience_s):
                raise Wrong(f"the service has seen no end of it in {patience_s:g} s")
            return self._known.pop(number)

    def forget(self, number: int) -> None:
        """Nobody asks for it."""
        with self._changed:
            self._known.pop(number, None)


def line(kind: str, number: int, size: int = 0, seed: int = 0, pace: str = "full") -> bytes:
    """:returns: what a visitor says first"""
    return f"{kind} {number} {size} {seed} {pace}\n".encode()


def serve(verdicts: Verdicts) -> Callable[[socket.socket], None]:
    """:returns: the service"""

    def visited(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(PATIENCE_S)
        said = b""
        while b"\n" not in said:
            chunk = connection.recv(1) if len(said) < LINE_BYTES else b""
            if not chunk:
                return
            said += chunk
        kind, number, size, seed, pace = said.decode().split()
        flow = Flow(int(size), int(seed))
        try:
            ending = SERVICES[kind](connection, flow, pace)
        except OSError as error:
            ending = type(error).__name__
        verdicts.tell(int(number), Verdict(flow.done, flow.exact, ending))

    return visited


def send(connection: socket.socket, flow: Flow, pace: str = "full") -> None:
    """Send all of it. :raises OSError:"""
    mark = 0
    while piece := flow.next():
        connection.sendall(piece)
        if pace == "pauses" and flow.done - mark >= MIB:
            mark = flow.done
            time.sleep(random.uniform(0.0, 0.3))


def read(connection: socket.socket, flow: Flow, pace: str = "full", whole: bool = True) -> None:
    """Read to the end of the connection, or of the flow, and check. :raises OSError:

    :param whole: to that of the connection
    """
    started, stops, mark = time.monotonic(), 2 if pace == "stops" else 0, 0
    while whole or flow.done < flow.size:
        slow = pace == "slow" and time.monotonic() - started < SLOW_S
        chunk = connection.recv(SIP_BYTES if slow else PIECE_BYTES * 2)
        if not chunk:
            return
        flow.check(chunk)
        if not flow.exact:
            return
        if slow:
            time.sleep(0.05)
        elif stops and flow.done - mark > flow.size // 3:
            stops, mark = stops - 1, flow.done
            time.sleep(STOP_S)
        elif pace == "pauses" and flow.done - mark >= MIB:
            mark = flow.done
            time.sleep(random.uniform(0.0, 0.3))


def reset(connection: socket.socket) -> None:
    """End the connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


def answer(flow: Flow) -> bytes:
    """:returns: what the service says of a flow that it has read"""
    return f"{'exact' if flow.exact else 'altered'} {flow.done}\n".encode()


def _echo(connection: socket.socket, flow: Flow, pace: str) -> str:
    while chunk := connection.recv(PIECE_BYTES):
        connection.sendall(chunk)
    return "eof"


def _take(connection: socket.socket, flow: Flow, pace: str) -> str:
    if pace == "greets":
        connection.sendall(GREETING)
    read(connection, flow, pace)
    connection.sendall(answer(flow))
    return "eof"


def _count(connection: socket.socket, flow: Flow, pace: str) -> str:
    read(connection, flow, pace, whole=False)
    connection.sendall(answer(flow))
    return "eof"


def _give(connection: socket.socket, flow: Flow, pace: str) -> str:
    send(connection, flow, pace)
    return "eof"


def _both(connection: socket.socket, flow: Flow, pace: str) -> str:
    """Send, end our half, and read as much."""
    send(connection, flow, pace)
    connection.shutdown(socket.SHUT_WR)
    flow.done = 0
    read(connection, flow, pace)
    return "eof"


def _snap(connection: socket.socket, flow: Flow, pace: str) -> str:
    """Break off half-way."""
    while flow.done < flow.size // 2:
        connection.sendall(flow.next())
    time.sleep(0.2)
    reset(connection)
    return "reset"


SERVICES = {
    "echo": _echo,
    "take": _take,
    "count": _count,
    "give": _give,
    "both": _both,
    "snap": _snap,
}
"""``take`` reads to the end of its visitor's half, ``count`` to the end of the flow. The paces are
``full``, ``pauses``, ``slow``, ``stops``, and ``greets``: a byte says that the service hears."""
