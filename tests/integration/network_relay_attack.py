"""A router of network-relay, and peers made by hand that may do to it what they like."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.integration.websocktunnel_ours import RouterMaker, section, write
from tests.integration.websocktunnel_peers import Router
from tests.rawpeer import Op, RawPeer, encode_frame

AGENTS, CLIENTS = "/ws_for_edge_agents", "/ws_for_access_clients"
BINARY = {"X-Relay-Network-Relay": "binary"}
ORIGINAL: Mapping[str, str] = {}
AGENT_SECRET, CLIENT_SECRET = "agent" * 5, "client" * 5
CREDENTIALS = {"edge-agents": {"attic": AGENT_SECRET}, "access-client-secrets": [CLIENT_SECRET]}


class Attacked:
    """A router that knows the agent ``attic`` and one client.

    :ivar file: its credentials
    :ivar router: once :meth:`start` was called
    """

    router: Router

    def __init__(self, maker: RouterMaker, folder: Path) -> None:
        self.maker = maker
        self.file = write(folder / "credentials.json", json.dumps(CREDENTIALS))

    async def start(self, **options: Any) -> None:
        """:param options: of :meth:`RouterMaker.start`"""
        own = section("dialect:network-relay", {"credentials-file": self.file})
        self.router = await self.maker.start(more=own, **options)

    async def link(self, path: str, headers: Mapping[str, str] = ORIGINAL) -> RawPeer:
        """:returns: a link that has said nothing yet"""
        peer = await self.router.dial()
        head = await peer.upgrade(path, headers)
        assert head.status == 101, head
        return peer

    async def agent(self, headers: Mapping[str, str] = ORIGINAL) -> RawPeer:
        """:returns: the agent, registered"""
        agent = await self.link(AGENTS, headers)
        agent.write(agent_start())
        await answers(agent)
        return agent

    async def client(self, headers: Mapping[str, str] = ORIGINAL, **start: object) -> RawPeer:
        """:returns: a client that has called the agent"""
        client = await self.link(CLIENTS, headers)
        client.write(client_start(**start))
        return client

    async def call(
        self, agent: RawPeer, headers: Mapping[str, str] = ORIGINAL
    ) -> tuple[RawPeer, dict[str, Any]]:
        """:returns: a client that has called the agent, and what the agent was asked"""
        client = await self.client(headers)
        return client, await hear(agent)


def inner(kind: str, **members: object) -> bytes:
    """:returns: a message of network-relay"""
    said = {"inner": {"kind": kind, **members}}
    return json.dumps(said, separators=(",", ":")).encode()


def framed(kind: str, **members: object) -> bytes:
    """:returns: the same in a frame of a client's side"""
    return encode_frame(Op.TEXT, inner(kind, **members), mask=bytes(4))


def agent_start() -> bytes:
    """:returns: the frame by which the agent registers"""
    return framed("start", last_error=None, name="attic", secret=AGENT_SECRET)


def client_start(**changed: object) -> bytes:
    """:returns: the frame by which the client calls, with members of the test's own"""
    usual = {
        "connection_target": "attic",
        "target_ip": "127.0.0.1",
        "target_port": 22,
        "protocol": "tcp",
        "secret": CLIENT_SECRET,
    }
    return framed("start", **{**usual, **changed})


def say(peer: RawPeer, kind: str, **members: object) -> None:
    """Send a message of network-relay."""
    peer.send(Op.TEXT, inner(kind, **members))


async def hear(peer: RawPeer) -> dict[str, Any]:
    """:returns: the next message, without its envelope; keep-alives do not count"""
    while True:
        frame = await peer.receive()
        if frame.opcode == Op.TEXT:
            said: dict[str, Any] = json.loads(frame.payload)["inner"]
            if said["kind"] != "keep_alive":
                return said


async def answers(peer: RawPeer) -> None:
    """Wait until the router has read all that was sent."""
    peer.send(Op.PING, b"there")
    while (await peer.receive()).opcode != Op.PONG:
        pass


def packed(data: bytes) -> str:
    """:returns: payload as its messages have it"""
    return base64.b64encode(data).decode()
