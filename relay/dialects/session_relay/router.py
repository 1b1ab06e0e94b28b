"""The router's session-relay: the access API, the relay socket, and reports on who is connected.

Specification: session-relay.md §3 to §6. On listeners with other dialects the paths of ``audience``
and ``target`` stand before the two; at listeners of their own nothing does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

from zope.interface import implementer

from relay.dialects.session_relay import access
from relay.dialects.session_relay.access import Rules, SessionGrant
from relay.dialects.session_relay.bookings import AllowList
from relay.dialects.session_relay.keys import (
    ACCESS_PATH,
    ALLOW_NO_BOOKING_KEY,
    ANY_ORIGIN,
    AUDIENCE_KEY,
    BUFFER_KEY,
    LISTEN_ACCESS_KEY,
    LISTEN_RELAY_KEY,
    ORIGINS_KEY,
    RELAY_PATH,
    SECRET_KEY,
    STATS_KEY,
    TARGET_KEY,
    audience_of,
    prefix_of,
    target_of,
)
from relay.dialects.session_relay.members import LAST_S, MemberLink, Seat, StatsLink, agreed
from relay.dialects.session_relay.notions import DIALECT, SESSION, STATS_TOPIC
from relay.dialects.session_relay.paths import (
    ACCESS_WORDS,
    METHODS,
    PREFLIGHT,
    SOCKET,
    SOCKET_WORDS,
    STATUS,
    access_place,
    check_method,
    is_below,
    query_values,
    socket_topic,
    topic_name,
)
from relay.dialects.session_relay.reports import report, who_is_present
from relay.dialects.session_relay.tokens import credential
from relay.dialects.session_relay.words import (
    WrongOrigin,
    access_refusal,
    done,
    socket_refusal,
    socket_status,
)
from relay.errors import ConfigurationError, RelayError
from relay.faces import (
    IPlacedFace,
    IRememberingFace,
    IResidentFace,
    IRouterFace,
    IServices,
    IWordedFace,
    Route,
)
from relay.http import Request, Response
from relay.interfaces import IConversation
from relay.settings.model import DialectSettings, SecretSource
from relay.vocabulary import (
    Claims,
    Credential,
    Grant,
    Message,
    Missing,
    Nothing,
    OneTimeCode,
    Role,
)

IGNORED_BYTES = 64 * 1024
"""Longest body that may come; nobody reads it."""
SHOWN_CHARACTERS = 1000
"""Most of a member's address, and of its agent, that reports show."""
REPORTS_APART_S = 1.0
"""Reports that are asked for are so far apart."""
STATS_EVERY_S = 5.0
PREFLIGHT_AGE_S = 600
"""So long a browser need not ask again."""


class Doors(NamedTuple):
    """What a listener serves, and below which paths; None: not there.

    :ivar shared: whether other dialects may be there, too
    """

    access: str | None
    socket: str | None
    shared: bool = True


PLACES = {
    LISTEN_ACCESS_KEY: Doors("", None, shared=False),
    LISTEN_RELAY_KEY: Doors(None, "", shared=False),
}
"""Of listeners of their own, by the keys that name them."""


class Memory:
    """What a reload must not take away.

    :ivar allowed: bookings that were let in
    :ivar asked: whether a report was asked for since the last one
    :ivar started: when reports began, Unix seconds
    """

    __slots__ = ("allowed", "asked", "started")

    def __init__(self) -> None:
        self.allowed = AllowList()
        self.asked = False
        self.started: float | None = None

    def ask(self) -> None:
        """Somebody wants a report."""
        self.asked = True


class Config(NamedTuple):
    """What a router is told.

    :ivar origins: of pages that may come, in lower case; empty: all may
    :ivar buffer_messages: how many may wait for one member; 0: as many as usual
    """

    rules: Rules
    keys: tuple[bytes, ...]
    origins: tuple[str, ...] = ()
    buffer_messages: int = 0
    stats_every_s: float = STATS_EVERY_S

    def __repr__(self) -> str:
        return f"Config(rules={self.rules!r}, keys=***)"


class Shelf:
    """Where the faces of one router keep what they remember."""

    __slots__ = ("memory",)

    def __init__(self) -> None:
        self.memory = Memory()


def make_face(settings: DialectSettings, url: str) -> SessionRelayFace:
    """:param url: the router's public URL

    :raises ConfigurationError: when the secret cannot be read, or nobody knows our URLs
    """
    values = settings.values
    audience, target = audience_of(values, url), target_of(values, url)
    faults = [
        f"[dialect:{DIALECT}] {key}: is missing, and so is public-url"
        for key, value in ((AUDIENCE_KEY, audience), (TARGET_KEY, target))
        if not value
    ]
    if faults:
        raise ConfigurationError(faults)
    origins = cast("tuple[str, ...]", values.get(ORIGINS_KEY) or ())
    config = Config(
        Rules(audience, target, bool(values.get(ALLOW_NO_BOOKING_KEY))),
        (cast(SecretSource, values[SECRET_KEY]).read().key(),),
        () if ANY_ORIGIN in origins else origins,
        cast(int, values.get(BUFFER_KEY) or 0),
        cast(float, values.get(STATS_KEY) or STATS_EVERY_S),
    )
    doors = Doors(prefix_of(audience, ACCESS_PATH), prefix_of(target, RELAY_PATH))
    return SessionRelayFace(config, doors)


@implementer(IWordedFace, IPlacedFace, IRememberingFace, IResidentFace)
class SessionRelayFace:
    """The router's side, configured.

    :param doors: of the listeners that it is for
    :param shelf: of the faces of the same router
    """

    name: str = DIALECT
    catch_all: bool = False

    def __init__(self, config: Config, doors: Doors, shelf: Shelf | None = None) -> None:
        self._config = config
        self._doors = doors
        self._shelf = shelf or Shelf()
        self._placed: dict[str, SessionRelayFace] = {}

    @property
    def memory(self) -> Memory:
        """:returns: what survives a reload"""
        return self._shelf.memory

    def placed(self, key: str) -> IRouterFace:
        """:returns: the face for the listeners that ``listen-access`` or ``listen-relay`` names"""
        if key not in self._placed:
            self._placed[key] = SessionRelayFace(self._config, PLACES[key], self._shelf)
        return self._placed[key]

    def remember(self, before: IRouterFace) -> None:
        """Go on with the bookings that ``before`` knows, and answer the links that it made."""
        if isinstance(before, SessionRelayFace):
            self._shelf.memory = before.memory

    # -- requests ------------------------------------------------------------------------------

    def matches(self, request: Request) -> bool:
        """:returns: whether the path is below one of the two."""
        return not self._doors.shared or any(
            prefix is not None and is_below(request.path, prefix, words)
            for prefix, words in self._prefixes()
        )

    def route(self, request: Request) -> Route:
        """:raises NotFound, MethodNotAllowed, BadRequest: in the original's words"""
        is_socket, path = self._locate(request)
        if is_socket:
            topic = socket_topic(path)
            origin = request.header("origin")
            if origin is not None and not self._takes(origin):
                raise WrongOrigin("pages of that origin may not connect here")
            return Route(SOCKET, (topic,))
        place = access_place(path)
        if request.method == "OPTIONS":
            return Route(PREFLIGHT, (place.name,), websocket=False, body_bytes=IGNORED_BYTES)
        check_method(place.name, request.method)
        parameters = (place.topic,) if place.name == SESSION else ()
        return Route(place.name, parameters, websocket=False, body_bytes=IGNORED_BYTES)

    def credential(self, request: Request, route: Route) -> Credential:
        """A token without ``Bearer``, or the code that one was given away for."""
        if route.name == PREFLIGHT:
            return Nothing()
        if route.name == SOCKET:
            # also where there is none: what is wrong with the handshake is told first
            return OneTimeCode(next(iter(query_values(request.query, "code")), ""))
        token = request.header("authorization")
        return credential(token, self._config.keys) if token else Missing()

    def grant(self, claims: Claims, request: Request, route: Route) -> Grant:
        """:raises AuthError, BadRequest: when the claims, or the request, do not fit this route"""
        if route.name == PREFLIGHT:
            return Grant(DIALECT, Role.CLIENT, "")
        if route.name == SOCKET:
            return access.judge_code(self._config.rules, claims, route)
        return access.judge(self._config.rules, claims, request, route)

    def conversation(self, request: Request, route: Route, grant: Grant | None) -> IConversation:
        """A member's link."""
        assert isinstance(grant, SessionGrant)
        token = grant.token
        assert token is not None, "every code was given away for a token"
        seat = Seat(
            token.topic,
            token.scopes,
            _text(request.header("x-forwarded-for")),
            _text(request.header("user-agent")),
            min(token.expires, LAST_S),
        )
        waiting = self._config.buffer_messages
        if token.topic == STATS_TOPIC:
            return StatsLink(seat, agreed(request), waiting, self.memory.ask)
        return MemberLink(seat, agreed(request), waiting)

    async def answer(
        self, request: Request, route: Route, grant: Grant, services: IServices
    ) -> Response:
        """Answer a request of the access API.

        :raises PastExpiry: for a booking that is over
        :raises LimitReached: when too many codes wait to be used
        """
        response = self._act(request, route, grant, services)
        return _with_headers(response, self._cross_origin(request))

    def _act(self, request: Request, route: Route, grant: Grant, services: IServices) -> Response:
        allowed = self.memory.allowed
        if route.name == PREFLIGHT:
            return _with_headers(done(), _preflight(route.parameters[0]))
        if route.name == SESSION:
            assert isinstance(grant, SessionGrant)
            return access.open_session(self._config.rules, allowed, grant, services)
        if route.name == STATUS:
            started = self.memory.started
            return access.show_status(services.now() if started is None else started, services)
        if request.method == "POST":
            return access.change_booking(request, route, allowed, services)
        return access.list_bookings(route, allowed, services)

    def refusal(self, error: RelayError, request: Request) -> Response:
        """:returns: the whole answer, its headers included"""
        if self._locate(request)[0]:
            return socket_refusal(error)
        return _with_headers(access_refusal(error), self._cross_origin(request))

    def wire_code(self, error: RelayError) -> int:
        """:returns: the HTTP status for a handshake that fails"""
        return socket_status(error)

    # -- reports -------------------------------------------------------------------------------

    async def reside(self, services: IServices) -> None:
        """Report on the topic ``stats``, as often as configured and when asked, until cancelled."""
        now = services.now()
        if self.memory.started is None:
            self.memory.started = now
        due = now + self._config.stats_every_s
        while True:
            await services.sleep(REPORTS_APART_S)
            now = services.now()
            if not self.memory.asked and now < due:
                continue
            self.memory.asked = False
            due = now + self._config.stats_every_s
            topic = topic_name(STATS_TOPIC)
            if services.broker.has_readers(topic):
                present = who_is_present(services.broker, self.memory.started)
                services.broker.publish(topic, Message(report(present), text=True))

    # -- where ---------------------------------------------------------------------------------

    def _prefixes(self) -> Iterable[tuple[str | None, frozenset[str]]]:
        return ((self._doors.access, ACCESS_WORDS), (self._doors.socket, SOCKET_WORDS))

    def _locate(self, request: Request) -> tuple[bool, str]:
        """:returns: whether it is for the relay socket, and the path without the prefix"""
        api, socket, _ = self._doors
        path = request.path
        if api is None or socket is None:
            return api is None, path
        is_socket = request.asks_for_websocket()
        if api != socket:
            below = [
                (len(prefix), prefix == socket)
                for prefix, words in self._prefixes()
                if prefix is not None and is_below(path, prefix, words)
            ]
            # of two paths, one below the other, the longer one counts
            is_socket = max(below)[1] if below else False
        prefix = socket if is_socket else api
        if path == prefix or path.startswith(f"{prefix}/"):
            path = path[len(prefix) :] or "/"
        return is_socket, path

    def _takes(self, origin: str) -> bool:
        return not self._config.origins or origin.lower() in self._config.origins

    def _cross_origin(self, request: Request) -> tuple[tuple[str, str], ...]:
        """:returns: the headers by which a browser knows what a page of another origin may see"""
        if not self._config.origins:
            return (("Access-Control-Allow-Origin", ANY_ORIGIN),)
        origin = request.header("origin")
        vary = ("Vary", "Origin")
        if origin is None or not self._takes(origin):
            return (vary,)
        return (("Access-Control-Allow-Origin", origin), vary)


def _preflight(name: str) -> tuple[tuple[str, str], ...]:
    return (
        ("Access-Control-Allow-Methods", ", ".join((*METHODS[name], "OPTIONS"))),
        ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
        ("Access-Control-Max-Age", str(PREFLIGHT_AGE_S)),
    )


def _with_headers(response: Response, headers: tuple[tuple[str, str], ...]) -> Response:
    return response._replace(headers=response.headers + headers)


def _text(header: str | None) -> str:
    """:returns: what bytes of a header say, which came as latin-1"""
    text = (header or "").encode("latin-1", "replace").decode("utf-8", "replace")
    return text[:SHOWN_CHARACTERS]
