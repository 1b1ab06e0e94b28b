"""Circuits through a network-relay router: checks 11-16 of network-relay.md §16, and many at once.

Each runs against our router, and against the original's relay where that is at hand; what that is
known to fail is marked with the reason.
"""

from __future__ import annotations

import base64
import json

import pytest
import pytest_twisted

from tests.integration.network_relay_peers import (
    BOTH,
    OURS,
    KiB,
    MiB,
    Router,
    original_differs,
)
from tests.integration.network_relay_wire import compact
from tests.rawpeer import Op, noise, together

MOST_DOWN_BYTES = MiB
"""What the original's access client takes as one message."""

LARGE_BYTES = 3 * 1000 * 1000
LARGEST_RAW_BYTES = (16 * MiB - KiB) // 4 * 3
"""About as much as fits into one message of 16 MiB."""

pytest_plugins = ["tests.integration.network_relay_raw_fixtures"]


# -- 11-13: data ---------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_11_start_ok_comes_first(relay: Router) -> None:
    """What the agent sends before its ok comes behind ``start_ok``."""
    agent = await relay.agent()
    caller = await relay.caller(agent.name)
    connection_id = await agent.asked()
    agent.data(b"SSH-2.0", connection_id=connection_id)
    agent.data(b"-early\r\n", connection_id=connection_id)
    agent.accept(connection_id)
    await caller.opened()
    assert await caller.payload(15) == b"SSH-2.0-early\r\n"


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_12_pipelined_data(relay: Router) -> None:
    """What the client sends right behind its start reaches the agent behind its ok, in order."""
    agent = await relay.agent()
    caller = await relay.caller(agent.name)
    sent = noise(100 * KiB)
    for start in range(0, len(sent), KiB):
        caller.data(sent[start : start + KiB])
    connection_id = await agent.asked()
    await relay.settles(agent)
    agent.accept(connection_id)
    await caller.opened()
    assert await agent.payload(len(sent), connection_id=connection_id) == sent


@BOTH
@pytest.mark.parametrize("count", [1, 10_000, LARGE_BYTES])
@pytest_twisted.ensureDeferred
async def test_check_13_sizes_towards_a_client(relay: Router, count: int) -> None:
    """One message of an agent arrives whole and in order, in messages of 1 MiB at most."""
    circuit = await relay.circuit()
    sent = noise(count)
    circuit.tell(sent)
    got = bytearray()
    while len(got) < count:
        text = await circuit.caller.text()
        assert len(text) <= MOST_DOWN_BYTES
        got += base64.b64decode(json.loads(text)["inner"]["data_base64"], validate=True)
    assert got == sent


@BOTH
@pytest.mark.parametrize("count", [LARGE_BYTES, LARGEST_RAW_BYTES])
@pytest_twisted.ensureDeferred
async def test_sizes_towards_an_agent(relay: Router, count: int) -> None:
    """One message of a client, up to 16 MiB, arrives whole and in order, however it is cut."""
    circuit = await relay.circuit()
    await circuit.goes_up(noise(count))
    await circuit.passes()


@BOTH
@pytest_twisted.ensureDeferred
async def test_empty_data(relay: Router) -> None:
    """Data of no bytes is legal both ways, and ends nothing."""
    circuit = await relay.circuit()
    circuit.caller.data(b"")
    circuit.tell(b"")
    await circuit.passes()


@BOTH
@pytest_twisted.ensureDeferred
async def test_fragmented_messages(relay: Router) -> None:
    """A message may come in fragments, with a Ping between them."""
    circuit = await relay.circuit()
    text = compact("tcp_data", data_base64="cGluZwo=")
    peer = circuit.caller.peer
    peer.send(Op.TEXT, text[:10], fin=False)
    peer.send(Op.PING, b"between")
    peer.send(Op.CONTINUATION, text[10:30], fin=False)
    peer.send(Op.CONTINUATION, text[30:])
    frame = await peer.receive()
    assert (frame.opcode, frame.payload) == (Op.PONG, b"between")
    await circuit.goes_up(sent=True)


# -- 14-16: ends ---------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("leave", ["send_close", "drop"])
@pytest_twisted.ensureDeferred
async def test_check_14_client_leaves(relay: Router, leave: str) -> None:
    """A client that leaves is told to the agent behind all that the client sent."""
    circuit = await relay.circuit()
    sent = noise(MiB)
    await circuit.caller.send_parts(sent)
    await circuit.caller.peer.writable()
    getattr(circuit.caller.peer, leave)()
    await circuit.goes_up(sent, sent=True)
    await circuit.agent.closed(circuit.connection_id)
    if leave == "send_close":
        close = await circuit.caller.over()
        assert close is not None
        assert close.code == 1000
    await circuit.agent.serves()


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_14_client_aborts(relay: Router) -> None:
    """A client whose connection is reset is told to the agent."""
    circuit = await relay.circuit()
    await circuit.passes()
    circuit.caller.peer.reset()
    await circuit.agent.closed(circuit.connection_id)
    await circuit.agent.serves()


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_15_reset(relay: Router) -> None:
    """``connection_reset`` ends the client with 1000, and nothing else on the agent's link."""
    circuit = await relay.circuit()
    other = await circuit.agent.circuit()
    circuit.agent.reset(circuit.connection_id)
    close = await circuit.caller.over()
    assert close is not None
    assert close.code == 1000
    await circuit.agent.closed(circuit.connection_id)
    await other.passes()
    await circuit.agent.serves()


@original_differs("bytes that wait are cut on a reset (Q6)")
@pytest_twisted.ensureDeferred
async def test_reset_cuts_nothing(relay: Router) -> None:
    """What an agent sent before its reset reaches the client before the end."""
    circuit = await relay.circuit()
    sent = noise(MiB)
    circuit.tell(sent)
    circuit.agent.reset(circuit.connection_id)
    assert await circuit.caller.payload(len(sent)) == sent
    await circuit.caller.over()


@BOTH
@pytest.mark.parametrize("leave", ["send_close", "drop", "reset"])
@pytest_twisted.ensureDeferred
async def test_check_16_agent_is_lost(relay: Router, leave: str) -> None:
    """An agent that goes ends its clients with 1000, and nobody else's."""
    bystander = await relay.circuit()
    first = await relay.circuit()
    second = await first.agent.circuit()
    await first.passes()
    getattr(first.agent.peer, leave)()
    for circuit in (first, second):
        close = await circuit.caller.over()
        assert close is not None
        assert close.code == 1000
    await bystander.passes()
    await relay.is_free(first.agent.name)


# -- many ----------------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_many_circuits_on_one_link(relay: Router) -> None:
    """Twenty connections on one agent each get their own bytes."""
    agent = await relay.agent()
    circuits = [await agent.circuit() for _ in range(20)]
    for circuit in circuits:
        circuit.tell(circuit.connection_id.encode())
    heard = await together(*(circuit.caller.payload(36) for circuit in circuits))
    assert heard == [circuit.connection_id.encode() for circuit in circuits]


@OURS
@pytest_twisted.ensureDeferred
async def test_both_ways_at_once(relay: Router) -> None:
    """Eight MiB go both ways at once, whole."""
    circuit = await relay.circuit()
    up, down = noise(8 * MiB), noise(8 * MiB)
    _, _, got_up, got_down = await together(
        circuit.caller.send_parts(up),
        circuit.agent.send_parts(down, connection_id=circuit.connection_id),
        circuit.agent.payload(len(up), 30.0, connection_id=circuit.connection_id),
        circuit.caller.payload(len(down), 30.0),
    )
    assert got_up == up
    assert got_down == down
