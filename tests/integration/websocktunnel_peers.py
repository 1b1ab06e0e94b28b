"""Routers of websocktunnel to test, raw hosts and viewers at them: whoever made the router."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator

from tests.rawpeer import (
    DEADLINE_S,
    Head,
    MuxLink,
    MuxStream,
    RawPeer,
    Response,
    connect,
    read_response,
    request,
)

SECRET_A = "alpha-secret-alpha-secret-alpha-32"
SECRET_B = "bravo-secret-bravo-secret-bravo-32"
PREFIX = "http://tunnels.example"
LIFETIME_S = 3600
MONTH_S = 2_678_400
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
KiB = 1024
MiB = 1024 * KiB

# -- which router a test is for ------------------------------------------------------------------

BOTH = pytest.mark.parametrize("wst", ["ours", "go"], indirect=True)
OURS = pytest.mark.parametrize("wst", ["ours"], indirect=True)


def go_differs(reason: str, *, always: bool = True) -> pytest.MarkDecorator:
    """The test is for both; the Go server is known to fail it.

    :param always: False when it fails now and then only
    """
    mark = pytest.mark.xfail(reason=f"Go: {reason}", strict=always, raises=AssertionError)
    both = ["ours", pytest.param("go", marks=mark)]
    return pytest.mark.parametrize("wst", both, indirect=True)


# -- tokens --------------------------------------------------------------------------------------


def claims(tunnel: str, /, **changes: object) -> dict[str, object]:
    """:returns: valid claims, changed as told; ``...`` removes a claim"""
    now = int(time.time())
    made: dict[str, object] = {"tid": tunnel, "nbf": now - 300, "exp": now + LIFETIME_S, **changes}
    return {name: value for name, value in made.items() if value is not ...}


def mint(payload: Mapping[str, object], secret: str = SECRET_A, algorithm: str = "HS256") -> str:
    """:returns: a token of any content, signed as its header says; ``none``: not signed"""
    head = {"alg": algorithm, "typ": "JWT"}
    signed = b".".join(_base64url(json.dumps(part).encode()) for part in (head, dict(payload)))
    if algorithm == "none":
        return signed.decode() + "."
    digest = f"sha{algorithm[2:]}"
    return (signed + b"." + _base64url(hmac.digest(secret.encode(), signed, digest))).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


# -- routers, hosts, viewers ---------------------------------------------------------------------


class Exchange(NamedTuple):
    """A viewer's request that has reached the raw host.

    :ivar head: what the host was asked
    """

    viewer: RawPeer
    stream: MuxStream
    head: Head


class Router:
    """A router under test.

    :ivar kind: ``ours`` or ``go``
    :ivar port: where it listens
    :ivar tls: how to verify it; None: plain
    """

    def __init__(
        self, kind: str, port: int, tls: IOpenSSLClientConnectionCreator | None = None
    ) -> None:
        self.kind = kind
        self.port = port
        self.tls = tls
        self._peers: list[RawPeer] = []

    @property
    def url(self) -> str:
        """:returns: what a host is given to connect to"""
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_ours(self) -> bool:
        """:returns: whether it is held to what ours promises beyond the original"""
        return self.kind == "ours"

    def says(self, status: int) -> int:
        """:returns: the status for what ours tells apart: the Go server says 500 for it all"""
        return status if self.is_ours else 500

    async def dial(self) -> RawPeer:
        """:returns: a new connection, ended with the test"""
        peer = await connect(self.port, tls=self.tls)
        self._peers.append(peer)
        return peer

    # -- hosts -----------------------------------------------------------------------------------

    async def ask(
        self,
        tunnel: str,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        target: str = "/",
        method: str = "GET",
    ) -> tuple[RawPeer, Head]:
        """Ask for a registration; :param token: a good one when None.

        :returns: the connection and the answer, whatever it is
        """
        shown = mint(claims(tunnel)) if token is None else token
        fields = {"Authorization": f"Bearer {shown}", "x-websocktunnel-id": tunnel}
        peer = await self.dial()
        return peer, await peer.upgrade(target, {**fields, **(headers or {})}, method=method)

    async def status(self, tunnel: str, token: str | None = None, **options: Any) -> int:
        """:returns: the status that answers such a registration; the connection is dropped"""
        peer, head = await self.ask(tunnel, token, **options)
        peer.drop()
        return head.status

    async def host(self, tunnel: str | None = None, **options: Any) -> Host:
        """:param tunnel: its id; None: one that nobody else has
        :param options: of :class:`MuxLink`
        :returns: a raw host that stands
        """
        tunnel = tunnel or f"t{secrets.token_hex(6)}"
        peer, head = await self.ask(tunnel)
        assert head.status == 101, head
        return Host(self, tunnel, MuxLink(peer, **options))

    # -- viewers ---------------------------------------------------------------------------------

    async def fetch(
        self,
        target: str,
        *headers: str,
        method: str = "GET",
        body: bytes = b"",
        deadline_s: float = DEADLINE_S,
    ) -> Response:
        """:returns: the answer to a viewer's request on a connection of its own"""
        viewer = await self.dial()
        viewer.write(request(method, target, *headers, body=body))
        answer = await read_response(viewer, method=method, deadline_s=deadline_s)
        viewer.drop()
        return answer

    async def send(self, data: bytes) -> Response:
        """:returns: the answer to a request of exactly these bytes"""
        viewer = await self.dial()
        viewer.write(data)
        answer = await read_response(viewer)
        viewer.drop()
        return answer

    async def works(self) -> None:
        """Serve a viewer through a fresh host."""
        await (await self.host()).serves()

    def hang_up(self) -> None:
        """Reset all connections of the test."""
        for peer in self._peers:
            peer.reset()


class Host:
    """A raw host that is registered.

    :ivar tunnel: its id
    :ivar link: its end of the link
    """

    def __init__(self, router: Router, tunnel: str, link: MuxLink) -> None:
        self.router = router
        self.tunnel = tunnel
        self.link = link

    async def view(
        self,
        path: str = "/",
        *headers: str,
        method: str = "GET",
        body: bytes = b"",
        version: str = "HTTP/1.1",
    ) -> RawPeer:
        """:returns: a viewer that has sent a request for ``path`` behind the id"""
        viewer = await self.router.dial()
        target = f"/{self.tunnel}{path}"
        viewer.write(request(method, target, *headers, body=body, version=version))
        return viewer

    async def exchange(self, path: str = "/", *headers: str, **options: Any) -> Exchange:
        """:returns: a viewer's request that the host has read the head of"""
        viewer = await self.view(path, *headers, **options)
        stream = await self.link.accept()
        return Exchange(viewer, stream, await stream.head())

    async def answer(
        self, response: bytes, path: str = "/", *headers: str, method: str = "GET", **options: Any
    ) -> Response:
        """:returns: what a viewer makes of ``response``, behind which the host sends FIN"""
        viewer, stream, _ = await self.exchange(path, *headers, method=method, **options)
        stream.respond(response)
        return await read_response(viewer, method=method)

    async def serves(self) -> None:
        """Serve a viewer, and see the stream end."""
        viewer, stream, _ = await self.exchange()
        stream.respond(HELLO)
        answer = await read_response(viewer)
        assert (answer.status, answer.body) == (200, b"hello")
        await stream.finished()
        viewer.drop()
