"""How pairs of taas end, in every order and from each side (taas.md §6, §8, check 20 of §17).

The original's server ends with the first reset of a paired caller; for ours, every end is one of
that pair alone, and leaves no descriptor behind.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial

import pytest
import pytest_twisted

from tests.integration.taas_peers import (
    BOTH,
    OURS,
    Circuit,
    MiB,
    Router,
    closed_unused,
    ended,
    original_differs,
    passes,
)
from tests.integration.taas_wire import ADDRESS, fresh
from tests.rawpeer import Ended, Late, RawPeer, noise, until

SIDES = pytest.mark.parametrize("first", ["mobile", "hidden"])
STUCK_BYTES = 32 * MiB
"""More than the kernel's buffers on the way hold."""

STALLED_S = 0.5
MANY = 50
ABSENT_S = 8.0

pytest_plugins = ["tests.integration.taas_fixtures"]


def half_closed(circuit: Circuit, first: str) -> RawPeer:
    """Let one side say that it is done. :returns: it"""
    leaving, _ = circuit.sides(first)
    leaving.half_close()
    return leaving


# -- resets ----------------------------------------------------------------------------------------


@original_differs("a reset of the caller ends it, that of the hidden side is told nobody")
@SIDES
@pytest_twisted.ensureDeferred
async def test_reset(taas: Router, first: str) -> None:
    """A reset of either side ends the other, and nobody else; check 20."""
    beside = await taas.circuit()
    circuit = await taas.circuit()
    leaving, staying = circuit.sides(first)
    leaving.reset()
    await ended(staying)
    await beside.passes()
    await taas.works()


@original_differs("a reset of the caller ends it, that of the hidden side is told nobody")
@SIDES
@pytest_twisted.ensureDeferred
async def test_reset_behind_a_fin(taas: Router, first: str) -> None:
    """A reset of a side that was done already, or of the other one then, ends the pair."""
    for resets in range(2):
        circuit = await taas.circuit()
        sides = circuit.sides(first)
        sides[0].half_close()
        await sides[1].half_ended()
        sides[resets].reset()
        if resets:
            await ended(sides[0])
        else:
            # it has seen the FIN: that this is the end shows where it writes
            await _finds_nobody(sides[1])
    await taas.works()


async def _finds_nobody(peer: RawPeer) -> None:
    """Write until the connection ends. :raises Late: when all that is written goes somewhere"""
    try:
        for _ in range(STUCK_BYTES // MiB):
            peer.write(noise(MiB))
            await peer.writable(STALLED_S)
    except (Ended, Late):
        pass
    await peer.gone()


@original_differs("a reset of the caller ends it, that of the hidden side is told nobody")
@SIDES
@pytest_twisted.ensureDeferred
async def test_reset_by_both(taas: Router, first: str) -> None:
    """Both sides may reset at once."""
    circuit = await taas.circuit()
    for peer in circuit.sides(first):
        peer.reset()
    await taas.works()


@original_differs("a reset of the caller ends it, that of the hidden side is told nobody")
@SIDES
@pytest_twisted.ensureDeferred
async def test_reset_with_much_under_way(taas: Router, first: str) -> None:
    """A reset behind which much waits, that nobody reads, ends the other side within seconds."""
    circuit = await taas.circuit()
    leaving, staying = circuit.sides(first)
    leaving.shrink()
    leaving.pause()
    await _stuff(staying)
    leaving.reset()
    await staying.gone()
    await taas.works()


async def _stuff(sender: RawPeer) -> None:
    """Send until nothing more is taken."""
    part = noise(MiB)
    for _ in range(STUCK_BYTES // MiB):
        sender.write(part)
        try:
            await sender.writable(STALLED_S)
        except Late:
            return
    raise AssertionError(f"{STUCK_BYTES} bytes were taken for a side that does not read")


@BOTH
@pytest_twisted.ensureDeferred
async def test_reset_while_waiting(taas: Router) -> None:
    """A reset of a waiting responder takes it out of the queue."""
    who = fresh()
    gone, stays = await taas.responders(who, 2)
    gone.reset()
    await taas.settles()
    await passes(await taas.mobile(who.label), stays)


@original_differs("a reset of a caller that is met in the same moment ends it", always=False)
@pytest_twisted.ensureDeferred
async def test_reset_right_behind_the_connect(taas: Router) -> None:
    """Callers and responders that reset at once, before anything was said, hurt nobody."""
    who = fresh()
    await taas.responder(who)
    port = await taas.redirect(who.label)
    (await taas.dial(port)).reset()
    for _ in range(10):
        (await taas.dial(await taas.opened(who))).reset()
        (await taas.dial(port)).reset()
    await taas.works()
    hidden = await taas.responder(who)
    await passes(await taas.mobile(who.label), hidden)


@OURS
@pytest_twisted.ensureDeferred
async def test_reset_while_a_caller_waits(taas: Router) -> None:
    """A caller that resets while it waits is met by nobody: the next responder serves the next."""
    who = fresh()
    first = await taas.responder(who)
    port = await taas.redirect(who.label)
    await passes(await taas.dial(port), first)
    gone = await taas.dial(port)
    gone.write(b"lost")
    gone.reset()
    await taas.settles()
    hidden = await taas.responder(who)
    await passes(await taas.dial(port), hidden, b"mine")


@OURS
@pytest_twisted.ensureDeferred
async def test_nothing_is_left(taas: Router) -> None:
    """Pairs that end in any order leave no descriptor behind; mobile ports stay a while."""
    who = fresh()
    await taas.circuit(who)
    await taas.works()
    at_rest = taas.descriptors()
    ends: list[Callable[[Circuit], None]] = [
        lambda circuit: circuit.mobile.reset(),
        lambda circuit: circuit.hidden.reset(),
        lambda circuit: circuit.mobile.drop(),
        lambda circuit: circuit.hidden.drop(),
    ]
    for number in range(MANY):
        circuit = await taas.circuit(who)
        ends[number % len(ends)](circuit)
        ends[number // len(ends) % len(ends)](circuit)
        for peer in circuit:
            await ended(peer)
            peer.drop()
            await peer.gone()
    await taas.comes_to_rest(at_rest, ABSENT_S)


# -- half-closes -----------------------------------------------------------------------------------


@BOTH
@SIDES
@pytest_twisted.ensureDeferred
async def test_close_behind_a_half_close(taas: Router, first: str) -> None:
    """When the second side is done too, both are closed, whichever was first."""
    circuit = await taas.circuit()
    leaving = half_closed(circuit, first)
    _, staying = circuit.sides(first)
    await staying.half_ended()
    await passes(staying, leaving, noise(1000))
    staying.half_close()
    await leaving.half_ended()
    await taas.left(circuit)
    await taas.works()


@OURS
@pytest_twisted.ensureDeferred
async def test_responder_that_is_done_while_it_waits(taas: Router) -> None:
    """A FIN while waiting is answered with one, and the connection is over."""
    hidden = await taas.responder(fresh())
    hidden.half_close()
    await closed_unused(hidden)


# -- what nobody reads -----------------------------------------------------------------------------


@original_differs("the reset that follows unread data ends it, or is told nobody")
@SIDES
@pytest_twisted.ensureDeferred
async def test_close_with_data_unread(taas: Router, first: str) -> None:
    """Whoever closes with data unread, as browsers do with the last of TLS, ends its pair alone.

    The kernel makes a reset of that.
    """
    for _ in range(5):
        who = fresh()
        if first == "mobile":
            staying = await taas.responder(who)
            leaving = socket.create_connection((ADDRESS, await taas.redirect(who.label)))
        else:
            leaving = socket.create_connection((ADDRESS, await taas.opened(who)))
            await taas.settles()
            staying = await taas.mobile(who.label)
        with leaving:
            leaving.setblocking(False)
            if first == "mobile":
                leaving.sendall(b"hello")
                assert await staying.exactly(5) == b"hello"
            else:
                staying.write(b"hello")
                await until(partial(waits_unread, leaving), "the caller's word")
                assert leaving.recv(5) == b"hello"
            staying.write(b"close_notify")
            await until(partial(waits_unread, leaving), "unread data")
        await ended(staying)
    await taas.works()


def waits_unread(peer: socket.socket) -> bool | None:
    """:returns: True if the kernel has something for a peer that does not read, else None"""
    try:
        return True if peer.recv(1, socket.MSG_PEEK) else None
    except BlockingIOError:
        return None
