"""Users of all kinds, in front of a tunnel: each visit is verified from end to end."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from bench.programs import LOOPBACK
from bench.scripted import (
    GREETING,
    MIB,
    PATIENCE_S,
    Flow,
    Verdicts,
    Wrong,
    answer,
    line,
    read,
    reset,
    send,
)

KiB = 1024
BEYOND_BYTES = 64 * MIB
PACES = ("full", "pauses")
STREAMS = 8
HELD_S = 20.0
ASK_S = 0.15
SHORT_TRIES = 10
MOST_QUESTION_BYTES = 4 * KiB
RANDOM = random.Random(7)


class Users:
    """Users of one tunnel.

    :param door: a local port of the client's
    :ivar over: set when all is to come to an end
    :ivar waits: how long interactive users waited for each answer, in seconds
    """

    def __init__(self, door: int, verdicts: Verdicts, over: threading.Event) -> None:
        self._door = door
        self.verdicts = verdicts
        self.over = over
        self.waits: list[float] = []

    def connect(self) -> socket.socket:
        """:returns: a connection to the client"""
        connection = socket.create_connection((LOOPBACK, self._door), PATIENCE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    # -- bulk ------------------------------------------------------------------------------------

    def upload(self, size: int, pace: str = "full", service_pace: str = "full") -> int:
        """Send, end our half, and hear what the service says of it."""
        number, flow = self.verdicts.number(), _flow(size)
        with self.connect() as connection:
            connection.sendall(line("take", number, size, flow.seed, service_pace))
            send(connection, flow, pace)
            connection.shutdown(socket.SHUT_WR)
            _hear(connection, flow)
        self.verdicts.of(number)
        return size

    def upload_and_close(self, size: int) -> int:
        """Send, and close right behind the last byte."""
        number, flow = self.verdicts.number(), _flow(size)
        with self.connect() as connection:
            connection.sendall(line("take", number, size, flow.seed))
            send(connection, flow)
        seen = self.verdicts.of(number)
        if (seen.done, seen.exact) != (size, True):
            raise Wrong(f"{size} bytes were sent, and {seen} arrived")
        return size

    def count(self, size: int) -> int:
        """Send, and hear what the service says of it, without ending our half."""
        number, flow = self.verdicts.number(), _flow(size)
        with self.connect() as connection:
            connection.sendall(line("count", number, size, flow.seed))
            send(connection, flow)
            _hear(connection, flow, whole=False)
        self.verdicts.of(number)
        return size

    def download(self, size: int, pace: str = "full", service_pace: str = "full") -> int:
        """Read what ends with a close."""
        number, flow = self.verdicts.number(), _flow(size)
        with self.connect() as connection:
            connection.sendall(line("give", number, size, flow.seed, service_pace))
            read(connection, flow, pace)
        _judge(flow)
        self.verdicts.of(number)
        return size

    def half_close(self, size: int) -> int:
        """Be sent to up to the end of the service's half, then send."""
        number, flow = self.verdicts.number(), _flow(size)
        with self.connect() as connection:
            connection.sendall(line("both", number, size, flow.seed))
            read(connection, flow)
            _judge(flow)
            flow.done = 0
            time.sleep(RANDOM.choice((0.0, 0.5)))
            send(connection, flow)
        seen = self.verdicts.of(number)
        if (seen.done, seen.exact, seen.ending) != (size, True, "eof"):
            raise Wrong(f"{size} bytes were sent behind a half-close, and {seen} arrived")
        return 2 * size

    # -- small -----------------------------------------------------------------------------------

    def interactive(self) -> int:
        """Hold streams for a while, and ask on each in turn."""
        numbers = [self.verdicts.number() for _ in range(STREAMS)]
        streams = [self.connect() for _ in numbers]
        carried = 0
        try:
            for number, stream in zip(numbers, streams, strict=True):
                stream.sendall(line("echo", number))
            until = time.monotonic() + HELD_S
            while time.monotonic() < until and not self.over.is_set():
                for stream in streams:
                    carried += self._ask(stream)
                    time.sleep(ASK_S)
        finally:
            for stream in streams:
                stream.close()
        for number in numbers:
            self.verdicts.of(number)
        return carried

    def short(self) -> int:
        """Connect, ask, be answered, close, a few times."""
        carried = 0
        for _ in range(SHORT_TRIES):
            number = self.verdicts.number()
            with self.connect() as stream:
                stream.sendall(line("echo", number))
                carried += self._ask(stream)
            self.verdicts.of(number)
        return carried

    def _ask(self, stream: socket.socket) -> int:
        question = RANDOM.randbytes(RANDOM.choice((1, 64, 64, 700, MOST_QUESTION_BYTES)))
        asked = time.monotonic()
        stream.sendall(question)
        heard = _exactly(stream, len(question))
        self.waits.append(time.monotonic() - asked)
        if heard != question:
            raise Wrong(f"a wrong answer to {len(question)} bytes")
        return 2 * len(question)

    # -- breaking off ----------------------------------------------------------------------------

    def reset_upload(self, size: int) -> int:
        """Reset in the midst: the service must not take the part for the whole."""
        number, flow = self.verdicts.number(), _flow(size)
        with self.connect() as connection:
            # who leaves before the call is answered was never there, for the service
            connection.sendall(line("take", number, size, flow.seed, "greets"))
            connection.recv(len(GREETING))
            while flow.done < size // 2:
                connection.sendall(flow.next())
            reset(connection)
        seen = self.verdicts.of(number)
        if not seen.exact or seen.ending == "eof":
            raise Wrong(f"of an upload that was broken off the service saw {seen}")
        return seen.done

    def reset_download(self, size: int, pace: str) -> int:
        """Reset in the midst: a service that still sends must be told.

        All that one without pauses sends may be under way by then.
        """
        number, flow = self.verdicts.number(), _flow(size)
        with self.connect() as connection:
            connection.sendall(line("give", number, size, flow.seed, pace))
            while flow.done < MIB:
                flow.check(connection.recv(64 * KiB))
            reset(connection)
        seen = self.verdicts.of(number)
        if not flow.exact or (seen.ending == "eof" and pace == "pauses"):
            raise Wrong(f"of a download that was broken off the service saw {seen}")
        return flow.done

    def snapped(self, size: int) -> int:
        """The service resets: we must not take the part for the whole."""
        number, flow = self.verdicts.number(), _flow(size)
        with self.connect() as connection:
            connection.sendall(line("snap", number, size, flow.seed))
            ending = ending_of(connection, flow)
        self.verdicts.of(number)
        if not flow.exact or ending == "eof":
            raise Wrong(f"a reset came as {ending} after {flow.done} bytes, exact: {flow.exact}")
        return flow.done


class Seeded(Flow):
    """A flow that can be told to the service."""

    def __init__(self, size: int, seed: int) -> None:
        super().__init__(size, seed)
        self.seed = seed


class Kind(NamedTuple):
    """One kind of traffic.

    :ivar visit: pays one visit; returns the bytes that it carried
    :ivar at_once: how many go on at the same time
    :ivar pause_s: between two, on average
    """

    name: str
    visit: Callable[[], int]
    pause_s: float
    at_once: int = 1


def ending_of(connection: socket.socket, flow: Flow) -> str:
    """:returns: ``eof``, or what the operating system said at the end of a flow that breaks off"""
    try:
        read(connection, flow)
    except OSError as error:
        return type(error).__name__
    return "eof"


def kinds_of(name: str, users: Users) -> list[Kind]:
    """:returns: all that users do, on average some 10 MB a second"""

    def size() -> int:
        return RANDOM.randrange(MIB, 12 * MIB)

    def large() -> int:
        return RANDOM.randrange(16 * MIB, 28 * MIB)

    def any_size() -> int:
        return RANDOM.choice((0, 1, 100, 64 * KiB, MIB, 5 * MIB))

    kinds = [
        Kind("bulk up, with pauses", lambda: users.upload(size(), "pauses"), 4),
        Kind("bulk down, with pauses", lambda: users.download(size(), "full", "pauses"), 4),
        Kind("upload that ends with a close", lambda: users.upload_and_close(any_size()), 1.5),
        Kind("download that ends with a close", lambda: users.download(any_size()), 1.5),
        Kind("half-close by the service", lambda: users.half_close(any_size()), 3),
        Kind("interactive", users.interactive, 1, 4),
        Kind("short connections", users.short, 4),
        Kind("slow reader", lambda: users.download(large(), "slow"), 12),
        Kind("slow service", lambda: users.upload(large(), "full", "slow"), 12),
        Kind("reader that stops and goes on", lambda: users.download(large(), "stops"), 12),
        Kind("service that stops and goes on", lambda: users.upload(large(), "full", "stops"), 12),
        Kind("user that resets an upload", lambda: users.reset_upload(size()), 5),
        Kind(
            "user that resets a download",
            lambda: users.reset_download(BEYOND_BYTES, RANDOM.choice(PACES)),
            10,
        ),
        Kind("service that resets", lambda: users.snapped(size()), 5),
    ]
    return [kind._replace(name=f"{name}: {kind.name}") for kind in kinds]


def _flow(size: int) -> Seeded:
    return Seeded(size, RANDOM.randrange(1, 1_000_000))


def _judge(flow: Flow) -> None:
    if not flow.exact or flow.done != flow.size:
        raise Wrong(f"{flow.done} of {flow.size} bytes came, exact: {flow.exact}")


def _hear(connection: socket.socket, flow: Flow, whole: bool = True) -> None:
    """The service says what it has read, and perhaps that it says no more."""
    expected = answer(flow)
    heard = _exactly(connection, len(expected))
    if heard != expected or (whole and connection.recv(1)):
        raise Wrong(f"{expected!r} was to come, not {heard!r}")


def _exactly(connection: socket.socket, size: int) -> bytes:
    heard = b""
    while len(heard) < size and (chunk := connection.recv(size - len(heard))):
        heard += chunk
    return heard
