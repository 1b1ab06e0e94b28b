"""The way into the cut-through gear: nothing is lost on it, and nothing stays behind.

Nearly all of it holds in the message gear as well, and is checked there too.
"""

from __future__ import annotations

import gc
import ssl
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_twisted
import trustme
from twisted.internet import tcp
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from relay.links.cutthrough import Hub, take_stream
from relay.links.websocket import ClientLink, ServerLink
from relay.settings.model import Door
from tests.integration.portal_ours import RouterMaker, TunnelMaker
from tests.integration.portal_peers import (
    CONNECTED,
    Portal,
    bearer,
    unharmed,
)
from tests.integration.tls_by_hand import ByHand, dial
from tests.rawpeer import (
    PERFECT_HANDSHAKE,
    Frame,
    Op,
    RawPeer,
    RawServer,
    accept_key,
    connect,
    encode_frame,
    noise,
    request_head,
    the_reactor,
    until,
)
from tests.rawpeer.peer import MASK

KiB = 1024
MiB = 1024 * KiB
BEHIND = [0, 1, 1000, 16 * KiB, 60_000, 200_000]
"""Payload right behind a handshake: with autobahn, in OpenSSL, and in the kernel."""

pytest_plugins = ["tests.integration.portal_fixtures", "tests.integration.cutthrough_fixtures"]


def asks(target: str, token: str) -> bytes:
    """:returns: a perfect request for a WebSocket"""
    return request_head(target, {**PERFECT_HANDSHAKE, **bearer(token)})


async def called(portal: Portal) -> tuple[RawPeer, str]:
    """:returns: a client that waits, and where its call can be accepted"""
    control = await portal.control()
    client = await portal.call()
    return client, f"/connect/host_accept/{(await portal.incoming(control)).nexus}"


# -- what is under way when the socket is taken ----------------------------------------------------


@pytest.mark.parametrize("size", BEHIND)
@pytest_twisted.ensureDeferred
async def test_payload_in_the_segment_of_the_request(start_router: RouterMaker, size: int) -> None:
    """A host that sends at once, in the same segment as its handshake, loses nothing."""
    router, _ = await start_router.start()
    async with unharmed(router):
        portal = router.portal()
        client, target = await called(portal)
        host = await router.dial()
        payload = noise(size)
        host.write(
            asks(target, portal.host_token)
            + encode_frame(Op.PING, b"first", mask=MASK)
            + encode_frame(Op.BINARY, payload, mask=MASK)
        )
        assert (await host.response()).status == 101
        assert await host.receive() == Frame(Op.PONG, b"first")
        assert await client.receive() == CONNECTED
        assert await client.receive_message() == Frame(Op.BINARY, payload)


@pytest.mark.parametrize("size", BEHIND)
@pytest_twisted.ensureDeferred
async def test_payload_in_the_records_of_the_request(
    start_router: RouterMaker, tls_authority: trustme.CA, trust: ssl.SSLContext, size: int
) -> None:
    """Over TLS, too, however many records wait in OpenSSL and in the kernel; nothing follows."""
    router, _ = await start_router.start(authority=tls_authority)
    async with unharmed(router):
        portal = router.portal()
        client, target = await called(portal)
        host = await dial(router, trust)
        payload = noise(size)
        host.write(
            asks(target, portal.host_token)
            + encode_frame(Op.PING, b"first", mask=MASK)
            + encode_frame(Op.BINARY, payload, mask=MASK)
        )
        await host.until(b"\r\n\r\n")
        assert await host.receive() == Frame(Op.PONG, b"first")
        assert await client.receive() == CONNECTED
        assert await client.receive_message() == Frame(Op.BINARY, payload)
        host.peer.reset()


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("size", BEHIND)
@pytest_twisted.ensureDeferred
async def test_payload_in_the_segment_of_the_answer(
    tunnels: TunnelMaker, tls_authority: trustme.CA, tmp_path: Path, size: int, secure: bool
) -> None:
    """A router that answers and sends at once: our client loses nothing."""
    server = RawServer()
    port = await server.listen()
    roots = tmp_path / "ca.pem"
    roots.write_bytes(tls_authority.cert_pem.bytes())
    url = f"{'wss' if secure else 'ws'}://127.0.0.1:{port}"
    options = {"ca_file": roots} if secure else {}
    user = await connect(await tunnels.client(url, "token", "ssh", **options))
    router: Any = await server.accept()
    if secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls_authority.issue_cert("127.0.0.1").configure_cert(context)
        router = ByHand(router, context, serves=True)
        await router.shake()
        request = (await router.until(b"\r\n\r\n")).decode()
        key = request.partition("Sec-WebSocket-Key: ")[2].split()[0]
    else:
        key = (await router.head()).header("Sec-WebSocket-Key") or ""
    payload = noise(size)
    router.write(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        + f"Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n".encode()
        + encode_frame(*CONNECTED[:2])
        + encode_frame(Op.BINARY, payload)
    )
    assert await user.exactly(size) == payload
    user.write(b"request")
    assert (await router.receive()).payload == b"request"
    user.drop()
    await server.close()


class _Taken(Protocol):
    """Writes more than the kernel takes, and then leaves Twisted."""

    def __init__(self, hub: Hub, first: bytes, then: bytes) -> None:
        self.hub, self.first, self.then = hub, first, then
        self.lost: list[Failure] = []
        self.end: Any = None

    def connectionMade(self) -> None:
        transport = cast(tcp.Connection, self.transport)
        transport.pauseProducing()
        transport.write(self.first)
        transport.doWrite()
        transport.write(self.then)
        self.end = take_stream(self.hub, transport, self)
        assert self.end is not None
        self.end.write(b"and this from behind")

    def readConnectionLost(self) -> None:
        self.end.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.append(reason)


class _Listener(Factory):
    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self.made = protocol

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return self.made


@pytest.mark.cut_through
@pytest_twisted.ensureDeferred
async def test_what_twisted_has_not_sent_goes_along() -> None:
    """Bytes in Twisted's write buffer, as the 101 may be, go out first and once; then all else."""
    hub = Hub(the_reactor())
    first, then = noise(16 * MiB), noise(MiB)
    taken = _Taken(hub, first, then)
    port = await TCP4ServerEndpoint(the_reactor(), 0, interface="127.0.0.1").listen(
        _Listener(taken)
    )
    peer = await connect(port.getHost().port)
    taken.end.resumeProducing()
    whole = first + then + b"and this from behind"
    assert await peer.exactly(len(whole)) == whole
    peer.drop()
    await until(lambda: taken.lost or None, "end")
    assert len(taken.lost) == 1
    await port.stopListening()


# -- what is left behind ---------------------------------------------------------------------------


def left_of_twisted() -> Counter[str]:
    """:returns: how many connections Twisted and autobahn have, besides those of the tests"""
    gc.collect()
    kinds = (tcp.Connection, TLSMemoryBIOProtocol, ServerLink, ClientLink)
    found: Counter[str] = Counter()
    for each in gc.get_objects():
        if issubclass(type(each), kinds) and not _belongs_to_a_test(each):
            found[type(each).__name__] += 1
    return found


def _belongs_to_a_test(connection: Any) -> bool:
    for name in ("protocol", "wrappedProtocol", "_wrappedProtocol"):
        connection = getattr(connection, name, connection)
        connection = getattr(connection, "_wrappedProtocol", connection)
    return isinstance(connection, RawPeer)


@pytest.mark.cut_through
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest_twisted.ensureDeferred
async def test_neither_twisted_nor_autobahn_keeps_anything(
    start_router: RouterMaker, tls_authority: trustme.CA, secure: bool
) -> None:
    """Of control links and data links nothing but the hub's ends is left, while they are open."""
    before = left_of_twisted()
    router, _ = await start_router.start(authority=tls_authority if secure else None)
    async with unharmed(router):
        circuit = await router.portal().circuit()
        circuit.client.send(Op.BINARY, b"through")
        assert await circuit.host.receive() == Frame(Op.BINARY, b"through")
        assert left_of_twisted() - before == Counter()


@pytest.mark.cut_through
@pytest_twisted.ensureDeferred
async def test_nothing_is_kept_at_host_and_client_either(
    start_router: RouterMaker, tunnels: TunnelMaker
) -> None:
    """Neither of their links nor of the local connections on both sides."""
    before = left_of_twisted()
    router, _ = await start_router.start()
    portal = router.portal()
    target = RawServer()
    door = Door("ssh", f"tcp:127.0.0.1:{await target.listen()}")
    await tunnels.host(router.url, portal.host_token, door)
    user = await connect(await tunnels.client(router.url, portal.client_token, "ssh"))
    served = await target.accept()
    user.write(b"through")
    assert await served.exactly(7) == b"through"
    assert left_of_twisted() - before == Counter()
    user.drop()
    await served.gone()
    await target.close()


@pytest.mark.parametrize("leave", [RawPeer.drop, RawPeer.reset, RawPeer.send_close])
@pytest_twisted.ensureDeferred
async def test_the_end_is_reported_once(
    start_router: RouterMaker, monkeypatch: pytest.MonkeyPatch, leave: Any
) -> None:
    """Twisted and autobahn have no word to say of a socket that they no longer have."""
    told: list[object] = []
    monkeypatch.setattr(
        ServerLink, "connectionLost", _noting(told, ServerLink.connectionLost), raising=True
    )
    router, _ = await start_router.start()
    async with unharmed(router):
        circuit = await router.portal().circuit()
        leave(circuit.client)
        await circuit.host.ending()
        await circuit.client.ending()
        circuit.control.drop()
    # three links, and three more with which the router showed that it works
    assert len(told) == (0 if Hub(the_reactor()).is_available() else 6)
    assert len(set(map(id, told))) == len(told)


def _noting(told: list[object], original: Any) -> Any:  # methods of autobahn's
    def connection_lost(link: object, reason: Failure = connectionDone) -> None:
        told.append(link)
        original(link, reason)

    return connection_lost


@pytest_twisted.ensureDeferred
async def test_descriptors_of_hundreds_of_circuits(start_router: RouterMaker) -> None:
    """Numbers of sockets that are gone are used again, and nobody gets what is another's."""
    router, _ = await start_router.start()
    portal = router.portal()
    control = await portal.control()
    async with unharmed(router):
        lasting = await portal.circuit(control=control)
        for number in range(40):
            circuit = await portal.circuit(control=control)
            sender, receiver = circuit.sides("client" if number % 2 else "host")
            sender.send(Op.BINARY, number.to_bytes(2, "big") * 500)
            assert (await receiver.receive_message()).payload == number.to_bytes(2, "big") * 500
            (RawPeer.reset if number % 3 else RawPeer.drop)(sender)
            await receiver.ending()
            lasting.client.send(Op.BINARY, b"%d" % number)
            assert await lasting.host.receive() == Frame(Op.BINARY, b"%d" % number)


@pytest_twisted.ensureDeferred
async def test_a_socket_that_goes_while_another_comes(start_router: RouterMaker) -> None:
    """The last socket of a hub goes, and the next one comes: the hub serves that, too."""
    router, _ = await start_router.start()
    for _ in range(3):
        async with unharmed(router):
            circuit = await router.portal().circuit()
            circuit.host.send(Op.BINARY, b"through")
            assert await circuit.client.receive() == Frame(Op.BINARY, b"through")
