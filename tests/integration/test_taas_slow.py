"""Readers of taas pairs that do not read: who waits for them, who goes on, and what is kept."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.integration.portal_ours import resident_bytes
from tests.integration.taas_peers import BOTH, MiB, Router, passes
from tests.integration.test_taas_circuits import digest
from tests.rawpeer import Late, RawPeer, noise, the_reactor, together

SIDES = pytest.mark.parametrize("first", ["mobile", "hidden"])
MOST_TAKEN_BYTES = 64 * MiB
"""More than sockets and buffers on the way hold together."""

MOST_KEPT_BYTES = 24 * MiB
STALLED_S = 0.5
PACED_BYTES, PACE_BYTES = 24 * MiB, 8 * MiB
PART = MiB
BULK_S = 30.0

pytest_plugins = ["tests.integration.taas_fixtures"]


async def stuff(sender: RawPeer, part: bytes) -> int:
    """Send until nothing more is taken. :returns: how many bytes that were"""
    sent = 0
    while sent < MOST_TAKEN_BYTES:
        sender.write(part)
        sent += len(part)
        try:
            await sender.writable(STALLED_S)
        except Late:
            return sent
    raise AssertionError(f"{sent} bytes were taken for a side that does not read")


@BOTH
@SIDES
@pytest_twisted.ensureDeferred
async def test_reader_that_stops(taas: Router, first: str) -> None:
    """A side that stops holds only the other one back; nothing is lost, little is kept."""
    beside = await taas.circuit()
    circuit = await taas.circuit()
    still, sender = circuit.sides(first)
    still.shrink()
    still.pause()
    before = resident_bytes()
    part = noise(PART)
    sent = await stuff(sender, part)
    assert not taas.is_ours or resident_bytes() - before < MOST_KEPT_BYTES
    await beside.passes()
    await taas.works()
    await passes(still, sender)  # the other way goes on
    still.resume()
    came = await still.exactly(sent, BULK_S)
    assert digest(came) == digest(part * (sent // PART))
    await circuit.passes()


@BOTH
@SIDES
@pytest_twisted.ensureDeferred
async def test_reader_that_pauses(taas: Router, first: str) -> None:
    """A side that stops again and again gets all of it."""
    circuit = await taas.circuit()
    slow, sender = circuit.sides(first)
    slow.shrink()
    payload = noise(PACED_BYTES)
    sending = together(sender.write_all(payload))
    for start in range(0, len(payload), PACE_BYTES):
        came = await slow.exactly(PACE_BYTES, BULK_S)
        assert digest(came) == digest(payload[start : start + PACE_BYTES])
        slow.pause()
        await deferLater(the_reactor(), STALLED_S / 5)
        slow.resume()
    await sending
    await circuit.passes()


@BOTH
@SIDES
@pytest_twisted.ensureDeferred
async def test_fin_behind_what_waits(taas: Router, first: str) -> None:
    """A side that leaves in order while much waits loses none of it."""
    circuit = await taas.circuit()
    slow, sender = circuit.sides(first)
    slow.shrink()
    slow.pause()
    part = noise(PART)
    sent = await stuff(sender, part)
    sender.half_close()
    await taas.works()
    slow.resume()
    came = await slow.half_ended(BULK_S)
    assert digest(came) == digest(part * (sent // PART))
    slow.half_close()
    await sender.half_ended()
    await taas.left(circuit)


@BOTH
@pytest_twisted.ensureDeferred
async def test_bulk_and_small(taas: Router) -> None:
    """Small words pass beside bulk of another pair, both ways."""
    bulk, small = await taas.circuit(), await taas.circuit()
    payload = noise(16 * MiB)
    sending = together(bulk.hidden.write_all(payload))
    taking = Deferred.fromCoroutine(bulk.mobile.exactly(len(payload), BULK_S))
    for _ in range(20):
        await small.passes(noise(64), noise(1024))
    await sending
    assert digest(await taking) == digest(payload)
