"""A portal host or client, ours or the original's, against a router that a test scripts."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from relay.settings.model import Door
from relay.vocabulary import Role
from tests.integration.portal_ours import TunnelMaker
from tests.integration.portal_programs import Programs
from tests.rawpeer import Frame, Head, Op, RawPeer, RawServer, connect

TOKEN = "header.claims.signature"
NEXUS = 11400714819323198485
SOON_S = 2.0

MALFORMED = [
    b'{"Incoming":{"client_name":"","service_name":"ssh","nexus":"7"}}',
    b'{"Incoming":{"client_name":"","service_name":"ssh","nexus":7.0}}',
    b'{"Incoming":{"client_name":"","service_name":"ssh","nexus":-1}}',
    b'{"Incoming":{"client_name":"","service_name":"ssh","nexus":18446744073709551616}}',
    b'{"Incoming":{"client_name":"","service_name":"ssh"}}',
    b'{"Incoming":{"service_name":"ssh","nexus":7}}',
    b'{"Incoming":{"client_name":7,"service_name":"ssh","nexus":7}}',
    b'{"Incoming":null}',
    b'{"Later":{"x":1}}',
    b'"connected"',
    b'"Status"',
    b'{"Connected":true}',
    b"Connected",
    b"[]",
    b"7",
    b"",
]
VALID_INCOMING = {
    "demo": b'{"Incoming":{"client_name":"alice-laptop","service_name":"ssh","nexus":%d}}',
    "edge": b'{"Incoming":{"client_name":"","service_name":"ssh","nexus":%d}}',
    "extra": b'{"Incoming":{"nexus":%d,"service_name":"ssh","client_name":"","extra":1}}',
    "spaces": b'{ "Incoming" : {\n"service_name":"ssh",\t"nexus" : %d, "client_name":"\xc3\xab"} }',
    "positional": b'{"Incoming":["","ssh",%d]}',
}
KINDS = pytest.mark.parametrize("daemon", ["ours", "original"], indirect=True)
OURS_ONLY = pytest.mark.parametrize("daemon", ["ours"], indirect=True)


class Daemon:
    """Starts a host or client, ours or the original's, against the scripted router."""

    def __init__(
        self, kind: str, router: RawServer, tunnels: TunnelMaker, programs: Programs
    ) -> None:
        self.is_ours = kind == "ours"
        self.router = router
        self.tunnels = tunnels
        self._programs = programs
        self.target = RawServer()

    async def host(self, **options: Any) -> RawPeer:
        """:returns: the control link of a host that offers ``ssh`` at :attr:`target`"""
        return (await self.host_and_request(**options))[0]

    async def host_and_request(self, **options: Any) -> tuple[RawPeer, Head]:
        """:returns: the same, and what the host has asked for"""
        port = await self.target.listen()
        url = f"ws://127.0.0.1:{await self.router.listen()}"
        if self.is_ours:
            door = Door("ssh", f"tcp:127.0.0.1:{port}")
            await self.tunnels.start(Role.HOST, url, TOKEN, door, **options)
        else:
            self._start_original(url, "host", "--target-host", "127.0.0.1", "--target-port", port)
        return await self.router.accept_upgrade()

    async def client(self) -> Callable[[], Any]:
        """:returns: opens a connection to the local door of a client that calls ``ssh``"""
        port = await self.client_port()
        return lambda: connect(port)

    async def client_port(self) -> int:
        """:returns: the local door of a client that calls ``ssh``"""
        url = f"ws://127.0.0.1:{await self.router.listen()}"
        if self.is_ours:
            return await self.tunnels.client(url, TOKEN, "ssh")
        program = self._start_original(url, "client", "--interface", "127.0.0.1", "--port", 0)
        port: int = await program.listens()
        return port

    def _start_original(self, url: str, *arguments: object) -> Any:
        options = ["--server", url, "--auth-token", TOKEN, "--service", "ssh", "--reconnect"]
        return self._programs.start("tcp-forward", *options, *map(str, arguments))

    async def session(self) -> tuple[RawPeer, RawPeer, RawPeer]:
        """:returns: a host's control link, a data link, and its connection to the target"""
        control = await self.host()
        announce(control, NEXUS)
        data, _ = await self.router.accept_upgrade()
        return control, data, await self.target.accept()

    async def call(self) -> tuple[RawPeer, RawPeer]:
        """:returns: a local user's connection, and its data link, which is not ``Connected`` yet"""
        knock = await self.client()
        user = await knock()
        data, _ = await self.router.accept_upgrade()
        return user, data


def announce(control: RawPeer, nexus: int, form: bytes = VALID_INCOMING["demo"]) -> None:
    """Tell a host of a call for ``ssh``."""
    control.send(Op.TEXT, form % nexus)


def check_handshake(request: Head, path: str) -> None:
    """Check that a request asks for ``path`` as routers want it, and for nothing else."""
    assert request.first_line.startswith("GET ")
    assert request.first_line.endswith(" HTTP/1.1")
    assert request.target.partition("?")[0] == path
    assert request.header("Authorization") == f"Bearer {TOKEN}"
    assert (request.header("Upgrade") or "").lower() == "websocket"
    assert (request.header("Connection") or "").lower() == "upgrade"
    assert request.header("Sec-WebSocket-Version") == "13"
    assert len(base64.b64decode(request.header("Sec-WebSocket-Key") or "")) == 16
    for name in ("Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Cookie"):
        assert request.header(name) is None


async def answers(peer: RawPeer) -> None:
    """Check that the next frame is the answer to a Ping: nothing else was sent before it."""
    peer.send(Op.PING, b"is anything before this?")
    frame = await peer.receive()
    assert frame == Frame(Op.PONG, b"is anything before this?", masked=True)
