"""The PROXY protocol (haproxy, versions 1 and 2), from listed proxies only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall, IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import alsoProvides, directlyProvides, providedBy

from relay.errors import ProtocolError
from relay.proxies import TrustedProxies
from relay.vocabulary import Reason
from relay.wire.proxy_header import parse_proxy_header


class ProxyProtocol(ProtocolWrapper):
    """Waits for the header, then lets the protocol behind it begin, with the peer it names."""

    log = Logger()
    factory: Any  # ProxyProtocolFactory; Twisted's generic wrappers cannot say so
    transport: Any  # TCP or whatever else an endpoint listens on

    def __init__(self, factory: ProxyProtocolFactory, wrapped: object) -> None:
        super().__init__(factory, wrapped)  # type: ignore[arg-type]  # see above
        self._unread = b""
        self._begun = self._over = False
        self._source: IAddress | None = None
        self._timer: IDelayedCall | None = None

    @override
    def makeConnection(self, transport: Any) -> None:
        """Connected: nobody is told before it is known who it is."""
        directlyProvides(self, providedBy(transport))
        self.transport = transport
        self.connected = 1
        self.factory.registerProtocol(self)
        header_s = self.factory.header_s()
        if header_s:
            self._timer = self.factory.clock.callLater(header_s, self._late, header_s)

    @override
    def dataReceived(self, data: bytes) -> None:
        """The header, or what follows it."""
        if self._begun:
            self.wrappedProtocol.dataReceived(data)
            return
        self._unread += data
        try:
            header = parse_proxy_header(self._unread)
        except ProtocolError as error:
            self._refuse(error.text)
            return
        if header is None:
            return
        self._stop_timer()
        if header.source is not None:
            host, port = header.source
            kind = IPv6Address if ":" in host else IPv4Address
            self._source = kind("TCP", host, port)
        rest, self._unread = self._unread[header.length :], b""
        self._begun = True
        if IHalfCloseableProtocol.providedBy(self.wrappedProtocol):
            alsoProvides(self, IHalfCloseableProtocol)
        self.wrappedProtocol.makeConnection(self)  # type: ignore[arg-type]  # a transport, too
        # one that was lost meanwhile gets nothing; one that has left Twisted gets it by itself
        if rest and not self._over:
            self.wrappedProtocol.dataReceived(rest)

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self._over = True
        self._stop_timer()
        self.connected = 0
        if self._begun:
            super().connectionLost(reason)
        else:
            self.factory.unregisterProtocol(self)

    def readConnectionLost(self) -> None:
        """The peer sends no more; only a protocol that can be told of that comes here."""
        cast(IHalfCloseableProtocol, self.wrappedProtocol).readConnectionLost()

    def writeConnectionLost(self) -> None:
        """Our own half-close is out; likewise."""
        cast(IHalfCloseableProtocol, self.wrappedProtocol).writeConnectionLost()

    @override
    def getPeer(self) -> IAddress:
        """:returns: whom the proxy speaks for, else the proxy"""
        peer: IAddress = self._source or self.transport.getPeer()
        return peer

    def _late(self, header_s: float) -> None:
        self._timer = None
        self._refuse(f"no PROXY header came within {header_s:g} s")

    def _refuse(self, why: str) -> None:
        self._stop_timer()
        self.log.info(
            "refused {peer}: {reason}: {text}",
            event="refused",
            peer=getattr(self.transport.getPeer(), "host", "local"),
            reason=Reason.PROTOCOL_ERROR.value,
            text=why,
        )
        # nobody is behind the header, who could be answered
        self.transport.abortConnection()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class ProxyProtocolFactory(WrappingFactory):
    """Reads the PROXY header in front of another protocol.

    :param factory: of the protocol behind the header
    :param proxies: who may send one; everybody else is turned away
    :param header_s: how long the header may take, 0 = for ever; asked anew for each connection
    """

    log = Logger()
    noisy = False
    protocol = ProxyProtocol

    def __init__(
        self,
        factory: Factory,
        proxies: TrustedProxies,
        clock: IReactorTime,
        header_s: Callable[[], float],
    ) -> None:
        super().__init__(factory)
        self.clock = clock
        self.header_s = header_s
        self._proxies = proxies

    @override
    def buildProtocol(self, addr: IAddress | None) -> Any:  # None turns a connection away
        """A connection was accepted."""
        host = getattr(addr, "host", None)
        if host is not None and not self._proxies.is_trusted(host):
            self.log.info(
                "refused {peer}: {reason}: the PROXY protocol is spoken here, and trusted-proxies "
                "lacks it",
                event="refused",
                peer=host,
                reason=Reason.PROTOCOL_ERROR.value,
            )
            return None
        return super().buildProtocol(addr)
