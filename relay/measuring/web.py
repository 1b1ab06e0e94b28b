"""HTTP as far as loads need it: one question, its answer, and bodies of any size.

A body is the common unit of :mod:`relay.measuring.frames` again and again, cut where its length
says; whoever takes one knows the length and compares.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from relay.measuring.frames import COMMON, UNIT_BYTES
from relay.measuring.places import HEAD_END, LOOPBACK, TIMEOUT_S, Place, connect, say

READ_BYTES = 1024 * 1024
HEAD_BYTES = 16 * 1024
TWICE = memoryview(COMMON + COMMON)
COMPARED_EVERY = 4
CONTENT_LENGTH = b"\r\ncontent-length:"
SMALL_BYTES = 64
GIVE = "/give/"
"""What is asked for so many bytes, which stand behind it."""

TAKE = "/take"
"""What is told many bytes, and answers how many came, in words of :func:`receipt`."""


def unit_part(offset: int) -> memoryview:
    """:returns: what of a body begins at this offset, one unit long."""
    start = offset % UNIT_BYTES
    return TWICE[start : start + UNIT_BYTES]


class Cycle:
    """Compares a body with what it must be; one unit in so many is looked at.

    :ivar bytes: how many came
    :ivar exact: whether all of them were right so far
    """

    def __init__(self, every: int = COMPARED_EVERY) -> None:
        self.bytes = 0
        self.exact = True
        self._every = every

    def feed(self, view: memoryview) -> None:
        """Take the next bytes."""
        start, size = 0, len(view)
        while start < size:
            number, offset = divmod(self.bytes, UNIT_BYTES)
            end = min(size, start + UNIT_BYTES - offset)
            if number % self._every == 0:
                self.exact &= COMMON.startswith(view[start:end], offset)
            self.bytes += end - start
            start = end


def receipt(size: int, exact: bool) -> bytes:
    """:returns: the body that answers an upload."""
    return b"%d %s" % (size, b"exact" if exact else b"inexact")


def get(place: Place, size: int) -> bytes:
    """:returns: the request for so many bytes."""
    return _head(place, "GET", f"{GIVE}{size}", "") + HEAD_END


def put(place: Place, size: int) -> bytes:
    """:returns: the head in front of so many bytes."""
    return _head(place, "PUT", TAKE, f"\r\nContent-Length: {size}") + HEAD_END


def _head(place: Place, method: str, path: str, more: str) -> bytes:
    line = f"{method} {place.get('path', '')}{path} HTTP/1.1"
    return f"{line}\r\nHost: {LOOPBACK}:{place['port']}{more}".encode()


def body_length(head: bytes) -> int:
    """:returns: of a message with this head; 0 where it says none. :raises OSError:"""
    lowered = head.lower()
    found = lowered.find(CONTENT_LENGTH)
    if found < 0:
        if b"\r\ntransfer-encoding:" in lowered:
            raise OSError(f"a body without a length: {head[:200]!r}")
        return 0
    start = found + len(CONTENT_LENGTH)
    end = lowered.find(b"\r\n", start)
    return int(lowered[start : end if end >= 0 else len(lowered)])


def answered(size: int) -> Callable[[bytes], bool]:
    """:returns: tells whether an answer with so many bytes is whole
    :raises OSError: (that does) for any other answer
    """
    body = COMMON[:size]

    def is_whole(got: bytes) -> bool:
        end = got.find(HEAD_END)
        if end < 0:
            if len(got) > HEAD_BYTES:
                raise OSError(f"no answer: {got[:200]!r}")
            return False
        _check_ok(got, size, end)
        if len(got) < end + len(HEAD_END) + size:
            return False
        if got[end + len(HEAD_END) :] != body:
            raise OSError(f"a wrong answer: {got[:200]!r}")
        return True

    return is_whole


def _check_ok(got: bytes, size: int, end: int) -> None:
    """:raises OSError: for anything but a 200 with a body of that size."""
    if got[9:12] != b"200" or body_length(got[:end]) != size:
        raise OSError(f"a wrong answer: {got[:200]!r}")


# -- one body after the other --------------------------------------------------------------------


def fetch(job: dict[str, Any]) -> None:
    """Get bodies of ``size`` bytes on one connection, one behind the other, for ``seconds``.

    ``up``: put them instead. The last one is finished. The result has the bytes, and the seconds
    from the first question to the last answer; everything is verified, here or by the site.
    """
    place, size, up = job["place"], job["size"], job["up"]
    connection = connect(place)
    connection.settimeout(TIMEOUT_S)
    connection.setblocking(True)
    question = put(place, size) if up else get(place, size)
    exchange = _give if up else _take
    buffer = memoryview(bytearray(READ_BYTES))
    exchange(connection, question, size, buffer)  # the first one finds everything asleep
    say(fetching=True)
    used = time.process_time()
    started = time.monotonic()
    count = 0
    while (now := time.monotonic()) < started + job["seconds"] or not count:
        exchange(connection, question, size, buffer)
        count += 1
    now = time.monotonic()
    say(carried=count * size, seconds=now - started, cpu_s=time.process_time() - used)


def _take(connection: socket.socket, question: bytes, size: int, buffer: memoryview) -> None:
    """:raises OSError: for any answer but the right one"""
    connection.sendall(question)
    got = 0
    while (end := bytes(buffer[:got]).find(HEAD_END)) < 0:
        came = connection.recv_into(buffer[got:HEAD_BYTES])
        if not came:
            raise OSError(f"no answer: {bytes(buffer[:200])!r}")
        got += came
    _check_ok(bytes(buffer[: end + len(HEAD_END)]), size, end)
    body = Cycle()
    body.feed(buffer[end + len(HEAD_END) : got])
    while body.bytes < size and (came := connection.recv_into(buffer)):
        body.feed(buffer[:came])
    if body.bytes != size or not body.exact:
        raise OSError(f"a wrong body: {body.bytes} bytes, of {size}, exact: {body.exact}")


def _give(connection: socket.socket, question: bytes, size: int, buffer: memoryview) -> None:
    """:raises OSError: for any answer but the right one"""
    connection.sendall(question)
    for offset in range(0, size, UNIT_BYTES):
        connection.sendall(unit_part(offset)[: size - offset])
    expected = receipt(size, True)
    got = b""
    while not got.endswith(expected):
        came = connection.recv_into(buffer)
        got += bytes(buffer[:came])
        if not came or len(got) > HEAD_BYTES:
            raise OSError(f"a wrong answer: {got[:300]!r}")
    if got[9:12] != b"200":
        raise OSError(f"a wrong answer: {got[:300]!r}")
