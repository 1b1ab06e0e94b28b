"""The web application of a measurement: gives bodies of any size, and takes and compares them."""

from __future__ import annotations

import selectors
import socket
from typing import Any

from relay.measuring.frames import COMMON, UNIT_BYTES
from relay.measuring.places import HEAD_END, LOOPBACK, say
from relay.measuring.web import (
    GIVE,
    HEAD_BYTES,
    READ_BYTES,
    TAKE,
    Cycle,
    body_length,
    receipt,
    unit_part,
)

BACKLOG = 1024
AT_ONCE_BYTES = 64 * 1024
"""Answers up to this size are built once and sent in one piece."""

TURN_BYTES = 1024 * 1024
"""What one connection is given before the others have their turn."""

OK = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n"


def site(job: dict[str, Any]) -> None:
    """Answer on ``place``'s port until a signal ends it."""
    listener = socket.create_server((LOOPBACK, job["place"]["port"]), backlog=BACKLOG)
    listener.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    buffer = memoryview(bytearray(READ_BYTES))
    say(ready=True)
    while True:
        for key, events in selector.select():
            if key.data is None:
                _accept(selector, listener)
                continue
            visitor: Visitor = key.data
            try:
                over = (
                    visitor.writable()
                    if events & selectors.EVENT_WRITE
                    else visitor.readable(buffer)
                )
            except OSError:
                over = True
            if over:
                selector.unregister(visitor.socket)
                visitor.socket.close()
            else:
                visitor.watch(selector, key.events)


def _accept(selector: selectors.BaseSelector, listener: socket.socket) -> None:
    try:
        while True:
            accepted, _ = listener.accept()
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(accepted, selectors.EVENT_READ, Visitor(accepted))
    except OSError:
        return


def answer(body: bytes) -> bytes:
    """:returns: a whole answer."""
    return OK.format(len(body)).encode() + body


class Visitor:
    """One connection, which asks one thing after the other."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._head = b""
        self._taking: Cycle | None = None
        self._missing = 0
        self._given = 0
        self._to_give = 0
        self._unsent = b""

    def watch(self, selector: selectors.BaseSelector, watched: int) -> None:
        """Wait for room where there is something to send, for bytes otherwise."""
        sends = bool(self._unsent) or self._given < self._to_give
        wanted = selectors.EVENT_WRITE if sends else selectors.EVENT_READ
        if wanted != watched:
            selector.modify(self.socket, wanted, self)

    def readable(self, buffer: memoryview) -> bool:
        """Read. :returns: whether it is over. :raises OSError:"""
        size = self.socket.recv_into(buffer)
        if not size:
            return True
        if self._taking is not None:
            self._took(buffer[:size])
            return False
        self._head += bytes(buffer[:size])
        head, found, rest = self._head.partition(HEAD_END)
        if not found:
            return len(head) > HEAD_BYTES
        self._head = b""
        target = head.split(b" ", 2)[1].decode("latin-1")
        if target == TAKE:
            self._taking, self._missing = Cycle(), body_length(head)
            self._took(memoryview(rest))
            return False
        if not target.startswith(GIVE):
            return True
        self._give(int(target.removeprefix(GIVE)))
        return False

    def writable(self) -> bool:
        """Send on. :returns: False, for it is not over. :raises OSError:"""
        if self._unsent:
            self._unsent = self._unsent[self.socket.send(self._unsent) :]
            if self._unsent:
                return False
        end = min(self._to_give, self._given + TURN_BYTES)
        while self._given < end:
            part = unit_part(self._given)[: self._to_give - self._given]
            sent = self.socket.send(part)
            self._given += sent
            if sent < len(part):
                break
        return False

    def _give(self, size: int) -> None:
        if size <= AT_ONCE_BYTES:
            whole = _small(size)
            self._unsent = whole[self.socket.send(whole) :]
            return
        self._given, self._to_give = 0, size
        self._unsent = OK.format(size).encode()

    def _took(self, view: memoryview) -> None:
        taking = self._taking
        assert taking is not None
        taking.feed(view)
        if taking.bytes >= self._missing:
            self._taking = None
            self.socket.sendall(answer(receipt(taking.bytes, taking.exact)))


_smalls: dict[int, bytes] = {}


def _small(size: int) -> bytes:
    if size not in _smalls:
        _smalls[size] = answer(COMMON[:size])
    return _smalls[size]


assert AT_ONCE_BYTES <= UNIT_BYTES
