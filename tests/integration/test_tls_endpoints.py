"""TLS over loopback sockets, straight and through a proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
import pytest_twisted
import trustme
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from relay.errors import CannotConnect, TlsFailed
from relay.links.proxy import ProxyEndpoint
from relay.tls import (
    ClientTls,
    ServerTls,
    TlsEndpoint,
    explain_tls_failure,
)

NAME = "relay.example"


class Peer(Protocol):
    """Keeps what it is sent and tells when there is enough of it, and when it is lost."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Deferred[BaseException | None] = Deferred()
        self._waiting: Deferred[None] | None = None
        self._wanted = 0

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if self._waiting is not None and len(self.received) >= self._wanted:
            waiting, self._waiting = self._waiting, None
            waiting.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(reason.value)

    async def has(self, count: int) -> bytes:
        """The first ``count`` bytes or more."""
        if len(self.received) < count:
            self._wanted, self._waiting = count, Deferred()
            await self._waiting
        return self.received

    def tcp(self) -> ITCPTransport:
        return cast(ITCPTransport, self.transport)


class Echo(Peer):
    """Sends back what it is sent."""

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.tcp().write(data)


class AnswersInPlainHttp(Peer):
    """What a TLS client meets at the port of a web server."""

    def dataReceived(self, data: bytes) -> None:
        self.tcp().write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


class HangsUpInHello(Peer):
    """Closes as soon as it is spoken to."""

    def dataReceived(self, data: bytes) -> None:
        self.tcp().loseConnection()


class Peers(Factory):
    """Makes peers and remembers them."""

    noisy = False

    def __init__(self, kind: type[Peer]) -> None:
        self._kind = kind
        self.made: list[Peer] = []

    def buildProtocol(self, addr: IAddress | None) -> Peer:
        peer = self._kind()
        self.made.append(peer)
        return peer


class Network:
    """Listeners and connections of one test, all ended with it."""

    def __init__(self, reactor: IReactorTime, directory: Path, authority: trustme.CA) -> None:
        self.reactor = reactor
        self.ca_file = directory / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        self._directory = directory
        self._authority = authority
        self._ports: list[IListeningPort] = []
        self._peers: list[Peers] = []

    def issue(self, *names: str) -> tuple[Path, Path]:
        """Certificate and key, always in the same files."""
        leaf = self._authority.issue_cert(*names)
        certificate, key = self._directory / "server.crt", self._directory / "server.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(key))
        return certificate, key

    async def listen(self, kind: type[Peer], tls: ServerTls | None = None) -> tuple[int, Peers]:
        """A listener at a port of the system's choice."""
        peers = Peers(kind)
        factory: IProtocolFactory = peers
        if tls is not None:
            factory = TLSMemoryBIOFactory(tls, False, peers, self.reactor)
        port = await TCP4ServerEndpoint(self.reactor, 0, interface="127.0.0.1").listen(factory)
        self._ports.append(port)
        self._peers.append(peers)
        return cast(IPv4Address, port.getHost()).port, peers

    def endpoint(
        self, port: int, name: str = NAME, timeout_s: float = 10, trust: bool = True
    ) -> TlsEndpoint:
        """A TLS connection to a port on loopback."""
        inner = HostnameEndpoint(self.reactor, "127.0.0.1", port)
        tls = ClientTls(self.ca_file if trust else None)
        return TlsEndpoint(self.reactor, inner, tls, name, timeout_s)

    async def connect(self, endpoint: IStreamClientEndpoint) -> Peer:
        """A connected peer of ours."""
        peers = Peers(Peer)
        self._peers.append(peers)
        peer = await endpoint.connect(peers)
        assert isinstance(peer, Peer)
        return peer

    async def stop_listening(self) -> None:
        """Close the ports opened so far."""
        while self._ports:
            await maybeDeferred(self._ports.pop().stopListening)

    async def end(self) -> None:
        """Leave nothing open."""
        await self.stop_listening()
        for peer in [peer for peers in self._peers for peer in peers.made]:
            if not peer.lost.called:
                peer.tcp().abortConnection()
                await peer.lost


@pytest_twisted.async_yield_fixture
async def network(tmp_path: Path, tls_authority: trustme.CA) -> AsyncIterator[Network]:
    from twisted.internet import reactor

    made = Network(cast(IReactorTime, reactor), tmp_path, tls_authority)
    yield made
    await made.end()


@pytest_twisted.ensureDeferred
async def test_echo(network: Network) -> None:
    """Bytes go both ways through a verified session, also more than fit a TLS record."""
    port, servers = await network.listen(Echo, ServerTls(*network.issue(NAME)))
    peer = await network.connect(network.endpoint(port))
    payload = bytes(range(256)) * 1024
    peer.tcp().write(payload)
    assert await peer.has(len(payload)) == payload
    peer.tcp().loseConnection()
    assert isinstance(await servers.made[0].lost, ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_expected_name(network: Network) -> None:
    """The certificate must be for the expected name, which may be an address."""
    port, _ = await network.listen(Echo, ServerTls(*network.issue("127.0.0.1")))
    endpoint = network.endpoint(port, "127.0.0.1")
    verifyObject(IStreamClientEndpoint, endpoint)
    peer = await network.connect(endpoint)
    peer.tcp().write(b"hello")
    assert await peer.has(5) == b"hello"
    with pytest.raises(TlsFailed, match=r"not for relay\.example but for 127\.0\.0\.1"):
        await network.connect(network.endpoint(port, NAME))


@pytest_twisted.ensureDeferred
async def test_both_sides_know_why_a_certificate_was_refused(network: Network) -> None:
    """The client says unknown issuer; the server learns that its certificate was refused."""
    port, servers = await network.listen(Echo, ServerTls(*network.issue(NAME)))
    with pytest.raises(TlsFailed, match="unknown issuer"):
        await network.connect(network.endpoint(port, trust=False))
    reason = await servers.made[0].lost
    assert reason is not None
    assert "refused our certificate" in explain_tls_failure(reason, "127.0.0.1").text


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (AnswersInPlainHttp, "does not speak TLS on this port"),
        (HangsUpInHello, "closed the connection during the TLS handshake"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_peers_without_tls(network: Network, kind: type[Peer], said: str) -> None:
    """A port without TLS is named as such."""
    port, _ = await network.listen(kind)
    with pytest.raises(TlsFailed, match=said) as caught:
        await network.connect(network.endpoint(port))
    assert "ws://" in caught.value.remedy


@pytest_twisted.ensureDeferred
async def test_silent_peer(network: Network) -> None:
    """A peer that accepts and says nothing is given up, and the connection ended."""
    port, servers = await network.listen(Peer)
    with pytest.raises(TlsFailed, match=r"did not finish the TLS handshake within 0\.05 s"):
        await network.connect(network.endpoint(port, timeout_s=0.05))
    await servers.made[0].lost


@pytest_twisted.ensureDeferred
async def test_silent_peer_accepts(network: Network) -> None:
    """That the connection below stands is told at once, so that the silence can be reported."""
    port, _ = await network.listen(Peer)
    told: list[str] = []
    inner = HostnameEndpoint(network.reactor, "127.0.0.1", port)
    endpoint = TlsEndpoint(
        network.reactor, inner, ClientTls(network.ca_file), NAME, 0.05, lambda: told.append("up")
    )
    with pytest.raises(TlsFailed):
        await network.connect(endpoint)
    assert told == ["up"]


@pytest_twisted.ensureDeferred
async def test_reload_leaves_live_connections_alone(network: Network) -> None:
    """A new certificate is served to new connections while an old one goes on."""
    tls = ServerTls(*network.issue("old.example"))
    port, _ = await network.listen(Echo, tls)
    old = await network.connect(network.endpoint(port, "old.example"))
    tls.reload(*network.issue("new.example"))
    await network.connect(network.endpoint(port, "new.example"))
    with pytest.raises(TlsFailed, match=r"but for new\.example"):
        await network.connect(network.endpoint(port, "old.example"))
    old.tcp().write(b"still here")
    assert await old.has(10) == b"still here"


class ConnectProxy(Peer):
    """An HTTP proxy that sends its answer and the target's first bytes in one piece."""

    def __init__(self) -> None:
        super().__init__()
        self._upstream: Peer | None = None

    def dataReceived(self, data: bytes) -> None:
        if self._upstream is not None:
            self._upstream.tcp().write(data)
            return
        self.received += data
        if b"\r\n\r\n" in self.received:
            port = int(self.received.split()[1].rpartition(b":")[2])
            Deferred.fromCoroutine(self._open(port)).addErrback(self._refuse)

    async def _open(self, port: int) -> None:
        from twisted.internet import reactor

        downstream = self

        class Upstream(Peer):
            def dataReceived(self, data: bytes) -> None:
                downstream.tcp().write(data)

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                super().connectionLost(reason)
                downstream.tcp().loseConnection()

        endpoint = HostnameEndpoint(reactor, "127.0.0.1", port)
        self._upstream = cast(Peer, await endpoint.connect(Factory.forProtocol(Upstream)))
        self.tcp().write(b"HTTP/1.1 200 OK\r\n\r\n")

    def _refuse(self, _reason: Failure) -> None:
        self.tcp().write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        if self._upstream is not None:
            self._upstream.tcp().loseConnection()


@pytest_twisted.ensureDeferred
async def test_through_a_proxy(network: Network) -> None:
    """TLS runs through the proxy and verifies the router, which the proxy alone resolves."""
    port, servers = await network.listen(Echo, ServerTls(*network.issue(NAME)))
    proxy_port, proxies = await network.listen(ConnectProxy)
    inner = ProxyEndpoint(network.reactor, f"http://127.0.0.1:{proxy_port}", NAME, port)
    endpoint = TlsEndpoint(network.reactor, inner, ClientTls(network.ca_file), NAME)
    peer = await network.connect(endpoint)
    peer.tcp().write(b"hello")
    assert await peer.has(5) == b"hello"
    assert proxies.made[0].received.startswith(f"CONNECT {NAME}:{port} ".encode())
    peer.tcp().loseConnection()
    await servers.made[0].lost


@pytest_twisted.ensureDeferred
async def test_proxy_failures_keep_their_words_below_tls(network: Network) -> None:
    """A proxy that refuses, or is not there, is blamed rather than TLS."""
    port, _ = await network.listen(Peer)
    await network.stop_listening()
    proxy_port, _ = await network.listen(ConnectProxy)
    for address, said in (
        (f"http://127.0.0.1:{proxy_port}", "502 Bad Gateway"),
        (f"http://127.0.0.1:{port}", "cannot reach proxy"),
    ):
        inner = ProxyEndpoint(network.reactor, address, NAME, port)
        endpoint = TlsEndpoint(network.reactor, inner, ClientTls(network.ca_file), NAME)
        with pytest.raises(CannotConnect, match=said):
            await network.connect(endpoint)
