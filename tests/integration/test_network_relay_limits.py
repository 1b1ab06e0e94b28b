"""Limits of a network-relay router on either link: 16 MiB, UTF-8, and whose secret opens what."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.integration.network_relay_peers import (
    BOTH,
    CLIENT_SECRET,
    OURS,
    Agent,
    Caller,
    Circuit,
    MiB,
    Router,
    agent_secret,
    fresh_name,
    unnoticed,
)
from tests.integration.network_relay_wire import AGENT_PATH, CLIENT_PATH, Talk, compact
from tests.rawpeer import Op

TOO_BIG = 1009
NOT_UTF8 = 1007
LARGEST_BYTES = 16 * MiB

pytest_plugins = ["tests.integration.network_relay_raw_fixtures"]


# -- any link ------------------------------------------------------------------------------------


async def victim(relay: Router, side: str) -> tuple[Circuit, Talk]:
    """:returns: a circuit, and the named side of it"""
    circuit = await relay.circuit()
    return circuit, circuit.agent if side == "agent" else circuit.caller


SIDES = pytest.mark.parametrize("side", ["agent", "client"])


@BOTH
@SIDES
@pytest_twisted.ensureDeferred
async def test_largest_message(relay: Router, side: str) -> None:
    """A message of exactly 16 MiB is taken."""
    circuit, talk = await victim(relay, side)
    async with unnoticed(relay):
        shell = compact("keep_alive", padding="")
        if side == "client":
            shell = compact("tcp_data", data_base64="", padding="")
        talk.send(shell.replace(b'""}}', b'"%s"}}' % bytes(b"x" * (LARGEST_BYTES - len(shell)))))
        await circuit.passes()


@BOTH
@SIDES
@pytest.mark.parametrize("announced", [False, True])
@pytest_twisted.ensureDeferred
async def test_message_above_16_mib(relay: Router, side: str, announced: bool) -> None:
    """A message of one byte more ends its link with 1009, as soon as its length is known."""
    _, talk = await victim(relay, side)
    async with unnoticed(relay):
        if announced:
            talk.peer.send(Op.TEXT, b"{", length=LARGEST_BYTES + 1)
        else:
            talk.peer.send(Op.TEXT, b" " * MiB, fin=False)
            talk.peer.send(Op.CONTINUATION, b" " * (LARGEST_BYTES - MiB + 1))
        # behind its Close the original waits for an answer, which it does not read
        close = await talk.peer.receive()
        assert (close.opcode, close.code) == (Op.CLOSE, TOO_BIG)
        talk.peer.reset()


@BOTH
@SIDES
@pytest_twisted.ensureDeferred
async def test_text_that_is_no_utf8(relay: Router, side: str) -> None:
    """A TEXT message that is not UTF-8 ends its link."""
    _, talk = await victim(relay, side)
    async with unnoticed(relay):
        talk.send(b'{"inner":{"kind":"\xff"}}')
        close = await talk.over()
        if relay.is_ours:
            assert close is not None
            assert close.code == NOT_UTF8


@OURS
@SIDES
@pytest_twisted.ensureDeferred
async def test_lone_surrogates(relay: Router, side: str) -> None:
    """Half a character, which JSON can name and UTF-8 cannot say, harms nobody else."""
    async with unnoticed(relay):
        if side == "agent":
            agent = Agent(await relay.link(AGENT_PATH), relay, "")
            agent.send(b'{"inner":{"kind":"start","name":"\\ud800","secret":"\\udfff"}}')
            await agent.over()
        else:
            agent = await relay.agent()
            caller = Caller(await relay.link(CLIENT_PATH))
            text = compact(
                "start",
                connection_target=agent.name,
                target_ip="@",
                target_port=22,
                protocol="tcp",
                secret=CLIENT_SECRET,
            )
            caller.send(text.replace(b"@", b"\\ud800"))
            await caller.hear("error")
            await caller.over()
            await agent.serves()


@BOTH
@pytest_twisted.ensureDeferred
async def test_agent_secret_opens_nothing_for_a_client(relay: Router) -> None:
    """An agent's secret is none for clients, nor the other way round."""
    async with unnoticed(relay):
        agent = await relay.agent()
        caller = await relay.caller(agent.name, agent_secret(agent.name))
        assert (await caller.hear("error"))["message"] == "Invalid access client secret"
        newcomer = await relay.newcomer(fresh_name(), "s3cr3t-client")
        await newcomer.over()
