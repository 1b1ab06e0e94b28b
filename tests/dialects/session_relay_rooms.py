"""A router's session-relay without a network: requests in, answers out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from typing import Any, cast

from zope.interface import implementer

from relay.auth import mint, verify
from relay.core.handshake import check_upgrade
from relay.core.services import NoPorts
from relay.dialects.session_relay.access import Rules
from relay.dialects.session_relay.router import Config, Doors, SessionRelayFace
from relay.errors import LimitReached, RelayError, Revoked
from relay.faces import IBroker, ICodes, IPorts, IRecords, IServices, ITimer, LinkInfo
from relay.http import Request, Response
from relay.interfaces import IConversation
from relay.vocabulary import Claims, Event, Grant, Message, OfferName, TopicName

SECRET = "vector-secret-not-for-production-0001"
AUDIENCE = "https://relay.example.test/access"
TARGET = "wss://relay.example.test/ws"
CODE = "6f1c2d1e-7a55-4c0b-9d3e-2f64b1a0c9d8"
NOW = 1_767_225_600.5
"""2026-01-01, half a second past midnight."""
BEGINS = 1_700_000_000
EXPIRES = 4_102_444_800
TOPIC = "rig07-st-data"
SHARED = Doors("/access", "/ws")
OWN_ACCESS = Doors("", None, shared=False)
OWN_SOCKET = Doors(None, "", shared=False)

HANDSHAKE = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": "AAECAwQFBgcICQoLDA0ODw==",
}


def token(**claims: object) -> str:
    """A token of section 17: V2 but for the claims that are named; None leaves one out.

    ``alg`` is of the header.
    """
    algorithm = str(claims.pop("alg", "HS256"))
    all_claims: dict[str, object] = {
        "booking_id": "bk-42",
        "topic": TOPIC,
        "prefix": "session",
        "scopes": ["read"],
        "aud": [AUDIENCE],
        "exp": EXPIRES,
        "nbf": BEGINS,
        "iat": BEGINS,
        **claims,
    }
    said = {name: value for name, value in all_claims.items() if value is not None}
    return mint(said, SECRET.encode(), algorithm)


def privileged(*scopes: str) -> str:
    """A token of no topic and no booking."""
    return token(booking_id="", topic="", prefix="", scopes=list(scopes))


V1 = token(booking_id="rig07-host", scopes=["write", "read"])
V2 = token()
V3 = token(booking_id="status-probe", topic="stats")
V4 = privileged("relay:admin")
V5 = privileged("relay:stats")
V6 = token(exp=1_700_003_600)
V7 = token(aud=["https://other.example.test/access"])
V8 = token(booking_id="", scopes=["read", "write"])
V9 = token(booking_id=None, scopes="read", aud=AUDIENCE)
V10 = token(alg="HS512")


@implementer(IBroker)
class KnownBroker:
    """Denials, links and messages, written down."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.denied: dict[str, float] = {}
        self.members: list[LinkInfo] = []
        self.published: list[tuple[TopicName, Message]] = []
        self.is_heard = True

    def revoke(
        self,
        dialect: str | None = None,
        subject: str | None = None,
        offer: str | None = None,
        token_id: str | None = None,
        until: float | None = None,
    ) -> int:
        """A booking is denied."""
        assert dialect == "session-relay"
        assert subject
        assert until is not None
        self.denied[subject] = until
        return 0

    def judge(self, intent: Event, grant: Grant, quiet: bool = False) -> None:
        """Not asked for."""
        raise NotImplementedError

    def is_published(self, name: OfferName) -> bool:
        """Not asked for."""
        raise NotImplementedError

    def permit(self, dialect: str, subject: str) -> None:
        """A booking is no longer denied."""
        assert dialect == "session-relay"
        self.denied.pop(subject, None)

    def revoked(self, dialect: str) -> Sequence[str]:
        """The bookings that are denied."""
        assert dialect == "session-relay"
        return [booking for booking, until in self.denied.items() if until > self._clock()]

    def links(self, dialect: str) -> Sequence[LinkInfo]:
        """The members."""
        assert dialect == "session-relay"
        return self.members

    def publish(self, topic: TopicName, message: Message) -> None:
        """A report."""
        self.published.append((topic, message))

    def has_readers(self, topic: TopicName) -> bool:
        """Whether anybody hears of it."""
        return self.is_heard


class Pause:
    """What waits: the test goes on when it wants to."""

    def __await__(self) -> Generator[None]:
        yield


@implementer(IServices, ICodes)
class Services:
    """What the core lends, with a clock that the test sets."""

    def __init__(self) -> None:
        self.clock = NOW
        self.broker = KnownBroker(self.now)
        self.codes = self
        self.ports: IPorts = NoPorts()
        self.issued: dict[str, tuple[Grant, Claims, float]] = {}
        self.next_codes = [CODE]
        self.slept: list[float] = []

    def issue(self, grant: Grant, claims: Claims, lifetime_s: float) -> str:
        """The next of the known codes."""
        if not self.next_codes:
            raise LimitReached("too many codes wait to be used")
        code = self.next_codes.pop(0)
        self.issued[code] = (grant, claims, lifetime_s)
        return code

    def take(self, code: str) -> Claims | None:
        """A code is used."""
        found = self.issued.pop(code, None)
        return found[1] if found else None

    def sleep(self, seconds: float) -> Awaitable[None]:
        """The clock goes on by so much."""
        self.slept.append(seconds)
        self.clock += seconds
        return Pause()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> ITimer:
        """Nobody sets a timer here."""
        raise AssertionError

    def now(self) -> float:
        """What the clock shows."""
        return self.clock

    def random_bits(self, bits: int) -> int:
        """Not asked for."""
        raise NotImplementedError

    def records(self, dialect: str, database: str) -> IRecords:
        """Not asked for."""
        raise NotImplementedError

    def fault(self, what: str, error: RelayError) -> None:
        """Nothing fails here."""
        raise AssertionError(what)


class Room:
    """A router and one who asks it.

    :param doors: of the listener that is asked
    """

    def __init__(
        self,
        doors: Doors = OWN_ACCESS,
        origins: tuple[str, ...] = (),
        without_booking: bool = False,
        target: str = TARGET,
    ) -> None:
        rules = Rules(AUDIENCE, target, without_booking)
        self.config = Config(rules, (SECRET.encode(),), origins, 128)
        self.face = SessionRelayFace(self.config, doors)
        self.services = Services()

    def ask(
        self, method: str, target: str, shown: str | None = None, body: bytes = b"", **headers: str
    ) -> Response:
        """What is answered, by the way that a front door takes.

        :param shown: the ``Authorization``
        """
        if shown is not None:
            headers["authorization"] = shown
        return self.asks(request_of(method, target, body, **headers))

    def asks(self, request: Request) -> Response:
        """The same of a request."""
        try:
            face, services = self.face, self.services
            route = face.route(request)
            claims = verify(face.credential(request, route), services.clock, services.take)
            grant = face.grant(claims, request, route)
            self.check_denials(grant)
            return finished(face.answer(request, route, grant, cast(IServices, services)))
        except RelayError as error:
            return self.face.refusal(error, request)

    def joins(self, code: str = CODE, topic: str = TOPIC, **headers: str) -> IConversation:
        """A link of the relay socket, by the way that admission takes."""
        said = {**HANDSHAKE, **headers}
        request = request_of("GET", f"/session/{topic}?code={code}", b"", **said)
        return self.enters(request)

    def enters(self, request: Request) -> IConversation:
        """The same of a request."""
        face = self.face.placed("listen-relay")
        route = face.route(request)
        assert route.websocket
        check_upgrade(request)
        claims = verify(face.credential(request, route), self.services.clock, self.services.take)
        grant = face.grant(claims, request, route)
        self.check_denials(grant)
        return face.conversation(request, route, grant)

    def check_denials(self, grant: Grant) -> None:
        """A denied booking is refused."""
        if self.services.broker.denied.get(grant.subject, 0) > self.services.clock:
            raise Revoked("the credential was revoked")


def request_of(method: str, target: str, body: bytes = b"", **headers: str) -> Request:
    """A request; underscores in the names of headers are hyphens."""
    path, _, query = target.partition("?")
    pairs = tuple([(name.replace("_", "-"), value) for name, value in headers.items()])
    return Request(method, target, path, query, pairs, "192.0.2.1", body=body)


def finished(coroutine: object) -> Response:
    """The result of what waits for nothing."""
    try:
        cast("Coroutine[Any, Any, Response]", coroutine).send(None)
    except StopIteration as stop:
        return cast(Response, stop.value)
    raise AssertionError("it waits")
