"""Portal routers to test, and the portals on them: from outside, whoever made the router."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

import jwt
import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.task import deferLater

from tests.rawpeer import (
    DEADLINE_S,
    Frame,
    Head,
    Op,
    RawPeer,
    connect,
    the_reactor,
    together,
    until,
)

SECRET = "compat-vector-secret-0123456789abcdef"
CONNECTED = Frame(Op.TEXT, b'"Connected"')
LIFETIME_S = 3600
T = TypeVar("T")
END_S = 2.0
"""How soon the end of one side must reach the other (checks 16 and 17)."""

# -- which router a test is for ------------------------------------------------------------------

BOTH = pytest.mark.parametrize("router", ["ours", "demo"], indirect=True)
OURS = pytest.mark.parametrize("router", ["ours"], indirect=True)


def demo_differs(reason: str, *, always: bool = True) -> pytest.MarkDecorator:
    """The test is for both; demo is known to fail it.

    :param always: False when demo fails it now and then only
    """
    mark = pytest.mark.xfail(reason=f"demo: {reason}", strict=always, raises=AssertionError)
    both = ["ours", pytest.param("demo", marks=mark)]
    return pytest.mark.parametrize("router", both, indirect=True)


def wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run ``coroutine`` to its end from a fixture that is no coroutine itself."""

    async def in_a_running_reactor() -> T:
        await deferLater(the_reactor(), 0)
        return await coroutine

    return cast(T, pytest_twisted.blockon(Deferred.fromCoroutine(in_a_running_reactor())))


# -- tokens --------------------------------------------------------------------------------------


def mint(claims: Mapping[str, object], secret: str = SECRET, **options: Any) -> str:
    """:returns: a token with exactly these claims"""
    return jwt.encode(dict(claims), secret, **{"algorithm": "HS256", **options})


def forge(
    payload: bytes, header: Mapping[str, object] | None = None, digest: str = "sha256"
) -> str:
    """:returns: a rightly signed token of any content, for what no library would encode"""
    head = json.dumps(header or {"alg": "HS256", "typ": "JWT"}).encode()
    signed = b".".join(_base64url(part) for part in (head, payload))
    signature = hmac.digest(SECRET.encode(), signed, digest)
    return (signed + b"." + _base64url(signature)).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def bearer(token: str) -> dict[str, str]:
    """:returns: the header that shows ``token``"""
    return {"Authorization": f"Bearer {token}"}


# -- routers and portals -------------------------------------------------------------------------


class Incoming(NamedTuple):
    """The announcement of a call."""

    client_name: str
    service_name: str
    nexus: int


@dataclass
class Circuit:
    """A call that was accepted."""

    control: RawPeer
    client: RawPeer
    host: RawPeer

    def sides(self, first: str) -> tuple[RawPeer, RawPeer]:
        """:returns: the named side of the two data links, and the other one"""
        return (self.client, self.host) if first == "client" else (self.host, self.client)


class Router:
    """A router under test.

    :ivar kind: ``ours`` or ``demo``
    :ivar port: where it listens
    :ivar descriptors: counts what its process holds open
    """

    def __init__(
        self,
        kind: str,
        port: int,
        descriptors: Callable[[], int],
        tls: IOpenSSLClientConnectionCreator | None = None,
    ) -> None:
        self.kind = kind
        self.port = port
        self.descriptors = descriptors
        self.tls = tls
        self.at_rest = descriptors()
        self._peers: list[RawPeer] = []

    @property
    def url(self) -> str:
        """:returns: what a daemon is given to connect to"""
        return f"{'wss' if self.tls else 'ws'}://127.0.0.1:{self.port}"

    @property
    def is_ours(self) -> bool:
        """:returns: whether it is held to what ours promises beyond the original"""
        return self.kind == "ours"

    async def dial(self) -> RawPeer:
        """:returns: a new connection, ended with the test"""
        peer = await connect(self.port, tls=self.tls)
        self._peers.append(peer)
        return peer

    async def ask(
        self,
        target: str,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        version: str = "HTTP/1.1",
    ) -> tuple[RawPeer, Head]:
        """Ask for a WebSocket. :returns: the connection and the answer, whatever it is"""
        peer = await self.dial()
        shown = bearer(token) if token is not None else {}
        head = await peer.upgrade(
            target, {**shown, **(headers or {})}, method=method, version=version
        )
        if head.status != 101:
            peer.drop()
        return peer, head

    async def status(self, target: str, token: str | None = None, **options: Any) -> int:
        """:returns: the status that answers such a request; the connection is dropped"""
        peer, head = await self.ask(target, token, **options)
        peer.drop()
        return head.status

    def portal(self, portal_id: int | None = None) -> Portal:
        """:returns: a portal that nobody else uses, or that of a given id"""
        return Portal(self, secrets.randbits(64) if portal_id is None else portal_id)

    async def works(self) -> None:
        """Make a circuit on a fresh portal, use it both ways and end it in order."""
        circuit = await self.portal().circuit()
        for sender, receiver in (circuit.sides("client"), circuit.sides("host")):
            sender.send(Op.BINARY, b"still here")
            assert await receiver.receive() == Frame(Op.BINARY, b"still here")
        circuit.client.send_close(1000)
        await together(circuit.client.ending(), circuit.host.ending())
        circuit.control.drop()

    async def comes_to_rest(self, deadline_s: float = DEADLINE_S) -> None:
        """Wait until no descriptor is left of what the test did, once its peers have gone."""
        for peer in self._peers:
            peer.drop()
            await peer.gone()
        await until(
            lambda: True if self.descriptors() <= self.at_rest else None,
            lambda: f"rest: {self.descriptors()} descriptors are open, {self.at_rest} were before,",
            deadline_s,
        )

    def hang_up(self) -> None:
        """Reset all connections of the test."""
        for peer in self._peers:
            peer.reset()


class Portal:
    """One portal id on a router, and tokens for it."""

    def __init__(self, router: Router, portal_id: int) -> None:
        self.router = router
        self.portal_id = portal_id
        self.host_token = mint(self.claims("host"))
        self.client_token = mint(self.claims("client"))

    def claims(self, role: str, /, **changes: object) -> dict[str, object]:
        """:returns: valid claims, changed as told; None removes a claim"""
        claims: dict[str, object] = {
            "sub": f"a-{role}",
            "exp": int(time.time()) + LIFETIME_S,
            "role": role,
            "portal_id": self.portal_id,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    async def control(self, query: str = "") -> RawPeer:
        """:returns: a host's control link that stands"""
        peer, head = await self.router.ask(f"/connect/host_control{query}", self.host_token)
        assert head.status == 101, head
        return peer

    async def call(self, service: str = "ssh", token: str | None = None) -> RawPeer:
        """:returns: a client's link that waits for a host"""
        target = f"/connect/client/{service}"
        return await self._insist(target, token or self.client_token, 502)

    async def accept(self, nexus: int | str) -> RawPeer:
        """:returns: a host's data link"""
        return await self._insist(f"/connect/host_accept/{nexus}", self.host_token, 404)

    async def _insist(self, target: str, token: str, early: int) -> RawPeer:
        """Demo registers hosts and calls a moment after their 101, hence again after ``early``."""
        expiry = time.monotonic() + DEADLINE_S
        while True:
            peer, head = await self.router.ask(target, token)
            if head.status == 101:
                return peer
            assert head.status == early, head
            assert not self.router.is_ours, head
            assert time.monotonic() < expiry, head

    async def incoming(self, control: RawPeer) -> Incoming:
        """:returns: the next call announced on ``control``"""
        frame = await control.receive()
        assert (frame.opcode, frame.fin) == (Op.TEXT, True), frame
        return Incoming(**json.loads(frame.payload)["Incoming"])

    async def circuit(self, service: str = "ssh", control: RawPeer | None = None) -> Circuit:
        """:returns: a call, announced on ``control`` or a new control link, and accepted"""
        control = control or await self.control()
        client = await self.call(service)
        call = await self.incoming(control)
        host = await self.accept(call.nexus)
        assert await client.receive() == CONNECTED
        return Circuit(control, client, host)


# -- what is checked often -----------------------------------------------------------------------


@asynccontextmanager
async def unharmed(router: Router) -> AsyncIterator[None]:
    """Check at the end that the router works for others and has forgotten those who were here."""
    yield
    await router.works()
    await router.comes_to_rest()


async def passes(sender: RawPeer, receiver: RawPeer, payload: bytes = b"passes") -> None:
    """Check that payload sent here is what comes next there."""
    sender.send(Op.BINARY, payload)
    assert await receiver.receive_message() == Frame(Op.BINARY, payload)
