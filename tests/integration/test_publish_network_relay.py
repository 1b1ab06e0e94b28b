"""Calls of portal and of viewers that an agent of network-relay answers, and the reverse."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from tests.integration import portal_peers
from tests.integration.portal_ours import own_descriptors
from tests.integration.portal_peers import CONNECTED
from tests.integration.websocktunnel_ours import RouterMaker, section, write
from tests.rawpeer import Frame, Op, RawPeer, read_response, request

AGENT_SECRET, FLAT_SECRET, ALICE, MALLORY = (word * 16 for word in ("agent", "flat", "ali", "mal"))
CREDENTIALS = {
    "edge-agents": {"attic": AGENT_SECRET, "lab": AGENT_SECRET + "2"},
    "access-client-secrets": [FLAT_SECRET],
    "access-clients": {"alice": {"secret": ALICE}, "mallory": {"secret": MALLORY}},
}
TO_AGENT = section(
    "publish ssh",
    {"from": "portal:1/ssh", "to": "network-relay:attic/127.0.0.1:22", "clients": "alice"},
)
TO_AGENT_PUBLIC = section(
    "publish web",
    {"from": "websocktunnel:web", "to": "network-relay:attic/localhost:80", "public": "yes"},
)
TO_PORTAL = section(
    "publish lab",
    {"from": "network-relay:lab/10.0.0.1:22", "to": "portal:7/ssh", "clients": "alice"},
)

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


class House:
    """A router of three dialects."""

    def __init__(self, maker: RouterMaker, folder: Path) -> None:
        self._maker = maker
        self._secret = write(folder / "portal.secret", portal_peers.SECRET)
        self._credentials = write(folder / "credentials.json", json.dumps(CREDENTIALS))

    async def start(self) -> None:
        """Start it with the publications of all tests."""
        more = [
            section("dialect:portal", {"secret-file": self._secret}),
            section("dialect:network-relay", {"credentials-file": self._credentials}),
            TO_AGENT,
            TO_AGENT_PUBLIC,
            TO_PORTAL,
        ]
        self.wst = await self._maker.start(more="\n".join(more))
        self.portal = portal_peers.Router("ours", self.wst.port, own_descriptors)

    async def link(self, path: str, **start: object) -> RawPeer:
        """:returns: a link of network-relay that has said ``start``"""
        peer = await self.wst.dial()
        head = await peer.upgrade(path)
        assert head.status == 101, head
        say(peer, "start", **start)
        return peer

    async def agent(self) -> RawPeer:
        """:returns: the agent, registered"""
        agent = await self.link("/ws_for_edge_agents", name="attic", secret=AGENT_SECRET)
        agent.send(Op.PING, b"there")
        assert (await agent.receive()).opcode == Op.PONG  # behind what was said before
        return agent

    async def access(self, secret: str, target: str = "10.0.0.1") -> RawPeer:
        """:returns: a client that calls a target of the agent ``lab``"""
        return await self.link(
            "/ws_for_access_clients",
            connection_target="lab",
            target_ip=target,
            target_port=22,
            protocol="tcp",
            secret=secret,
        )

    def call(self, subject: str) -> str:
        """:returns: a token by which ``subject`` may call portal 1"""
        return portal_peers.mint(self.portal.portal(1).claims("client", sub=subject))


def say(peer: RawPeer, kind: str, **members: object) -> None:
    """Send a message of network-relay."""
    inner = {"inner": {"kind": kind, **members}}
    peer.send(Op.TEXT, json.dumps(inner, separators=(",", ":")).encode())


async def hear(peer: RawPeer) -> dict[str, Any]:
    """:returns: the next message, without its envelope"""
    frame = await peer.receive()
    while frame.opcode != Op.TEXT:
        frame = await peer.receive()
    inner: dict[str, Any] = json.loads(frame.payload)["inner"]
    return inner


def packed(data: bytes) -> str:
    """:returns: payload as its messages have it"""
    return base64.b64encode(data).decode()


@pytest.fixture
def house(start_wst: RouterMaker, tmp_path: Path) -> House:
    """A router of three dialects."""
    return House(start_wst, tmp_path)


@pytest_twisted.ensureDeferred
async def test_portal_to_an_agent(house: House) -> None:
    """A portal client gets the published target and no other; another client is refused."""
    await house.start()
    agent = await house.agent()
    target = "/connect/client/ssh"
    assert await house.portal.status(target, house.call("mallory")) == 401
    alice, head = await house.portal.ask(target, house.call("alice"))
    assert head.status == 101
    asked = await hear(agent)
    assert (asked["kind"], asked["target_ip"], asked["target_port"], asked["protocol"]) == (
        "initiate_connection",
        "127.0.0.1",
        22,
        "tcp",
    )
    tunnel = {"connection_id": asked["connection_id"]}
    say(agent, "initiate_connection_ok", **tunnel)
    assert await alice.receive() == CONNECTED
    alice.send(Op.BINARY, b"up")
    assert await hear(agent) == {"kind": "tcp_data", **tunnel, "data_base64": packed(b"up")}
    say(agent, "tcp_data", **tunnel, data_base64=packed(b"down"))
    assert await alice.receive() == Frame(Op.BINARY, b"down")
    alice.send_close()
    assert (await hear(agent))["kind"] == "connection_close"


@pytest_twisted.ensureDeferred
async def test_an_agent_that_refuses(house: House) -> None:
    """A viewer gets a status, and none of the agent's words, which name the target."""
    await house.start()
    agent = await house.agent()
    viewer = await house.wst.dial()
    viewer.write(request("GET", "/web/"))
    asked = await hear(agent)
    assert (asked["target_ip"], asked["target_port"]) == ("localhost", 80)
    words = "target-forbidden: localhost:80 is not in this agent's list"
    tunnel = {"connection_id": asked["connection_id"]}
    say(agent, "initiate_connection_error", message=words, **tunnel)
    answer = await read_response(viewer)
    assert answer.status == 502
    assert b"localhost" not in answer.body


@pytest_twisted.ensureDeferred
async def test_a_client_to_a_portal(house: House) -> None:
    """An access client reaches a portal's service by the name of an agent that need not exist."""
    await house.start()
    behind = house.portal.portal(7)
    control = await behind.control()
    alice = await house.access(ALICE)
    call = await behind.incoming(control)
    assert (call.client_name, call.service_name) == ("network-relay:alice", "ssh")
    host = await behind.accept(call.nexus)
    assert await hear(alice) == {"kind": "start_ok"}
    say(alice, "tcp_data", data_base64=packed(b"up"))
    assert await host.receive() == Frame(Op.BINARY, b"up")
    host.send(Op.BINARY, b"down")
    assert await hear(alice) == {"kind": "tcp_data", "data_base64": packed(b"down")}
    host.send_close()
    assert (await alice.ending()).close is not None


@pytest.mark.parametrize("secret", [MALLORY, FLAT_SECRET], ids=["named", "nameless"])
@pytest_twisted.ensureDeferred
async def test_clients_that_may_not(house: House, secret: str) -> None:
    """Another client, and one without a name, are told in words; the portal hears nothing."""
    await house.start()
    control = await house.portal.portal(7).control()
    refused = await house.access(secret)
    said = await hear(refused)
    assert said["kind"] == "error"
    assert "portal" not in said["message"]
    assert control.nothing_came()


@pytest_twisted.ensureDeferred
async def test_an_absent_portal_host(house: House) -> None:
    """The client hears exactly what it hears of an agent that is away, whatever its target."""
    await house.start()
    for target in ("10.0.0.1", "10.0.0.2"):
        said = await hear(await house.access(ALICE, target))
        assert said == {"kind": "error", "message": "Agent not registered"}
