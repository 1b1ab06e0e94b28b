"""Questions over HTTP that go another way than their URL says."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import trustme
from twisted.internet.defer import Deferred

from relay.errors import CannotConnect, Misconfigured, TlsFailed
from relay.outside import HttpAnswer, Way
from tests.integration.outward_room import Room
from tests.integration.tls_peer import TlsPeer
from tests.rawpeer import Head

LIMIT_BYTES = 64
URL = "https://registrar.example:4711/register/cam?x"
MOVED = b"HTTP/1.1 307 Moved\r\nLocation: https://cam.example:9/y\r\nContent-Length: 0\r\n\r\n"


def ask(room: Room, way: Way, url: str = URL) -> Deferred[HttpAnswer]:
    """:returns: the answer, once there is one; the server is the room's, unless the way has one"""
    if not way.at:
        way = way._replace(at=f"127.0.0.1:{room.port}")
    return Deferred.fromCoroutine(room.outward.http("PUT", url, {}, LIMIT_BYTES, way))


class Site:
    """Who the server is.

    :ivar roots: whom to trust, PEM
    """

    def __init__(self, *names: str) -> None:
        authority = trustme.CA()
        self.roots = authority.cert_pem.bytes().decode()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(self.context)

    async def serve(self, room: Room, answer: bytes) -> Head:
        """:returns: the head of the one request that is answered"""
        peer = TlsPeer(await room.server.accept(), self.context, None)
        await peer.handshake()
        came = b""
        while not came.endswith(b"\r\n\r\n"):
            came += await peer.exactly(1)
        peer.write(answer)
        peer.say_goodbye()
        first, *lines = came.decode().split("\r\n")
        pairs = [line.partition(": ") for line in lines if line]
        return Head(first, tuple((name, value) for name, _, value in pairs))


async def run(test: Callable[[Room], Any], **changes: Any) -> None:
    """Do ``test`` in a room."""
    await Room(**changes).run(test)


@pytest_twisted.ensureDeferred
async def test_another_address_and_further_roots() -> None:
    """Host and the certificate's name stay those of the URL."""
    site = Site("registrar.example")

    async def test(room: Room) -> None:
        asking = ask(room, Way(roots=site.roots))
        head = await site.serve(room, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert (await asking).body == b"ok"
        assert head.first_line == "PUT /register/cam?x HTTP/1.1"
        assert head.header("Host") == "registrar.example:4711"

    await run(test)


@pytest.mark.parametrize(
    ("names", "trusted", "why"),
    [(("other.example",), True, "registrar.example"), (("registrar.example",), False, "issuer")],
)
@pytest_twisted.ensureDeferred
async def test_who_it_is_not(names: tuple[str, ...], trusted: bool, why: str) -> None:
    """Another name is refused, and so is one whom nobody trusts."""
    site = Site(*names)

    async def test(room: Room) -> None:
        asking = ask(room, Way(roots=site.roots if trusted else ""))
        serving = Deferred.fromCoroutine(site.serve(room, b""))
        serving.addErrback(lambda _: None)  # it hears of that, or of an end
        with pytest.raises(TlsFailed, match=why):
            await asking

    await run(test)


@pytest_twisted.ensureDeferred
async def test_the_tunnels_own_roots_still_count(tmp_path: Path) -> None:
    """What came along is trusted besides."""
    site, other = Site("registrar.example"), Site("other.example")
    (tmp_path / "ca.pem").write_text(site.roots)

    async def test(room: Room) -> None:
        asking = ask(room, Way(roots=other.roots))
        await site.serve(room, b"HTTP/1.1 204 No Content\r\n\r\n")
        assert (await asking).status == 204

    await run(test, ca_file=tmp_path / "ca.pem")


@pytest.mark.parametrize("router", ["https://127.0.0.1:1", "https://registrar.example"])
@pytest_twisted.ensureDeferred
async def test_the_name_that_the_router_has(router: str) -> None:
    """``tls-name`` counts for it, by the URL's name and by the address."""
    site = Site("inside.example")

    async def test(room: Room) -> None:
        asking = ask(room, Way(roots=site.roots))
        await site.serve(room, b"HTTP/1.1 204 No Content\r\n\r\n")
        assert (await asking).status == 204

    await run(test, router=router, tls_name="inside.example")


@pytest_twisted.ensureDeferred
async def test_a_redirection_that_is_the_answer() -> None:
    """It is not followed, wherever it leads."""

    async def test(room: Room) -> None:
        asking = ask(room, Way(follow=False), "http://cam.example/")
        peer, head = await room.server.accept_request()
        assert head.header("Host") == "cam.example"
        peer.write(MOVED)
        answer = await asking
        assert (answer.status, answer.headers["location"]) == (307, "https://cam.example:9/y")

    await run(test)


@pytest_twisted.ensureDeferred
async def test_a_redirection_that_is_followed_the_same_way() -> None:
    """Within one server the way stays what it is."""

    async def test(room: Room) -> None:
        asking = ask(room, Way(), "http://cam.example/")
        peer, _ = await room.server.accept_request()
        peer.write(b"HTTP/1.1 307 Moved\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n")
        peer, head = await room.server.accept_request()
        assert head.first_line == "PUT /y HTTP/1.1"
        peer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert (await asking).status == 204

    await run(test)


@pytest_twisted.ensureDeferred
async def test_nobody_at_the_other_address() -> None:
    """The sentence names that one."""

    async def test(room: Room) -> None:
        await room.server.close()
        with pytest.raises(CannotConnect, match=f"nothing listens at 127.0.0.1:{room.port}"):
            await ask(room, Way())

    await run(test)


@pytest.mark.parametrize(
    ("way", "why"),
    [
        (Way(at="nowhere"), "'nowhere' is no HOST:PORT"),
        (Way(roots="no PEM"), "roots that came along: holds no certificate in PEM"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_ways_that_are_none(way: Way, why: str) -> None:
    """They are refused in a sentence."""

    async def test(room: Room) -> None:
        with pytest.raises(Misconfigured, match=why):
            await ask(room, way)

    await run(test)
