"""Routers of taas to test, hidden servers and mobile callers at them: whoever made the router."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator

from tests.integration.taas_wire import REGISTRAR, SERVERS, Identity, fresh, shown
from tests.rawpeer import (
    DEADLINE_S,
    Ended,
    RawPeer,
    Response,
    connect,
    read_response,
    request,
    until,
)

KiB = 1024
MiB = 1024 * KiB
ADVERTISED = re.compile(rb"127\.0\.0\.1:([0-9]+)")
END_S = 5.0
"""Within so long a side sees the end of the other (check 20)."""

# -- which router a test is for ------------------------------------------------------------------

BOTH = pytest.mark.parametrize("taas", ["ours", "original"], indirect=True)
OURS = pytest.mark.parametrize("taas", ["ours"], indirect=True)


def original_differs(
    reason: str, *, always: bool = True, fixture: str = "taas"
) -> pytest.MarkDecorator:
    """The test is for both; the original is known to fail it.

    :param always: False when it fails now and then only
    """
    mark = pytest.mark.xfail(reason=f"original: {reason}", strict=always, raises=AssertionError)
    both = ["ours", pytest.param("original", marks=mark)]
    return pytest.mark.parametrize(fixture, both, indirect=True)


# -- routers, and who comes to them --------------------------------------------------------------


def host_of(label: str) -> str:
    """:returns: the name under which mobile callers know a label"""
    return f"{label}.{SERVERS}"


class Circuit(NamedTuple):
    """A pair that stands.

    :ivar mobile: the caller
    :ivar hidden: the hidden server's connection
    """

    mobile: RawPeer
    hidden: RawPeer

    def sides(self, first: str) -> tuple[RawPeer, RawPeer]:
        """:returns: the named side, ``mobile`` or ``hidden``, and the other one"""
        return (self.mobile, self.hidden) if first == "mobile" else (self.hidden, self.mobile)

    async def passes(self, up: bytes = b"ping\n", down: bytes = b"pong\n") -> None:
        """Send bytes both ways, and see them come next."""
        await passes(self.mobile, self.hidden, up)
        await passes(self.hidden, self.mobile, down)


async def passes(sender: RawPeer, receiver: RawPeer, data: bytes = b"word\n") -> None:
    """Send bytes, and see them come next at the other side."""
    sender.write(data)
    assert await receiver.exactly(len(data)) == data


async def ended(peer: RawPeer, deadline_s: float = END_S) -> None:
    """Wait until a peer sees an end, in order or not. :raises Late: when it sees none"""
    try:
        await peer.half_ended(deadline_s)
    except Ended:
        return


async def closed_unused(peer: RawPeer, deadline_s: float = END_S) -> None:
    """Check that a connection ends, and that nothing came on it."""
    await ended(peer, deadline_s)
    assert peer.nothing_came()


class Router:
    """A router under test.

    :ivar kind: ``ours`` or ``original``
    :ivar port: its front door's
    :ivar tls: how to verify its front door; None: that is plain HTTP
    :ivar descriptors: counts what its process holds open
    """

    def __init__(
        self,
        kind: str,
        port: int,
        tls: IOpenSSLClientConnectionCreator | None,
        descriptors: Callable[[], int],
    ) -> None:
        self.kind = kind
        self.port = port
        self.tls = tls
        self.descriptors = descriptors
        self._peers: list[RawPeer] = []

    @property
    def is_ours(self) -> bool:
        """:returns: whether it is held to what ours promises beyond the original"""
        return self.kind == "ours"

    @property
    def scheme(self) -> str:
        """:returns: that of its front door"""
        return "https" if self.tls else "http"

    async def dial(self, port: int, *, door: bool = False, source: str = "") -> RawPeer:
        """Connect to one of its ports; the connection ends with the test.

        :param door: whether that is the front door
        :raises Ended: when it is refused
        """
        try:
            peer = await connect(port, tls=self.tls if door else None, source=source)
        except ConnectError as error:
            raise Ended(f"refused: {error}") from error
        peer.stays_half_open = not door
        self._peers.append(peer)
        return peer

    async def knock(self, source: str = "") -> RawPeer:
        """:returns: a connection to the front door"""
        return await self.dial(self.port, door=True, source=source)

    # -- the front door --------------------------------------------------------------------------

    async def ask(
        self,
        method: str,
        path: str,
        *headers: str,
        host: str | None = REGISTRAR,
        body: bytes = b"",
        version: str = "HTTP/1.1",
        source: str = "",
    ) -> Response:
        """:param headers: lines without their ends
        :param host: None: no Host header
        :returns: the answer, after which the connection ends
        """
        peer = await self.knock(source)
        lines = (*headers, "Connection: close")
        peer.write(request(method, path, *lines, host=host, body=body, version=version))
        answer = await read_response(peer, method=method)
        peer.drop()
        return answer

    async def send(self, text: bytes) -> Response | None:
        """Send anything at all. :returns: the answer; None: the connection ended without one"""
        peer = await self.knock()
        peer.write(text)
        try:
            return await read_response(peer)
        except Ended:
            return None
        finally:
            peer.drop()

    async def put(
        self,
        who: Identity,
        label: str | None = None,
        *headers: str,
        response: str | None = None,
        source: str = "",
    ) -> Response:
        """:param label: None: its first. :param response: None: a good code
        :returns: the answer to a registration
        """
        used = who.good_code(time.time()) if response is None else response
        lines = headers or ("Content-Length: 0",)
        path = f"/register/{who.label if label is None else label}"
        credentials = f"Authorization: {shown(who.name, used)}"
        return await self.ask("PUT", path, credentials, *lines, source=source)

    async def get(self, path: str, host: str, *headers: str, method: str = "GET") -> Response:
        """:returns: the answer to a mobile request"""
        return await self.ask(method, path, *headers, host=host)

    # -- hidden servers ----------------------------------------------------------------------------

    async def opened(self, who: Identity, label: str | None = None, source: str = "") -> int:
        """:returns: the hidden port of a registration"""
        answer = await self.put(who, label, source=source)
        assert answer.status == 200, answer
        found = ADVERTISED.fullmatch(answer.body)
        assert found, answer.body
        return int(found[1])

    async def responder(self, who: Identity, label: str | None = None) -> RawPeer:
        """:returns: a hidden server's connection that waits"""
        peer = await self.dial(await self.opened(who, label))
        await self.settles()
        return peer

    async def responders(self, who: Identity, count: int) -> list[RawPeer]:
        """:returns: so many that wait, in their order"""
        return [await self.responder(who) for _ in range(count)]

    async def settles(self) -> None:
        """Wait until it has taken in what came: it answers in the order of arrival."""
        assert (await self.get("/", "nobody.example")).status == 503

    # -- mobile callers ----------------------------------------------------------------------------

    async def redirect(self, label: str, path: str = "/") -> int:
        """:returns: the mobile port that a redirect names"""
        answer = await self.get(path, host_of(label))
        assert answer.status == 307, answer
        port = urlsplit(answer.header("Location") or "").port
        assert port, answer
        return port

    async def mobile(self, label: str) -> RawPeer:
        """:returns: a mobile caller's connection"""
        return await self.dial(await self.redirect(label))

    async def circuit(self, who: Identity | None = None) -> Circuit:
        """:returns: a pair that stands, with a label of its own"""
        who = who or fresh()
        hidden = await self.responder(who)
        made = Circuit(await self.mobile(who.label), hidden)
        await made.passes()
        return made

    async def works(self) -> None:
        """Serve a caller, and let it leave in order."""
        circuit = await self.circuit()
        circuit.mobile.half_close()
        await circuit.hidden.half_ended()
        circuit.hidden.half_close()
        await circuit.mobile.half_ended()
        await self.left(circuit)

    # -- the end ---------------------------------------------------------------------------------

    async def comes_to_rest(self, at_rest: int, deadline_s: float = DEADLINE_S) -> None:
        """Wait until no more descriptors are open than ``at_rest``."""
        await until(
            lambda: True if self.descriptors() <= at_rest else None,
            lambda: f"rest: {self.descriptors()} descriptors are open, {at_rest} were before,",
            deadline_s,
        )

    def hang_up(self) -> None:
        """End all connections of the test, in order, as the original ends at a reset."""
        for peer in self._peers:
            peer.drop() if not self.is_ours else peer.reset()

    async def left(self, peers: Sequence[RawPeer]) -> None:
        """Close some connections in order, and wait until they are over."""
        for peer in peers:
            peer.drop()
        for peer in peers:
            await peer.gone()
