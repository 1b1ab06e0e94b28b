"""Our host and our router of session-relay, each configured by an INI file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from relay.measuring.processes import free_ports
from relay.vocabulary import Role
from tests.conftest import Flush
from tests.integration.ini_services import Services, section, write
from tests.integration.portal_peers import wait_for
from tests.integration.session_relay_hosts import SECRET, Host, message, token_for
from tests.rawpeer import Op, RawPeer, RawServer, connect, read_response, request, until

LOOPBACK = "tcp:0:interface=127.0.0.1"
AUDIENCE = "http://relay.example/access"


@pytest.fixture
def routers() -> Iterator[Services]:
    """Routers of ours, stopped with the test."""
    running = Services()
    yield running
    wait_for(running.stop())


@pytest.fixture
def hosts(routers: Services) -> Iterator[Services]:
    """Hosts of ours, stopped before the routers that they would miss."""
    running = Services()
    yield running
    wait_for(running.stop())


class Relay:
    """A router of ours."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.session = f"http://127.0.0.1:{port}/access/session/t"

    async def member(self, scope: str) -> RawPeer:
        """:returns: a member of the topic that is known to be there"""
        peer = await connect(self.port)
        line = f"Authorization: {token_for(scope, AUDIENCE)}"
        peer.write(request("POST", "/access/session/t", line, "Content-Length: 0"))
        answer = await read_response(peer, method="POST")
        uri: str = json.loads(answer.body)["uri"]
        member = await connect(self.port)
        assert (await member.upgrade(uri.partition(str(self.port))[2])).status == 101
        member.send(Op.PING, b"there?")
        assert (await member.receive()).opcode == Op.PONG
        return member


async def start_router(services: Services, folder: Path) -> Relay:
    """:returns: a router that listens, and hands out its real address"""
    (port,) = free_ports(1)
    write(folder / "relay.secret", SECRET)
    own = {
        "secret-file": "relay.secret",
        "audience": AUDIENCE,
        "target": f"ws://127.0.0.1:{port}/ws",
    }
    await services.start_router(
        folder,
        section("router", {"listen": f"tcp:{port}:interface=127.0.0.1", "state-dir": folder}),
        section("limits", {"failed-logins-per-min": 0}),
        section("dialect:session-relay", own),
    )
    return Relay(port)


async def start_host(services: Services, folder: Path, **keys: object) -> Host:
    """:returns: a host of ours with that section"""
    values = {"dialect": "session-relay", "listen": LOOPBACK, **keys}
    service: Any = await services.start_tunnel(Role.HOST, folder, values)
    port = await until(
        lambda: next((address.port for _, address in service.addresses), None), "our host"
    )
    return Host(port, RawServer(), 0)


async def is_joined(local: RawPeer, far: RawPeer) -> None:
    """Wait until what is said beside the host is heard at the router."""

    def told() -> bool | None:
        local.send(Op.TEXT, b"there?")
        return None if far.nothing_came() else True

    await until(told, "a message through host and router")
    local.send(Op.TEXT, b"the end")
    while (await message(far))[1] != b"the end":
        pass


@pytest_twisted.ensureDeferred
async def test_a_rule_of_the_section(hosts: Services, routers: Services, tmp_path: Path) -> None:
    """Its feed and its topic hear each other, whole messages, and kinds are kept."""
    relay = await start_router(routers, tmp_path)
    token = write(tmp_path / "rig.token", token_for("write", AUDIENCE))
    host = await start_host(hosts, tmp_path, session=relay.session, token_file=token, stream="data")
    far, local = await relay.member("read"), await host.member("data")
    await is_joined(local, far)
    for number in range(50):
        local.send(Op.BINARY, b"%d" % number)
    assert [await message(far) for _ in range(50)] == [
        (Op.BINARY, b"%d" % number) for number in range(50)
    ]


@pytest_twisted.ensureDeferred
async def test_a_token_is_read_afresh(
    hosts: Services, routers: Services, tmp_path: Path, expected_log_errors: Flush
) -> None:
    """One that is refused does not end the host; the next one that is written there is used."""
    relay = await start_router(routers, tmp_path)
    token = write(tmp_path / "rig.token", token_for("write", "http://elsewhere.example"))
    host = await start_host(hosts, tmp_path, session=relay.session, token_file=token, stream="data")
    far, local = await relay.member("read"), await host.member("data")
    await until(lambda: expected_log_errors() or None, "a refusal")
    write(token, token_for("write", AUDIENCE))
    await is_joined(local, far)


@pytest_twisted.ensureDeferred
async def test_posted_rules_reach_our_router(
    hosts: Services, routers: Services, tmp_path: Path
) -> None:
    """A stream of two feeds, outward only; a reader's link hears it."""
    relay = await start_router(routers, tmp_path)
    host = await start_host(hosts, tmp_path)
    await host.says("POST", "/api/streams", {"stream": "stream/x", "feeds": ["a", "b"]})
    rule = {
        "id": "1",
        "stream": "stream/x",
        "destination": relay.session,
        "token": token_for("write", AUDIENCE),
    }
    await host.says("POST", "/api/destinations", rule)
    far = await relay.member("read")
    a, b = await host.member("a"), await host.member("b")
    await is_joined(a, far)
    b.send(Op.BINARY, b"of b")
    assert await message(far) == (Op.BINARY, b"of b")
    shown = await host.says("GET", "/api/destinations/1")
    assert shown == {**rule, "token": "***", "file": ""}
