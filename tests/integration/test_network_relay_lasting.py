"""Network-relay over time: checks 6, 21, 25 and 30, and peers that are silent.

For ours time passes ten times as fast; those of the original's that take long are marked ``slow``.
"""

from __future__ import annotations

import json
import zlib

import pytest
import pytest_twisted

from tests.integration.hurry import HURRY
from tests.integration.network_relay_daemon import NAME, SECRET, AgentDaemon
from tests.integration.network_relay_ours import RouterMaker
from tests.integration.network_relay_peers import (
    BOTH,
    CLIENT_SECRET,
    Agent,
    Router,
    agent_secret,
    fresh_name,
)
from tests.integration.network_relay_wire import AGENT_PATH, CLIENT_PATH, START_OK, Talk, compact
from tests.rawpeer import Ended, Late, Op, RawPeer, the_reactor, together

KINDS = ["ours", pytest.param("original", marks=pytest.mark.slow)]
HURRIED = pytest.mark.parametrize("hurried_relay", KINDS, indirect=True)
HURRIED_AGENT = pytest.mark.parametrize("agent_kind", KINDS)
IDLE_S = 62.0
PING_S = 20.0
AGENT_KEEP_ALIVE_S = 10.0
WAITS_S = (1.0, 2.0, 4.0)
JITTER = 0.3
"""How much of a wait may be missing or too much."""

SLACK_S = 0.8
LEGACY = (
    "1 validation error: Input tag 'keep_alive' found using 'kind' does not match any of the "
    "expected tags: 'initiate_connection', 'tcp_data'"
)
DEADLINE_S = 10.0
OFFER = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
COMPRESSED = 4
TAIL = b"\x00\x00\xff\xff"

pytest_plugins = ["tests.integration.network_relay_raw_fixtures"]


async def idles(talk: Talk, seconds: float) -> None:
    """Answer Pings for so long, in which nothing else may come but keep-alives."""
    with pytest.raises(Late):
        await talk.text(seconds)


@HURRIED
@pytest_twisted.ensureDeferred
async def test_check_06_and_30_idle(hurried_relay: Router) -> None:
    """A minute of idling ends nothing; keep-alives come each 30 s, to a legacy agent never."""
    times = HURRY if hurried_relay.is_ours else 1
    circuit = await hurried_relay.circuit()
    legacy = await hurried_relay.newcomer(last_error=LEGACY)
    talks: tuple[Talk, ...] = (circuit.agent, legacy, circuit.caller)
    await together(*(idles(talk, IDLE_S / times) for talk in talks))
    assert [len(talk.keep_alives) for talk in talks] == [2, 0, 0]
    assert all(talk.pings for talk in talks)
    await circuit.passes()
    await legacy.serves()


@HURRIED_AGENT
@pytest_twisted.ensureDeferred
async def test_check_21_keep_alives(hurried_agent: AgentDaemon) -> None:
    """An agent says that it lives each 10 s."""
    talk = await hurried_agent.begin()
    start = the_reactor().seconds()
    times = HURRY if hurried_agent.is_ours else 1
    await idles(talk, 2.5 * AGENT_KEEP_ALIVE_S / times)
    waits = [(came - start) * times for came in talk.keep_alives]
    assert waits == [pytest.approx(10, abs=4), pytest.approx(20, abs=4)]


@HURRIED_AGENT
@pytest_twisted.ensureDeferred
async def test_check_25_attempts(hurried_agent: AgentDaemon) -> None:
    """While connecting fails an agent waits longer each time, then says what went wrong."""
    await hurried_agent.start()
    times = HURRY if hurried_agent.is_ours else 1
    clock = the_reactor().seconds
    peer, _ = await hurried_agent.router.accept_request()
    for wait_s in WAITS_S:
        peer.refuse(503)
        since = clock()
        peer, _ = await hurried_agent.router.accept_request()
        assert (clock() - since) * times >= wait_s * (1 - JITTER)
        assert clock() - since <= wait_s * (1 + JITTER) / times + SLACK_S
    peer.refuse(503)
    talk, _, text = await hurried_agent.login(15.0)
    start = json.loads(text)["inner"]
    assert start.pop("last_error")
    assert start == {"kind": "start", "name": NAME, "secret": SECRET}
    await (await hurried_agent.open(talk)).passes()


# -- compression ---------------------------------------------------------------------------------


class Deflated:
    """A link that may be compressed, whose peer compresses what it sends."""

    def __init__(self, peer: RawPeer, agreed: bool) -> None:
        self.peer = peer
        self.agreed = agreed
        self._deflate = zlib.compressobj(wbits=-15)
        self._inflate = zlib.decompressobj(wbits=-15)

    def send(self, text: bytes) -> None:
        """Send a text, compressed where that is agreed on."""
        if not self.agreed:
            self.peer.send(Op.TEXT, text)
            return
        data = self._deflate.compress(text) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        self.peer.send(Op.TEXT, data.removesuffix(TAIL), rsv=COMPRESSED)

    async def text(self) -> bytes:
        """:returns: the next text"""
        frame = await self.peer.receive()
        assert frame.opcode == Op.TEXT
        if frame.rsv == 0:
            return frame.payload
        assert self.agreed
        return self._inflate.decompress(frame.payload + TAIL)


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_30_compression(relay: Router) -> None:
    """Peers that offer to compress get along, whether the router takes it up or not."""
    links = []
    for path in (AGENT_PATH, CLIENT_PATH):
        peer, head = await relay.ask(path, OFFER)
        assert head.status == 101
        links.append(Deflated(peer, head.header("Sec-WebSocket-Extensions") is not None))
    agent, caller = links
    name = fresh_name()
    agent.send(compact("start", last_error=None, name=name, secret=agent_secret(name)))
    await relay.settles(Agent(agent.peer, relay, name))
    caller.send(
        compact(
            "start",
            connection_target=name,
            target_ip="127.0.0.1",
            target_port=22,
            protocol="tcp",
            secret=CLIENT_SECRET,
        )
    )
    connection_id = json.loads(await agent.text())["inner"]["connection_id"]
    agent.send(compact("initiate_connection_ok", connection_id=connection_id))
    assert await caller.text() == START_OK
    up = compact("tcp_data", connection_id=connection_id, data_base64="cGluZwo=")
    down = compact("tcp_data", data_base64="cGluZwo=")
    for _ in range(3):
        caller.send(down)
        assert await agent.text() == up
        agent.send(up)
        assert await caller.text() == down


# -- the silent ----------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_silent_peers_are_noticed(hurried_routers: RouterMaker) -> None:
    """An agent that answers no Ping any more ends, its clients with it; so does such a client."""
    relay = await hurried_routers.start()
    silent, deaf = await relay.circuit(), await relay.circuit()
    over = together(silent.agent.ending(DEADLINE_S), deaf.caller.ending(DEADLINE_S))
    told = together(told_of(silent.caller), deaf.agent.closed(deaf.connection_id, DEADLINE_S))
    await over
    await told
    await deaf.agent.serves()


async def told_of(caller: Talk) -> None:
    """Wait for the end of a client that answers Pings."""
    with pytest.raises(Ended):
        await caller.text(DEADLINE_S)
