"""The router's websocktunnel: registration, viewers, heartbeats.

Source: websocktunnel.md, sections 2 to 6.
"""

from __future__ import annotations

from typing import cast

from zope.interface import implementer

from relay.dialects.websocktunnel.keys import (
    ORIGINAL_STATUSES_KEY,
    read_version,
    url_prefix,
    viewer_url,
)
from relay.dialects.websocktunnel.mux import RouterMux
from relay.dialects.websocktunnel.paths import (
    HEARTBEATS,
    ID_HEADER,
    ORIGINAL_PATH,
    URL_HEADER,
    VERSION,
    decoded_path,
    offer_name,
    original_path,
    split_target,
)
from relay.dialects.websocktunnel.tokens import (
    AUDIENCE_KEY,
    SECRET_KEYS,
    credential,
    parse_authorization,
    parse_id,
    read_claims,
)
from relay.errors import (
    AuthError,
    BadRequest,
    GoingAway,
    LimitReached,
    MethodNotAllowed,
    NotFound,
    RelayError,
    TooLarge,
    UpgradeRequired,
)
from relay.faces import Forwarding, IForwardingFace, IServices, Route
from relay.http import Request, Response
from relay.interfaces import IConversation
from relay.settings.model import DialectSettings, SecretSource
from relay.vocabulary import Answer, Call, Claims, Credential, Grant, Nothing, Offer, Reason, Role

REGISTER = "register"
VIEWER = "viewer"
HEARTBEAT = "heartbeat"
VERSION_FILE = "version"
IGNORED_BYTES = 64 * 1024
"""A body so long may come where nobody wants one."""

DEFAULT_AGENT = ("User-Agent", "Go-http-client/1.1")
"""What the original's own HTTP library says for viewers that say nothing."""

STATUSES: tuple[tuple[type[RelayError], int], ...] = (
    (AuthError, 401),
    (NotFound, 404),
    (MethodNotAllowed, 405),
    (TooLarge, 431),
    (UpgradeRequired, 400),
    (LimitReached, 503),
    (GoingAway, 503),
)
CALL_STATUSES = {
    Reason.HOST_ABSENT: 504,
    Reason.HOST_SILENT: 504,
    Reason.GOING_AWAY: 503,
    Reason.LIMIT: 503,
    Reason.OVERRUN: 503,
    Reason.PROTOCOL_ERROR: 502,
    Reason.TOO_LARGE: 502,
    Reason.INTERNAL: 500,
}
"""Why a call came to nothing, for those who can be told only a status; everything else is 502."""

ORIGINAL_STATUS = 500
"""What the original says of all failures but an unknown id."""


def make_face(settings: DialectSettings, url: str) -> WebsocktunnelFace:
    """:param url: the router's public URL

    :raises ConfigurationError: when a secret or the version file cannot be read
    """
    values = settings.values
    keys = tuple([cast(SecretSource, values[key]).read().key() for key in SECRET_KEYS])
    return WebsocktunnelFace(
        keys,
        str(values.get(AUDIENCE_KEY) or ""),
        url_prefix(settings, url),
        read_version(settings),
        bool(values.get(ORIGINAL_STATUSES_KEY)),
    )


@implementer(IForwardingFace)
class WebsocktunnelFace:
    """The router's side, configured.

    :param keys: secrets A and B, in the order in which they are tried
    :param audience: empty: there is none
    :param url_prefix: what ids are appended to, without a slash at its end
    :param version: what ``/__version__`` shows; None: it is not found
    :param original_statuses: whether failures are told apart no better than by the original
    """

    name: str = "websocktunnel"
    catch_all: bool = True

    def __init__(
        self,
        keys: tuple[bytes, ...],
        audience: str = "",
        url_prefix: str = "",
        version: bytes | None = None,
        original_statuses: bool = False,
    ) -> None:
        self._keys = keys
        self._audience = audience
        self._url_prefix = url_prefix
        self._version = version
        self._original_statuses = original_statuses

    def matches(self, request: Request) -> bool:
        """:returns: True: what is nobody else's is a viewer's"""
        return True

    def route(self, request: Request) -> Route:
        """:raises BadRequest, NotFound: in the original's order"""
        path = decoded_path(request)
        if path in HEARTBEATS:
            return Route(HEARTBEAT, websocket=False, body_bytes=IGNORED_BYTES)
        if path == VERSION:
            return Route(VERSION_FILE, websocket=False, body_bytes=IGNORED_BYTES)
        tunnel_id = request.header(ID_HEADER)
        if path != "/" or not tunnel_id:
            return Route(VIEWER, split_target(request), websocket=False, forwards=True)
        parse_id(tunnel_id)
        parse_authorization(request.header("authorization"))
        if not request.asks_for_websocket():
            raise NotFound("a tunnel is registered by a WebSocket handshake, which this is not")
        return Route(REGISTER, (tunnel_id,), claims=tunnel_id)

    def credential(self, request: Request, route: Route) -> Credential:
        """A token to register; viewers show nothing."""
        if route.name != REGISTER:
            return Nothing()
        return credential(parse_authorization(request.header("authorization")), self._keys)

    def grant(self, claims: Claims, request: Request, route: Route) -> Grant:
        """:raises TokenInvalid, WrongName: when the claims are not for this tunnel here"""
        if route.name != REGISTER:
            return Grant(self.name, Role.CLIENT, "")
        tunnel_id = route.parameters[0]
        read = read_claims(claims, tunnel_id, self._audience)
        return Grant(
            self.name, Role.HOST, tunnel_id, offer_name(tunnel_id), read.expires, read.token_id
        )

    def conversation(self, request: Request, route: Route, grant: Grant | None) -> IConversation:
        """A tunnel's link."""
        tunnel_id = route.parameters[0]
        return RouterMux(
            Offer(offer_name(tunnel_id), Answer.STREAM),
            {URL_HEADER: viewer_url(self._url_prefix, tunnel_id)},
        )

    def forwarding(self, request: Request, route: Route) -> Forwarding:
        """A viewer's request, as the host is to see it."""
        tunnel_id, target = route.parameters
        headers = [pair for pair in request.headers if pair[0] != ORIGINAL_PATH]
        if request.header("user-agent") is None:
            headers.append(DEFAULT_AGENT)
        headers.append((ORIGINAL_PATH, original_path(request)))
        return Forwarding(Call(offer_name(tunnel_id)), target, tuple(headers))

    async def answer(
        self, request: Request, route: Route, grant: Grant, services: IServices
    ) -> Response:
        """Heartbeats, and the version.

        :raises NotFound: when no version is configured
        """
        if route.name == HEARTBEAT:
            return Response(200)
        if self._version is None:
            raise NotFound("no version-file is configured")
        return Response(200, self._version, content_type="application/json")

    def wire_code(self, error: RelayError) -> int:
        """:returns: the HTTP status for ``error``"""
        if isinstance(error, BadRequest):
            return error.status
        for kind, status in STATUSES:
            if isinstance(error, kind):
                if self._original_statuses and status == 503:
                    return ORIGINAL_STATUS
                return status
        if self._original_statuses and error.reason is not Reason.HOST_ABSENT:
            return ORIGINAL_STATUS
        return CALL_STATUSES.get(error.reason, 502)
