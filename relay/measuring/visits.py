"""Many connections: held open, knocking only, or each with one question."""

from __future__ import annotations

import signal
import socket
import time
from typing import Any

from relay.measuring.places import READ_BYTES, connect, read_answer, request, say, shake_hands
from relay.measuring.talk import ANSWER, QUESTION


def hold(job: dict[str, Any]) -> None:
    """Open WebSockets and do nothing with them, until a signal.

    ``links``: pairs of path and token; without it, ``count`` plain TCP connections, each of which
    asks once first, so that it surely stands from end to end.
    """
    place = job["place"]
    if links := job.get("links"):
        held = [shake_hands(place, path, token).socket for path, token in links]
    else:
        held = []
        for _ in range(job["count"]):
            held.append(connect(place))
            held[-1].sendall(QUESTION)
            _hear(held[-1])
    say(open=len(held))
    signal.pause()


def knock(job: dict[str, Any]) -> None:
    """Shake hands and close, ``at_once`` at a time, for ``seconds``.

    ``links``: pairs of path and token, taken in turn. The result has the handshakes.
    """
    place, at_once, links = job["place"], job["at_once"], job["links"]
    heads = [request(place, path, token) for path, token in links]
    started, count = time.monotonic(), 0
    while time.monotonic() < started + job["seconds"]:
        batch: list[socket.socket] = []
        for _ in range(at_once):
            connection = connect(place)
            connection.sendall(heads[count % len(heads)])
            batch.append(connection)
            count += 1
        for connection in batch:
            read_answer(connection)
            connection.close()
    say(count=count, seconds=time.monotonic() - started)


def visit(job: dict[str, Any]) -> None:
    """Connect, ask once, hear the answer, close; ``at_once`` at a time, for ``seconds``."""
    place, at_once = job["place"], job["at_once"]
    started, count = time.monotonic(), 0
    while time.monotonic() < started + job["seconds"]:
        batch = [connect(place) for _ in range(at_once)]
        for connection in batch:
            connection.sendall(QUESTION)
        for connection in batch:
            _hear(connection)
            connection.close()
        count += at_once
    say(count=count, seconds=time.monotonic() - started)


def _hear(connection: socket.socket) -> None:
    """:raises OSError: for any answer but the right one"""
    got = b""
    while len(got) < len(ANSWER) and (chunk := connection.recv(READ_BYTES)):
        got += chunk
    if got != ANSWER:
        raise OSError(f"a wrong answer: {got!r}")
