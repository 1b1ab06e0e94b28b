"""Answers of HTTP/1.1 as a viewer reads them: whole, in parts, or cut off."""

from __future__ import annotations

from typing import NamedTuple

from tests.rawpeer.peer import RawPeer
from tests.rawpeer.waiting import DEADLINE_S, Ended, PeerError
from tests.rawpeer.wire import Head


class Response(NamedTuple):
    """One response.

    :ivar interim: the heads of 1xx that came before it
    :ivar framing: ``length``, ``chunked``, ``close`` or ``none``
    :ivar whole: whether the end is where the framing says
    """

    head: Head
    body: bytes
    framing: str
    interim: tuple[Head, ...] = ()
    trailers: tuple[str, ...] = ()
    whole: bool = True

    @property
    def status(self) -> int:
        """:returns: its status"""
        return self.head.status

    def header(self, name: str) -> str | None:
        """:returns: the only header of that name"""
        return self.head.header(name)


async def read_head(peer: RawPeer, deadline_s: float = DEADLINE_S) -> tuple[Head, list[Head]]:
    """:returns: the head of the final response, and those of 1xx before. :raises Late, Ended:"""
    interim: list[Head] = []
    while True:
        head = await peer.head(deadline_s)
        if head.status == 101 or head.status >= 200:
            return head, interim
        interim.append(head)


def framing(head: Head, method: str) -> str:
    """:returns: how the end of the body is told (RFC 9112 §6.3)"""
    if method == "HEAD" or head.status in (101, 204, 304):
        return "none"
    if (head.header("Transfer-Encoding") or "").lower() == "chunked":
        return "chunked"
    return "length" if head.header("Content-Length") is not None else "close"


async def read_chunk(peer: RawPeer, deadline_s: float = DEADLINE_S) -> bytes:
    """:returns: the next chunk, empty for the last. :raises Late, Ended:"""
    size = int((await read_line(peer, deadline_s)).partition(";")[0], 16)
    if size == 0:
        return b""
    data = await peer.exactly(size, deadline_s)
    if await peer.exactly(2, deadline_s) != b"\r\n":
        raise PeerError("a chunk that is longer than it says")
    return data


async def read_line(peer: RawPeer, deadline_s: float = DEADLINE_S) -> str:
    """:returns: the next line without its end. :raises Late, Ended:"""
    line = b""
    while not line.endswith(b"\r\n"):
        line += await peer.exactly(1, deadline_s)
    return line[:-2].decode("latin-1")


async def read_response(
    peer: RawPeer, *, method: str = "GET", deadline_s: float = DEADLINE_S
) -> Response:
    """:returns: the next response, also one that is cut off in its body. :raises Late, Ended:"""
    head, interim = await read_head(peer, deadline_s)
    how = framing(head, method)
    body, trailers = bytearray(), []
    whole = True
    try:
        if how == "chunked":
            while chunk := await read_chunk(peer, deadline_s):
                body += chunk
            while line := await read_line(peer, deadline_s):
                trailers.append(line)
        elif how == "length":
            body += await peer.exactly(int(head.header("Content-Length") or 0), deadline_s)
        elif how == "close":
            body += await peer.everything(deadline_s)
    except Ended:
        whole = False
        body += peer.left()
    return Response(head, bytes(body), how, tuple(interim), tuple(trailers), whole)


def request(
    method: str,
    target: str,
    *headers: str,
    body: bytes = b"",
    host: str | None = "viewer.example",
    version: str = "HTTP/1.1",
) -> bytes:
    """:param headers: lines without their ends
    :param host: None: no Host header
    :returns: a request of exactly these lines
    """
    lines = [f"{method} {target} {version}"]
    lines += [f"Host: {host}"] if host is not None else []
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body
