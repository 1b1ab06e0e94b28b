"""Dials a router: name, proxy, TCP, TLS, handshake; and says in one sentence what went wrong."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlsplit

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from relay.errors import (
    Misconfigured,
    NotARouter,
    Refused,
    RelayError,
)
from relay.links.origin import Ways, explain, explain_lost, origin_of
from relay.links.responses import REASON_HEADER
from relay.links.websocket import (
    ClientEngine,
    ClientLink,
    ClientLinkFactory,
    reason_of_word,
)
from relay.settings.model import TunnelSettings
from relay.vocabulary import Reason

SILENT_S = 5.0
"""A port that accepts and says nothing is reported after so long ..."""

HANDSHAKE_TIMEOUT_S = 10.0
"""... and given up after so long."""

TEXT_LENGTH = 200
REMEMBERED_SERVERS = 16

REASONS_BY_STATUS = {
    401: Reason.TOKEN_INVALID,
    403: Reason.WRONG_SCOPE,
    404: Reason.NO_SUCH_OFFER,
    413: Reason.TOO_LARGE,
    429: Reason.LIMIT,
    431: Reason.TOO_LARGE,
    502: Reason.HOST_ABSENT,
    503: Reason.HOST_ABSENT,
    504: Reason.HOST_SILENT,
}
TOKEN_REASONS = (
    Reason.TOKEN_MISSING,
    Reason.TOKEN_INVALID,
    Reason.TOKEN_EXPIRED,
    Reason.WRONG_ROLE,
)
REMEDIES = {
    Reason.HOST_ABSENT: "start the host, or look at its log",
    Reason.NO_SUCH_OFFER: "name one of the host's services",
    Reason.HOST_SILENT: "look at the host's log",
    Reason.REVOKED: "ask the router's operator",
}
PROXY_STATUSES = (401, 403, 429, 502, 503, 504)
"""What a proxy in front of a router may answer by itself."""


class Dialer:
    """Opens WebSockets to one server.

    :param settings: of the tunnel
    :param ways: the tunnel's; None: the dialer has its own
    :param address: URL of the server, and of what all paths are below; empty: the tunnel's router
    :raises Misconfigured: when the tunnel has no router, and none is named
    """

    def __init__(
        self,
        settings: TunnelSettings,
        reactor: IReactorTime,
        ways: Ways | None = None,
        address: str = "",
    ) -> None:
        self._reactor = reactor
        self.address = address or settings.router
        if not self.address:
            raise Misconfigured("this tunnel has no router", "name it")
        url = urlsplit(self.address)
        self._origin = origin_of(self.address)
        self._prefix = url.path.rstrip("/")
        self._query = url.query
        self._ways = ways or Ways(settings, reactor)
        mint = f'mint one with "relay token {settings.dialect} {settings.role.value}"'
        self._remedies = dict.fromkeys(TOKEN_REASONS, mint) | REMEDIES
        self._engine = ClientEngine(reactor)

    async def open(
        self, path: str, headers: Mapping[str, str], silent: Deferred[None] | None = None
    ) -> tuple[ClientLink, Mapping[str, str]]:
        """Open a WebSocket.

        :param path: below the router's own path, with a query perhaps
        :param silent: fired when the port accepts but says nothing for :data:`SILENT_S`
        :returns: the open link and the 101's headers, names in lower case
        :raises Refused: for any other answer
        :raises CannotConnect, TlsFailed: when there is nobody to talk to
        """
        origin = self._origin
        scheme = "wss" if origin.secure else "ws"
        query = self._query and ("&" if "?" in path else "?") + self._query
        url = f"{scheme}://{origin.where}{self._prefix}{path}{query}"
        factory = ClientLinkFactory(url, headers, self._engine)
        answer: Deferred[tuple[ClientLink, Mapping[str, str]]] = Deferred()
        factory.prepare = _Answer(answer, self._reactor, self._remedies).prepare
        report: IDelayedCall | None = None

        def accepted() -> None:
            nonlocal report
            if silent is not None and report is None:
                report = self._reactor.callLater(SILENT_S, _fire, silent)

        try:
            endpoint = self._ways.endpoint(origin, accepted)
            link = cast(ClientLink, await endpoint.connect(factory))
        except CancelledError:
            _cancel(report)
            raise
        except Exception as error:
            _cancel(report)
            raise explain(origin, error) from error
        accepted()
        give_up = self._reactor.callLater(HANDSHAKE_TIMEOUT_S, answer.cancel)
        try:
            return await answer
        except CancelledError:
            link.abort()
            raise NotARouter(
                f"it accepts connections and was silent for {HANDSHAKE_TIMEOUT_S:g} s",
                "is this the port of a relay router? it may also be hung, or speak TLS only (wss://)",
            ) from None
        except _Unanswered as unanswered:
            raise explain_lost(unanswered.reason) from None
        finally:
            _cancel(report)
            _cancel(give_up)


class Dialers:
    """The dialers of one tunnel: that of its router, and of other servers that it is sent to.

    The last few are remembered.
    """

    def __init__(self, settings: TunnelSettings, reactor: IReactorTime, ways: Ways) -> None:
        self._settings = settings
        self._reactor = reactor
        self._ways = ways
        self._known: OrderedDict[str, Dialer] = OrderedDict()

    def of(self, server: str) -> Dialer:
        """:param server: its URL, without a path; empty: the tunnel's router

        :raises Misconfigured: when the tunnel has no router
        """
        dialer = self._known.pop(server, None)
        if dialer is None:
            dialer = Dialer(self._settings, self._reactor, self._ways, server)
        self._known[server] = dialer
        if len(self._known) > REMEMBERED_SERVERS:
            self._known.popitem(last=False)
        return dialer


class _Unanswered(Exception):
    """The connection ended before there was an answer."""

    def __init__(self, reason: Failure) -> None:
        super().__init__(reason.getErrorMessage())
        self.reason = reason


class _Answer:
    """Turns a link's callbacks into one Deferred."""

    def __init__(
        self,
        answer: Deferred[tuple[ClientLink, Mapping[str, str]]],
        clock: IReactorTime,
        remedies: Mapping[Reason, str],
    ) -> None:
        self._answer = answer
        self._clock = clock
        self._remedies = remedies

    def prepare(self, link: ClientLink) -> None:
        link.clock = self._clock
        link.answered = self._answered
        link.refused = self._refused
        link.unanswered = self._unanswered

    def _answered(self, link: ClientLink, headers: Mapping[str, str]) -> None:
        if not self._answer.called:
            self._answer.callback((link, headers))

    def _refused(self, status: int, headers: Mapping[str, str], text: str) -> None:
        if not self._answer.called:
            self._answer.errback(refusal(status, headers, text, self._remedies))

    def _unanswered(self, reason: Failure) -> None:
        if not self._answer.called:
            self._answer.errback(_Unanswered(reason))


def _cancel(timer: IDelayedCall | None) -> None:
    if timer is not None and timer.active():
        timer.cancel()


def _fire(deferred: Deferred[None]) -> None:
    if not deferred.called:
        deferred.callback(None)


def refusal(
    status: int, headers: Mapping[str, str], text: str, remedies: Mapping[Reason, str]
) -> RelayError:
    """:returns: what an answer other than 101 means.

    :param status: 0 for what was not HTTP/1.1
    :param remedies: what to try, by reason
    """
    if status == 0 and text[:1] in ("\x15", "\x16"):
        return NotARouter("TLS is spoken there", "use wss:// or https:// in the router's URL")
    text = "".join(c if c.isprintable() else " " for c in text[:TEXT_LENGTH]).strip()
    if status == 0 and "Sec-WebSocket-Accept" in text:
        # the text has this attempt's key in it, and would be news each time
        return NotARouter(
            "it answers the WebSocket handshake with a wrong key",
            "is there a proxy or another server in between?",
        )
    if status == 0:
        return NotARouter(
            f"something else answers there: {text!r}", "is this the port of a relay router?"
        )
    reason = reason_of_word(headers.get(REASON_HEADER.lower(), "").strip())
    if reason is None:
        if status < 400 or ("server" in headers and status not in PROXY_STATUSES):
            return NotARouter(
                f"an HTTP server that is no relay router answers there (status {status})",
                "is the address of the router right?",
            )
        reason = REASONS_BY_STATUS.get(status, Reason.PROTOCOL_ERROR)
        text = text if "<" not in text else ""
    text = text or f"status {status}"
    return Refused(status, text, reason, remedies.get(reason, ""), retry_after_s(headers))


def retry_after_s(headers: Mapping[str, str]) -> int | None:
    """:returns: the seconds of a ``Retry-After``; dates, which no router sends, are ignored."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return int(value[:9])
    return None
