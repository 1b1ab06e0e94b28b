"""Routers of session-relay to test, raw members of their topics: whoever made the router."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.integration.session_relay_vectors import AUDIENCE, SECRET, TARGET, V4, claims, sign
from tests.integration.session_relay_wire import Answer, Member, fresh
from tests.rawpeer import PERFECT_HANDSHAKE, Head, RawPeer, Response, connect, read_response

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
LARGEST_BYTES = 10_485_760
LIFETIME_S = 3600
BOTH_WAYS = ("read", "write")

# -- which router a test is for ------------------------------------------------------------------

BOTH = pytest.mark.parametrize("sr", ["ours", "go"], indirect=True)
OURS = pytest.mark.parametrize("sr", ["ours"], indirect=True)


def go_differs(reason: str, *, always: bool = True, fixture: str = "sr") -> pytest.MarkDecorator:
    """The test is for both; the original is known to fail it.

    :param always: False when it fails now and then only
    """
    mark = pytest.mark.xfail(reason=f"Go: {reason}", strict=always, raises=AssertionError)
    return pytest.mark.parametrize(fixture, ["ours", pytest.param("go", marks=mark)], indirect=True)


# -- routers -------------------------------------------------------------------------------------


class Router:
    """A router under test.

    :ivar kind: ``ours`` or ``go``
    :ivar access: the port and path prefix of the access API
    :ivar door: those of the relay socket
    """

    def __init__(
        self,
        kind: str,
        access: tuple[int, str],
        door: tuple[int, str],
        audience: str = AUDIENCE,
        target: str = TARGET,
    ) -> None:
        self.kind = kind
        self.access = access
        self.door = door
        self.audience = audience
        self.target = target
        self._peers: list[RawPeer] = []

    @property
    def is_ours(self) -> bool:
        """:returns: whether it is held to what ours promises beyond the original"""
        return self.kind == "ours"

    async def dial(self, place: tuple[int, str]) -> RawPeer:
        """:returns: a new connection, ended with the test"""
        peer = await connect(place[0])
        self._peers.append(peer)
        return peer

    # -- access ----------------------------------------------------------------------------------

    async def ask(
        self,
        method: str,
        path: str,
        token: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        pieces: int = 0,
    ) -> Answer:
        """:param body: None: no body and no length
        :param pieces: bytes that go at a time; 0: all at once
        :raises Ended: when the connection ends without an answer
        """
        peer = await self.dial(self.access)
        fields: dict[str, str] = {"Host": "relay.example.test", **(headers or {})}
        if token is not None:
            fields["Authorization"] = token
        if body is not None:
            fields["Content-Length"] = str(len(body))
        lines = [f"{method} {self.access[1]}{path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        data = "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
        for start in range(0, len(data), pieces or len(data)):
            await peer.writable()
            peer.write(data[start : start + (pieces or len(data))])
        response: Response = await read_response(peer, method=method)
        closed = response.header("Connection") == "close"
        if closed:
            await peer.gone()
        return Answer(response.status, response.head, response.body, closed)

    def token(
        self,
        topic: str,
        scopes: Sequence[str] = BOTH_WAYS,
        booking: str | None = None,
        **changes: object,
    ) -> str:
        """:param booking: None: one that nobody else has
        :returns: a token that opens this topic now; :param changes: of claims, ``...`` removes one
        """
        now = int(time.time())
        own: dict[str, object] = {
            "booking_id": fresh("bk") if booking is None else booking,
            "topic": topic,
            "scopes": list(scopes),
            "aud": [self.audience],
            "exp": now + LIFETIME_S,
            "nbf": now - 1,
            "iat": now - 1,
        }
        return sign(claims(**{**own, **changes}), SECRET)

    async def session(self, topic: str, token: str | None = None, **more: Any) -> Answer:
        """:returns: the answer to a request for a session; :param token: None: a good one"""
        shown = self.token(topic) if token is None else token
        more.setdefault("headers", {"Content-Length": "0"})
        return await self.ask("POST", f"/session/{quote(topic, safe='')}", shown, **more)

    async def uri(self, topic: str, token: str | None = None) -> str:
        """:returns: what is to be opened"""
        value = (await self.session(topic, token)).data()
        assert list(value) == ["uri"]
        return str(value["uri"])

    async def code(self, topic: str, token: str | None = None) -> str:
        """:returns: a one-time code"""
        return (await self.uri(topic, token)).partition("?code=")[2]

    async def deny(self, booking: str, token: str = V4) -> None:
        """Cancel a booking."""
        exp = int(time.time()) + LIFETIME_S
        answer = await self.ask("POST", f"/bids/deny?bid={booking}&exp={exp}", token)
        assert (answer.status, answer.body) == (204, b"")

    async def allow(self, booking: str, token: str = V4) -> None:
        """Take that back."""
        exp = int(time.time()) + LIFETIME_S
        answer = await self.ask("POST", f"/bids/allow?bid={booking}&exp={exp}", token)
        assert (answer.status, answer.body) == (204, b"")

    async def bookings(self, which: str) -> set[str]:
        """:returns: those that are denied or allowed"""
        value = (await self.ask("GET", f"/bids/{which}", V4)).data()
        assert list(value) == ["booking_ids"]
        return set(value["booking_ids"])

    # -- relay socket ----------------------------------------------------------------------------

    async def knock(
        self,
        path: str,
        headers: Mapping[str, str | None] | None = None,
        *,
        method: str = "GET",
    ) -> tuple[RawPeer, Head]:
        """:param path: behind the prefix
        :param headers: of the handshake, beside or instead of the usual ones; None leaves one out
        :returns: the connection, and what answers its handshake
        """
        peer = await self.dial(self.door)
        fields = {"Host": "relay.example.test", **PERFECT_HANDSHAKE, **(headers or {})}
        lines = [f"{method} {self.door[1]}{path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
        peer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        return peer, await peer.response(body=method != "HEAD")

    async def enter(
        self, topic: str, code: str, headers: Mapping[str, str | None] | None = None
    ) -> tuple[RawPeer, Head]:
        """Show a code. :returns: the connection, and the answer"""
        return await self.knock(f"/session/{topic}?code={code}", headers)

    async def member(
        self,
        topic: str,
        scopes: Sequence[str] = BOTH_WAYS,
        booking: str | None = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str | None] | None = None,
        **changes: object,
    ) -> Member:
        """:returns: a member of the topic, which hears what is said from now on"""
        shown = token or self.token(topic, scopes, booking, **changes)
        uri = await self.uri(topic, shown)
        assert uri.startswith(self.target)
        parts = urlsplit(uri.removeprefix(self.target))
        peer, head = await self.knock(f"{parts.path}?{parts.query}", headers)
        assert head.status == 101, head
        member = Member(peer)
        await member.admitted()
        return member

    async def refused(self, peer: RawPeer, head: Head, topic: str) -> None:
        """Check that a connection takes no part in a topic.

        Ours says so before the upgrade; the original never reads what such a one sends.
        """
        if self.is_ours:
            assert head.status == 401, head
            return
        assert head.status == 101, head
        first, second = await self.member(topic), await self.member(topic)
        mute = Member(peer)
        if peer.end is None:
            mute.say("from one that was refused")
        await first.passes(second)
        await second.passes(first)
        assert peer.nothing_came()

    async def works(self) -> None:
        """Let two members hear each other."""
        topic = fresh("works")
        first, second = await self.member(topic), await self.member(topic)
        await first.passes(second)
        await second.passes(first)
        first.peer.drop()
        second.peer.drop()

    def hang_up(self) -> None:
        """Reset all connections of the test."""
        for peer in self._peers:
            peer.reset()


class Unnoticed:
    """Two members of a topic of their own, who must go on whatever happens meanwhile."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._members: list[Member] = []

    async def __aenter__(self) -> None:
        topic = fresh("beside")
        self._members = [await self._router.member(topic) for _ in range(2)]

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if error is not None:
            return
        first, second = self._members
        await first.passes(second)
        await second.passes(first)
        await self._router.works()
