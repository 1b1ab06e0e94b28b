"""Peers that stop reading: the portal router holds their senders back, and nobody else.

Behind each of them a circuit on the same router works and no descriptor is left.
"""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.integration.portal_ours import resident_bytes
from tests.integration.portal_peers import BOTH, CONNECTED, END_S, OURS, Portal, Router, unharmed
from tests.rawpeer import Frame, Late, Op, PeerError, RawPeer, noise, together

MiB = 1024 * 1024
BURST = 2000
PINGS = 100_000
"""Of 120 bytes each: more than the kernel keeps of the answers."""

STALLED_S = 0.5
"""A sender that could not go on for so long is being held back."""

pytest_plugins = ["tests.integration.portal_fixtures"]


async def flood(sender: RawPeer, limit: int = 64 * MiB) -> bytes:
    """Send until the other end takes no more. :returns: what was sent; fails at ``limit``"""
    part = noise(64 * 1024)
    for count in range(limit // len(part)):
        sender.send(Op.BINARY, part)
        try:
            await sender.writable(STALLED_S)
        except Late:
            return part * (count + 1)
    raise PeerError(f"{limit} bytes were taken for a reader that does not read")


async def stalled_circuit(portal: Portal, side: str) -> tuple[RawPeer, RawPeer, bytes]:
    """:returns: a sender, a paused reader and what the sender has sent until it was held back"""
    circuit = await portal.circuit()
    sender, reader = circuit.sides(side)
    reader.shrink()
    reader.pause()
    return sender, reader, await flood(sender)


@BOTH
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_stops_reading(router: Router, side: str) -> None:
    """A reader that stops holds its sender back, nobody else; all is there when it reads again."""
    async with unharmed(router):
        before = resident_bytes()
        sender, reader, sent = await stalled_circuit(router.portal(), side)
        if router.is_ours:
            assert resident_bytes() - before < 16 * MiB
        await router.works()
        reader.resume()
        assert await reader.receive_bytes(len(sent)) == sent
        await sender.writable()
        reader.send(Op.BINARY, b"thanks")
        assert await sender.receive() == Frame(Op.BINARY, b"thanks")
        reader.drop()
        await sender.ending(END_S)


@BOTH
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_stops_reading_and_dies(router: Router, side: str) -> None:
    """A reader that stopped and dies frees its sender."""
    async with unharmed(router):
        sender, reader, _ = await stalled_circuit(router.portal(), side)
        reader.reset()
        await sender.ending(END_S)


@BOTH
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_the_sender_dies_while_the_reader_has_stopped(router: Router, side: str) -> None:
    """A sender that is reset while it is held back is forgotten; its reader gets a beginning."""
    async with unharmed(router):
        sender, reader, sent = await stalled_circuit(router.portal(), side)
        sender.reset()
        reader.resume()
        ending = await reader.ending()
        assert sent.startswith(ending.data)


@OURS
@pytest.mark.parametrize("kind", ["control", "pending", "client", "host"])
@pytest_twisted.ensureDeferred
async def test_pings_and_does_not_read(router: Router, kind: str) -> None:
    """Whoever pings for ever and takes no Pong costs no memory; the last Ping is answered."""
    async with unharmed(router):
        portal = router.portal()
        control = await portal.control()
        peer = control if kind == "control" else await portal.call()
        if kind in ("client", "host"):
            call = await portal.incoming(control)
            host = await portal.accept(call.nexus)
            assert await peer.receive() == CONNECTED
            peer = host if kind == "host" else peer
        peer.shrink()
        peer.pause()
        sent = 0
        while sent < PINGS:
            for _ in range(1000):
                peer.send(Op.PING, sent.to_bytes(4, "big") * 30)
                sent += 1
            await peer.writable()
        # what the kernels keep between the two is all that waits
        peer.resume()
        pongs: list[int] = []
        while not pongs or pongs[-1] != PINGS - 1:
            frame = await peer.receive()
            if frame.opcode == Op.PONG:
                pongs.append(int.from_bytes(frame.payload[:4], "big"))
        assert pongs == sorted(set(pongs))
        assert BURST < len(pongs) < PINGS
        # who goes on reading is answered ping by ping
        for number in range(BURST):
            peer.send(Op.PING, number.to_bytes(4, "big") * 30)
        for number in range(BURST):
            assert (await peer.receive()).payload[:4] == number.to_bytes(4, "big")


@OURS
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_the_tail_waits_for_a_slow_reader(router: Router, side: str) -> None:
    """What was sent before a Close reaches a reader that had stopped, to the last byte."""
    async with unharmed(router):
        sender, reader, sent = await stalled_circuit(router.portal(), side)
        sender.send_close(1000)
        reader.resume()
        ending, _ = await together(reader.ending(), sender.ending())
        assert ending.data == sent
        assert ending.close is not None
        assert ending.close.code == 1000
