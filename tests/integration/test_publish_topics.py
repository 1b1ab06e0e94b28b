"""Calls of portal and of network-relay that a topic of session-relay answers."""

from __future__ import annotations

import base64

import pytest
import pytest_twisted

from tests.integration.portal_ours import TunnelMaker
from tests.integration.portal_peers import CONNECTED
from tests.integration.session_relay_peers import Router
from tests.integration.session_relay_wire import Member
from tests.integration.topic_house import ALICE, ROOM, House, hear, published, say
from tests.rawpeer import Frame, Op, RawPeer, connect, noise, until

TOPIC = "lab/room"
PORTAL = published("cam", "portal:1/cam", ROOM, clients="alice")
CALL = "/connect/client/cam"
PART_BYTES, PARTS = 64 * 1024, 1024
BULK_BYTES = 4 * 1024 * 1024
BULK_S = 20.0

pytest_plugins = [
    "tests.integration.portal_fixtures",
    "tests.integration.session_relay_fixtures",
    "tests.integration.topic_house_fixtures",
]


async def member(sr: Router, *scopes: str) -> Member:
    """:returns: a member of the topic that is published"""
    return await sr.member(TOPIC, scopes or ("read", "write"))


async def called(house: House) -> RawPeer:
    """:returns: a link of portal that the topic has answered"""
    alice, head = await house.ptl.ask(CALL, house.token("alice"))
    assert head.status == 101, head
    assert await alice.receive() == CONNECTED
    return alice


@pytest_twisted.ensureDeferred
async def test_our_portal_client(house: House, tunnels: TunnelMaker, lines: list[str]) -> None:
    """A program behind its door hears all of what is said there, and is heard."""
    await house.start(PORTAL)
    port = await tunnels.client(house.ptl.url, house.token("alice"), "cam")
    user = await connect(port)
    await until(lambda: house.broker.circuits or None, "circuit")
    bob = await member(house.sr)
    user.write(b"up")
    await bob.hears(b"up")
    down = noise(BULK_BYTES)
    for start in range(0, len(down), PART_BYTES):
        bob.say(down[start : start + PART_BYTES])
        assert await user.exactly(PART_BYTES, BULK_S) == down[start : start + PART_BYTES]
    user.write(down)
    assert await bob.payload(len(down), BULK_S) == down
    bob.say("and a text")
    assert await user.exactly(10) == b"and a text"
    user.half_close()
    bob.say(b"still there?")
    assert await user.exactly(12) == b"still there?"
    user.drop()
    await user.gone()
    carol = await member(house.sr)

    def left() -> bool | None:
        # nobody reads from one that has said all: that it is gone shows where it is written to
        bob.say(b"anybody there?")
        return not house.broker.circuits or None

    await until(left, "end of the circuit")
    await carol.hears(b"anybody there?")
    assert lines == [f"[publish cam]: portal:1/cam of portal alice goes to {ROOM} of its members"]


@pytest_twisted.ensureDeferred
async def test_kinds_and_bounds(house: House) -> None:
    """Each message is one; a text is a binary message on a link where texts are words."""
    await house.start(PORTAL)
    alice, bob = await called(house), await member(house.sr)
    for payload in ('"Finish"', b"\x00\xff", "", "grün", b"x" * 70_000):
        bob.say(payload)
        data = payload.encode() if isinstance(payload, str) else payload
        assert await alice.receive_message() == Frame(Op.BINARY, data)
    for payload in (b"one", b"", noise(100_000)):
        alice.send(Op.BINARY, payload)
        await bob.hears(payload)


@pytest_twisted.ensureDeferred
async def test_scopes_of_members(house: House) -> None:
    """Who may only read hears the caller, who may only write is heard by it."""
    await house.start(PORTAL)
    alice = await called(house)
    reader, writer = await member(house.sr, "read"), await member(house.sr, "write")
    reader.say(b"from a reader")
    await reader.admitted()
    writer.say(b"from a writer")
    assert await alice.receive() == Frame(Op.BINARY, b"from a writer")
    await reader.hears(b"from a writer")
    alice.send(Op.BINARY, b"from a caller")
    await reader.hears(b"from a caller")
    await writer.admitted()


@pytest_twisted.ensureDeferred
async def test_who_may_call(house: House) -> None:
    """Only the named client; the topic is no other's."""
    await house.start(PORTAL)
    bob = await member(house.sr)
    assert await house.ptl.status(CALL, house.token("mallory")) == 401
    assert await house.ptl.status("/connect/client/other", house.token("alice")) == 502
    alice = await called(house)
    alice.send(Op.BINARY, b"me alone")
    await bob.hears(b"me alone")


@pytest_twisted.ensureDeferred
async def test_a_client_of_network_relay(house: House) -> None:
    """Its target is the topic, whatever it asks for."""
    await house.start(published("lab", "network-relay:lab", ROOM, clients="alice"))
    alice = await house.network_relay(
        "/ws_for_access_clients",
        connection_target="lab",
        target_ip="10.0.0.1",
        target_port=22,
        protocol="tcp",
        secret=ALICE,
    )
    assert await hear(alice) == {"kind": "start_ok"}
    bob = await member(house.sr)
    say(alice, "tcp_data", data_base64=base64.b64encode(b"up").decode())
    await bob.hears(b"up")
    bob.say("down")
    said = await hear(alice)
    assert (said["kind"], base64.b64decode(said["data_base64"])) == ("tcp_data", b"down")
    alice.send_close()
    await alice.ending()
    await until(lambda: not house.broker.circuits or None, "end of the circuit")


@pytest.mark.parametrize(
    "meant",
    [{"offer": "portal:1"}, {"offer": ROOM, "dialect": "session-relay"}, {"subject": "alice"}],
    ids=["from", "to", "caller"],
)
@pytest_twisted.ensureDeferred
async def test_a_revocation(house: House, meant: dict[str, str]) -> None:
    """Of either name or of the caller ends the call; the next one is refused."""
    await house.start(PORTAL)
    alice, bob = await called(house), await member(house.sr)
    assert house.broker.revoke(**meant) >= 1
    ending = await alice.ending()
    assert ending.close is not None
    assert ending.close.reason == "revoked"
    if "dialect" in meant:
        await bob.over()
    else:
        await bob.passes(await member(house.sr))
    assert await house.ptl.status(CALL, house.token("alice")) == 401


@pytest_twisted.ensureDeferred
async def test_a_denied_booking_is_no_callers(house: House) -> None:
    """It ends the member that holds it; a caller of the same name stays."""
    await house.start(PORTAL)
    alice = await called(house)
    gone = await house.sr.member(TOPIC, booking="alice")
    await house.sr.deny("alice")
    await gone.over()
    bob = await member(house.sr)
    bob.say(b"still here")
    assert await alice.receive() == Frame(Op.BINARY, b"still here")


@pytest_twisted.ensureDeferred
async def test_a_slow_caller_misses_messages(house: House) -> None:
    """Nobody waits for it, it stays, and what it hears are whole messages in order."""
    await house.start(PORTAL)
    alice = await called(house)
    writer, reader = await member(house.sr, "write"), await member(house.sr, "read")
    alice.shrink()
    alice.pause()
    part = noise(PART_BYTES - 4)
    for number in range(PARTS):
        said = number.to_bytes(4, "big") + part
        writer.say(said)
        assert (await reader.message()).payload == said
    (topic,) = house.broker.topics.values()
    lost = topic.lost
    assert 0 < lost < PARTS
    alice.resume()
    numbers = []
    for _ in range(PARTS - lost):
        frame = await alice.receive_message(BULK_S)
        assert (frame.opcode, frame.payload[4:]) == (Op.BINARY, part)
        numbers.append(int.from_bytes(frame.payload[:4], "big"))
    assert numbers == sorted(set(numbers))
    writer.say(b"the end")
    assert await alice.receive_message() == Frame(Op.BINARY, b"the end")
