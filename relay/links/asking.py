"""One question to an HTTP server, and its answer: a connection each, closed behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast
from urllib.parse import urljoin, urlsplit

import h11
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from typing_extensions import override

from relay.errors import CannotConnect, Misconfigured, NotARouter, RelayError
from relay.links.dialer import SILENT_S, refusal
from relay.links.origin import (
    WEB_SCHEMES,
    Origin,
    Place,
    Ways,
    destination,
    explain,
    explain_lost,
    place_of,
)
from relay.links.sockets import tune
from relay.outside import USUAL_WAY, HttpAnswer, Way

ANSWER_TIMEOUT_S = 10.0
"""For all of it, redirections included."""

HEAD_BYTES = 32 * 1024
REDIRECTIONS = 5
REDIRECTING = (301, 302, 303, 307, 308)
KEEPS_METHOD = (307, 308)
HAS_LENGTH = ("POST", "PUT", "PATCH")
"""Methods whose request says that it has no body."""

PLAIN_PORTS = {False: 80, True: 443}
TLS_ALERT = b"\x15"
SHOWN_BYTES = 80


class Asker:
    """Asks HTTP servers for one tunnel.

    :param ways: the tunnel's
    :param silent: told who accepted a connection and said nothing for :data:`SILENT_S`
    """

    def __init__(
        self, ways: Ways, reactor: IReactorTime, silent: Callable[[str], None] = lambda _: None
    ) -> None:
        self._ways = ways
        self._reactor = reactor
        self._silent = silent

    async def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        limit_bytes: int,
        way: Way = USUAL_WAY,
    ) -> HttpAnswer:
        """Ask, within :data:`ANSWER_TIMEOUT_S`; cancelling closes the connection.

        :param url: absolute, ``http`` or ``https``; the request has no body
        :param limit_bytes: a longer body is an error
        :param way: where that is not as usual; it holds for redirections, too
        :raises Misconfigured: for a URL, or a redirection, that cannot be gone to
        :raises CannotConnect, TlsFailed: when there is nobody to talk to, or no HTTP is spoken
        """
        asking = Deferred.fromCoroutine(self._ask(method, url, headers, limit_bytes, way))
        late = False

        def give_up() -> None:
            nonlocal late
            late = True
            asking.cancel()

        timer = self._reactor.callLater(ANSWER_TIMEOUT_S, give_up)
        try:
            return await asking
        except CancelledError:
            if not late:
                raise
            raise CannotConnect(
                f"{way.at or place_of(url, WEB_SCHEMES).origin.where} did not answer within "
                f"{ANSWER_TIMEOUT_S:g} s",
                "look at its log, and at proxies on the way",
            ) from None
        finally:
            if timer.active():
                timer.cancel()

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str], limit_bytes: int, way: Way
    ) -> HttpAnswer:
        place = place_of(url, WEB_SCHEMES)
        for _ in range(REDIRECTIONS + 1):
            answer = await self._ask_once(method, place, headers, limit_bytes, way)
            location = answer.headers.get("location")
            if not way.follow or answer.status not in REDIRECTING or location is None:
                return answer
            place = redirected(place, location)
            if answer.status not in KEEPS_METHOD and method != "HEAD":
                method = "GET"
        raise NotARouter(
            f"{place.origin.where} redirects more than {REDIRECTIONS} times", "correct the URL"
        )

    async def _ask_once(
        self, method: str, place: Place, headers: Mapping[str, str], limit_bytes: int, way: Way
    ) -> HttpAnswer:
        question = _Question(encode(method, place, headers), method, limit_bytes)
        patience: list[IDelayedCall] = []

        def accepted() -> None:
            if not patience:
                patience.append(self._reactor.callLater(SILENT_S, report))

        def report() -> None:
            if not question.heard:
                self._silent(destination(place.origin, way).where)

        try:
            endpoint = self._ways.endpoint(place.origin, accepted, way)
            await endpoint.connect(_Once(question))
            accepted()
            return await question.answer
        except (CancelledError, RelayError):
            raise
        except Exception as error:
            raise explain(destination(place.origin, way), error) from error
        finally:
            question.leave()
            for timer in patience:
                if timer.active():
                    timer.cancel()


def encode(method: str, place: Place, headers: Mapping[str, str]) -> bytes:
    """:returns: the whole request

    :raises Misconfigured: when a header, or the method, cannot be sent
    """
    fields = [("Host", _host(place.origin)), ("Connection", "close"), *headers.items()]
    if method in HAS_LENGTH:
        fields.append(("Content-Length", "0"))
    try:
        request = h11.Request(method=method, target=place.target, headers=fields)
        return h11.Connection(h11.CLIENT).send(request) or b""
    except (h11.LocalProtocolError, UnicodeEncodeError):
        # h11 quotes what is wrong, which may be a token
        raise Misconfigured("the request has characters that HTTP cannot send") from None


def redirected(place: Place, location: str) -> Place:
    """:returns: where an answer sends us

    :raises Misconfigured: to another origin, which must not see what we show to this one
    """
    scheme = WEB_SCHEMES[place.origin.secure]
    base = f"{scheme}://{place.origin.where}{place.target}"
    try:
        url = urlsplit(urljoin(base, location))._replace(fragment="").geturl()
    except ValueError:
        raise NotARouter(f"{place.origin.where} redirects to what is no URL") from None
    there = place_of(url, WEB_SCHEMES)
    if there.origin != place.origin:
        raise Misconfigured(
            f"{place.origin.where} redirects to another server, "
            f"{WEB_SCHEMES[there.origin.secure]}://{there.origin.where}",
            "name that one, if it is to see the token",
        )
    return there


def _host(origin: Origin) -> str:
    if origin.port != PLAIN_PORTS[origin.secure]:
        return origin.where
    return f"[{origin.host}]" if ":" in origin.host else origin.host


class _Once(Factory):
    """Makes the one protocol that there is."""

    noisy = False

    def __init__(self, question: _Question) -> None:
        self._question = question

    @override
    def buildProtocol(self, addr: IAddress | None) -> _Question:
        """Connected."""
        return self._question


class _Question(Protocol):
    """A connection for one request.

    :param request: as it goes out
    :ivar answer: fires once it is whole, or cannot become so
    """

    def __init__(self, request: bytes, method: str, limit_bytes: int) -> None:
        self.answer: Deferred[HttpAnswer] = Deferred()
        self._request = request
        self._limit_bytes = limit_bytes
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
        self._http.send(h11.Request(method=method, target="/", headers=[("Host", "")]))
        self._http.send(h11.EndOfMessage())
        self._head: h11.Response | None = None
        self._body = bytearray()
        self._begun = b""

    @property
    def heard(self) -> bool:
        """:returns: whether anything of an answer has come"""
        return bool(self._begun)

    def leave(self) -> None:
        """Close the connection; at once, unless the answer is whole."""
        if self.transport is None:
            return
        if self._http.their_state is h11.DONE:
            self.transport.loseConnection()
        else:
            self.transport.abortConnection()  # type: ignore[attr-defined]  # every Twisted stream transport has it

    @override
    def connectionMade(self) -> None:
        """Ask."""
        tune(self.transport)
        assert self.transport is not None
        self.transport.write(self._request)

    @override
    def dataReceived(self, data: bytes) -> None:
        """A part of the answer."""
        if not self.answer.called:
            self._begun = self._begun or data[:SHOWN_BYTES]
            self._read(data)

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The server closed, or we did."""
        if self.answer.called:
            return
        if not self._begun or not reason.check(ConnectionDone):
            self.answer.errback(explain_lost(reason))
        else:
            self._read(b"")
            self._fail(NotARouter("it closed the connection in the midst of its answer"))

    def _read(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            while not self.answer.called:
                event = self._http.next_event()
                if isinstance(event, h11.Response):
                    self._head = event
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) > self._limit_bytes:
                        self._fail(NotARouter(f"its answer is over {self._limit_bytes} bytes"))
                elif isinstance(event, h11.EndOfMessage):
                    self._complete()
                elif not isinstance(event, h11.InformationalResponse):
                    return
        except h11.RemoteProtocolError:
            self._fail(self._no_http())

    def _complete(self) -> None:
        head = cast(h11.Response, self._head)
        headers: dict[str, str] = {}
        for name, value in head.headers:
            headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
        self.answer.callback(HttpAnswer(head.status_code, headers, bytes(self._body)))

    def _no_http(self) -> RelayError:
        if self._begun.startswith(TLS_ALERT):
            return NotARouter("TLS is spoken there", "use https:// in the URL")
        if self._head is not None:
            return NotARouter("its answer is no HTTP/1.1, or not whole")
        return refusal(0, {}, self._begun.decode("latin-1"), {})

    def _fail(self, error: RelayError) -> None:
        if not self.answer.called:
            self.answer.errback(error)
