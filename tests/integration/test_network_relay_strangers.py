"""Links of network-relay that have yet to say who they are, and what they may send until then."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import pytest_twisted

from relay.dialects.network_relay.assembly import STRANGER_BYTES
from tests.integration.network_relay_attack import (
    AGENTS,
    BINARY,
    CLIENTS,
    ORIGINAL,
    Attacked,
    agent_start,
    answers,
    client_start,
    framed,
    hear,
    packed,
    say,
)
from tests.integration.websocktunnel_ours import RouterMaker
from tests.rawpeer import Op, close_body

MiB = 1024 * 1024
KINDS = pytest.mark.parametrize("headers", [ORIGINAL, BINARY], ids=["original", "ours"])

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


@pytest.fixture
def attacked(start_wst: RouterMaker, tmp_path: Path) -> Attacked:
    """A router with one agent and one client."""
    return Attacked(start_wst, tmp_path)


@KINDS
@pytest.mark.parametrize("path", [AGENTS, CLIENTS])
@pytest_twisted.ensureDeferred
async def test_a_stranger_cannot_begin_a_long_message(
    attacked: Attacked, path: str, headers: Mapping[str, str]
) -> None:
    """Its head alone ends the link: nothing of it is collected."""
    await attacked.start()
    for opcode in (Op.TEXT, Op.BINARY):
        stranger = await attacked.link(path, headers)
        stranger.send(opcode, b"x", length=STRANGER_BYTES + 1)
        close = await stranger.receive()
        assert close.opcode == Op.CLOSE
        assert close.payload == close_body(1009, "too-large")


@KINDS
@pytest_twisted.ensureDeferred
async def test_a_long_message_right_behind_the_start(
    attacked: Attacked, headers: Mapping[str, str]
) -> None:
    """Whoever has shown a secret may send long messages at once, in the same segment."""
    await attacked.start()
    agent = await attacked.link(AGENTS, headers)
    agent.write(agent_start() + framed("keep_alive", note="n" * MiB))
    await answers(agent)
    client = await attacked.link(CLIENTS)
    data = b"d" * MiB
    client.write(client_start() + framed("tcp_data", data_base64=packed(data)))
    called = await hear(agent)
    say(agent, "initiate_connection_ok", connection_id=called["connection_id"], credit=2 * MiB)
    assert await hear(client) == {"kind": "start_ok"}
    got = b""
    while len(got) < len(data):
        frame = await agent.receive()
        if frame.opcode == Op.BINARY:
            got += frame.payload[5:]
        else:
            got += base64.b64decode(json.loads(frame.payload)["inner"]["data_base64"])
    assert got == data
