"""A client endpoint that goes through an upstream proxy."""

from __future__ import annotations

from typing import cast

from twisted.internet import error as net_error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import implementer

from relay.addresses import with_port
from relay.errors import CannotConnect, ConfigurationError
from relay.links.proxy.negotiation import HOST, Proxy

PROXY_TIMEOUT_S = 10


@implementer(IStreamClientEndpoint)
class ProxyEndpoint:
    """Connects to ``host`` through a proxy; what lies above it, TLS say, notices nothing.

    :param proxy_url: as :class:`Proxy` takes it
    :param host: name or IP address, without brackets
    :param timeout_s: for connection and answer together
    :raises ConfigurationError: when the URL or the host is none
    """

    def __init__(
        self,
        reactor: IReactorTime,
        proxy_url: str,
        host: str,
        port: int,
        timeout_s: float = PROXY_TIMEOUT_S,
    ) -> None:
        if not HOST.fullmatch(host):
            raise ConfigurationError([f"{host!r} is no host name that a proxy would understand"])
        self._reactor = reactor
        self._proxy = Proxy(proxy_url)
        self._host = host
        self._port = port
        self._timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"ProxyEndpoint({self._proxy}, {with_port(self._host, self._port)})"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """:raises CannotConnect: when the proxy is not there, refuses or does not answer."""
        connecting = Deferred.fromCoroutine(self._connect(protocolFactory))
        return connecting.addTimeout(self._timeout_s, self._reactor, self._timed_out)

    async def _connect(self, protocol_factory: IProtocolFactory) -> IProtocol:
        attempt = _Attempt(self._proxy, self._host, self._port, protocol_factory)
        endpoint = HostnameEndpoint(self._reactor, self._proxy.host, self._proxy.port)
        try:
            await endpoint.connect(attempt)
        except CancelledError:
            raise
        except Exception as error:
            raise CannotConnect(
                f"cannot reach proxy {self._proxy}: {_plain(error)}", "check proxy, or leave it out"
            ) from error
        return await attempt.done

    def _timed_out(self, _result: object, timeout_s: float) -> IProtocol:
        raise CannotConnect(
            f"proxy {self._proxy} did not connect within {timeout_s:g} s",
            "check the proxy's host and port",
        )


class _Attempt(Factory):
    """One connection on its way through the proxy."""

    noisy = False

    def __init__(
        self, proxy: Proxy, host: str, port: int, protocol_factory: IProtocolFactory
    ) -> None:
        self.proxy = proxy
        self.negotiation = proxy.negotiation(host, port)
        self.protocol_factory = protocol_factory
        self.done: Deferred[IProtocol] = Deferred(self._cancelled)
        self._talk: _Talk | None = None

    @override
    def doStart(self) -> None:
        self.protocol_factory.doStart()

    @override
    def doStop(self) -> None:
        self.protocol_factory.doStop()

    @override
    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        self._talk = _Talk(self, addr)
        return self._talk

    def _cancelled(self, _done: Deferred[IProtocol]) -> None:
        if self._talk is not None:
            self._talk.abort()


@implementer(IHalfCloseableProtocol)
class _Talk(Protocol):
    """Talks to the proxy, then hands everything to the real protocol."""

    def __init__(self, attempt: _Attempt, address: IAddress | None) -> None:
        self._attempt = attempt
        self._address = address
        self._real: IProtocol | None = None

    @override
    def connectionMade(self) -> None:
        self._tcp().write(self._attempt.negotiation.begin())

    @override
    def dataReceived(self, data: bytes) -> None:
        negotiation = self._attempt.negotiation
        try:
            answer = negotiation.receive(data)
        except CannotConnect:
            self._fail(Failure())
            return
        if answer:
            self._tcp().write(answer)
        if negotiation.rest is not None:
            self._hand_over(negotiation.rest)

    def _hand_over(self, rest: bytes) -> None:
        try:
            real = self._attempt.protocol_factory.buildProtocol(cast(IAddress, self._address))
            if real is None:
                raise NoProtocol
            real.makeConnection(self._tcp())
        except Exception:
            self._fail(Failure())
            return
        self._real = real
        # from now on without a step in between
        self.dataReceived = real.dataReceived  # type: ignore[method-assign]
        if not self._attempt.done.called:
            self._attempt.done.callback(real)
        if rest:
            real.dataReceived(rest)

    def _fail(self, reason: Failure) -> None:
        if not self._attempt.done.called:
            self._attempt.done.errback(reason)
        self.abort()

    def abort(self) -> None:
        """End the connection at once."""
        self._tcp().abortConnection()

    def readConnectionLost(self) -> None:
        if self._real is None:
            self._closed_early()
            self.abort()
        elif IHalfCloseableProtocol.providedBy(self._real):
            self._real.readConnectionLost()
        else:
            self._tcp().loseConnection()

    def writeConnectionLost(self) -> None:
        if IHalfCloseableProtocol.providedBy(self._real):
            cast(IHalfCloseableProtocol, self._real).writeConnectionLost()

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._real is None:
            self._closed_early()
        else:
            self._real.connectionLost(reason)

    def _closed_early(self) -> None:
        if not self._attempt.done.called:
            proxy = self._attempt.proxy
            self._attempt.done.errback(
                CannotConnect(
                    f"proxy {proxy} closed the connection without an answer",
                    "check its port, and whether it may be used from this machine",
                )
            )

    def _tcp(self) -> ITCPTransport:
        return cast(ITCPTransport, self.transport)


def _plain(error: Exception) -> str:
    """:returns: the error in words of ours."""
    if isinstance(error, net_error.ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, net_error.DNSLookupError):
        return "its name is not known"
    if isinstance(error, net_error.TimeoutError):
        return "it does not answer"
    return str(error).rstrip(".")
