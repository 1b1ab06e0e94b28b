"""TLS that renews its keys in mid-stream, in the cut-through gear."""

from __future__ import annotations

import pytest
import pytest_twisted
import trustme

from tests.integration.portal_ours import RouterMaker
from tests.integration.portal_peers import CONNECTED, Portal, bearer, unharmed
from tests.integration.test_portal_stopped_readers import flood
from tests.integration.tls_keys import KeysByHand
from tests.rawpeer import (
    PERFECT_HANDSHAKE,
    Frame,
    Op,
    RawPeer,
    connect,
    encode_frame,
    noise,
    request_head,
)
from tests.rawpeer.peer import MASK

pytest_plugins = ["tests.integration.portal_fixtures"]


async def circuit(portal: Portal) -> tuple[RawPeer, KeysByHand]:
    """:returns: a host's data link, and the client that called"""
    control = await portal.control()
    client = KeysByHand(await connect(portal.router.port))
    await client.shake()
    headers = {**PERFECT_HANDSHAKE, **bearer(portal.client_token)}
    client.peer.write(client.sealed(request_head("/connect/client/ssh", headers)))
    host = await portal.accept((await portal.incoming(control)).nexus)
    await client.until(CONNECTED.payload)
    return host, client


def binary(payload: bytes) -> bytes:
    """:returns: a client's message"""
    return encode_frame(Op.BINARY, payload, mask=MASK)


async def taken(client: KeysByHand, count: int) -> bytes:
    """:returns: so many bytes of payload, in however many frames"""
    came = b""
    while len(came) < count:
        came += (await client.receive()).payload
    return came


@pytest.mark.parametrize("asks", [False, True], ids=["alone", "both"])
@pytest_twisted.ensureDeferred
async def test_new_keys_within_a_frame(
    start_router: RouterMaker, tls_authority: trustme.CA, asks: bool
) -> None:
    """A record that is no payload changes nothing for those beside it, in either direction."""
    router, _ = await start_router.start(authority=tls_authority)
    async with unharmed(router):
        host, client = await circuit(router.portal())
        for _ in range(3):
            payload = noise(50_000)
            frame = binary(payload)
            client.peer.write(
                client.sealed(frame[:20_000])
                + client.key_update(asks=asks)
                + client.sealed(frame[20_000:])
            )
            assert await host.receive_bytes(len(payload)) == payload
            host.send(Op.BINARY, payload)
            assert await taken(client, len(payload)) == payload
        # alone, with nothing beside it
        client.peer.write(client.key_update(asks=asks))
        host.send(Op.BINARY, b"on")
        assert await client.receive() == Frame(Op.BINARY, b"on")
        client.peer.write(client.sealed(binary(b"and on")))
        assert await host.receive() == Frame(Op.BINARY, b"and on")
        client.peer.reset()


@pytest_twisted.ensureDeferred
async def test_new_keys_while_the_tail_is_long(
    start_router: RouterMaker, tls_authority: trustme.CA
) -> None:
    """Our own new keys begin behind all that was encrypted with the old ones."""
    router, _ = await start_router.start(authority=tls_authority)
    async with unharmed(router):
        host, client = await circuit(router.portal())
        client.peer.pause()
        sent = await flood(host)
        client.peer.write(client.key_update(asks=True) + client.sealed(binary(b"read")))
        assert await host.receive() == Frame(Op.BINARY, b"read")
        client.peer.resume()
        assert await taken(client, len(sent)) == sent
        await host.writable()
        host.send(Op.BINARY, b"thanks")
        assert await client.receive() == Frame(Op.BINARY, b"thanks")
        client.peer.reset()
