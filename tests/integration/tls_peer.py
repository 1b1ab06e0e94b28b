"""TLS over a connection of a test's own, with each goodbye said when the test says so."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from tests.rawpeer import Ended, RawPeer

READ_BYTES = 65536

T = TypeVar("T")


class TlsPeer:
    """One side of TLS.

    :param peer: the connection below
    :param name: of the server, in a client; None: this is the server
    """

    def __init__(self, peer: RawPeer, context: ssl.SSLContext, name: str | None) -> None:
        self.peer = peer
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, name is None, name)

    async def handshake(self) -> None:
        """:raises ssl.SSLError: when it fails"""
        await self._step(self._tls.do_handshake)

    def write(self, data: bytes) -> None:
        """Send."""
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]
            self._flush()

    async def exactly(self, count: int) -> bytes:
        """:returns: the next ``count`` bytes. :raises Ended: when a goodbye comes first"""
        parts = []
        while count:
            part = await self._step(partial(self._tls.read, min(READ_BYTES, count)))
            if not part:
                raise Ended(f"a goodbye, {count} bytes missing")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    async def goodbye(self) -> bytes:
        """:returns: all that comes before the other side's goodbye"""
        came = b""
        while True:
            try:
                part = await self._step(lambda: self._tls.read(READ_BYTES))
            except ssl.SSLZeroReturnError:
                return came
            if not part:
                return came
            came += part

    def say_goodbye(self) -> None:
        """Say that no more follows; the connection stays open."""
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            pass  # theirs is another matter
        self._flush()

    async def _step(self, step: Callable[[], T]) -> T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._flush()
                self._in.write(await self.peer.some())
            finally:
                self._flush()

    def _flush(self) -> None:
        if self._out.pending:
            self.peer.write(self._out.read())
