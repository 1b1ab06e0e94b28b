"""Topics of session-relay that are calls: who enters one reaches a host of another dialect."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
import pytest_twisted

from relay.settings.model import Door
from tests.integration.portal_ours import TunnelMaker
from tests.integration.session_relay_vectors import V5
from tests.integration.session_relay_wire import Member
from tests.integration.topic_house import AGENT_SECRET, SHELL, House, hear, published, say
from tests.rawpeer import Frame, Head, Op, RawPeer, RawServer, noise, together, until

TOPIC = "lab/shell"
BOOKING = "bk-shell"
PORTAL = published("shell", SHELL, "portal:1/ssh", clients=BOOKING)
BULK_BYTES = 8 * 1024 * 1024
PART_BYTES = 64 * 1024
BULK_S = 30.0
FINISH = b'"Finish"'
HALF_CLOSE = {"X-Relay-Half-Close": "yes"}

pytest_plugins = [
    "tests.integration.portal_fixtures",
    "tests.integration.session_relay_fixtures",
    "tests.integration.topic_house_fixtures",
]


async def enter(house: House, booking: str = BOOKING, **claims: Any) -> Member:
    """:returns: who has entered the topic, and was let in"""
    peer, head = await knock(house, booking, **claims)
    assert head.status == 101, head
    return Member(peer)


async def knock(house: House, booking: str = BOOKING, **claims: Any) -> tuple[RawPeer, Head]:
    """:returns: the connection, and what answers a handshake with a fresh code"""
    token = house.sr.token(TOPIC, booking=booking, **claims)
    return await house.sr.enter(TOPIC, await house.sr.code(TOPIC, token))


async def joined(house: House, control: RawPeer) -> tuple[Member, RawPeer]:
    """:returns: who has entered, and the link of the portal host that has answered"""
    caller = await enter(house)
    call = await house.portal.incoming(control)
    assert (call.client_name, call.service_name) == (f"session-relay:{BOOKING}", "ssh")
    target = f"/connect/host_accept/{call.nexus}"
    host, head = await house.ptl.ask(target, house.portal.host_token, HALF_CLOSE)
    assert head.status == 101, head
    return caller, host


def is_refused(head: Head, status: int, reason: str) -> bool:
    """:returns: whether it is that refusal in the form of a relay socket, which names no host"""
    assert (head.status, head.header("X-Relay-Reason")) == (status, reason)
    assert head.header("Content-Type") == "text/plain; charset=utf-8"
    assert b"portal" not in head.body
    return True


@pytest_twisted.ensureDeferred
async def test_our_portal_host(house: House, tunnels: TunnelMaker, lines: list[str]) -> None:
    """What stands behind it gets bytes, and its own come as binary messages, bit for bit."""
    await house.start(PORTAL)
    service = RawServer()
    door = Door("ssh", f"tcp:127.0.0.1:{await service.listen()}")
    await tunnels.host(house.ptl.url, house.portal.host_token, door)
    caller = await enter(house)
    caller.say("text ")
    callee = await service.accept()
    caller.say(b"and bytes")
    assert await callee.exactly(14) == b"text and bytes"
    up, down = noise(BULK_BYTES), noise(BULK_BYTES)
    sending = together(caller.peer.send_all(up, PART_BYTES), callee.write_all(down))
    assert await callee.exactly(len(up), BULK_S) == up
    assert await caller.payload(len(down), BULK_S) == down
    await sending
    callee.write(b"bye")
    callee.drop()
    frame = await caller.message()
    assert (frame.opcode, frame.payload) == (Op.BINARY, b"bye")
    ending = await caller.over()
    assert ending.close is not None
    assert (ending.close.code, ending.close.reason) == (1000, "finished")
    assert lines == [
        f"[publish shell]: {SHELL} of session-relay {BOOKING} goes to portal:1/ssh of portal a-host"
    ]
    await service.close()


@pytest_twisted.ensureDeferred
async def test_no_text_is_a_word(house: House) -> None:
    """What a portal host is told in texts, nobody else can say; it is payload, in order."""
    await house.start(PORTAL)
    caller, host = await joined(house, await house.portal.control())
    for payload in (b"one", FINISH.decode(), b"two", "", noise(100_000)):
        caller.say(payload)
        data = payload.encode() if isinstance(payload, str) else payload
        assert await host.receive_message() == Frame(Op.BINARY, data)
    caller.peer.send(Op.TEXT, FINISH[:3], fin=False)
    caller.peer.send(Op.CONTINUATION, FINISH[3:])
    assert await host.receive_message() == Frame(Op.BINARY, FINISH)
    host.send(Op.BINARY, b"down")
    await caller.hears(b"down")


@pytest_twisted.ensureDeferred
async def test_each_has_a_call_of_its_own(house: House) -> None:
    """Two who enter the same topic do not hear each other."""
    await house.start(PORTAL)
    control = await house.portal.control()
    one, first = await joined(house, control)
    other, second = await joined(house, control)
    one.say(b"one")
    other.say(b"other")
    assert await first.receive() == Frame(Op.BINARY, b"one")
    assert await second.receive() == Frame(Op.BINARY, b"other")
    second.send(Op.BINARY, b"for the other")
    await other.hears(b"for the other")
    first.send(Op.BINARY, b"for the one")
    await one.hears(b"for the one")


@pytest_twisted.ensureDeferred
async def test_an_agent_of_network_relay(house: House) -> None:
    """It opens the target that is published, and carries bytes."""
    await house.start(published("db", SHELL, "network-relay:attic/127.0.0.1:22", clients=BOOKING))
    agent = await house.network_relay("/ws_for_edge_agents", name="attic", secret=AGENT_SECRET)
    agent.send(Op.PING, b"there")
    assert (await agent.receive()).opcode == Op.PONG
    caller = await enter(house)
    asked = await hear(agent)
    assert (asked["target_ip"], asked["target_port"]) == ("127.0.0.1", 22)
    tunnel = {"connection_id": asked["connection_id"]}
    say(agent, "initiate_connection_ok", **tunnel)
    caller.say("up")
    packed = base64.b64encode(b"up").decode()
    assert await hear(agent) == {"kind": "tcp_data", **tunnel, "data_base64": packed}
    say(agent, "tcp_data", **tunnel, data_base64=base64.b64encode(b"down").decode())
    await caller.hears(b"down")
    say(agent, "connection_reset", message="it broke", **tunnel)
    ending = await caller.over()
    assert ending.close is not None
    assert ending.close.code == 1011


@pytest_twisted.ensureDeferred
async def test_a_host_of_websocktunnel(house: House) -> None:
    """It gets the bytes of all messages, also where it takes few at a time."""
    await house.start(published("app", SHELL, "websocktunnel:app", clients=BOOKING))
    host = await house.wst.host("app")
    caller = await enter(house)
    stream = await host.link.accept()
    caller.say("GET / ")
    caller.say(b"HTTP/1.1")
    assert await stream.exactly(14) == b"GET / HTTP/1.1"
    stream.send(b"HTTP/1.1 200 OK")
    await caller.hears(b"HTTP/1.1 200 OK")
    up = noise(BULK_BYTES)
    sending = together(caller.peer.send_all(up, PART_BYTES))
    assert await stream.exactly(len(up), BULK_S) == up
    await sending
    caller.peer.send_close()
    await stream.finished()


@pytest_twisted.ensureDeferred
async def test_who_may_enter(house: House) -> None:
    """Only the named booking, and with both scopes; each is told before the upgrade."""
    await house.start(PORTAL)
    control = await house.portal.control()
    assert is_refused((await knock(house, "bk-other"))[1], 401, "wrong-name")
    for scope in ("read", "write"):
        assert is_refused((await knock(house, scopes=[scope]))[1], 401, "wrong-scope")
    await joined(house, control)
    assert control.nothing_came()
    unpublished = [await house.sr.member("lab/other") for _ in range(2)]
    await unpublished[0].passes(unpublished[1])


@pytest_twisted.ensureDeferred
async def test_tokens_without_a_booking(house: House) -> None:
    """Where those are taken, everybody has to be let in by these very words."""
    await house.start(PORTAL, allow_no_booking_id="yes")
    await house.portal.control()
    assert is_refused((await knock(house, ""))[1], 401, "wrong-name")


@pytest_twisted.ensureDeferred
async def test_everybody(house: House) -> None:
    """A publication that is public asks for no booking."""
    public = published("shell", SHELL, "portal:1/ssh", public="yes")
    await house.start(public, allow_no_booking_id="yes")
    control = await house.portal.control()
    await enter(house, "")
    assert (await house.portal.incoming(control)).client_name == "session-relay"


@pytest_twisted.ensureDeferred
async def test_an_absent_host(house: House) -> None:
    """A 502 before the upgrade, which names the topic; and once it is there, all is well."""
    await house.start(PORTAL)
    _, head = await knock(house)
    assert is_refused(head, 502, "host-absent")
    assert f"no host answers for {SHELL} now" in head.body.decode()
    control = await house.portal.control("?services=web")
    assert is_refused((await knock(house))[1], 502, "no-such-offer")
    control.drop()
    await control.gone()
    caller, host = await joined(house, await house.portal.control())
    caller.say(b"there")
    assert await host.receive() == Frame(Op.BINARY, b"there")


@pytest_twisted.ensureDeferred
async def test_who_is_connected(house: House) -> None:
    """Reports show a caller as they show a member."""
    await house.start(PORTAL)
    await joined(house, await house.portal.control())
    answer = await house.sr.ask("GET", "/status", V5)
    (record,) = [one for one in answer.data() if one["topic"] == TOPIC]
    assert record["can_read"] is record["can_write"] is True
    stats = await house.sr.member("stats")
    stats.say('{"cmd":"update"}')
    report = json.loads((await stats.message()).payload)
    assert TOPIC in [one["topic"] for one in report]


@pytest_twisted.ensureDeferred
async def test_a_booking_that_is_denied(house: House) -> None:
    """It ends the call at once, on both sides; it may come again when it is allowed to."""
    await house.start(PORTAL)
    control = await house.portal.control()
    caller, host = await joined(house, control)
    code = await house.sr.code(TOPIC, house.sr.token(TOPIC, booking=BOOKING))
    await house.sr.deny(BOOKING)
    ending = await caller.over()
    assert ending.close is not None
    assert (ending.close.code, ending.close.reason) == (1008, "revoked")
    assert (await host.ending()).close is not None
    await house.sr.allow(BOOKING)
    assert (await house.sr.enter(TOPIC, code))[1].status == 401
    caller, host = await joined(house, control)
    caller.say(b"again")
    assert await host.receive() == Frame(Op.BINARY, b"again")


@pytest.mark.parametrize("which", ["topic", "portal"])
@pytest_twisted.ensureDeferred
async def test_a_revocation(house: House, which: str) -> None:
    """Of either name ends the call, and the next is refused."""
    await house.start(PORTAL)
    caller, host = await joined(house, await house.portal.control())
    house.broker.revoke(offer=SHELL if which == "topic" else "portal:1")
    await caller.over()
    assert (await host.ending()).close is not None
    if which == "topic":
        answer = await house.sr.session(TOPIC, house.sr.token(TOPIC, booking=BOOKING))
        assert (answer.status, answer.header("X-Relay-Reason")) == (400, "revoked")
    else:
        assert is_refused((await knock(house))[1], 401, "revoked")


@pytest_twisted.ensureDeferred
async def test_a_token_that_ends(house: House) -> None:
    """It ends the call within a second of its time."""
    await house.start(PORTAL)
    control = await house.portal.control()
    end = int(time.time()) + 2
    caller = await enter(house, exp=end)
    call = await house.portal.incoming(control)
    host = await house.portal.accept(call.nexus)
    caller.say(b"still in time")
    assert await host.receive() == Frame(Op.BINARY, b"still in time")
    ending = await caller.over()
    assert ending.close is not None
    assert ending.close.reason == "expired"
    assert end <= time.time() <= end + 1
    await host.ending()


@pytest_twisted.ensureDeferred
async def test_the_end_of_the_caller(house: House) -> None:
    """It ends the host's link; one that leaves early is a call less."""
    await house.start(PORTAL)
    control = await house.portal.control()
    caller, host = await joined(house, control)
    caller.peer.send_close()
    await caller.over()
    assert (await host.ending()).close is not None
    early = await enter(house)
    call = await house.portal.incoming(control)
    early.peer.reset()
    await until(lambda: not house.broker.pending_calls() or None, "end of the call")
    assert await house.ptl.status(
        f"/connect/host_accept/{call.nexus}", house.portal.host_token
    ) in (404, 502)


@pytest_twisted.ensureDeferred
async def test_a_slow_host_stops_the_caller(house: House) -> None:
    """A call is no topic: nothing is lost, and all of it comes once the host reads on."""
    await house.start(PORTAL)
    caller, host = await joined(house, await house.portal.control())
    host.shrink()
    host.pause()
    up = noise(4 * BULK_BYTES)
    sending = together(caller.peer.send_all(up, PART_BYTES))
    await house.sr.works()
    assert not sending.called
    host.resume()
    assert await host.receive_bytes(len(up), BULK_S) == up
    await sending
