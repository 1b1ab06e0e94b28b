"""Readers of network-relay that do not read: who waits for them, who goes on, and what is kept.

An agent's link has no credit: above 8 MiB for one client the router stops reading it, and a client
that takes nothing for 2 s meanwhile is ended.
"""

from __future__ import annotations

from contextlib import suppress

import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.integration.network_relay_peers import (
    BOTH,
    OURS,
    Circuit,
    KiB,
    MiB,
    Router,
    original_differs,
)
from tests.integration.network_relay_wire import PART_BYTES
from tests.integration.portal_ours import resident_bytes
from tests.rawpeer import Ended, Late, PeerError, noise, the_reactor, together

WAITING_BYTES = 64 * MiB
"""More than sockets and buffers on the way hold together."""

BELOW_MARK_BYTES = 4 * MiB
OVERRUN_S = 8.0
"""2 s without a byte taken, and time to fill the buffers before."""

STALLED_S = 0.5
PACE_BYTES = 8 * MiB
PACE_S = 0.5
MOST_BYTES = 40 * MiB

pytest_plugins = ["tests.integration.network_relay_raw_fixtures"]


async def stalled(relay: Router) -> Circuit:
    """:returns: a circuit whose client does not read"""
    circuit = await relay.circuit()
    circuit.caller.peer.shrink()
    circuit.caller.peer.pause()
    return circuit


@BOTH
@pytest_twisted.ensureDeferred
async def test_slow_client_within_bounds(relay: Router) -> None:
    """Up to 4 MiB wait for a client that does not read; another of the same agent goes on."""
    circuit = await stalled(relay)
    other = await circuit.agent.circuit()
    sent = noise(BELOW_MARK_BYTES)
    await circuit.agent.send_parts(sent, connection_id=circuit.connection_id)
    for _ in range(20):
        await other.passes()
    circuit.caller.peer.resume()
    assert await circuit.caller.payload(len(sent)) == sent
    await circuit.passes()


@original_differs("all that an agent sends is kept, without a bound")
@pytest_twisted.ensureDeferred
async def test_stalled_client_is_ended(relay: Router) -> None:
    """A client that takes nothing is ended, the agent told, others go on; memory stays bounded."""
    before = resident_bytes()
    circuit = await stalled(relay)
    other = await circuit.agent.circuit()
    sending = together(_flood(circuit))
    await circuit.agent.closed(circuit.connection_id, OVERRUN_S)
    assert not relay.is_ours or resident_bytes() - before < MOST_BYTES
    await other.passes()
    await relay.works()
    await sending
    circuit.caller.peer.resume()
    ending = await circuit.caller.ending()
    assert ending.close is None or ending.close.reason == "overrun"
    await circuit.agent.serves()


async def _flood(circuit: Circuit) -> None:
    """Send more than anybody keeps, as far as it is taken."""
    part = noise(PART_BYTES)
    # where nobody ends the client, the test's own end does it
    with suppress(Ended):
        for _ in range(WAITING_BYTES // PART_BYTES):
            await circuit.agent.peer.writable(OVERRUN_S)
            circuit.tell(part)


@OURS
@pytest_twisted.ensureDeferred
async def test_slow_client_that_reads(relay: Router) -> None:
    """A client that stops again and again, each time for less than 2 s, gets all of it."""
    circuit = await relay.circuit()
    circuit.caller.peer.shrink()
    sent = noise(24 * MiB)
    sending = together(circuit.agent.send_parts(sent, connection_id=circuit.connection_id))
    for start in range(0, len(sent), PACE_BYTES):
        assert await circuit.caller.payload(PACE_BYTES) == sent[start : start + PACE_BYTES]
        circuit.caller.peer.pause()
        await deferLater(the_reactor(), PACE_S)
        circuit.caller.peer.resume()
    await sending


@BOTH
@pytest_twisted.ensureDeferred
async def test_agent_that_does_not_read(relay: Router) -> None:
    """An agent that stops reading holds its clients back, nobody else; nothing is lost."""
    circuit = await relay.circuit()
    circuit.agent.peer.shrink()
    circuit.agent.peer.pause()
    part = noise(PART_BYTES)
    sent = 0
    while sent < WAITING_BYTES:
        circuit.caller.data(part)
        sent += len(part)
        try:
            await circuit.caller.peer.writable(STALLED_S)
        except Late:
            break
    else:
        raise PeerError(f"{sent} bytes were taken for an agent that does not read")
    await relay.works()
    circuit.agent.peer.resume()
    got = await circuit.agent.payload(sent, 30.0, connection_id=circuit.connection_id)
    assert got == part * (sent // len(part))
    await circuit.passes()


@OURS
@pytest_twisted.ensureDeferred
async def test_bulk_and_small(relay: Router) -> None:
    """Small messages pass beside bulk on the same link, both ways."""
    bulk = await relay.circuit()
    small = await bulk.agent.circuit()
    sent = noise(16 * MiB)
    sending = together(bulk.agent.send_parts(sent, connection_id=bulk.connection_id))
    taking = Deferred.fromCoroutine(bulk.caller.payload(len(sent), 30.0))
    for _ in range(20):
        await small.passes(noise(64), noise(KiB))
    await sending
    assert await taking == sent
