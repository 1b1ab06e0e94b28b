"""The ends of TLS connections: peers that say goodbye oddly, or not at all, keep nothing open."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import pytest_twisted
import trustme

from relay.links import turns
from relay.settings.model import Door, Limits
from relay.vocabulary import Role
from tests.integration.portal_ours import RouterMaker, TunnelMaker
from tests.integration.portal_peers import CONNECTED, END_S, bearer, unharmed
from tests.integration.test_portal_stopped_readers import flood
from tests.integration.tls_by_hand import ByHand, dial, dial_circuit
from tests.rawpeer import (
    DEADLINE_S,
    PERFECT_HANDSHAKE,
    Op,
    RawServer,
    accept_key,
    close_body,
    connect,
    encode_frame,
    noise,
    request_head,
)
from tests.rawpeer.peer import MASK

CLIENT = "/connect/client/ssh"
TAIL = noise(10 * 1024 * 1024)
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)

pytest_plugins = ["tests.integration.portal_fixtures"]


@pytest.fixture
def trust(tls_authority: trustme.CA) -> ssl.SSLContext:
    """Trusts the routers of the tests."""
    context = ssl.create_default_context()
    tls_authority.configure_trust(context)
    return context


@pytest_twisted.ensureDeferred
async def test_refused_and_stays(
    start_router: RouterMaker, tls_authority: trustme.CA, trust: ssl.SSLContext
) -> None:
    """Who was refused, and neither says goodbye nor leaves, is let go of."""
    router, _ = await start_router.start(authority=tls_authority)
    async with unharmed(router):
        peer = await dial(router, trust)
        peer.write(request_head(CLIENT, PERFECT_HANDSHAKE))
        await peer.until(b"token-missing")
        await peer.peer.half_ended()
        peer.peer.reset()


@pytest_twisted.ensureDeferred
async def test_refused_before_the_handshake(
    start_router: RouterMaker, tls_authority: trustme.CA
) -> None:
    """Visitors beyond the limit for an address go, although they never say a byte of TLS."""
    limits = Limits(failed_logins_per_min=0, links_per_address=1)
    router, _ = await start_router.start(limits, authority=tls_authority)
    first, second = await connect(router.port), await connect(router.port)
    await second.gone()
    first.drop()
    await router.comes_to_rest()


@pytest_twisted.ensureDeferred
async def test_refused_in_the_queue(
    start_router: RouterMaker,
    tls_authority: trustme.CA,
    trust: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who waited too long for a turn is told so once its handshake is over, or goes without it."""
    monkeypatch.setattr(turns, "QUEUE_TIMEOUT_S", 0.05)
    limits = Limits(failed_logins_per_min=0, handshakes=1)
    router, _ = await start_router.start(limits, authority=tls_authority)
    first, silent = await connect(router.port), await connect(router.port)
    polite = await dial(router, trust)
    await polite.until(b"503")
    await polite.peer.half_ended()
    await silent.gone()
    for peer in (first, polite.peer):
        peer.reset()
    await router.comes_to_rest()


@pytest_twisted.ensureDeferred
async def test_closed_and_stays(
    start_router: RouterMaker, tls_authority: trustme.CA, trust: ssl.SSLContext
) -> None:
    """A peer that answers neither our Close nor our goodbye is let go of."""
    router, _ = await start_router.start(authority=tls_authority)
    async with unharmed(router):
        host, client = await dial_circuit(router.portal(), trust)
        host.send_close(1000)
        await host.ending()
        await client.peer.half_ended(END_S + DEADLINE_S)
        client.peer.reset()


@pytest_twisted.ensureDeferred
async def test_goodbye_of_a_slow_reader(
    start_router: RouterMaker, tls_authority: trustme.CA, trust: ssl.SSLContext
) -> None:
    """A goodbye ends the circuit while our send buffer is full, too; the reader sees the end."""
    router, ours = await start_router.start(authority=tls_authority)
    async with unharmed(router):
        host, client = await dial_circuit(router.portal(), trust)
        client.peer.pause()
        await flood(host)
        sessions = ours.service.broker.sessions
        assert [one for one in sessions if one.full or one.link.is_blocked()]
        client.say_goodbye()
        client.peer.resume()
        await client.peer.half_ended()
        await host.ending(END_S)
        client.peer.reset()


@pytest_twisted.ensureDeferred
async def test_goodbye_of_a_stopped_reader(
    start_router: RouterMaker, tls_authority: trustme.CA, trust: ssl.SSLContext
) -> None:
    """One that then leaves without having read frees its sender."""
    router, _ = await start_router.start(authority=tls_authority)
    async with unharmed(router):
        host, client = await dial_circuit(router.portal(), trust)
        client.peer.shrink()
        client.peer.pause()
        await flood(host)
        client.say_goodbye()
        client.peer.reset()
        await host.ending(END_S)


@pytest_twisted.ensureDeferred
async def test_close_behind_a_big_tail(
    start_router: RouterMaker, tls_authority: trustme.CA, trust: ssl.SSLContext
) -> None:
    """A Close that comes while nothing is read from its sender, who then drops, leaves nothing."""
    router, _ = await start_router.start(authority=tls_authority)
    portal = router.portal()
    async with unharmed(router):
        control = await portal.control()
        client = await portal.call()
        host = await dial(router, trust)
        target = f"/connect/host_accept/{(await portal.incoming(control)).nexus}"
        host.write(request_head(target, {**PERFECT_HANDSHAKE, **bearer(portal.host_token)}))
        await host.until(b"\r\n\r\n")
        assert await client.receive() == CONNECTED
        host.write(encode_frame(Op.BINARY, TAIL, mask=MASK))
        host.write(encode_frame(Op.CLOSE, close_body(1000), mask=MASK))
        host.peer.stays_half_open = False
        host.peer.drop()
        assert await client.receive_bytes(len(TAIL)) == TAIL
        await client.ending()


@pytest_twisted.ensureDeferred
async def test_router_that_stays(
    tunnels: TunnelMaker, tls_authority: trustme.CA, tmp_path: Path
) -> None:
    """Our host lets go of a router that says its last word and keeps the connection."""
    server = RawServer()
    url = f"wss://127.0.0.1:{await server.listen()}"
    issued = tls_authority.issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    roots = tmp_path / "ca.pem"
    roots.write_bytes(tls_authority.cert_pem.bytes())
    door = Door("ssh", "tcp:127.0.0.1:1")
    service = await tunnels.start(Role.HOST, url, "token", door, ca_file=roots)
    router = ByHand(await server.accept(), context, serves=True)
    await router.shake()
    request = await router.until(b"\r\n\r\n")
    key = request.partition(b"Sec-WebSocket-Key: ")[2].split()[0].decode()
    router.write(SWITCHING % accept_key(key).encode())
    await service.when_connected("host-0")
    router.write(encode_frame(Op.CLOSE, close_body(1000, "")))
    await router.peer.half_ended(END_S + DEADLINE_S)
    await server.close()
