"""Members of topics: a token is shown at an access API, and what it answers with is dialled."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

from relay.measuring.places import LOOPBACK, Connection, Refused, read_answer, shake_hands
from relay.measuring.places import request as upgrade

REGISTERED_S = 0.3
"""A relay may say 101 a little before a member hears anything."""

ANSWER_BYTES = 64 * 1024
TIMEOUT_S = 20.0


def connect(url: str, receive_bytes: int = 0) -> socket.socket:
    """:returns: a connection to the URL's port of loopback"""
    plain = socket.socket()
    plain.settimeout(TIMEOUT_S)
    if receive_bytes:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    plain.connect((LOOPBACK, urlsplit(url).port or 0))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return plain


def request(url: str, token: str) -> bytes:
    """:returns: what asks for a session"""
    lines = (
        f"POST {urlsplit(url).path} HTTP/1.1",
        f"Host: {urlsplit(url).netloc}",
        f"Authorization: {token}",
        "Content-Length: 0",
    )
    return "\r\n".join((*lines, "", "")).encode()


def answer(connection: socket.socket) -> str:
    """Read to the end, which comes behind the answer. :returns: the URI. :raises Refused:"""
    came = b""
    while chunk := connection.recv(ANSWER_BYTES):
        came += chunk
    _, _, body = came.partition(b"\r\n\r\n")
    try:
        uri: str = json.loads(body)["uri"]
    except (ValueError, KeyError, TypeError):
        raise Refused(came[:300].decode("latin-1")) from None
    return uri


def seat(url: str, token: str, receive_bytes: int = 0) -> Connection:
    """:returns: a member of a topic. :raises Refused, OSError:"""
    with connect(url) as asking:
        asking.sendall(request(url, token))
        uri = answer(asking)
    parts = urlsplit(uri)
    place = {"kind": "ws", "port": parts.port}
    if not receive_bytes:
        return shake_hands(place, f"{parts.path}?{parts.query}")
    return _narrow(uri, receive_bytes)


def _narrow(uri: str, receive_bytes: int) -> Connection:
    """:returns: the same, of which the kernel keeps little"""
    parts = urlsplit(uri)
    connection = connect(uri, receive_bytes)
    connection.sendall(upgrade({"port": parts.port}, f"{parts.path}?{parts.query}"))
    return Connection(connection, read_answer(connection))
