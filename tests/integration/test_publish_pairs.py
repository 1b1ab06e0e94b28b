"""Every call that can be published, to every offer that can answer it: docs/publish.rst, its table.

Hosts and clients are our own programs, which bring as much of each dialect as there is; callers who
have none, and members of topics, are made of bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted

from tests.integration import taas_peers
from tests.integration.network_relay_wire import CLIENT_PATH
from tests.integration.pairs_house import ALICE, SOURCES, PairsHouse, exchange
from tests.integration.portal_peers import wait_for
from tests.integration.taas_ours import RouterMaker
from tests.integration.taas_wire import Certificate
from tests.rawpeer import Op, noise, until

MiB = 1024 * 1024
TARGETS = ("portal", "websocktunnel", "network-relay", "taas")
TOPIC = "session-relay"
HALF_CLOSING = ("portal", "network-relay", "taas", "tcp")
"""Whose callers can end their own direction and go on to hear."""
PAIRS = [(source, target) for source in SOURCES for target in TARGETS]
BY_HALVES = [pair for pair in PAIRS if pair[0] in HALF_CLOSING]
AT_ONCE = [pair for pair in PAIRS if pair[0] not in HALF_CLOSING]
TO_TOPICS = [source for source in SOURCES if source not in ("websocktunnel", TOPIC)]
GEARS = pytest.mark.parametrize("cut_through", [True, False], ids=["cut-through", "message"])

pytest_plugins = ["tests.integration.taas_fixtures"]


@pytest.fixture
def house(
    taas_routers: RouterMaker, taas_certificate: Certificate, tmp_path: Path
) -> Iterator[PairsHouse]:
    """A router of all dialects, which the test starts."""
    made = PairsHouse(taas_routers, taas_certificate, tmp_path)
    yield made
    wait_for(made.stop())


@GEARS
@pytest.mark.parametrize(("source", "target"), BY_HALVES)
@pytest_twisted.ensureDeferred
async def test_a_call_ends_by_halves(
    house: PairsHouse, source: str, target: str, cut_through: bool
) -> None:
    """Bytes pass both ways; a side that has said all goes on to hear, to the last of it."""
    await house.start((source, target), cut_through=cut_through)
    await house.host(target)
    for first in ("caller", "callee"):
        near = await house.caller(source)
        far = await house.joined(source, near, None)
        await exchange(near, far, noise(MiB), noise(MiB))
        one, other = (near, far) if first == "caller" else (far, near)
        one.peer.half_close()
        assert await other.over() == b""
        await other.say(b"the last of it")
        other.peer.half_close()
        assert await one.over() == b"the last of it"
        await until(lambda: not house.broker.circuits or None, "end of the circuit")


@GEARS
@pytest.mark.parametrize(("source", "target"), AT_ONCE)
@pytest_twisted.ensureDeferred
async def test_a_call_ends_at_once(
    house: PairsHouse, source: str, target: str, cut_through: bool
) -> None:
    """Bytes pass both ways; whichever side ends, the call does, behind all that was said."""
    await house.start((source, target), cut_through=cut_through)
    await house.host(target)
    for first in ("callee", "caller"):
        near = await house.caller(source)
        far = await house.joined(source, near, None)
        await exchange(near, far, noise(MiB), noise(MiB))
        if first == "callee":
            await far.say(b"the last of it")
            far.peer.drop()
            await near.hears(b"the last of it")
            assert await near.over() == b""
        else:
            await near.say(b"the last of it")
            near.peer.drop() if near.member is None else near.peer.send_close()
            await far.hears(b"the last of it")
            assert await far.over() == b""
            far.peer.drop()
        await until(lambda: not house.broker.circuits or None, "end of the circuit")


@GEARS
@pytest.mark.parametrize("source", TO_TOPICS)
@pytest_twisted.ensureDeferred
async def test_a_caller_in_a_topic(house: PairsHouse, source: str, cut_through: bool) -> None:
    """It takes part as a member does; its end is nobody else's."""
    await house.start((source, TOPIC), cut_through=cut_through)
    member = await house.host(TOPIC)
    near = await house.caller(source)
    far = await house.joined(source, near, member)
    await exchange(near, far, noise(MiB), noise(MiB))
    near.peer.half_close()
    await far.say(b"still there")
    await near.hears(b"still there")
    near.peer.reset()
    other = await house.host(TOPIC)
    assert member is not None
    assert other is not None

    def left() -> bool | None:
        # nobody reads from one that has said all: that it is gone shows where it is written to
        member.say(b"?")
        return not house.broker.circuits or None

    await until(left, "end of the circuit")
    await other.hears(b"?")


@GEARS
@pytest_twisted.ensureDeferred
async def test_a_topic_as_another(house: PairsHouse, cut_through: bool) -> None:
    """Who enters the one is a member of the other, with all that members have."""
    await house.start((TOPIC, TOPIC), cut_through=cut_through)
    member = await house.host(TOPIC)
    near = await house.caller(TOPIC)
    assert member is not None
    assert near.member is not None
    await near.member.admitted()
    near.member.say("a text")
    await member.hears("a text")
    await exchange(near, await house.joined(TOPIC, near, member), noise(MiB), noise(MiB))
    near.peer.send_close()
    await near.over()


# -- nobody there ----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
@pytest_twisted.ensureDeferred
async def test_an_absent_host(house: PairsHouse, target: str) -> None:
    """Each caller is told in the way of its own dialect, and nothing of where it would have got."""
    await house.start(*((source, target) for source in SOURCES))
    portal = house.portal.portal(1)
    _, head = await house.portal.ask("/connect/client/door", portal.client_token)
    assert (head.status, head.header("X-Relay-Reason")) == (502, "host-absent")
    answer = await house.viewers.fetch("/door/x")
    assert (answer.status, answer.header("X-Relay-Reason")) == (504, "host-absent")
    assert target not in answer.body.decode().replace("websocktunnel:door", "")
    agent = await house.dial(house.network_relay)
    assert (await agent.upgrade(CLIENT_PATH)).status == 101
    start = {"connection_target": "door", "target_ip": "10.0.0.1", "target_port": 22}
    said = {"kind": "start", **start, "protocol": "tcp", "secret": ALICE}
    agent.send(Op.TEXT, json.dumps({"inner": said}).encode())
    told = json.loads((await agent.receive()).payload)["inner"]
    assert told == {"kind": "error", "message": "Agent not registered"}
    _, head = await house.knock()
    assert (head.status, head.header("X-Relay-Reason")) == (502, "host-absent")
    caller = await house.dial(house.published_port())
    await caller.gone()
    assert caller.was_reset()
    answer = await house.taas.get("/", taas_peers.host_of("door"))
    assert (answer.status, answer.header("X-Relay-Reason")) == (503, "host-absent")
    assert answer.body == b"no host answers for taas:door now\n"
    assert answer.header("Location") == f"https://{taas_peers.host_of('door')}/"
