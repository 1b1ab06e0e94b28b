"""From an address to a raw link of one tunnel, with or without TLS."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IProtocolFactory, IReactorTime
from typing_extensions import override

from relay.links.cutthrough import Hub
from relay.links.origin import Ways, address_at, explain
from relay.links.raw_link import RawFactory, RawLink, ServedRawLink
from relay.links.secure import LateFactory, LateTransport
from relay.outside import ExpectsTls, ServesTls
from relay.tls import ServerTls

CERTIFICATES_REMEMBERED = 8
"""Certificates that are kept ready; a tunnel has one or none."""


class RawDialer:
    """Makes the raw links of one tunnel.

    :param ways: the tunnel's
    :param hub: of the cut-through gear; None: do without
    """

    def __init__(self, ways: Ways, reactor: IReactorTime, hub: Hub | None) -> None:
        self._ways = ways
        self._reactor = reactor
        self._hub = hub
        # with the times at which both files were written last
        self._served: dict[ServesTls, tuple[tuple[int, ...], ServerTls]] = {}

    async def open(self, address: str, tls: ServesTls | ExpectsTls | None) -> RawLink:
        """Connect; where it is we who serve TLS, its handshake is still to come.

        :param address: ``HOST:PORT``, an IPv6 address in brackets
        :raises CannotConnect, TlsFailed: when there is nobody to talk to
        """
        made: list[RawLink] = []
        factory: IProtocolFactory = RawFactory(
            self._reactor, self._hub, made.append, isinstance(tls, ServesTls)
        )
        origin = address_at(address)
        try:
            endpoint = self._ways.tcp(origin)
            if isinstance(tls, ExpectsTls):
                endpoint = self._ways.secured(endpoint, tls.name)
            elif tls is not None:
                factory = _ServedFactory(self._certificate(tls), False, factory, self._reactor)
            await endpoint.connect(factory)
        except CancelledError:
            for link in made:
                link.abort()
            raise
        except Exception as error:
            raise explain(origin, error) from error
        return made[0]

    def _certificate(self, tls: ServesTls) -> ServerTls:
        """:returns: what serves it, as the files are now. :raises ConfigurationError:"""
        written = tuple(
            file.stat().st_mtime_ns if file.exists() else 0 for file in (tls.certificate, tls.key)
        )
        known = self._served.get(tls)
        if known is not None and known[0] == written:
            return known[1]
        if len(self._served) >= CERTIFICATES_REMEMBERED:
            self._served.clear()
        served = ServerTls(tls.certificate, tls.key)
        self._served[tls] = written, served
        return served


class _ServedTransport(LateTransport):
    """TLS that we serve on a raw link, which hears of the handshake's first octet."""

    @override
    def dataReceived(self, data: bytes) -> None:
        """Bytes came."""
        link = self.wrappedProtocol
        if isinstance(link, ServedRawLink):
            link.handshake_begins()
        super().dataReceived(data)


class _ServedFactory(LateFactory):
    """Makes them."""

    protocol = _ServedTransport
