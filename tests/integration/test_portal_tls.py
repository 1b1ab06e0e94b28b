"""A portal through a router's TLS listener: what goes through, and what is left when it ends."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import pytest_twisted
import trustme

from tests.integration.portal_ours import RouterMaker
from tests.integration.portal_peers import END_S
from tests.rawpeer import (
    Op,
    RawPeer,
    noise,
    together,
)

MiB = 1024 * 1024

pytest_plugins = ["tests.integration.portal_fixtures"]


@pytest_twisted.ensureDeferred
async def test_tls(start_router: RouterMaker, tls_authority: trustme.CA) -> None:
    """Over TLS a circuit carries bulk both ways, and a drop loses nothing."""
    router, _ = await start_router.start(authority=tls_authority)
    portal = router.portal()
    control = await portal.control()
    for side in ("client", "host"):
        circuit = await portal.circuit(control=control)
        sender, receiver = circuit.sides(side)
        payload = noise(2 * MiB)

        async def send(peer: RawPeer, data: bytes) -> bytes:
            await peer.send_all(data)
            return data

        async def take(peer: RawPeer) -> bytes:
            return await peer.receive_bytes(2 * MiB)

        _, _, there, back = await together(
            send(sender, payload), send(receiver, payload), take(receiver), take(sender)
        )
        digests = {hashlib.sha256(data).digest() for data in (payload, there, back)}
        assert len(digests) == 1
        sender.send(Op.BINARY, payload[:65536])
        sender.drop()
        assert (await receiver.ending(END_S)).data == payload[:65536]
    control.drop()
    await router.works()
    await router.comes_to_rest()


@pytest.mark.parametrize("leave", [RawPeer.drop, RawPeer.reset, RawPeer.send_close])
@pytest_twisted.ensureDeferred
async def test_tls_ends(start_router: RouterMaker, tls_authority: trustme.CA, leave: Any) -> None:
    """Over TLS too the end of one side is the end of the other, and nothing is left."""
    router, _ = await start_router.start(authority=tls_authority)
    for side in ("client", "host"):
        circuit = await router.portal().circuit()
        sender, receiver = circuit.sides(side)
        leave(sender)
        await together(sender.ending(END_S), receiver.ending(END_S))
    await router.comes_to_rest()
