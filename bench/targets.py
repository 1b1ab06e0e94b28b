"""Services behind the tunnel, and users in front of it, with sockets and threads of their own."""

from __future__ import annotations

import hashlib
import queue
import random
import socket
import socketserver
import threading
from collections.abc import Callable
from typing import NamedTuple

from bench.programs import LOOPBACK

CHUNK_BYTES = 64 * 1024


class Taken(NamedTuple):
    """What somebody has read up to the end.

    :ivar ending: ``eof``, or what the operating system said instead
    """

    size: int
    digest: str
    ending: str


def noise(size: int, seed: int = 1) -> bytes:
    """:returns: bytes that look random and are the same every time."""
    return random.Random(seed).randbytes(size)


def digest(payload: bytes) -> str:
    """:returns: its SHA-256, in hexadecimal."""
    return hashlib.sha256(payload).hexdigest()


def read_all(connection: socket.socket) -> Taken:
    """Read to the end; a timeout of the socket counts as one."""
    total, seen = 0, hashlib.sha256()
    try:
        while chunk := connection.recv(4 * CHUNK_BYTES):
            total += len(chunk)
            seen.update(chunk)
        ending = "eof"
    except OSError as error:
        ending = type(error).__name__
    return Taken(total, seen.hexdigest(), ending)


class Service:
    """A TCP service on loopback; each connection has a thread.

    :param serve: what to do with one
    """

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                connection: socket.socket = self.request
                try:
                    serve(connection)
                except OSError:
                    return

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True
            request_queue_size = 1024

            def shutdown_request(self, request: object) -> None:
                assert isinstance(request, socket.socket)
                request.close()

        self._server = Server((LOOPBACK, 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Accept no more."""
        self._server.shutdown()
        self._server.server_close()


def echo(connection: socket.socket) -> None:
    """Say what was heard."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while chunk := connection.recv(CHUNK_BYTES):
        connection.sendall(chunk)


def giver(payload: Callable[[], bytes]) -> Callable[[socket.socket], None]:
    """:returns: a service that sends a payload, and closes right behind its last byte."""

    def give(connection: socket.socket) -> None:
        connection.sendall(payload())

    return give


def taker(taken: queue.Queue[Taken], timeout_s: float) -> Callable[[socket.socket], None]:
    """:returns: a service that reads to the end and reports what came."""

    def take(connection: socket.socket) -> None:
        connection.settimeout(timeout_s)
        taken.put(read_all(connection))

    return take
