"""The network-relay router, seen from the wire: checks 1-11 of network-relay.md §16, logins.

Each runs against our router, and against the original's relay where that is at hand; what that is
known to fail is marked with the reason.
"""

from __future__ import annotations

import json

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests.integration.network_relay_peers import (
    BOTH,
    OTHER_CLIENT_SECRET,
    UUID4,
    Router,
    original_differs,
)
from tests.integration.network_relay_wire import (
    AGENT_PATH,
    CLIENT_PATH,
    NO_AGENT,
    OPENING_FAILED,
    WRONG_SECRET,
    Talk,
    compact,
)
from tests.rawpeer import Late

SILENT_S = 5.0
CHALLENGE_S = 7.0
"""A silent agent loses its name after 5 s, when another wants it."""

FREE_NAME = "agent-399"
"""The last of all: no test gets so far."""

pytest_plugins = ["tests.integration.network_relay_raw_fixtures"]


async def refused(talk: Talk, text: bytes) -> None:
    """Check that this text is all that is said, and a Close 1000 follows."""
    assert await talk.text() == text
    close = await talk.over()
    assert close is not None
    assert close.code == 1000


# -- 1: upgrades ---------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("path", [AGENT_PATH, CLIENT_PATH, f"{CLIENT_PATH}?a=b"])
@pytest_twisted.ensureDeferred
async def test_check_01_upgrades(relay: Router, path: str) -> None:
    """Both paths give a 101 without a subprotocol, whatever was offered."""
    for headers in ({}, {"Sec-WebSocket-Protocol": "json", "Origin": "http://elsewhere.example"}):
        peer, head = await relay.ask(path, headers)
        assert head.status == 101
        assert head.header("Sec-WebSocket-Protocol") is None
        peer.drop()


@BOTH
@pytest.mark.parametrize("path", ["/", "/ws_for_edge_agents/", "/ws_for_nobody"])
@pytest_twisted.ensureDeferred
async def test_check_01_other_paths(relay: Router, path: str) -> None:
    """An upgrade on any other path is refused with 403."""
    _, head = await relay.ask(path)
    assert head.status == 403


# -- 2-5: agents log in --------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_02_registered_in_silence(relay: Router) -> None:
    """An agent with the right name and secret hears nothing, and stays."""
    agent = await relay.agent()
    with pytest.raises(Late):
        await agent.text(SILENT_S)
    await agent.serves()


@BOTH
@pytest.mark.parametrize(
    ("name", "secret"),
    [(FREE_NAME, "wrong"), (FREE_NAME, ""), ("nobody", "secret of nobody"), ("", ""), ("", "x")],
)
@pytest_twisted.ensureDeferred
async def test_check_03_wrong_logins(relay: Router, name: str, secret: str) -> None:
    """A wrong secret, unknown or empty name: Close 1000, and nothing else is said."""
    agent = await relay.newcomer(name, secret)
    close = await agent.over()
    assert close is not None
    assert close.code == 1000
    await relay.works()


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_04_live_agent_keeps_its_name(relay: Router) -> None:
    """A second agent of a live name is disconnected; the first goes on, its circuits too."""
    circuit = await relay.circuit()
    first = circuit.agent
    second = await relay.newcomer(first.name)
    # a Ping may ask it whether it lives
    listening = Deferred.fromCoroutine(first.asked())
    close = await second.over()
    assert close is not None or not relay.is_ours
    caller = await relay.caller(first.name)
    first.accept(await listening)
    await caller.opened()
    await circuit.passes()


@BOTH
@pytest.mark.parametrize("leave", ["drop", "reset", "send_close"])
@pytest_twisted.ensureDeferred
async def test_check_05_name_is_free_again(relay: Router, leave: str) -> None:
    """A name is free right after its agent has gone, whichever way."""
    agent = await relay.agent()
    getattr(agent.peer, leave)()
    await agent.over()
    await relay.is_free(agent.name)


# -- 7-9: clients are refused --------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("secret", ["wrong", "", "s3cr3t-clien", "s3cr3t-client "])
@pytest_twisted.ensureDeferred
async def test_check_07_wrong_secret(relay: Router, secret: str) -> None:
    """A wrong secret is told in V8 and ends with Close 1000; the agent hears nothing."""
    agent = await relay.agent()
    await refused(await relay.caller(agent.name, secret), WRONG_SECRET)
    await refused(await relay.caller("nobody", secret), WRONG_SECRET)
    await agent.serves()


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_08_agent_is_not_there(relay: Router) -> None:
    """An agent that is unknown, or known and offline, is told in V9 and ends with Close 1000."""
    for name in ("nobody", "", FREE_NAME):
        await refused(await relay.caller(name), NO_AGENT)
    agent = await relay.agent()
    agent.peer.drop()
    await agent.over()
    await refused(await relay.caller(agent.name), NO_AGENT)


@BOTH
@pytest_twisted.ensureDeferred
async def test_every_client_secret_counts(relay: Router) -> None:
    """Any secret of the list reaches any agent."""
    agent = await relay.agent()
    circuit = await agent.circuit(await relay.caller(agent.name, OTHER_CLIENT_SECRET))
    await circuit.passes()


@BOTH
@pytest.mark.parametrize("text", ["Unsupported protocol: udp", "caf\u00e9 \u65e5 \U0001f600"])
@pytest_twisted.ensureDeferred
async def test_check_09_agent_refuses(relay: Router, text: str) -> None:
    """The agent's text reaches the client behind the fixed prefix, then comes the end."""
    agent = await relay.agent()
    caller = await relay.caller(agent.name)
    agent.refuse(await agent.asked(), text)
    assert await caller.text() == compact("error", message=OPENING_FAILED + text)
    close = await caller.over()
    if relay.is_ours:
        assert close is not None
        assert close.code == 1000
    await agent.serves()


# -- 10: what an agent is asked ------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("said", "port"), [(22, 22), ("22", 22), (22.0, 22), (True, 1), ("022", 22), (0, 0)]
)
@pytest_twisted.ensureDeferred
async def test_check_10_initiate_connection(relay: Router, said: object, port: int) -> None:
    """An agent is asked in the exact form of V2, with an integer and an id never used before."""
    agent = await relay.agent()
    ids = set()
    for ip, protocol in (("127.0.0.1", "tcp"), ("::1", "TCP"), ("caf\u00e9.example", "udp")):
        await relay.caller(agent.name, ip=ip, port=said, protocol=protocol)
        text = await agent.text()
        connection_id = json.loads(text)["inner"]["connection_id"]
        assert UUID4.fullmatch(connection_id)
        ids.add(connection_id)
        assert text == compact(
            "initiate_connection",
            target_ip=ip,
            target_port=port,
            protocol=protocol,
            connection_id=connection_id,
        )
    assert len(ids) == 3


# -- beyond the checks ---------------------------------------------------------------------------


@original_differs("the name is blocked until a Ping goes unanswered, after up to 40 s")
@pytest_twisted.ensureDeferred
async def test_dead_agent_loses_its_name(relay: Router) -> None:
    """An agent that answers nothing any more loses its name to one that shows the secret."""
    dead = await relay.agent()
    caller = await relay.caller(dead.name)
    await dead.asked()
    newcomer = await relay.newcomer(dead.name)
    # it answers no Ping
    await dead.ending(CHALLENGE_S)
    assert (await caller.hear("error"))["message"]
    await newcomer.serves()


@BOTH
@pytest_twisted.ensureDeferred
async def test_wrong_secret_does_not_challenge(relay: Router) -> None:
    """A newcomer without the right secret does not even make the router ask who has the name."""
    agent = await relay.agent()
    newcomer = await relay.newcomer(agent.name, "wrong")
    assert await newcomer.over() is not None
    await agent.serves()
    assert agent.pings == []
