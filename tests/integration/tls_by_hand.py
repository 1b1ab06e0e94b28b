"""TLS over a raw connection, record by record."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.integration.portal_peers import CONNECTED, Portal, Router, bearer
from tests.rawpeer import PERFECT_HANDSHAKE, Ended, Frame, RawPeer, connect, request_head
from tests.rawpeer.wire import take_frame


class ByHand:
    """TLS over a raw connection that answers no goodbye and says none unless told to.

    :ivar came: what was decrypted and not yet asked for
    """

    def __init__(self, peer: RawPeer, context: ssl.SSLContext, *, serves: bool = False) -> None:
        self.peer = peer
        peer.stays_half_open = True
        self.came = bytearray()
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if serves else "127.0.0.1"
        self._tls = context.wrap_bio(self._in, self._out, serves, name)

    async def shake(self) -> None:
        """Go through the handshake."""
        while True:
            with self._said(), suppress(ssl.SSLWantReadError):
                self._tls.do_handshake()
                return
            await self._hear()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self.peer.write(self.sealed(data))

    def sealed(self, data: bytes) -> bytes:
        """:returns: what would send ``data``, for the test to send; not for bulk"""
        self._tls.write(data)
        return self._out.read()

    def say_goodbye(self) -> None:
        """Send a close_notify; TCP stays as it is."""
        self.peer.write(self.goodbye())

    def goodbye(self) -> bytes:
        """:returns: a close_notify, for the test to send"""
        with suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        return self._out.read()

    async def receive(self) -> Frame:
        """:returns: the next frame"""
        while (frame := take_frame(self.came)) is None:
            await self._read_more()
        return frame

    async def everything(self) -> bool:
        """Read to the end of TCP into :attr:`came`. :returns: whether a goodbye came before"""
        try:
            while True:
                await self._read_more()
        except ssl.SSLZeroReturnError:
            return True
        except Ended:
            return False

    async def until(self, wanted: bytes) -> bytes:
        """Read until these bytes have come. :returns: them, and all before them"""
        while wanted not in self.came:
            await self._read_more()
        end = self.came.index(wanted) + len(wanted)
        found = bytes(self.came[:end])
        del self.came[:end]
        return found

    async def _read_more(self) -> None:
        try:
            self.came += self._tls.read(1 << 14)
        except ssl.SSLWantReadError:
            await self._hear()

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.peer.write(self._out.read())

    async def _hear(self) -> None:
        self._in.write(await self.peer.some())


async def dial(router: Router, trust: ssl.SSLContext) -> ByHand:
    """:returns: a TLS connection of which nothing is automatic"""
    peer = ByHand(await connect(router.port), trust)
    await peer.shake()
    return peer


async def dial_circuit(portal: Portal, trust: ssl.SSLContext) -> tuple[RawPeer, ByHand]:
    """:returns: a host's data link, and the TLS connection of the client that called"""
    control = await portal.control()
    client = await dial(portal.router, trust)
    client.write(
        request_head("/connect/client/ssh", {**PERFECT_HANDSHAKE, **bearer(portal.client_token)})
    )
    host = await portal.accept((await portal.incoming(control)).nexus)
    await client.until(CONNECTED.payload)
    return host, client
