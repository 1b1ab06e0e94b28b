"""Routers of network-relay to test, raw agents and clients at them: whoever made the router."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import AsyncIterator, Container, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from tests.integration.network_relay_wire import (
    AGENT_PATH,
    CLIENT_PATH,
    CLOSED,
    START_OK,
    Talk,
)
from tests.rawpeer import DEADLINE_S, Frame, Head, Op, PeerError, RawPeer, connect

NAMES = tuple(f"agent-{number:03}" for number in range(400))
CLIENT_SECRET = "s3cr3t-client"
OTHER_CLIENT_SECRET = "another"
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
KiB = 1024
MiB = 1024 * KiB

_unused = itertools.cycle(NAMES)

# -- which router a test is for ------------------------------------------------------------------

BOTH = pytest.mark.parametrize("relay", ["ours", "original"], indirect=True)
OURS = pytest.mark.parametrize("relay", ["ours"], indirect=True)


def original_differs(
    reason: str, *, always: bool = True, fixture: str = "relay", indirect: bool = True
) -> pytest.MarkDecorator:
    """The test is for both; the original is known to fail it.

    :param always: False when it fails now and then only
    """
    mark = pytest.mark.xfail(reason=f"original: {reason}", strict=always, raises=AssertionError)
    both = ["ours", pytest.param("original", marks=mark)]
    return pytest.mark.parametrize(fixture, both, indirect=indirect)


# -- credentials ---------------------------------------------------------------------------------


def agent_secret(name: str) -> str:
    """:returns: the secret of an agent of that name"""
    return f"secret of {name}"


def credentials(**more: object) -> str:
    """:returns: a credentials file with all names; :param more: of its members, to replace them"""
    agents = {name: agent_secret(name) for name in NAMES}
    flat = [CLIENT_SECRET, OTHER_CLIENT_SECRET]
    return json.dumps({"edge-agents": agents, "access-client-secrets": flat, **more})


def fresh_name() -> str:
    """:returns: the name of an agent that no other test has"""
    return next(_unused)


# -- routers, agents, clients --------------------------------------------------------------------


class Agent(Talk):
    """A raw agent.

    :ivar name: under which it has registered, or tried to
    """

    def __init__(self, peer: RawPeer, relay: Router, name: str) -> None:
        super().__init__(peer)
        self.relay = relay
        self.name = name
        self._closed: set[str] = set()

    async def text(self, deadline_s: float = DEADLINE_S) -> bytes:
        """Like that of all; a second close of one connection is not told where it is usual (Q5)."""
        while True:
            text = await super().text(deadline_s)
            if b'"connection_close"' not in text or self.relay.is_ours:
                return text
            connection_id = json.loads(text)["inner"]["connection_id"]
            if connection_id not in self._closed:
                self._closed.add(connection_id)
                return text

    async def asked(self) -> str:
        """:returns: the id of the next connection it is asked to open"""
        return str((await self.hear("initiate_connection"))["connection_id"])

    def accept(self, connection_id: str) -> None:
        """Say that a connection is open."""
        self.say("initiate_connection_ok", connection_id=connection_id)

    def refuse(self, connection_id: str, message: str) -> None:
        """Say that a connection could not be opened."""
        self.say("initiate_connection_error", message=message, connection_id=connection_id)

    def reset(self, connection_id: str, message: str = "x") -> None:
        """Say that a connection was reset."""
        self.say("connection_reset", message=message, connection_id=connection_id)

    async def closed(self, connection_id: str, deadline_s: float = DEADLINE_S) -> None:
        """Wait for the close of a connection, and nothing else."""
        told = await self.hear("connection_close", deadline_s)
        assert told == {"message": CLOSED, "connection_id": connection_id}

    async def circuit(self, caller: Caller | None = None) -> Circuit:
        """:returns: a connection that a client, or this one, has through this agent"""
        caller = caller or await self.relay.caller(self.name)
        connection_id = await self.asked()
        self.accept(connection_id)
        await caller.opened()
        return Circuit(self, caller, connection_id)

    async def serves(self) -> None:
        """Serve a client, and see it leave: nothing else has been said before."""
        circuit = await self.circuit()
        await circuit.passes()
        circuit.caller.peer.send_close()
        await self.closed(circuit.connection_id)


class Caller(Talk):
    """A raw access client that has sent its start."""

    async def opened(self) -> None:
        """Wait for ``start_ok``, and nothing else."""
        assert await self.text() == START_OK


class Circuit(NamedTuple):
    """A connection that stands."""

    agent: Agent
    caller: Caller
    connection_id: str

    async def passes(self, up: bytes = b"ping\n", down: bytes = b"pong\n") -> None:
        """Send bytes both ways, and see them come next."""
        await self.goes_up(up)
        self.tell(down)
        assert await self.caller.payload(len(down)) == down

    async def goes_up(self, data: bytes = b"ping\n", sent: bool = False) -> None:
        """See bytes of the client come next, which it sends unless it has ``sent`` them."""
        if not sent:
            self.caller.data(data)
        assert await self.agent.payload(len(data), connection_id=self.connection_id) == data

    def tell(self, data: bytes) -> None:
        """Send bytes to the client."""
        self.agent.data(data, connection_id=self.connection_id)


class Router:
    """A router under test.

    :ivar kind: ``ours`` or ``original``
    :ivar port: where it listens
    """

    def __init__(self, kind: str, port: int) -> None:
        self.kind = kind
        self.port = port
        self._peers: list[RawPeer] = []

    @property
    def is_ours(self) -> bool:
        """:returns: whether it is held to what ours promises beyond the original"""
        return self.kind == "ours"

    def url(self, path: str) -> str:
        """:returns: what an agent or client is given to connect to"""
        return f"ws://127.0.0.1:{self.port}{path}"

    async def ask(
        self, path: str, headers: Mapping[str, str] | None = None
    ) -> tuple[RawPeer, Head]:
        """:returns: a new connection, ended with the test, and what answers its upgrade"""
        peer = await connect(self.port)
        self._peers.append(peer)
        return peer, await peer.upgrade(path, headers)

    async def link(self, path: str, headers: Mapping[str, str] | None = None) -> RawPeer:
        """:returns: a link on which nothing has been said"""
        peer, head = await self.ask(path, headers)
        assert head.status == 101, head
        return peer

    async def newcomer(
        self, name: str | None = None, secret: str | None = None, **members: object
    ) -> Agent:
        """:param name: None: one that nobody else has
        :param secret: None: the right one
        :returns: a raw agent that has sent its start, whatever comes of it
        """
        name = fresh_name() if name is None else name
        secret = agent_secret(name) if secret is None else secret
        agent = Agent(await self.link(AGENT_PATH), self, name)
        agent.say("start", **{"last_error": None, "name": name, "secret": secret, **members})
        return agent

    async def agent(self, name: str | None = None) -> Agent:
        """:returns: a raw agent that is registered, which nobody says"""
        agent = await self.newcomer(name)
        await self.settles(agent)
        return agent

    async def settles(self, talk: Talk) -> None:
        """Wait until it has taken in what was said: it has read so far, and comes round again."""
        for _ in range(2):
            talk.peer.send(Op.PING, b"read so far?")
            frame = await talk.peer.receive()
            assert (frame.opcode, frame.payload) == (Op.PONG, b"read so far?"), frame

    async def caller(
        self,
        agent: str,
        secret: str = CLIENT_SECRET,
        *,
        ip: str = "127.0.0.1",
        port: object = 22,
        protocol: str = "tcp",
    ) -> Caller:
        """:returns: a raw client that has asked for that agent's target"""
        caller = Caller(await self.link(CLIENT_PATH))
        caller.say(
            "start",
            connection_target=agent,
            target_ip=ip,
            target_port=port,
            protocol=protocol,
            secret=secret,
        )
        return caller

    async def circuit(self) -> Circuit:
        """:returns: a connection through an agent of its own"""
        return await (await self.agent()).circuit()

    async def works(self) -> None:
        """Serve a client through a fresh agent."""
        agent = await self.agent()
        await agent.serves()
        agent.peer.drop()

    async def is_free(self, name: str) -> Agent:
        """:returns: an agent that has got this name, which others may have had a moment ago"""

        async def tried() -> Agent | None:
            agent = await self.newcomer(name)
            try:
                await agent.serves()
            except PeerError:
                agent.peer.drop()
                return None
            return agent

        expiry = time.monotonic() + DEADLINE_S
        while (agent := await tried()) is None:
            assert time.monotonic() < expiry, f"{name} is not free"
        return agent

    def hang_up(self) -> None:
        """Reset all connections of the test."""
        for peer in self._peers:
            peer.reset()


# -- what is checked often -----------------------------------------------------------------------

BROKEN = (1008, 1009)
"""How ours ends a link for what no peer may send; 1009 where there is too much of it."""


@asynccontextmanager
async def unnoticed(relay: Router, beside: Agent | None = None) -> AsyncIterator[None]:
    """Check at the end that another agent, and another circuit of ``beside``, go on."""
    bystanders = [await relay.circuit()]
    if beside is not None:
        bystanders.append(await beside.circuit())
    yield
    for circuit in bystanders:
        await circuit.passes()
    await relay.works()


async def broken_off(relay: Router, talk: Talk, codes: Container[int] = BROKEN) -> None:
    """Check that a link ends; ours says why in a Close, the original often drops it."""
    close = await talk.over()
    told(relay, close, codes)


def told(relay: Router, close: Frame | None, codes: Container[int]) -> None:
    """Check the Close of a link where a rule was broken."""
    if relay.is_ours:
        assert close is not None
        assert close.code in codes
