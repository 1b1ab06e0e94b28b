"""Where a URL leads, the way there, and in one sentence why there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from twisted.internet import error as net_error
from twisted.internet.abstract import isIPAddress
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.python.failure import Failure

from relay.addresses import with_port
from relay.errors import (
    CannotConnect,
    ConfigurationError,
    Misconfigured,
    NotARouter,
    RelayError,
)
from relay.links.proxy import ProxyEndpoint
from relay.links.secure import SecureFactory
from relay.outside import USUAL_WAY, Way
from relay.settings.faults import Wrong
from relay.settings.model import TunnelSettings
from relay.settings.urls import check_url
from relay.tls import ClientTls, TlsEndpoint

CONNECT_TIMEOUT_S = 10.0
ATTEMPT_DELAY_S = 0.1
"""Between the addresses of one name (RFC 8305, section 5: no less). Twisted notices only at the end
of it that the last one refused (seen), so its own 0.3 s would add to each wait for a router."""

WEB_SCHEMES = ("http", "https")
SOCKET_SCHEMES = ("ws", "wss")
DEFAULT_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}
URL_BYTES = 8192
"""Of a URL that somebody else names; far below what servers take of a head."""

SHOWN_CHARACTERS = 80
ROOTS_REMEMBERED = 8
"""Sets of trust roots that are kept ready; a tunnel has one or two."""

_LEFT_AS_IT_IS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


class Origin(NamedTuple):
    """A server: what of its URL stands before the path.

    :ivar host: name or address, without brackets
    """

    secure: bool
    host: str
    port: int

    @property
    def where(self) -> str:
        """:returns: host and port, as a URL has them"""
        return with_port(self.host, self.port)


class Place(NamedTuple):
    """What a URL names.

    :ivar target: path and query as a request has them, ASCII
    """

    origin: Origin
    target: str


def origin_of(url: str) -> Origin:
    """:param url: checked by settings. :returns: its server"""
    parts = urlsplit(url)
    return Origin(
        parts.scheme in ("wss", "https"),
        parts.hostname or "",
        parts.port or DEFAULT_PORTS[parts.scheme],
    )


def place_of(url: str, schemes: tuple[str, ...]) -> Place:
    """Take apart a URL that nobody has checked.

    :raises Misconfigured: when it is too long or none, has another scheme, or a user
    """
    if len(url) > URL_BYTES:
        raise Misconfigured(f"a URL of {len(url)} bytes is too long")
    try:
        check_url(url, schemes)
    except Wrong as error:
        raise Misconfigured(str(error), "correct that URL") from None
    parts = urlsplit(url)
    path = quote(parts.path or "/", safe=_LEFT_AS_IT_IS)
    query = quote(parts.query, safe=_LEFT_AS_IT_IS)
    return Place(origin_of(url), f"{path}?{query}" if query else path)


def address_at(text: str) -> Origin:
    """Take apart ``HOST:PORT``, an IPv6 address in brackets.

    :raises Misconfigured: when it is nothing of the kind
    """
    if any(character in text for character in "/?#@"):
        raise Misconfigured(f"{text[:SHOWN_CHARACTERS]!r} is no HOST:PORT")
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise Misconfigured(f"{text[:SHOWN_CHARACTERS]!r} is no HOST:PORT")
    return Origin(False, host, port)


def destination(origin: Origin, way: Way) -> Origin:
    """:returns: where TCP leads. :raises Misconfigured: when the way names nothing"""
    return address_at(way.at) if way.at else origin


class Ways:
    """The ways of one tunnel, which share proxy and trust roots.

    The name that a certificate is to have (``tls-name``) is that of the tunnel's router, however it
    is called; where the tunnel has none, of each server that it goes to.
    """

    def __init__(self, settings: TunnelSettings, reactor: IReactorTime) -> None:
        self._settings = settings
        self._reactor = reactor
        # by further trust roots
        self._tls: dict[str, ClientTls] = {}
        self._router_host = urlsplit(settings.router).hostname or ""

    def endpoint(
        self, origin: Origin, accepted: Callable[[], None], way: Way = USUAL_WAY
    ) -> IStreamClientEndpoint:
        """Make what connects to a server.

        :param accepted: called once TCP stands, where TLS follows
        :param way: where that is not as usual
        :raises ConfigurationError, ValueError: when the settings, or the name, cannot work
        :raises Misconfigured: when the way names no address
        """
        there = destination(origin, way)
        endpoint = self.tcp(there)
        if not origin.secure:
            return endpoint
        name = origin.host
        if self._router_host in ("", origin.host, there.host):
            name = self._settings.tls_name or name
        return self.secured(endpoint, name, accepted, way.roots)

    def tcp(self, there: Origin) -> IStreamClientEndpoint:
        """:returns: what makes the connection without TLS"""
        if self._settings.proxy:
            return ProxyEndpoint(
                self._reactor, self._settings.proxy, there.host, there.port, CONNECT_TIMEOUT_S
            )
        if isIPAddress(there.host):
            # the way by a name's addresses asks a thread, and costs three times as much
            return TCP4ClientEndpoint(
                self._reactor, there.host, there.port, timeout=CONNECT_TIMEOUT_S
            )
        return HostnameEndpoint(
            self._reactor,
            there.host,
            there.port,
            timeout=CONNECT_TIMEOUT_S,
            attemptDelay=ATTEMPT_DELAY_S,
        )

    def secured(
        self,
        endpoint: IStreamClientEndpoint,
        name: str,
        accepted: Callable[[], None] = lambda: None,
        roots: str = "",
    ) -> IStreamClientEndpoint:
        """:returns: what adds TLS to a connection, and wants a certificate of that name

        :param roots: further trust roots, PEM
        :raises ConfigurationError: when these, or the tunnel's own, cannot be read
        """
        tls = self._tls.get(roots)
        if tls is None:
            if len(self._tls) >= ROOTS_REMEMBERED:
                self._tls.clear()
            tls = self._tls[roots] = ClientTls(self._settings.ca_file, roots)
        return TlsEndpoint(
            self._reactor, endpoint, tls, name, accepted=accepted, wrap=SecureFactory
        )


def explain(origin: Origin, error: Exception) -> RelayError:
    """:returns: why there is no connection, with what to try"""
    if isinstance(error, RelayError):
        return error
    if isinstance(error, ConfigurationError):
        return Misconfigured("; ".join(error.faults), "correct that")
    if isinstance(error, ValueError):
        return Misconfigured(str(error), "correct that")
    where = origin.where
    if isinstance(error, net_error.DNSLookupError):
        return CannotConnect(
            f"the name {origin.host} is not known", "check the name, and the DNS of this machine"
        )
    if isinstance(error, net_error.ConnectionRefusedError):
        return CannotConnect(
            f"nothing listens at {where}", "is the router running, and is the port right?"
        )
    if isinstance(error, net_error.TimeoutError | net_error.ConnectingCancelledError):
        return CannotConnect(
            f"{where} does not answer", "check the address, and firewalls on the way"
        )
    if isinstance(error, net_error.ConnectError):
        return CannotConnect(f"{where}: {error.args[-1] if error.args else error}")
    return CannotConnect(f"{where}: {error}")


def explain_lost(failure: Failure) -> RelayError:
    """:returns: what it means that a connection ended without an answer"""
    if failure.check(net_error.ConnectionDone, net_error.ConnectionLost):
        return NotARouter(
            "it closed the connection without an answer",
            "is this the port of a relay router? if it speaks TLS only, use wss:// or https://",
        )
    return CannotConnect(failure.getErrorMessage())
