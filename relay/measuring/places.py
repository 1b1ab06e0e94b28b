"""Where a load gets its connections from.

A *place* is a JSON object: ``kind`` is ``tcp`` (connects), ``listen`` (accepts), ``ws`` (connects
and shakes hands), ``serve`` (accepts and answers that), ``caller`` or ``callee`` (does what a
client or host of portal does), ``seat`` (becomes a member of a topic: ``session`` and ``token``),
``hidden`` and ``mobile`` (the two sides of taas: :mod:`relay.measuring.rendezvous`),
``web`` (connects and asks below ``path``), ``site`` (answers that)
or ``stdio`` (starts ``command`` with ``environment``, whose standard input and output it is).
Where ``begins`` is true, a ``tcp`` place says one byte first, and a ``listen`` place takes that;
``port`` is on loopback; ``path``, ``token``, ``service`` and ``ca`` (a file; then it is TLS) where
they apply.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

LOOPBACK = "127.0.0.1"
HEAD_END = b"\r\n\r\n"
HEAD_BYTES = 16 * 1024
READ_BYTES = 4096
BIG_READ_BYTES = 64 * 1024
TIMEOUT_S = 20.0
LONG = 126
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
FIRST = b"\n"
"""What a side says that has to speak first, before anything is measured."""


class Refused(Exception):
    """A handshake was not answered with a 101; the argument is what came instead."""


class Connection(NamedTuple):
    """A connection that is ready for payload.

    :ivar rest: what has come behind its handshake
    """

    socket: socket.socket
    rest: bytes = b""


Place = dict[str, Any]


def say(**values: object) -> None:
    """Tell whoever started this process, in one line of JSON."""
    print(json.dumps(values), flush=True)


def connections(place: Place, count: int = 1) -> Iterator[Connection]:
    """:returns: so many connections, as they come. :raises OSError, Refused:"""
    kind = place["kind"]
    if kind == "listen":
        yield from _accepted(place, count)
    elif kind == "serve":
        for connection, _ in _accepted(place, count):
            yield Connection(connection, answer_handshake(connection))
    elif kind == "callee":
        yield from _answered(place, count)
    else:
        for number in range(count):
            if kind in ("tcp", "web"):
                made = connect(place)
                if place.get("begins"):
                    made.sendall(FIRST)
                yield Connection(made)
            elif kind == "ws":
                yield shake_hands(place, place["path"].format(number))
            elif kind == "stdio":
                yield Connection(_started(place))
            elif kind == "seat":
                yield _seated(place)
            elif kind in ("hidden", "mobile"):
                yield _met(place)
            else:
                yield _called(place)
        if kind in ("ws", "seat", "hidden"):
            say(ready=True)


def more(connection: socket.socket) -> bytes:
    """:returns: what comes next. :raises OSError: also at the end"""
    chunk = connection.recv(BIG_READ_BYTES)
    if not chunk:
        raise OSError("the connection has ended before its answer")
    return chunk


def connect(place: Place) -> socket.socket:
    """:returns: a connection to the place's port, by TLS where it names an authority."""
    plain = socket.create_connection((LOOPBACK, place["port"]), TIMEOUT_S)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ca = place.get("ca")
    if ca is None:
        return plain
    return ssl.create_default_context(cafile=ca).wrap_socket(plain, server_hostname=LOOPBACK)


def request(
    place: Place, path: str, token: str | None = None, more: Mapping[str, str] | None = None
) -> bytes:
    """:returns: the head of a WebSocket handshake, with ``more`` headers."""
    shown = place.get("token") if token is None else token
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {LOOPBACK}:{place['port']}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        *([f"Authorization: Bearer {shown}"] if shown else []),
        *(f"{name}: {value}" for name, value in (more or {}).items()),
    ]
    return ("\r\n".join(lines)).encode() + HEAD_END


def read_answer(connection: socket.socket) -> bytes:
    """:returns: what came behind the 101. :raises Refused, OSError:"""
    head, rest = _read_head(connection)
    if b" 101 " not in head.split(b"\r\n", 1)[0]:
        raise Refused((head + HEAD_END + rest)[:200].decode("latin-1"))
    return rest


def answer_handshake(connection: socket.socket) -> bytes:
    """Be the server of a WebSocket. :returns: what came behind the request

    :raises Refused, OSError:
    """
    head, rest = _read_head(connection)
    found = re.search(rb"\r\nsec-websocket-key: *(\S+)", head, re.IGNORECASE)
    if found is None:
        raise Refused(head[:200].decode("latin-1"))
    key = found[1]
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
    lines = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
    connection.sendall("\r\n".join((*lines, f"Sec-WebSocket-Accept: {accept}")).encode() + HEAD_END)
    return rest


def _read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """:returns: the next head, and what came behind it. :raises Refused, OSError:"""
    seen = b""
    while HEAD_END not in seen:
        chunk = connection.recv(READ_BYTES)
        seen += chunk
        if not chunk or len(seen) > HEAD_BYTES:
            raise Refused(seen[:200].decode("latin-1"))
    head, _, rest = seen.partition(HEAD_END)
    return head, rest


def shake_hands(
    place: Place, path: str, token: str | None = None, more: Mapping[str, str] | None = None
) -> Connection:
    """:returns: a WebSocket. :raises Refused, OSError:"""
    connection = connect(place)
    connection.sendall(request(place, path, token, more))
    return Connection(connection, read_answer(connection))


def read_message(connection: Connection) -> tuple[bytes, bytes]:
    """Read one short message without a mask. :returns: it, and what came behind it."""
    seen = connection.rest
    while True:
        if len(seen) >= 4:
            size, start = seen[1] & 0x7F, 2
            if size == LONG:
                size, start = int.from_bytes(seen[2:4], "big"), 4
            if len(seen) >= start + size:
                return seen[start : start + size], seen[start + size :]
        chunk = connection.socket.recv(READ_BYTES)
        if not chunk:
            raise Refused(f"the connection ended: {seen[:200]!r}")
        seen += chunk


def _accepted(place: Place, count: int) -> Iterator[Connection]:
    with socket.create_server((LOOPBACK, place["port"]), backlog=1024) as listener:
        say(ready=True)
        for _ in range(count):
            accepted, _ = listener.accept()
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if place.get("begins"):
                accepted.recv(len(FIRST))
            yield Connection(accepted)


def _started(place: Place) -> socket.socket:
    # here, since other loads start sooner without what starts processes
    from relay.measuring.stdio import Pipes

    # it has what loads use of a socket
    return cast(socket.socket, Pipes(place["command"], place.get("environment", {})))


def _seated(place: Place) -> Connection:
    from relay.measuring.seats import REGISTERED_S, seat

    connection = seat(place["session"], place["token"])
    time.sleep(REGISTERED_S)
    return connection


def _met(place: Place) -> Connection:
    from relay.measuring import rendezvous

    return rendezvous.hidden(place) if place["kind"] == "hidden" else rendezvous.mobile(place)


def _called(place: Place) -> Connection:
    connection = shake_hands(place, f"/connect/client/{place['service']}")
    message, rest = read_message(connection)
    if message != b'"Connected"':
        raise Refused(repr(message[:200]))
    return Connection(connection.socket, rest)


def _answered(place: Place, count: int) -> Iterator[Connection]:
    control = shake_hands(place, "/connect/host_control")
    say(ready=True)
    control.socket.settimeout(None)
    for _ in range(count):
        message, rest = read_message(control)
        nexus = json.loads(message)["Incoming"]["nexus"]
        yield shake_hands(place, f"/connect/host_accept/{nexus}")
        control = Connection(control.socket, rest)
    _KEPT.append(control)


_KEPT: list[Connection] = []
"""Control connections, which stand as long as the process."""
