"""A network-relay agent, seen from its router and its targets: checks 20-25 of the specification.

Each runs against our host, and against the original's edge-agent where that is at hand.
"""

from __future__ import annotations

import json
import socket

import pytest
import pytest_twisted

from tests.dialects.network_relay_vectors import CONNECTION_ID, PING, V1, V5
from tests.integration.connect_lab import unused_port
from tests.integration.network_relay_daemon import (
    BOTH_AGENTS,
    NAME,
    OUR_AGENT,
    SECRET,
    AgentDaemon,
    close,
)
from tests.integration.network_relay_peers import KiB, MiB, original_differs
from tests.integration.network_relay_wire import AGENT_PATH, RESET, compact
from tests.rawpeer import Op, noise

LARGE_BYTES = 3 * 1000 * 1000
QUEUED_BYTES = 5 * MiB
SMALL_BYTES = 64 * KiB

pytest_plugins = ["tests.integration.network_relay_raw_fixtures"]


def original_agent_differs(reason: str) -> pytest.MarkDecorator:
    """The test is for both; the original's agent is known to fail it."""
    return original_differs(reason, fixture="agent_kind", indirect=False)


# -- 20: login -----------------------------------------------------------------------------------


@BOTH_AGENTS
@pytest_twisted.ensureDeferred
async def test_check_20_first_message(nr_agent: AgentDaemon) -> None:
    """The first message is V1, byte for byte, on the right path and without a subprotocol."""
    await nr_agent.start()
    _, request, text = await nr_agent.login()
    assert text == V1
    assert request.target == AGENT_PATH
    assert request.header("Sec-WebSocket-Protocol") is None
    assert request.header("Authorization") is None
    assert SECRET not in str(request)
    assert NAME not in str(request)


@BOTH_AGENTS
@pytest_twisted.ensureDeferred
async def test_check_21_pings(nr_agent: AgentDaemon) -> None:
    """Pings are answered, a router's keep-alive is ignored."""
    talk = await nr_agent.begin()
    talk.say("keep_alive")
    talk.peer.send(Op.PING, b"live")
    frame = await talk.peer.receive()
    assert (frame.opcode, frame.payload) == (Op.PONG, b"live")
    await (await nr_agent.open(talk)).passes()


# -- 22: refusals --------------------------------------------------------------------------------


@BOTH_AGENTS
@pytest_twisted.ensureDeferred
async def test_check_22_refusals(nr_agent: AgentDaemon) -> None:
    """What cannot be opened is answered by one error with the same id; the session goes on."""
    talk = await nr_agent.begin()
    bystander = await nr_agent.open(talk)
    for target in (
        {"port": unused_port()},
        {"ip": "no-such-host.invalid"},
        {"port": 70_000},
        {"port": -1},
        {"protocol": "udp"},
        {"protocol": "TCP"},
        {"ip": ""},
    ):
        assert await nr_agent.refuses(talk, **target)
        await bystander.passes()
    assert nr_agent.target.arrivals == 1


@OUR_AGENT
@pytest_twisted.ensureDeferred
async def test_forbidden_targets(nr_agent: AgentDaemon) -> None:
    """Ours connects only where its list allows, and says which word it refuses by."""
    await nr_agent.start(allow=f"127.0.0.2:{unused_port()}, 10.0.0.0/8:22")
    talk, _, _ = await nr_agent.login()
    for target in ({}, {"ip": "10.0.0.1", "port": 23}, {"ip": "localhost"}, {"ip": "::1"}):
        message = await nr_agent.refuses(talk, **target)
        assert message.startswith("target-forbidden: ")
    assert nr_agent.target.arrivals == 0


@OUR_AGENT
@pytest_twisted.ensureDeferred
async def test_forward_is_allowed(nr_agent: AgentDaemon) -> None:
    """Where ``forward`` is all that is said, its target may be opened and no other."""
    talk = await nr_agent.begin(forwards=True)
    for target in ({"port": unused_port()}, {"ip": "127.0.0.2"}):
        assert (await nr_agent.refuses(talk, **target)).startswith("target-forbidden: ")
    await (await nr_agent.open(talk)).passes()
    assert nr_agent.target.arrivals == 1


# -- 23, 24: data --------------------------------------------------------------------------------


@BOTH_AGENTS
@pytest.mark.parametrize(
    "connection_id", ["7", "a b", "caf\u00e9 \u65e5", '"\\', CONNECTION_ID.upper(), ""]
)
@pytest_twisted.ensureDeferred
async def test_check_23_opaque_ids(nr_agent: AgentDaemon, connection_id: str) -> None:
    """Ids are any text, and are echoed as they are."""
    talk = await nr_agent.begin()
    await (await nr_agent.open(talk, connection_id or None)).passes()


@BOTH_AGENTS
@pytest_twisted.ensureDeferred
async def test_check_23_unknown_ids(nr_agent: AgentDaemon) -> None:
    """Data and close for unknown and finished ids are ignored, a second close harms nobody."""
    talk = await nr_agent.begin()
    bystander = await nr_agent.open(talk)
    opened = await nr_agent.open(talk)
    talk.data(b"nobody's", connection_id=CONNECTION_ID)
    close(talk, CONNECTION_ID)
    for _ in range(2):
        opened.close()
    assert await opened.target.everything() == b""
    opened.tell(b"too late")
    opened.close()
    await bystander.passes()
    await (await nr_agent.open(talk)).passes()


@BOTH_AGENTS
@pytest_twisted.ensureDeferred
async def test_check_24_large_message(nr_agent: AgentDaemon) -> None:
    """A message of 3 MB is written whole."""
    opened = await nr_agent.open(await nr_agent.begin())
    sent = noise(LARGE_BYTES)
    opened.tell(sent)
    assert await opened.target.exactly(len(sent)) == sent
    await opened.passes()


@BOTH_AGENTS
@pytest_twisted.ensureDeferred
async def test_check_24_close_is_behind_data(nr_agent: AgentDaemon) -> None:
    """All that came before a close reaches the target, then TCP ends in order."""
    opened = await nr_agent.open(await nr_agent.begin())
    sent = noise(QUEUED_BYTES)
    opened.target.pause()
    for start in range(0, len(sent), SMALL_BYTES):
        opened.tell(sent[start : start + SMALL_BYTES])
    opened.close()
    opened.target.resume()
    assert await opened.target.everything() == sent


@BOTH_AGENTS
@pytest_twisted.ensureDeferred
async def test_json_in_any_form(nr_agent: AgentDaemon) -> None:
    """Order, spaces and unknown members of a router's messages do not matter."""
    talk = await nr_agent.begin()
    talk.send(
        b'{"x":[], "inner": {"connection_id":"9", "protocol":"tcp", "later":{},\n'
        b'"target_port":"%d", "target_ip":"127.0.0.1", "kind":"initiate_connection"} }'
        % nr_agent.target_port
    )
    target = await nr_agent.target.accept()
    assert await talk.text() == compact("initiate_connection_ok", connection_id="9")
    talk.send(b'{"inner":{"data_base64":"a G*k=","connection_id":"9","kind":"tcp_data"}}')
    assert await target.exactly(2) == b"hi"


@BOTH_AGENTS
@pytest_twisted.ensureDeferred
async def test_text_from_the_target(nr_agent: AgentDaemon) -> None:
    """Bytes of every value come back in the exact form of V5, in order."""
    opened = await nr_agent.open(await nr_agent.begin(), CONNECTION_ID)
    opened.target.write(PING)
    assert await opened.talk.text() == V5
    sent = bytes(range(256)) * 64 + noise(MiB)
    opened.target.write(sent)
    assert await opened.heard(len(sent)) == sent


# -- ends of the target --------------------------------------------------------------------------


@BOTH_AGENTS
@pytest_twisted.ensureDeferred
async def test_target_resets(nr_agent: AgentDaemon) -> None:
    """A target that resets is told, by the original with the next data only; others go on."""
    talk = await nr_agent.begin()
    bystander = await nr_agent.open(talk)
    opened = await nr_agent.open(talk)
    opened.target.reset()
    if not nr_agent.is_ours:
        opened.tell(b"once")
        opened.tell(b"more")
    told = await talk.hear("connection_reset")
    assert told["connection_id"] == opened.connection_id
    if not nr_agent.is_ours:
        assert told["message"] == RESET
    opened.close()
    await bystander.passes()


@original_agent_differs("nothing is sent when the target has ended")
@pytest_twisted.ensureDeferred
async def test_target_ends(nr_agent: AgentDaemon) -> None:
    """A target that ends is told behind all its bytes, and its connection closes."""
    talk = await nr_agent.begin()
    opened = await nr_agent.open(talk)
    sent = noise(MiB)
    opened.target.write(sent)
    opened.target.drop()
    assert await opened.heard(len(sent)) == sent
    told = await talk.hear("connection_reset")
    assert told["connection_id"] == opened.connection_id
    await (await nr_agent.open(talk)).passes()


@original_agent_differs("one target that does not read stops all connections of the agent")
@pytest_twisted.ensureDeferred
async def test_stalled_target(nr_agent: AgentDaemon) -> None:
    """A target that reads nothing does not hold up another, nor an opening."""
    talk = await nr_agent.begin()
    bystander = await nr_agent.open(talk)
    stalled = await nr_agent.open(talk)
    stalled.target.shrink()
    stalled.target.pause()
    part = noise(512 * KiB)
    for _ in range(12):
        stalled.tell(part)
    await bystander.passes()
    await (await nr_agent.open(talk)).passes()


@original_agent_differs("one opening at a time: a target that does not answer stops them all")
@pytest_twisted.ensureDeferred
async def test_openings_at_once(nr_agent: AgentDaemon) -> None:
    """An opening that takes long does not hold up another."""
    talk = await nr_agent.begin()
    # a full backlog: the kernel does not answer who comes behind it
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        port = silent.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            nr_agent.ask(talk, port=port)
            nr_agent.ask(talk, port=port)
            opened = nr_agent.ask(talk)
            answers = set()
            while opened not in answers:
                answers.add((await talk.hear("initiate_connection_ok"))["connection_id"])


# -- bad routers ---------------------------------------------------------------------------------


@BOTH_AGENTS
@pytest.mark.parametrize(
    "text",
    [
        b"hello",
        b'{"kind":"keep_alive"}',
        compact("later"),
        compact("start_ok"),
        compact("tcp_data", data_base64=""),
        compact("tcp_data", connection_id="7", data_base64=5),
        compact("initiate_connection", connection_id="7", target_ip="h", target_port=22.5),
    ],
    ids=["word", "no-inner", "unknown", "start-ok", "no-id", "number", "half-port"],
)
@pytest_twisted.ensureDeferred
async def test_router_breaks_the_rules(nr_agent: AgentDaemon, text: bytes) -> None:
    """A router that sends nonsense loses the session, its targets end, and the agent comes back."""
    talk = await nr_agent.begin()
    opened = await nr_agent.open(talk)
    talk.send(text)
    close = await talk.over()
    assert close is not None
    await opened.target.gone()
    again, _, start = await nr_agent.login()
    inner = json.loads(start)["inner"]
    assert (inner["kind"], inner["name"], inner["secret"]) == ("start", NAME, SECRET)
    await (await nr_agent.open(again)).passes()


# -- 25: loss of the router ----------------------------------------------------------------------


@BOTH_AGENTS
@pytest.mark.parametrize("leave", ["drop", "reset", "send_close"])
@pytest_twisted.ensureDeferred
async def test_check_25_loss(nr_agent: AgentDaemon, leave: str) -> None:
    """With the router all targets' connections end, and the agent is back about a second later."""
    talk = await nr_agent.begin()
    opened = [await nr_agent.open(talk) for _ in range(2)]
    getattr(talk.peer, leave)()
    await talk.over()
    for each in opened:
        await each.target.gone()
    again, _, start = await nr_agent.login()
    # ours says what became of the last one
    assert start == V1 or nr_agent.is_ours
    assert json.loads(start)["inner"]["secret"] == SECRET
    await (await nr_agent.open(again)).passes()
