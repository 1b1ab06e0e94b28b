"""The portal router, seen from the wire: checks 14-18 of portal.md §14, circuits.

Each runs against our router, and against the original's demo router where that is at hand; what
demo is known to fail is marked with the reason.
"""

from __future__ import annotations

import hashlib

import pytest
import pytest_twisted

from tests.integration.portal_peers import BOTH, END_S, Router, demo_differs, passes
from tests.rawpeer import Ended, Frame, Op, RawPeer, noise, together

MiB = 1024 * 1024

pytest_plugins = ["tests.integration.portal_fixtures"]


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_14_bulk_both_ways(router: Router) -> None:
    """10 MiB each way at the same time arrive bit by bit."""
    circuit = await router.portal().circuit()

    async def send(sender: RawPeer) -> bytes:
        payload = noise(10 * MiB)
        await sender.send_all(payload)
        return hashlib.sha256(payload).digest()

    async def take(receiver: RawPeer) -> bytes:
        return hashlib.sha256(await receiver.receive_bytes(10 * MiB)).digest()

    up, down, at_host, at_client = await together(
        send(circuit.client), send(circuit.host), take(circuit.host), take(circuit.client)
    )
    assert (at_host, at_client) == (up, down)


@BOTH
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_check_14_boundaries(router: Router, side: str) -> None:
    """Messages of any length keep their boundaries, and so does a message in fragments."""
    circuit = await router.portal().circuit()
    sender, receiver = circuit.sides(side)
    messages = [noise(size) for size in (1, 65536, 1, 125, 126, 65535, 65537, 1, 300_000, 2)]
    for message in messages:
        sender.send(Op.BINARY, message)
    for message in messages:
        assert await receiver.receive_message() == Frame(Op.BINARY, message)
    sender.send(Op.BINARY, b"in ", fin=False)
    if router.is_ours:  # demo relays it
        sender.send(Op.PING, b"between")
    sender.send(Op.CONTINUATION, b"", fin=False)
    sender.send(Op.CONTINUATION, b"pieces")
    assert await receiver.receive_message() == Frame(Op.BINARY, b"in pieces")


@demo_differs("T is relayed")
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_check_15_text_does_not_pass(router: Router, side: str) -> None:
    """A T from either end never reaches the other."""
    circuit = await router.portal().circuit()
    sender, receiver = circuit.sides(side)
    sender.send(Op.TEXT, b'"Connected"')
    sender.send(Op.BINARY, b"behind it")
    frames: list[Frame] = []
    try:
        while not frames or frames[-1].opcode not in (Op.BINARY, Op.CLOSE):
            frames.append(await receiver.receive())
    except Ended:
        pass
    assert [frame for frame in frames if frame.opcode == Op.TEXT] == []


@demo_differs("64 KiB are lost in a third of the cases", always=False)
@pytest.mark.parametrize("how", ["drop", "half-close"])
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_check_16_a_drop_loses_nothing(router: Router, side: str, how: str) -> None:
    """A FIN right behind 64 KiB: the other end gets them all, then the end, within 2 s."""
    for _ in range(10):
        circuit = await router.portal().circuit()
        sender, receiver = circuit.sides(side)
        payload = noise(64 * 1024)
        sender.send(Op.BINARY, payload)
        if how == "drop":
            sender.drop()
        else:
            sender.half_close()
        ending = await receiver.ending(END_S)
        assert ending.data == payload
        assert ending.orderly
        await sender.gone(END_S)


@BOTH
@pytest.mark.parametrize(
    ("code", "reason", "replies"),
    [
        (1000, "", True),
        (None, "", True),
        (4321, "bye", True),
        (1011, "", True),
        (1000, "", False),
    ],
    ids=["1000", "none", "4321", "1011", "1000-unanswered"],
)
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_check_17_a_close_ends_both(
    router: Router, side: str, code: int | None, reason: str, replies: bool
) -> None:
    """A Close comes out at the other end with its code and reason, behind all payload."""
    circuit = await router.portal().circuit()
    sender, receiver = circuit.sides(side)
    sender.send(Op.BINARY, b"tail")
    sender.send_close(code, reason)
    answer, ending = await together(
        sender.ending(END_S, reply=False), receiver.ending(END_S, reply=replies)
    )
    assert ending.data == b"tail"
    assert ending.close is not None
    assert (ending.close.code, ending.close.reason) == (code, reason)
    assert answer.close is not None
    assert answer.close.code == code


@BOTH
@pytest.mark.parametrize("payload", [b"", b"x" * 125], ids=len)
@pytest_twisted.ensureDeferred
async def test_check_18_pings_while_waiting(router: Router, payload: bytes) -> None:
    """A Ping on a control link or a pending call is answered once, with its payload."""
    portal = router.portal()
    control = await portal.control()
    client = await portal.call()
    await portal.incoming(control)
    for peer in (control, client):
        peer.send(Op.PING, payload)
        peer.send(Op.PING, b"second")
        assert await peer.receive() == Frame(Op.PONG, payload)
        assert await peer.receive() == Frame(Op.PONG, b"second")


@demo_differs("it answers a Ping and relays it too")
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_check_18_pings_in_a_circuit(router: Router, side: str) -> None:
    """A Ping on a data link is answered once, with its payload, and the other end hears nothing."""
    circuit = await router.portal().circuit()
    sender, receiver = circuit.sides(side)
    sender.send(Op.PING, b"are you there")
    sender.send(Op.BINARY, b"behind it")
    assert await sender.receive() == Frame(Op.PONG, b"are you there")
    assert await receiver.receive() == Frame(Op.BINARY, b"behind it")
    receiver.send(Op.PONG, b"unasked")
    await passes(receiver, sender)
