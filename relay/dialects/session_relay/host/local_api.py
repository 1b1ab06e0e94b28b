"""The local HTTP API of a host: rules, bytes that become messages, and feeds over WebSockets.

Specification: session-relay.md §9.2 and §9.3. Answers are the original's, but for tokens, which are
not shown again, and ``DELETE …/all``, which does what it says.
"""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from relay.dialects.session_relay.host.cutting import Cutter
from relay.dialects.session_relay.host.destinations import Destinations
from relay.dialects.session_relay.host.feed_link import FeedLink
from relay.dialects.session_relay.host.local_paths import (
    API,
    BYTES,
    DESTINATION,
    DESTINATIONS,
    HEALTH,
    SOCKET,
    STREAM,
    STREAMS,
    cleaned,
    decoded,
    find,
    location,
)
from relay.dialects.session_relay.host.notation import decode, encode
from relay.dialects.session_relay.host.rules import (
    ALL,
    EVERYTHING,
    feed_topic,
    is_fed,
    read_destination,
    read_stream,
)
from relay.dialects.session_relay.host.streams import Streams
from relay.dialects.session_relay.host.visitors import Visitors
from relay.dialects.session_relay.members import agreed
from relay.dialects.session_relay.notions import DIALECT
from relay.errors import (
    BadRequest,
    GoingAway,
    LimitReached,
    MethodNotAllowed,
    NotFound,
    RelayError,
    TooLarge,
    UpgradeRequired,
)
from relay.faces import IFeedFace, IServices, ISink, IWordedFace, Route
from relay.http import Request, Response
from relay.interfaces import IConversation
from relay.vocabulary import Claims, Credential, Enter, Grant, Message, Nothing, Role

BODY_BYTES = 64 * 1024
"""Longest body of a rule, and of what nobody wants to read."""

MOVED = "moved"

STATUSES: tuple[tuple[type[RelayError], int], ...] = (
    (NotFound, 404),
    (MethodNotAllowed, 405),
    (UpgradeRequired, 400),
    (TooLarge, 413),
    (LimitReached, 503),
    (GoingAway, 503),
)

_JSON = "application/json"
_PLAIN = "text/plain; charset=utf-8"
_HANDSHAKE = ("Sec-Websocket-Version", "13")
_AS_IT_IS = ("X-Content-Type-Options", "nosniff")


@implementer(IWordedFace, IFeedFace)
class LocalFace:
    """What programs beside a host see of it.

    :param visitors: who may ask at all
    """

    name: str = DIALECT
    catch_all: bool = True

    def __init__(self, visitors: Visitors) -> None:
        self._visitors = visitors
        self._destinations: Destinations | None = None
        self._streams: Streams | None = None

    def serve(self, destinations: Destinations, streams: Streams) -> None:
        """Tell it what the rules are for, before anybody can ask."""
        self._destinations = destinations
        self._streams = streams

    # -- IRouterFace -------------------------------------------------------------------------------

    def matches(self, request: Request) -> bool:
        """:returns: True: it is alone"""
        return True

    def route(self, request: Request) -> Route:
        """:raises ForeignPage, NotFound, MethodNotAllowed: in this order"""
        self._visitors.check(request)
        path = decoded(request.path)
        clean = cleaned(path)
        if clean != path:
            return Route(MOVED, (location(clean, request.query),), False, BODY_BYTES)
        name, what = find(request.method, clean)
        if name == SOCKET:
            return Route(name, (what,))
        if name == BYTES:
            return Route(name, (what,), False, feeds=True)
        return Route(name, (what,), False, BODY_BYTES)

    def credential(self, request: Request, route: Route) -> Credential:
        """None is asked for: whoever is on this machine may."""
        return Nothing()

    def grant(self, claims: Claims, request: Request, route: Route) -> Grant:
        """:returns: what everybody here may: the feed that was asked for"""
        return Grant(DIALECT, Role.CLIENT, "local", feed_topic(route.parameters[0]))

    def conversation(self, request: Request, route: Route, grant: Grant | None) -> IConversation:
        """A member of the feed; of a stream one that only hears."""
        feed = route.parameters[0]
        return FeedLink(Enter(feed_topic(feed), writes=is_fed(feed)), agreed(request))

    async def answer(
        self, request: Request, route: Route, grant: Grant, services: IServices
    ) -> Response:
        """Answer a plain HTTP request. :raises BadJson, BadRule: for a rule that is not taken"""
        return self._ANSWERS[route.name](self, request, route.parameters[0])

    def wire_code(self, error: RelayError) -> int:
        """:returns: the HTTP status for ``error``"""
        if isinstance(error, BadRequest):
            return error.status
        for kind, status in STATUSES:
            if isinstance(error, kind):
                return status
        return 500

    # -- IWordedFace -------------------------------------------------------------------------------

    def refusal(self, error: RelayError, request: Request) -> Response:
        """:returns: one line of text; of a wrong method nothing at all"""
        reason = ("X-Relay-Reason", error.reason.value)
        is_socket = decoded(request.path).startswith(f"/{SOCKET}/")
        if isinstance(error, MethodNotAllowed) and not is_socket:
            return Response(self.wire_code(error), b"", (reason,), None)
        headers = (reason, _AS_IT_IS, *((_HANDSHAKE,) if is_socket else error.headers))
        if error.retry_after_s is not None:
            headers = (*headers, ("Retry-After", str(error.retry_after_s)))
        keep = not isinstance(error, TooLarge)
        return Response(
            self.wire_code(error), f"{error.text}\n".encode(), headers, _PLAIN, keep=keep
        )

    # -- bytes that become messages ----------------------------------------------------------------

    def sink(self, request: Request, route: Route, services: IServices) -> ISink:
        """:returns: what takes a request's body as it comes"""
        feed = route.parameters[0]
        topic = feed_topic(feed)

        def say(payload: bytes) -> None:
            if is_fed(feed):
                services.broker.publish(topic, Message(payload))

        return Cutter(say, services.call_later)

    # -- answers -----------------------------------------------------------------------------------

    def _health(self, request: Request, what: str) -> Response:
        return Response(200, b'"ok"\n')

    def _nothing(self, request: Request, what: str) -> Response:
        return Response(200, content_type=None)

    def _moved(self, request: Request, what: str) -> Response:
        return Response(301, headers=(("Location", what),), content_type=None)

    def _add_destination(self, request: Request, what: str) -> Response:
        assert self._destinations is not None
        rule = read_destination(decode(request.body))
        self._destinations.add(rule)
        return _json(rule.as_json())

    def _destination(self, request: Request, what: str) -> Response:
        assert self._destinations is not None
        if request.method == "DELETE":
            self._destinations.delete(EVERYTHING if what == ALL else what)
            return _json(what)
        return _json(self._destinations.all() if what == ALL else self._destinations.rule(what))

    def _add_stream(self, request: Request, what: str) -> Response:
        assert self._streams is not None
        rule = read_stream(decode(request.body))
        self._streams.add(rule)
        return _json(rule.as_json())

    def _stream(self, request: Request, what: str) -> Response:
        assert self._streams is not None
        if request.method == "DELETE":
            self._streams.delete(EVERYTHING if what == ALL else what)
            return _json(what)
        if what == ALL:
            return _json(self._streams.all())
        if not self._streams.knows(what):
            raise NotFound("Stream not found")
        return _json(self._streams.feeds(what))

    _ANSWERS: dict[str, Callable[[LocalFace, Request, str], Response]] = {
        HEALTH: _health,
        API: _nothing,
        MOVED: _moved,
        DESTINATIONS: _add_destination,
        DESTINATION: _destination,
        STREAMS: _add_stream,
        STREAM: _stream,
    }


def _json(value: object) -> Response:
    return Response(200, encode(value), content_type=_JSON)
