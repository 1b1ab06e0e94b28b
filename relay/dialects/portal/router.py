"""Portal as the router speaks it: who may enter, and what each endpoint asks of the core."""

from __future__ import annotations

from typing import cast
from urllib.parse import parse_qs

from zope.interface import implementer

from relay.dialects.portal.data import AccepterLink, CallerLink, ControlLink
from relay.dialects.portal.tokens import SECRET_KEYS, read_claims
from relay.dialects.portal.tokens import credential as jwt_credential
from relay.dialects.portal.wire import (
    ACCEPT,
    CLIENT,
    CONTROL,
    FIRST_SEGMENT,
    HALF_CLOSE,
    HALF_CLOSE_HEADER,
    is_service_name,
    offer_name,
    parse_route,
)
from relay.errors import (
    AuthError,
    BadRequest,
    CallGone,
    GoingAway,
    HostSilent,
    LimitReached,
    MethodNotAllowed,
    NotFound,
    RelayError,
    TooLarge,
    Unreachable,
    UpgradeRequired,
    WrongRole,
)
from relay.faces import IRouterFace, IServices, Route
from relay.http import Request, Response
from relay.interfaces import IConversation
from relay.settings.model import DialectSettings, SecretSource
from relay.vocabulary import (
    Answer,
    CallKey,
    Claims,
    Credential,
    Grant,
    Missing,
    Offer,
    OfferName,
    Role,
)

MAX_SERVICES = 256
MAX_QUERY_FIELDS = 16
ROLES = {CONTROL: Role.HOST, ACCEPT: Role.HOST, CLIENT: Role.CLIENT}
STATUSES: tuple[tuple[type[RelayError], int], ...] = (
    (AuthError, 401),
    (NotFound, 404),
    (MethodNotAllowed, 405),
    (UpgradeRequired, 426),
    (TooLarge, 431),
    (BadRequest, 400),
    (CallGone, 404),
    (HostSilent, 504),
    (Unreachable, 502),
    (LimitReached, 503),
    (GoingAway, 503),
)


def make_face(settings: DialectSettings) -> PortalFace:
    """:raises ConfigurationError: when the secret cannot be read."""
    source = cast(SecretSource, settings.values[SECRET_KEYS[0]])
    return PortalFace(source.read().key())


@implementer(IRouterFace)
class PortalFace:
    """The router's portal, configured.

    :param secret: signs all tokens
    """

    name: str = "portal"
    catch_all: bool = False

    def __init__(self, secret: bytes) -> None:
        self._keys = (secret,)

    def matches(self, request: Request) -> bool:
        """:returns: whether the path is below ours."""
        return request.path.split("/", 2)[1:2] == [FIRST_SEGMENT]

    def route(self, request: Request) -> Route:
        """:raises NotFound, MethodNotAllowed, BadRequest: in the original's order."""
        return parse_route(request)

    def credential(self, request: Request, route: Route) -> Credential:
        """``Authorization: Bearer JWT``; the first such header counts."""
        scheme, _, token = (request.header("authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip(" "):
            return Missing()
        return jwt_credential(token.strip(" "), self._keys)

    def grant(self, claims: Claims, request: Request, route: Route) -> Grant:
        """:raises TokenInvalid: for mistyped claims
        :raises WrongRole: when the token is for the other side
        """
        portal = read_claims(claims)
        if request.method == "HEAD":
            raise MethodNotAllowed("only GET is served here")
        if portal.role is not ROLES[route.name]:
            wanted = ROLES[route.name].value
            raise WrongRole(
                f"this is a {portal.role.value} token, and {route.name} wants a {wanted} token",
                f'mint one with "relay token portal {wanted}"',
            )
        name = offer_name(portal.portal_id)
        jti = claims.get("jti")
        return Grant(
            self.name,
            portal.role,
            portal.subject,
            name,
            portal.expires,
            jti if isinstance(jti, str) else None,
        )

    def conversation(self, request: Request, route: Route, grant: Grant | None) -> IConversation:
        """A new link's conversation."""
        assert grant is not None, "no route of ours greets"
        name = cast(OfferName, grant.name)
        key, value = HALF_CLOSE
        half_close = request.header(key) == value
        if route.name == CONTROL:
            return ControlLink(Offer(name, Answer.ANNOUNCE, services=announced_services(request)))
        link: CallerLink | AccepterLink
        if route.name == CLIENT:
            link = CallerLink(name, route.parameters[0], half_close)
        else:
            link = AccepterLink(name, CallKey(route.parameters[0]), half_close)
        if half_close:
            link.upgrade_headers = {HALF_CLOSE_HEADER: value}
        return link

    async def answer(
        self, request: Request, route: Route, grant: Grant, services: IServices
    ) -> Response:
        """Nothing is served over plain HTTP; every request was refused before."""
        raise NotFound("nothing is served here over plain HTTP")

    def wire_code(self, error: RelayError) -> int:
        """:returns: the original's HTTP status for ``error``."""
        for kind, status in STATUSES:
            if isinstance(error, kind):
                return status
        return 500


def announced_services(request: Request) -> tuple[str, ...] | None:
    """:returns: the names in ``?services=a,b``, None when the host does not say."""
    if not request.query:
        return None
    try:
        values = parse_qs(request.query, max_num_fields=MAX_QUERY_FIELDS).get("services", [""])
    except ValueError:
        return None
    names = tuple(dict.fromkeys(name for name in values[0].split(",") if is_service_name(name)))
    return names if 0 < len(names) <= MAX_SERVICES else None
