"""Many connections: held open, knocking only, or each with one question."""

from __future__ import annotations

import json
import selectors
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from relay.measuring.frames import frame
from relay.measuring.places import connect, more, read_answer, request, say, shake_hands
from relay.measuring.talk import asking

TEXT, PING, PONG = 0x81, 0x89, 0x8A
NO_MASK = bytes(4)
AGENTS_PATH = "/ws_for_edge_agents"
START = {"kind": "start", "last_error": None}


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
        (question,), is_whole = asking(job)
        for _ in range(job["count"]):
            held.append(connect(place))
            held[-1].sendall(question)
            _hear(held[-1], is_whole)
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
    (question,), is_whole = asking(job)
    started, count = time.monotonic(), 0
    while time.monotonic() < started + job["seconds"]:
        batch = [connect(place) for _ in range(at_once)]
        for connection in batch:
            connection.sendall(question)
        for connection in batch:
            _hear(connection, is_whole)
            connection.close()
        count += at_once
    say(count=count, seconds=time.monotonic() - started)


def _hear(connection: socket.socket, is_whole: Callable[[bytes], bool]) -> None:
    """:raises OSError: for any answer but the right one"""
    got = b""
    while not is_whole(got := got + more(connection)):
        continue


def enlist(job: dict[str, Any]) -> None:
    """Be so many hosts of websocktunnel, which answer Pings and nothing else, until a signal.

    ``hosts``: pairs of id and token.
    """
    selector = selectors.DefaultSelector()
    for name, token in job["hosts"]:
        connection = shake_hands(job["place"], "/", token, {"x-websocktunnel-id": name})
        selector.register(connection.socket, selectors.EVENT_READ, connection.socket)
        if connection.rest:
            _pong(connection.socket, connection.rest)
    say(open=len(job["hosts"]))
    while True:
        for key, _ in selector.select():
            _pong(key.data, more(key.data))


def enrol(job: dict[str, Any]) -> None:
    """Be so many agents of network-relay, which answer Pings and nothing else, until a signal.

    ``agents``: pairs of name and secret; ``headers``: more of each handshake. The Pong behind each
    login says that the router has read it: a router does not answer one that it likes.
    """
    place, headers = job["place"], job.get("headers", {})
    selector = selectors.DefaultSelector()
    for name, secret in job["agents"]:
        connection = shake_hands(place, AGENTS_PATH, "", headers)
        start = json.dumps({"inner": {**START, "name": name, "secret": secret}}).encode()
        ping = bytes((PING, 0x80)) + NO_MASK
        connection.socket.sendall(bytes([TEXT]) + frame(start, NO_MASK)[1:] + ping)
        came = connection.rest or more(connection.socket)
        while not came.endswith(bytes((PONG, 0))):
            if came[0] != TEXT:  # ours greet those of ours with a keep-alive
                raise OSError(f"no Pong: {came[:80]!r}")
            came += more(connection.socket)
        selector.register(connection.socket, selectors.EVENT_READ, connection.socket)
    say(open=len(job["agents"]))
    while True:
        for key, _ in selector.select():
            came = more(key.data)
            if came[0] != TEXT:  # of which there are keep-alives, once all stand
                _pong(key.data, came)


def _pong(connection: socket.socket, came: bytes) -> None:
    """Answer a Ping, which comes in one piece as it is so short. :raises OSError: for other frames

    The key is all zeros, so that the payload stays as it is.
    """
    if came[0] != PING or len(came) != 2 + came[1]:
        raise OSError(f"no Ping: {came[:40]!r}")
    connection.sendall(bytes((PONG, 0x80 | came[1])) + NO_MASK + came[2:])
