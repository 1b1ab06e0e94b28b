"""Openings and ids at a network-relay router: checks 17-19 of network-relay.md §16, and others.

Each runs against our router, and against the original's relay where that is at hand; what that is
known to fail is marked with the reason.
"""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.dialects.network_relay_vectors import CONNECTION_ID as UNKNOWN
from tests.integration.network_relay_peers import (
    BOTH,
    Agent,
    Caller,
    Router,
    agent_secret,
    fresh_name,
    original_differs,
)
from tests.integration.network_relay_wire import (
    AGENT_PATH,
    CLIENT_PATH,
    START_OK,
    compact,
)

SOON_S = 2.0

pytest_plugins = ["tests.integration.network_relay_raw_fixtures"]


# -- 17-19: tables -------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_17_answers_in_reverse(relay: Router) -> None:
    """Answers are matched by their ids, whatever their order."""
    agent = await relay.agent()
    callers, ids = [], []
    for _ in range(3):
        callers.append(await relay.caller(agent.name))
        ids.append(await agent.asked())
    agent.accept(ids[2])
    agent.refuse(ids[1], "busy")
    agent.accept(ids[0])
    assert (await callers[1].hear("error"))["message"].endswith("busy")
    for number in (2, 0):
        await callers[number].opened()
        agent.data(b"to %d" % number, connection_id=ids[number])
        assert await callers[number].payload(4) == b"to %d" % number
        callers[number].data(b"of %d" % number)
        assert await agent.payload(4, connection_id=ids[number]) == b"of %d" % number


@BOTH
@pytest.mark.parametrize(
    "stray",
    [
        compact("tcp_data", connection_id=UNKNOWN, data_base64="cGluZwo="),
        compact("tcp_data", connection_id="", data_base64=""),
        compact("initiate_connection_ok", connection_id=UNKNOWN),
        compact("initiate_connection_error", message="late", connection_id=UNKNOWN),
        compact("connection_reset", message="x", connection_id=UNKNOWN),
        compact("start", last_error=None, name="agent-000", secret=agent_secret("agent-000")),
        compact("keep_alive"),
    ],
    ids=["data", "empty-id", "ok", "error", "reset", "start", "keep-alive"],
)
@pytest_twisted.ensureDeferred
async def test_check_18_stray_messages(relay: Router, stray: bytes) -> None:
    """Messages for unknown ids and a repeated start leave the agent's session as it is."""
    circuit = await relay.circuit()
    circuit.agent.send(stray)
    await circuit.passes()
    await circuit.agent.serves()


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_18_after_the_end(relay: Router) -> None:
    """Messages for a connection that has ended are ignored, too."""
    circuit = await relay.circuit()
    other = await circuit.agent.circuit()
    circuit.caller.peer.send_close()
    await circuit.agent.closed(circuit.connection_id)
    circuit.tell(b"too late")
    circuit.agent.reset(circuit.connection_id)
    circuit.agent.accept(circuit.connection_id)
    circuit.agent.refuse(circuit.connection_id, "after all")
    await other.passes()
    await circuit.agent.serves()


@BOTH
@pytest_twisted.ensureDeferred
async def test_agent_answers_twice(relay: Router) -> None:
    """Only an agent's first answer counts."""
    circuit = await relay.circuit()
    circuit.agent.accept(circuit.connection_id)
    circuit.agent.refuse(circuit.connection_id, "after all")
    await circuit.passes()
    caller = await relay.caller(circuit.agent.name)
    refused = await circuit.agent.asked()
    circuit.agent.refuse(refused, "no")
    circuit.agent.accept(refused)
    circuit.agent.data(b"nobody's", connection_id=refused)
    await caller.hear("error")
    await caller.over()
    await circuit.passes()


@original_differs("any agent may feed and reset any connection (Q8)")
@pytest_twisted.ensureDeferred
async def test_ids_of_another_agent(relay: Router) -> None:
    """An agent can neither feed, answer nor reset what belongs to another."""
    circuit = await relay.circuit()
    pending = await relay.caller(circuit.agent.name)
    pending_id = await circuit.agent.asked()
    thief = await relay.agent()
    thief.data(b"forged", connection_id=circuit.connection_id)
    thief.accept(pending_id)
    thief.refuse(pending_id, "forged")
    thief.reset(circuit.connection_id)
    await relay.settles(thief)
    await circuit.passes()
    circuit.agent.accept(pending_id)
    await pending.opened()


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_19_lenient_json(relay: Router) -> None:
    """Unknown members, another order and spaces are accepted in every message (A1 to A3)."""
    agent = Agent(await relay.link(AGENT_PATH), relay, fresh_name())
    secret = agent_secret(agent.name)
    agent.send(
        b'{"inner":{"kind":"start","name":"%s","secret":"%s","site":"roof"}}'
        % (agent.name.encode(), secret.encode())
    )
    await relay.settles(agent)
    caller = Caller(await relay.link(CLIENT_PATH))
    caller.send(
        b'{ "x": 1, "inner": { "secret": "s3cr3t-client", "protocol": "tcp", "target_port": "22",'
        b' "target_ip": "h", "connection_target": "%s", "kind": "start" } }' % agent.name.encode()
    )
    asked = await agent.hear("initiate_connection")
    connection_id = asked["connection_id"]
    assert (asked["target_ip"], asked["target_port"]) == ("h", 22)
    agent.send(
        b'\n{"later":[{}],"inner":{"connection_id":"%s","credit":"much","bytes":-1,\t"kind":'
        b'"initiate_connection_ok"}}\r\n' % connection_id.encode()
    )
    assert await caller.text() == START_OK
    caller.send(b'{"inner":{"kind":"tcp_data","data_base64":"a G*k=","note":0}}')
    assert await agent.payload(2, connection_id=connection_id) == b"hi"
    agent.send(
        b'{"inner":{"data_base64":"\\u0061Gk=trailing","connection_id":"%s","kind":"tcp_data"}}'
        % connection_id.encode()
    )
    assert await caller.payload(2) == b"hi"


# -- openings that are called off ----------------------------------------------------------------


@original_differs("a client that leaves before the answer is not told to the agent (Q2)")
@pytest.mark.parametrize("leave", ["send_close", "drop", "reset"])
@pytest_twisted.ensureDeferred
async def test_cancelled_opening(relay: Router, leave: str) -> None:
    """A client that leaves while the agent connects is told to it, and again behind a late ok."""
    agent = await relay.agent()
    caller = await relay.caller(agent.name)
    connection_id = await agent.asked()
    getattr(caller.peer, leave)()
    await agent.closed(connection_id, SOON_S)
    agent.accept(connection_id)
    await agent.closed(connection_id)
    await agent.serves()


@original_differs("a client whose agent goes during the opening hears nothing (Q4)")
@pytest_twisted.ensureDeferred
async def test_agent_goes_during_the_opening(relay: Router) -> None:
    """A client whose agent goes before it has answered is told, and its link ends."""
    agent = await relay.agent()
    caller = await relay.caller(agent.name)
    await agent.asked()
    agent.peer.drop()
    assert (await caller.hear("error", SOON_S))["message"]
    assert await caller.over() is not None


@BOTH
@pytest_twisted.ensureDeferred
async def test_reset_is_no_answer(relay: Router) -> None:
    """A ``connection_reset`` instead of an answer harms nobody else, nor hides the answer (Q7)."""
    circuit = await relay.circuit()
    agent = circuit.agent
    caller = await relay.caller(agent.name)
    connection_id = await agent.asked()
    agent.reset(connection_id)
    await agent.closed(connection_id)
    agent.refuse(connection_id, "after all")
    assert (await caller.hear("error"))["message"]
    await circuit.passes()
