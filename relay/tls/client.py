"""Connections of ours: they always verify the other side's certificate, chain and name.

Names are checked here rather than by ``optionsForClientTLS``, which lets a certificate without any
subjectAltName pass, because its callback logs what service-identity raises and goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from OpenSSL import SSL, crypto
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import (
    IAddress,
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions, TLSVersion, platformTrust
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import implementer

from relay.addresses import is_address
from relay.errors import TlsFailed
from relay.settings.model import Secret
from relay.tls.faults import explain_tls_failure, judge
from relay.tls.files import normal_name, read_certificates

HANDSHAKE_TIMEOUT_S = 10


class ClientTls:
    """What our own connections trust: the system's certificates, and further ones.

    Making one reads the system's whole store (about 5 ms); it serves any number of connections.

    :param ca_file: further roots, PEM; any certificate in it is trusted as an anchor
    :param roots: likewise, as a text; empty: none
    :raises ConfigurationError: when one of them cannot be read or holds no certificate
    """

    def __init__(self, ca_file: Path | None = None, roots: str = "") -> None:
        options = CertificateOptions(trustRoot=platformTrust(), raiseMinimumTo=TLSVersion.TLSv1_2)
        self._context = options.getContext()
        further = [] if ca_file is None else read_certificates(ca_file, "ca-file")
        if roots:
            further += read_certificates(Secret(roots, "that came along"), "roots")
        if further:
            store = self._context.get_cert_store()
            assert store is not None
            store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
            for certificate in further:
                store.add_cert(crypto.X509.from_cryptography(certificate))

    def connection(self, name: str, failed: Callable[[TlsFailed], None]) -> SSL.Connection:
        """A connection that completes its handshake only with a certificate good for ``name``.

        :param name: DNS name or IP address, as :func:`normal_name` gives it
        :param failed: told once, before the handshake fails, what is wrong with the certificate
        """
        connection = SSL.Connection(self._context, None)
        if not is_address(name):
            connection.set_tlsext_host_name(name.encode("ascii"))

        def verify(
            _connection: SSL.Connection, certificate: crypto.X509, code: int, depth: int, ok: int
        ) -> bool:
            try:
                error = judge(name, certificate, code, depth, bool(ok))
            except Exception as cause:
                # whatever is odd about it, a certificate that cannot be judged is not good; and an
                # exception must not get lost inside OpenSSL
                error = TlsFailed(f"cannot make sense of the certificate of {name}: {cause}")
            if error is not None:
                failed(error)
            return error is None

        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verify)
        return connection


@implementer(IStreamClientEndpoint)
class TlsEndpoint:
    """Connects through another endpoint, then TLS; there once the certificate is verified.

    :param inner: makes the connection below, for instance through a proxy
    :param name: whom the certificate must name
    :param timeout_s: how long the handshake may take
    :param accepted: called when the connection below stands
    :param wrap: puts TLS below a factory's protocols
    """

    def __init__(
        self,
        reactor: IReactorTime,
        inner: IStreamClientEndpoint,
        tls: ClientTls,
        name: str,
        timeout_s: float = HANDSHAKE_TIMEOUT_S,
        accepted: Callable[[], None] = lambda: None,
        wrap: type[TLSMemoryBIOFactory] = TLSMemoryBIOFactory,
    ) -> None:
        self._wrap = wrap
        self._accepted = accepted
        self._reactor = reactor
        self._inner = inner
        self._tls = tls
        self._name = normal_name(name)
        self._timeout_s = timeout_s

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """:raises TlsFailed: and whatever the inner endpoint raises."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, protocol_factory: IProtocolFactory) -> IProtocol:
        attempt = _Attempt(self._tls, self._name, protocol_factory)
        await self._inner.connect(
            self._wrap(attempt, True, _AttemptFactory(attempt), self._reactor)
        )
        self._accepted()
        attempt.done.addTimeout(self._timeout_s, self._reactor, self._timed_out)
        return await attempt.done

    def _timed_out(self, _result: object, timeout_s: float) -> Failure:
        return Failure(
            TlsFailed(
                f"{self._name} did not finish the TLS handshake within {timeout_s:g} s",
                "check host and port; use ws:// or http:// if the router has no TLS",
            )
        )


@implementer(IOpenSSLClientConnectionCreator)
class _Attempt:
    """One connection on its way from TCP to a verified TLS session."""

    def __init__(self, tls: ClientTls, name: str, protocol_factory: IProtocolFactory) -> None:
        self._tls = tls
        self._name = name
        self._verdict: TlsFailed | None = None
        self._transport: TLSMemoryBIOProtocol | None = None
        self.protocol_factory = protocol_factory
        self.done: Deferred[IProtocol] = Deferred(self._cancelled)

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        self._transport = tlsProtocol
        return self._tls.connection(self._name, self._judged)

    def _judged(self, verdict: TlsFailed) -> None:
        self._verdict = self._verdict or verdict

    def _cancelled(self, done: Deferred[IProtocol]) -> None:
        done.errback(Failure(CancelledError()))
        if self._transport is not None:
            self._transport.abortConnection()

    def succeeded(self, protocol: IProtocol) -> None:
        if not self.done.called:
            self.done.callback(protocol)

    def broken(self, cause: Failure) -> None:
        if not self.done.called:
            self.done.errback(cause)

    def failed(self, reason: Failure) -> None:
        if not self.done.called:
            error = self._verdict or explain_tls_failure(reason, self._name)
            self.done.errback(Failure(error))


class _AttemptFactory(Factory):
    """Builds the protocol that waits for the handshake in the real one's place."""

    noisy = False

    def __init__(self, attempt: _Attempt) -> None:
        self._attempt = attempt

    @override
    def doStart(self) -> None:
        self._attempt.protocol_factory.doStart()

    @override
    def doStop(self) -> None:
        self._attempt.protocol_factory.doStop()

    @override
    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return _HandshakeProtocol(self._attempt, addr)


@implementer(IHandshakeListener)
class _HandshakeProtocol(Protocol):
    """Steps aside for the real protocol once the handshake is complete."""

    def __init__(self, attempt: _Attempt, address: IAddress | None) -> None:
        self._attempt = attempt
        self._address = address

    def handshakeCompleted(self) -> None:
        transport = cast(TLSMemoryBIOProtocol, self.transport)
        try:
            protocol = self._attempt.protocol_factory.buildProtocol(cast(IAddress, self._address))
            if protocol is None:
                raise NoProtocol
            transport.wrappedProtocol = protocol
            protocol.makeConnection(transport)
        except Exception:
            self._attempt.broken(Failure())
            transport.abortConnection()
        else:
            self._attempt.succeeded(protocol)

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._attempt.failed(reason)
