"""Hosts of session-relay to test, ours or the original's, and the router that they dial: bytes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from relay.dialects.session_relay.host.host import run_host
from relay.dialects.session_relay.issuing import session_claims
from relay.measuring.processes import free_ports, listens
from tests.integration.outward_room import Room
from tests.integration.portal_programs import Program
from tests.rawpeer import (
    DEADLINE_S,
    PERFECT_HANDSHAKE,
    Frame,
    Head,
    Op,
    RawPeer,
    RawServer,
    Response,
    connect,
    read_response,
    request,
    the_reactor,
    until,
)

FAMILY = "session-relay"
SECRET = "a secret of tests that nobody else has"
LONG_S = 3600
TOLD = b"read so far?"

BOTH = pytest.mark.parametrize("kind", ["ours", "go"])
OURS = pytest.mark.parametrize("kind", ["ours"])


def go_differs(reason: str, *, always: bool = True) -> pytest.MarkDecorator:
    """The test is for both; the original is known to fail it.

    :param always: False when it fails now and then only
    """
    mark = pytest.mark.xfail(reason=f"Go: {reason}", strict=always)
    return pytest.mark.parametrize("kind", ["ours", pytest.param("go", marks=mark)])


class Host:
    """A host under test.

    :ivar port: of its local API
    :ivar router: what its destinations lead to
    """

    def __init__(self, port: int, router: RawServer, router_port: int) -> None:
        self.port = port
        self.router = router
        self._router_port = router_port

    def url(self, path: str, scheme: str = "ws") -> str:
        """:returns: a URL of the router's"""
        return f"{scheme}://127.0.0.1:{self._router_port}{path}"

    async def ask(self, method: str, target: str, body: bytes = b"", *headers: str) -> Response:
        """Ask the API, on a connection of its own."""
        peer = await connect(self.port)
        lines = (f"Content-Length: {len(body)}", "Connection: close", *headers)
        peer.write(request(method, target, *lines, body=body, host=f"localhost:{self.port}"))
        answer = await read_response(peer, method=method)
        peer.drop()
        return answer

    async def says(self, method: str, target: str, value: object = None) -> object:
        """:param value: to send as JSON. :returns: that of the answer, which is a 200"""
        body = b"" if value is None else json.dumps(value).encode()
        answer = await self.ask(method, target, body)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    async def member(self, feed: str) -> RawPeer:
        """:returns: a local socket that is a member of a feed, as a Ping that it answers tells"""
        peer, answer = await self.upgrade(f"/ws/{feed}")
        assert answer.status == 101
        peer.send(Op.PING, TOLD)
        assert (await peer.receive()).opcode == Op.PONG
        return peer

    async def upgrade(
        self, target: str, *headers: str, name: str = "localhost"
    ) -> tuple[RawPeer, Head]:
        """Ask for a WebSocket.

        :param headers: lines besides
        :param name: under which the host is spoken to
        :returns: the connection, and the answer, whatever it is
        """
        peer = await connect(self.port)
        lines = [f"{name}: {value}" for name, value in PERFECT_HANDSHAKE.items()]
        peer.write(request("GET", target, *lines, *headers, host=name))
        return peer, await peer.response()

    async def destination(self, stream: str, rule_id: str = "1", **more: str) -> RawPeer:
        """Add a rule. :returns: the link that it makes, whose far end is the test's"""
        rule = {"id": rule_id, "stream": stream, "destination": self.url(f"/{rule_id}"), **more}
        await self.says("POST", "/api/destinations", rule)
        peer, _ = await self.router.accept_upgrade()
        await self.is_heard(peer)
        return peer

    async def is_heard(self, far: RawPeer) -> None:
        """Wait until the host reads what a router says on that link."""
        far.send(Op.PING, TOLD)
        frame = await far.receive()
        assert (frame.opcode, frame.payload) == (Op.PONG, TOLD), frame


async def message(peer: RawPeer, deadline_s: float = DEADLINE_S) -> tuple[int, bytes]:
    """:returns: kind and payload of the next message"""
    frame: Frame = await peer.receive_message(deadline_s)
    return frame.opcode, frame.payload


async def pass_between(one: RawPeer, other: RawPeer, payload: bytes) -> None:
    """See that what one says is what the other hears next."""
    one.send(Op.TEXT, payload)
    assert await message(other) == (Op.TEXT, payload)


async def admit(peer: RawPeer, asked: Head, uri: str) -> None:
    """Answer as an access API does."""
    body = json.dumps({"uri": uri}).encode()
    peer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    peer.drop()


@asynccontextmanager
async def host_of(kind: str, folder: Path, **values: object) -> AsyncIterator[Host]:
    """Run a host.

    :param values: of its section, for ours alone
    """
    if kind == "go":
        router = RawServer()
        router_port = await router.listen()
        (port,) = free_ports(1)
        program = Program("relay", ["host"], folder, {"VW_PORT": str(port)}, FAMILY)
        try:
            await until(lambda: True if listens(port) else None, "the original listening")
            yield Host(port, router, router_port)
        finally:
            program.stop()
            await router.close()
        return
    settings = {"listen": "tcp:0:interface=127.0.0.1", **values}
    room = Room(values=settings, ping_s=54, dead_s=60)
    over: Deferred[Any] = Deferred()
    router_port = await room.server.listen()
    room.port = router_port
    running = Deferred.fromCoroutine(run_host(room.outward.settings, room.outward))
    running.addErrback(lambda failure: failure.trap(CancelledError)).chainDeferred(over)
    try:
        address: Callable[[], int | None] = lambda: next(  # noqa: E731
            (getattr(where, "port", None) for _, where in room.outward.doors.addresses), None
        )
        yield Host(await until(address, "our host listening"), room.server, router_port)
    finally:
        room.outward.hurry()
        await room.outward.stop(0)
        await over
        await room.server.close()
        room.around.wheel.stop()


def token_for(scope: str, audience: str, topic: str = "t") -> str:
    """:returns: a token that the test's routers take, for as long as a test"""
    now = int(the_reactor().seconds())
    claims = session_claims(topic, [scope], audience, "booking", now - 1, LONG_S)
    said = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    return f"{said}.{_text(hmac.new(SECRET.encode(), said.encode(), hashlib.sha256).digest())}"


def _part(value: object) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
