"""Peers of a network-relay router that break the rules end, and nobody else notices.

The table of network-relay.md §9, the vectors B1 to B5 of §17, and what else can be wrong; against
our router, and against the original's relay where that is at hand. Throughout, another connection
of the same agent and another agent go on, unless it is their own link that ends.
"""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.dialects.network_relay_vectors import B1, B2, B3, B5, V7, V11
from tests.integration.network_relay_peers import (
    BOTH,
    OURS,
    Agent,
    Caller,
    Circuit,
    MiB,
    Router,
    broken_off,
    fresh_name,
    original_differs,
    unnoticed,
)
from tests.integration.network_relay_wire import (
    AGENT_PATH,
    CLIENT_PATH,
    Talk,
    compact,
)
from tests.rawpeer import Op

LARGEST_BYTES = 16 * MiB
PATHS = pytest.mark.parametrize("path", [AGENT_PATH, CLIENT_PATH])

START = {
    "connection_target": "agent-000",
    "target_ip": "127.0.0.1",
    "target_port": 22,
    "protocol": "tcp",
    "secret": "s3cr3t-client",
}
NO_MESSAGES = {
    "empty": b"",
    "word": b"hello",
    "open": b'{"inner":{"kind":"start"',
    "trailing": b'{"inner":{"kind":"keep_alive"}}}',
    "array": b"[]",
    "number": b"7",
    "null": b"null",
    "inner-null": b'{"inner":null}',
    "inner-array": b'{"inner":[]}',
    "B1": B1,
    "B2": B2,
    "B3": B3,
    "kind-null": b'{"inner":{"kind":null}}',
    "kind-number": b'{"inner":{"kind":1}}',
    "kind-case": b'{"inner":{"kind":"START"}}',
    "unknown": b'{"inner":{"kind":"later"}}',
    "finish": b'{"inner":{"kind":"finish"}}',
    "credit": b'{"inner":{"kind":"credit","bytes":1}}',
    "deep": b'{"inner":' + b"[" * 60_000,
    "nested": b'{"inner":' * 7_000,
}
"""What no router takes from anybody."""

BAD_STARTS = {
    **NO_MESSAGES,
    "B4": compact("start", **{**START, "target_port": 22.5}),
    "port-null": compact("start", **{**START, "target_port": None}),
    "port-word": compact("start", **{**START, "target_port": "ssh"}),
    "port-huge": compact("start", **{**START, "target_port": "9" * 5000}),
    "port-infinite": b'{"inner":{"kind":"start","connection_target":"agent-000","target_ip":"h",'
    b'"target_port":1e999,"protocol":"tcp","secret":"s3cr3t-client"}}',
    "target-number": compact("start", **{**START, "connection_target": 7}),
    "secret-null": compact("start", **{**START, "secret": None}),
    "secret-list": compact("start", **{**START, "secret": ["s3cr3t-client"]}),
    "only-an-address": compact("start", target_ip="127.0.0.1"),
}
BAD_DATA = {
    **NO_MESSAGES,
    "B4": BAD_STARTS["B4"],
    "B5": B5,
    "no-data": b'{"inner":{"kind":"tcp_data"}}',
    "padding": b'{"inner":{"kind":"tcp_data","data_base64":"cGluZwo"}}',
    "one-character": b'{"inner":{"kind":"tcp_data","data_base64":"a"}}',
}
BAD_AGENT_STARTS = {
    **NO_MESSAGES,
    "no-secret": b'{"inner":{"kind":"start","name":"agent-000"}}',
    "no-name": b'{"inner":{"kind":"start","secret":"x"}}',
    "name-number": b'{"inner":{"kind":"start","name":1,"secret":"x"}}',
    "error-number": b'{"inner":{"kind":"start","last_error":1,"name":"agent-000","secret":"x"}}',
}
FROM_AN_AGENT = {
    **{name: text for name, text in NO_MESSAGES.items() if name != "B1"},
    "B1": NO_MESSAGES["B1"],
    "close": compact("connection_close", message="x", connection_id="7"),
    "client-data": V11,
    "id-number": b'{"inner":{"kind":"tcp_data","connection_id":7,"data_base64":"cGluZwo="}}',
    "no-message": b'{"inner":{"kind":"connection_reset","connection_id":"7"}}',
    "start-ok": V7,
}

pytest_plugins = ["tests.integration.network_relay_raw_fixtures"]


def each(texts: dict[str, bytes]) -> pytest.MarkDecorator:
    """The test is for each of these."""
    return pytest.mark.parametrize("text", texts.values(), ids=texts.keys())


# -- first messages ------------------------------------------------------------------------------


@BOTH
@each(BAD_STARTS)
@pytest_twisted.ensureDeferred
async def test_first_message_of_a_client(relay: Router, text: bytes) -> None:
    """A client that begins with something else ends; ours says ``error`` first."""
    async with unnoticed(relay):
        caller = Caller(await relay.link(CLIENT_PATH))
        caller.send(text)
        if relay.is_ours:
            message = (await caller.hear("error"))["message"]
            assert "s3cr3t" not in message
        await broken_off(relay, caller)


@BOTH
@each(BAD_AGENT_STARTS)
@pytest_twisted.ensureDeferred
async def test_first_message_of_an_agent(relay: Router, text: bytes) -> None:
    """An agent that begins with something else ends."""
    async with unnoticed(relay):
        agent = Agent(await relay.link(AGENT_PATH), relay, "")
        agent.send(text)
        await broken_off(relay, agent)


@BOTH
@PATHS
@pytest_twisted.ensureDeferred
async def test_binary_first_message(relay: Router, path: str) -> None:
    """The right start as a BINARY message ends the link, for no router was asked to take it."""
    async with unnoticed(relay):
        talk = Talk(await relay.link(path))
        talk.peer.send(Op.BINARY, compact("start", name=fresh_name(), **START))
        if path == CLIENT_PATH and relay.is_ours:
            await talk.hear("error")
        await broken_off(relay, talk)


@original_differs("the link is ignored for ever")
@pytest.mark.parametrize(
    ("path", "text"),
    [
        (AGENT_PATH, compact("keep_alive")),
        (AGENT_PATH, compact("tcp_data", connection_id="7", data_base64="")),
        (CLIENT_PATH, compact("tcp_data", data_base64="")),
    ],
    ids=["keep-alive", "agent-data", "client-data"],
)
@pytest_twisted.ensureDeferred
async def test_another_kind_first(relay: Router, path: str, text: bytes) -> None:
    """Whoever begins with a message that has its place elsewhere ends."""
    async with unnoticed(relay):
        talk = Talk(await relay.link(path))
        talk.send(text)
        ending = await talk.peer.ending(2.0)
        assert ending.close is not None


@BOTH
@PATHS
@pytest.mark.parametrize("leave", ["drop", "reset", "send_close"])
@pytest_twisted.ensureDeferred
async def test_leaves_without_a_word(relay: Router, path: str, leave: str) -> None:
    """Whoever goes without a message is forgotten."""
    async with unnoticed(relay):
        talk = Talk(await relay.link(path))
        getattr(talk.peer, leave)()
        await talk.over()


# -- a client in its circuit ---------------------------------------------------------------------


async def client_ends(relay: Router, circuit: Circuit) -> None:
    """Check that a client ends, and that the agent is told, which the original forgets (Q2)."""
    await broken_off(relay, circuit.caller)
    if relay.is_ours:
        await circuit.agent.closed(circuit.connection_id)


@BOTH
@each(BAD_DATA)
@pytest_twisted.ensureDeferred
async def test_client_in_its_circuit(relay: Router, text: bytes) -> None:
    """A client that sends nonsense ends alone, behind what it sent before."""
    circuit = await relay.circuit()
    async with unnoticed(relay, circuit.agent):
        await circuit.goes_up(b"before")
        circuit.caller.send(text)
        await client_ends(relay, circuit)


@BOTH
@pytest_twisted.ensureDeferred
async def test_client_sends_binary(relay: Router) -> None:
    """A client that sends BINARY ends alone."""
    circuit = await relay.circuit()
    async with unnoticed(relay, circuit.agent):
        circuit.caller.peer.send(Op.BINARY, compact("tcp_data", data_base64="cGluZwo="))
        await client_ends(relay, circuit)


@BOTH
@pytest_twisted.ensureDeferred
async def test_client_starts_again(relay: Router) -> None:
    """A second start on a link changes nothing."""
    circuit = await relay.circuit()
    async with unnoticed(relay, circuit.agent):
        circuit.caller.say("start", **START)
        await circuit.passes()


@OURS
@each({name: NO_MESSAGES[name] for name in ("word", "unknown", "B2")})
@pytest_twisted.ensureDeferred
async def test_client_during_its_opening(relay: Router, text: bytes) -> None:
    """A client that sends nonsense before the answer hears ``error``; the agent is told."""
    agent = await relay.agent()
    async with unnoticed(relay, agent):
        caller = await relay.caller(agent.name)
        connection_id = await agent.asked()
        caller.send(text)
        await caller.hear("error")
        await broken_off(relay, caller)
        await agent.closed(connection_id)


# -- an agent ------------------------------------------------------------------------------------


@BOTH
@each(FROM_AN_AGENT)
@pytest_twisted.ensureDeferred
async def test_registered_agent(relay: Router, text: bytes) -> None:
    """An agent that sends nonsense ends; ours ends its clients, too, and frees the name (Q1)."""
    async with unnoticed(relay):
        circuit = await relay.circuit()
        circuit.agent.send(text)
        await broken_off(relay, circuit.agent)
        if relay.is_ours:
            assert await circuit.caller.over() is not None
            await relay.is_free(circuit.agent.name)


@BOTH
@pytest_twisted.ensureDeferred
async def test_agent_sends_binary(relay: Router) -> None:
    """An agent that sends BINARY ends."""
    async with unnoticed(relay):
        agent = await relay.agent()
        agent.peer.send(Op.BINARY, compact("keep_alive"))
        await broken_off(relay, agent)


@BOTH
@pytest.mark.parametrize("data", ["cGluZwo", "a", "=", "cGluZwo=="])
@pytest_twisted.ensureDeferred
async def test_agent_sends_wrong_base64(relay: Router, data: str) -> None:
    """Wrong base64 of an agent is ignored, or decoded where there is too much of it."""
    circuit = await relay.circuit()
    async with unnoticed(relay, circuit.agent):
        circuit.agent.say("tcp_data", connection_id=circuit.connection_id, data_base64=data)
        circuit.tell(b"behind")
        expected = b"ping\nbehind" if data == "cGluZwo==" else b"behind"
        assert await circuit.caller.payload(len(expected)) == expected


@BOTH
@pytest_twisted.ensureDeferred
async def test_refusal_and_drop(relay: Router) -> None:
    """An agent that refuses and is gone in the same breath: the client is told, nobody else."""
    async with unnoticed(relay):
        agent = await relay.agent()
        caller = await relay.caller(agent.name)
        agent.refuse(await agent.asked(), "and goodbye")
        agent.peer.drop()
        assert (await caller.hear("error"))["message"].endswith("and goodbye")
        await caller.over()
