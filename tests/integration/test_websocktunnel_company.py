"""The websocktunnel router beside other dialects, other listeners, and behind TLS."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_twisted
import trustme
from twisted.internet.address import IPv4Address

from tests.integration import portal_peers
from tests.integration.portal_ours import own_descriptors, tls_of
from tests.integration.websocktunnel_ours import RouterMaker, section, write
from tests.integration.websocktunnel_peers import HELLO, MiB, Router
from tests.rawpeer import (
    PERFECT_HANDSHAKE,
    MuxStream,
    Op,
    RawPeer,
    noise,
    read_head,
    read_response,
    request,
    request_head,
    together,
    until,
)

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")
SOON_S = 2.0
BULK_S = 30.0
BULK_BYTES = 10 * MiB

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


# -- other dialects ------------------------------------------------------------------------------


class Company:
    """A router with two dialects on one listener, and an admin listener."""

    def __init__(self, maker: RouterMaker, folder: Path) -> None:
        self._maker = maker
        self._secret = write(folder / "portal.secret", portal_peers.SECRET)

    async def start(self) -> None:
        """Start it."""
        portal = section("dialect:portal", {"secret-file": self._secret})
        self.wst = await self._maker.start(
            router={"admin": "tcp:0:interface=127.0.0.1"}, more=portal
        )
        (service,) = self._maker.services
        port = cast(IPv4Address, service.addresses[-1][1]).port
        self.admin = Router("ours", port)
        self.portal = portal_peers.Router("ours", self.wst.port, own_descriptors)
        self._maker.routers += [self.admin, cast(Router, self.portal)]


@pytest.fixture
def company(start_wst: RouterMaker, tmp_path: Path) -> Company:
    """Two dialects on one listener."""
    return Company(start_wst, tmp_path)


@pytest_twisted.ensureDeferred
async def test_each_has_its_own(company: Company) -> None:
    """Hosts, clients and viewers of both dialects at once, and who asks how it goes."""
    await company.start()
    host = await company.wst.host()
    circuit = await company.portal.portal().circuit()
    viewer, stream, _ = await host.exchange()

    async def admin() -> None:
        for path in ("/livez", "/readyz", "/metrics"):
            assert (await company.admin.fetch(path)).status == 200

    await together(admin(), host.serves(), company.portal.works(), company.wst.works())
    circuit.client.send(Op.BINARY, b"through")
    assert (await circuit.host.receive()).payload == b"through"
    stream.respond(HELLO)
    assert (await read_response(viewer)).body == b"hello"
    metrics = (await company.admin.fetch("/metrics")).body.decode()
    assert 'dialect="websocktunnel"' in metrics
    assert 'dialect="portal"' in metrics
    assert (await company.admin.fetch(f"/{host.tunnel}/")).status == 404


@pytest_twisted.ensureDeferred
async def test_an_id_that_nobody_could_reach(company: Company) -> None:
    """A registration under another dialect's first path segment is 400, and says why."""
    await company.start()
    peer, head = await company.wst.ask("connect")
    assert head.status == 400
    assert b"another dialect" in head.body
    peer.drop()
    await (await company.wst.host("connected")).serves()
    await company.portal.works()


@pytest_twisted.ensureDeferred
async def test_one_connection_after_another(company: Company) -> None:
    """Requests to both dialects, and a registration at last, on one kept connection."""
    await company.start()
    host = await company.wst.host()
    viewer, stream, _ = await host.exchange()
    stream.respond(HELLO)
    await read_response(viewer)
    viewer.write(request("GET", "/__heartbeat__"))
    assert (await read_response(viewer)).status == 200
    viewer.write(request("GET", f"/{host.tunnel}/again"))
    stream = await host.link.accept()
    stream.respond(HELLO)
    assert (await read_response(viewer)).body == b"hello"
    portal = company.portal.portal()
    shown = {**PERFECT_HANDSHAKE, **portal_peers.bearer(portal.host_token)}
    viewer.write(request_head("/connect/host_control", shown))
    assert (await viewer.response()).status == 101
    call = await portal.call()
    assert b"Incoming" in (await viewer.receive()).payload
    call.drop()


# -- TLS -----------------------------------------------------------------------------------------


async def start_tls(maker: RouterMaker, authority: trustme.CA, folder: Path) -> Router:
    """:returns: a router whose first listener is TLS"""
    verifier, files = tls_of(authority, folder)
    more = section("tls", {"certificate": files.certificate, "key": files.key})
    router = {"listen": "", "listen-tls": "tcp:0:interface=127.0.0.1"}
    wst = await maker.start(router=router, more=more)
    wst.tls = verifier
    return wst


async def bulk_up(viewer: RawPeer, stream: MuxStream, body: bytes) -> None:
    """Send ``body`` up, and see it arrive."""
    writing = together(viewer.write_all(body))
    got = await stream.exactly(len(body), BULK_S)
    assert hashlib.sha256(got).digest() == hashlib.sha256(body).digest()
    await writing


@pytest_twisted.ensureDeferred
async def test_tls_exchanges(
    start_wst: RouterMaker, tls_authority: trustme.CA, tmp_path: Path
) -> None:
    """Over TLS bodies of 10 MiB pass each way, and the connection is kept for the next request."""
    wst = await start_tls(start_wst, tls_authority, tmp_path)
    host = await wst.host()
    body = noise(BULK_BYTES)
    length = f"Content-Length: {len(body)}"
    viewer, stream, _ = await host.exchange("/", length, method="PUT")
    await bulk_up(viewer, stream, body)
    stream.respond(HELLO)
    assert (await read_response(viewer)).body == b"hello"
    viewer.write(request("GET", f"/{host.tunnel}/"))
    stream = await host.link.accept()
    stream.send(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode())
    sending = together(stream.send_all(body, BULK_S))
    answer = await read_response(viewer, deadline_s=BULK_S)
    await sending
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(body).digest()
    await host.serves()


@pytest_twisted.ensureDeferred
async def test_tls_sockets(
    start_wst: RouterMaker, tls_authority: trustme.CA, tmp_path: Path
) -> None:
    """A switched connection over TLS carries 10 MiB each way at once, and its ends lose nothing."""
    wst = await start_tls(start_wst, tls_authority, tmp_path)
    host = await wst.host()
    viewer, stream, _ = await host.exchange("/", *UPGRADE)
    stream.send(SWITCH)
    assert (await read_head(viewer))[0].status == 101
    up, down = noise(BULK_BYTES), noise(BULK_BYTES)

    async def bulk_down() -> None:
        got = await viewer.exactly(len(down), BULK_S)
        assert hashlib.sha256(got).digest() == hashlib.sha256(down).digest()

    await together(
        bulk_up(viewer, stream, up), stream.send_all(down, BULK_S), cast(Any, bulk_down())
    )
    stream.send(b"the last of it")
    stream.fin()
    assert await viewer.exactly(14) == b"the last of it"
    await viewer.gone(2 * SOON_S)
    await stream.finished(2 * SOON_S)


@pytest.mark.parametrize("how", ["drop", "reset"])
@pytest_twisted.ensureDeferred
async def test_tls_viewers_that_leave(
    start_wst: RouterMaker, tls_authority: trustme.CA, tmp_path: Path, how: str
) -> None:
    """Over TLS too a viewer that leaves frees its stream, with or without a goodbye."""
    wst = await start_tls(start_wst, tls_authority, tmp_path)
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    getattr(viewer, how)()
    await stream.finished(SOON_S)
    stream.fin()
    await host.serves()


@pytest_twisted.ensureDeferred
async def test_tls_early_answers(
    start_wst: RouterMaker, tls_authority: trustme.CA, tmp_path: Path
) -> None:
    """An early answer over TLS reaches a viewer that is still sending what nobody reads."""
    wst = await start_tls(start_wst, tls_authority, tmp_path)
    host = await wst.host(window=1024, refunds=False)
    head = request("PUT", f"/{host.tunnel}/", f"Content-Length: {16 * MiB}")
    viewer = await wst.dial()
    viewer.write(head + noise(MiB))
    stream = await host.link.accept()
    await stream.head()
    stream.respond(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
    answer = await read_response(viewer, deadline_s=SOON_S)
    assert (answer.status, answer.body) == (413, b"no")
    doors = start_wst.services[0]._hall.doors
    await until(lambda: not doors or None, "end of the connection", 2 * SOON_S)
