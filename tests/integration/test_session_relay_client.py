"""Our client at our router and at the original's: local connections become members of a topic."""

from __future__ import annotations

from pathlib import Path

import pytest_twisted

from relay.vocabulary import Role
from tests.conftest import Flush
from tests.integration.portal_ours import first_port
from tests.integration.session_relay_ours import TunnelMaker
from tests.integration.session_relay_peers import Router
from tests.integration.session_relay_places import PLACES, session_url
from tests.integration.session_relay_wire import Member, fresh
from tests.rawpeer import PERFECT_HANDSHAKE, Op, connect, noise, request

LOCAL = "0:interface=127.0.0.1"
BYTES = 300_000

pytest_plugins = [
    "tests.integration.session_relay_fixtures",
    "tests.integration.session_relay_place_fixtures",
]


@PLACES
@pytest_twisted.ensureDeferred
async def test_a_tcp_door(place: Router, sr_tunnels: TunnelMaker) -> None:
    """What is typed leaves as binary messages; payload of both kinds comes as bytes."""
    topic = fresh("topic")
    member = await place.member(topic)
    service = await sr_tunnels.start(
        Role.CLIENT, place.token(topic), session=session_url(place, topic), listen=f"tcp:{LOCAL}"
    )
    peer = await connect(first_port(service.addresses))
    payload = noise(BYTES)
    for part in range(0, BYTES, 1000):
        await peer.writable()
        peer.write(payload[part : part + 1000])
    frame = await member.message()
    assert frame.opcode == Op.BINARY
    rest = await member.payload(BYTES - len(frame.payload))
    assert frame.payload + rest == payload
    member.say("text")
    member.say(b"\x00\xff")
    assert await peer.exactly(6) == b"text\x00\xff"
    peer.drop()


@PLACES
@pytest_twisted.ensureDeferred
async def test_a_websocket_door(place: Router, sr_tunnels: TunnelMaker) -> None:
    """Messages and their kinds are kept, both ways."""
    topic = fresh("topic")
    member = await place.member(topic)
    service = await sr_tunnels.start(
        Role.CLIENT, place.token(topic), session=session_url(place, topic), listen=f"ws:{LOCAL}"
    )
    peer = await connect(first_port(service.addresses))
    lines = [f"{name}: {value}" for name, value in PERFECT_HANDSHAKE.items()]
    peer.write(request("GET", "/", *lines, host="localhost"))
    assert (await peer.response()).status == 101
    local = Member(peer)
    for payload in ("text", b"\x00\xff", "", noise(70_000)):
        local.say(payload)
        await member.hears(payload)
        member.say(payload)
        await local.hears(payload)
    peer.drop()


@PLACES
@pytest_twisted.ensureDeferred
async def test_a_refused_token_ends_the_connection_alone(
    place: Router, sr_tunnels: TunnelMaker, tmp_path: Path, expected_log_errors: Flush
) -> None:
    """The client goes on, and takes the token that is in its file at the next connection."""
    topic = fresh("topic")
    member = await place.member(topic)
    service = await sr_tunnels.start(
        Role.CLIENT,
        place.token(fresh("another")),
        session=session_url(place, topic),
        listen=f"tcp:{LOCAL}",
    )
    refused = await connect(first_port(service.addresses))
    await refused.gone()
    assert expected_log_errors()
    next(tmp_path.glob("*.token")).write_text(place.token(topic))
    peer = await connect(first_port(service.addresses))
    peer.write(b"now")
    await member.hears(b"now")
    peer.drop()
