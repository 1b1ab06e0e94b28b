"""Pairs of taas from the wire (taas.md §6 and §8, checks 18 to 21 and 24 of §17)."""

from __future__ import annotations

import hashlib

import pytest
import pytest_twisted

from tests.integration.network_relay_trio import bulk_bytes
from tests.integration.taas_peers import (
    BOTH,
    OURS,
    KiB,
    MiB,
    Router,
    closed_unused,
    ended,
    original_differs,
    passes,
)
from tests.integration.taas_wire import SHARED_LABEL, SHARING, SHARING_TOO, fresh
from tests.rawpeer import RawPeer, noise, together

MOST_WAITING = 21
BULK_S = 60.0
EARLY_BYTES, MOST_EARLY_BYTES = 40 * KiB, 64 * KiB
TAIL_BYTES = 3 * MiB

SIDES = pytest.mark.parametrize("first", ["mobile", "hidden"])

pytest_plugins = ["tests.integration.taas_fixtures"]


def digest(payload: bytes) -> str:
    """:returns: what is compared of much payload, since a difference would be printed"""
    return hashlib.sha256(payload).hexdigest()


async def carry(sender: RawPeer, receiver: RawPeer, payload: bytes) -> None:
    """Send much, and compare what comes."""

    async def send() -> bytes:
        await sender.write_all(payload)
        return b""

    came, _ = await together(receiver.exactly(len(payload), BULK_S), send())
    assert digest(came) == digest(payload)


# -- payload ---------------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_bulk_both_ways(taas: Router) -> None:
    """Megabytes go both ways at once, unchanged; check 18."""
    circuit = await taas.circuit()
    size = max(20 * MiB, bulk_bytes())
    await together(
        carry(circuit.mobile, circuit.hidden, noise(size)),
        carry(circuit.hidden, circuit.mobile, noise(size)),
    )
    await circuit.passes()


@BOTH
@SIDES
@pytest_twisted.ensureDeferred
async def test_half_close(taas: Router, first: str) -> None:
    """A FIN from either side arrives behind its data, while the other way goes on; check 19."""
    circuit = await taas.circuit()
    leaving, staying = circuit.sides(first)
    last = noise(TAIL_BYTES)
    await leaving.write_all(last)
    leaving.half_close()
    assert digest(await staying.half_ended(BULK_S)) == digest(last)
    answer = noise(TAIL_BYTES)
    await carry(staying, leaving, answer)
    staying.half_close()
    await leaving.half_ended()
    await taas.left(circuit)


@BOTH
@pytest_twisted.ensureDeferred
async def test_both_half_close_at_once(taas: Router) -> None:
    """Both sides may say at once that they are done; all that they sent arrives."""
    circuit = await taas.circuit()
    up, down = noise(MiB), noise(MiB)
    for peer, payload in zip(circuit, (up, down), strict=True):
        await peer.write_all(payload)
        peer.half_close()
    assert digest(await circuit.hidden.half_ended(BULK_S)) == digest(up)
    assert digest(await circuit.mobile.half_ended(BULK_S)) == digest(down)
    await taas.left(circuit)


@BOTH
@pytest_twisted.ensureDeferred
async def test_callers_first_octets(taas: Router) -> None:
    """What a caller sends right behind its connect arrives first, and so does its FIN."""
    who = fresh()
    hidden = await taas.responder(who)
    mobile = await taas.mobile(who.label)
    said = noise(EARLY_BYTES)
    mobile.write(said)
    mobile.half_close()
    assert digest(await hidden.half_ended()) == digest(said)
    await passes(hidden, mobile)
    hidden.half_close()
    await mobile.half_ended()
    await taas.left([hidden, mobile])


# -- the queue -------------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_order(taas: Router) -> None:
    """Callers meet responders in the order of their arrival, each pair for itself; check 21."""
    who = fresh()
    first, second = await taas.responders(who, 2)
    port = await taas.redirect(who.label)
    one = await taas.dial(port)
    await passes(one, first)
    other = await taas.dial(port)
    await passes(other, second)
    await passes(second, other, b"second\n")
    await passes(first, one, b"first\n")
    assert other.nothing_came()


@BOTH
@pytest_twisted.ensureDeferred
async def test_most_that_wait(taas: Router) -> None:
    """The 22nd that waits pushes out the first; 21 wait; check 24."""
    who = fresh()
    waiting = await taas.responders(who, MOST_WAITING)
    assert [peer.end for peer in waiting] == [None] * MOST_WAITING
    newest = await taas.responder(who)
    await closed_unused(waiting[0])
    assert all(peer.end is None for peer in waiting[1:])
    mobile = await taas.mobile(who.label)
    await passes(mobile, waiting[1])
    assert newest.nothing_came()
    await taas.works()


@BOTH
@pytest_twisted.ensureDeferred
async def test_pools_that_push_each_other_out(taas: Router) -> None:
    """Two hosts of one label share its queue, the newest stay, and callers are served."""
    first = await taas.responders(SHARING._replace(label=SHARED_LABEL), 15)
    second = await taas.responders(SHARING_TOO._replace(label=SHARED_LABEL), 15)
    for peer in first[:9]:
        await closed_unused(peer)
    for hidden in (*first[9:], *second):
        await passes(await taas.mobile(SHARED_LABEL), hidden)


@original_differs("what comes early is thrown away")
@pytest_twisted.ensureDeferred
async def test_early_octets(taas: Router) -> None:
    """What a hidden server says before it is met is kept for its caller."""
    who = fresh()
    hidden = await taas.responder(who)
    said = noise(EARLY_BYTES)
    await hidden.write_all(said)
    await taas.settles()
    mobile = await taas.mobile(who.label)
    assert digest(await mobile.exactly(EARLY_BYTES)) == digest(said)
    await passes(mobile, hidden)
    await passes(hidden, mobile)


@OURS
@pytest_twisted.ensureDeferred
async def test_too_many_early_octets(taas: Router) -> None:
    """More than 64 KiB before its time ends a hidden connection, which is handed to nobody."""
    who = fresh()
    loud, quiet = await taas.responders(who, 2)
    loud.write(noise(MOST_EARLY_BYTES + 1))
    await ended(loud)
    await passes(await taas.mobile(who.label), quiet)


@BOTH
@pytest_twisted.ensureDeferred
async def test_silence_before_a_pair(taas: Router) -> None:
    """A hidden connection hears nothing before a caller speaks, and keeps waiting."""
    who = fresh()
    hidden = await taas.responder(who)
    mobile = await taas.mobile(who.label)
    await taas.works()
    assert hidden.nothing_came()
    assert hidden.end is None
    await passes(mobile, hidden)


@BOTH
@pytest_twisted.ensureDeferred
async def test_many_pairs(taas: Router) -> None:
    """Pairs of several labels do not mix."""
    circuits = [await taas.circuit() for _ in range(8)]
    words = [noise(8) for _ in circuits]
    for circuit, word in zip(circuits, words, strict=True):
        circuit.mobile.write(word)
        circuit.hidden.write(word[::-1])
    for circuit, word in zip(circuits, words, strict=True):
        assert await circuit.hidden.exactly(8) == word
        assert await circuit.mobile.exactly(8) == word[::-1]
