"""network-relay as the router speaks it: who may enter, and by which door.

Specification: network-relay.md §2 and §9. Every credential comes inside the conversation.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import cast

from zope.interface import implementer

from relay.dialects.network_relay.access import AccessLink
from relay.dialects.network_relay.agents import AgentLink
from relay.dialects.network_relay.keys import CREDENTIALS_KEY
from relay.dialects.network_relay.paths import (
    AGENTS,
    CLIENTS,
    DIALECT,
    is_agreed,
)
from relay.dialects.network_relay.roll import Roll
from relay.errors import (
    AuthError,
    BadRequest,
    GoingAway,
    LimitReached,
    MethodNotAllowed,
    NotFound,
    RelayError,
    TooLarge,
    Unreachable,
    UpgradeRequired,
)
from relay.faces import IRouterFace, IServices, Route
from relay.http import Request, Response
from relay.interfaces import IConversation
from relay.settings.credentials import CredentialsFile
from relay.settings.model import DialectSettings
from relay.vocabulary import Claims, Credential, Grant, Nothing

STATUSES: tuple[tuple[type[RelayError], int], ...] = (
    (AuthError, 401),
    (NotFound, 404),
    (MethodNotAllowed, 405),
    (UpgradeRequired, 426),
    (TooLarge, 431),
    (BadRequest, 400),
    (Unreachable, 502),
    (LimitReached, 503),
    (GoingAway, 503),
)


class NoSuchSocket(NotFound):
    """A WebSocket handshake for a path that has none."""


def make_face(settings: DialectSettings) -> NetworkRelayFace:
    """:raises ConfigurationError: when the credentials cannot be read."""
    return NetworkRelayFace(Roll(cast(CredentialsFile, settings.values[CREDENTIALS_KEY])))


@implementer(IRouterFace)
class NetworkRelayFace:
    """The router's network-relay, configured.

    :param roll: who may log in
    :param random_bits: an unpredictable integer below 2**n
    """

    name: str = DIALECT
    catch_all: bool = False

    def __init__(self, roll: Roll, random_bits: Callable[[int], int] = secrets.randbits) -> None:
        self._roll = roll
        self._random_bits = random_bits

    def matches(self, request: Request) -> bool:
        """:returns: whether the path is one of the two."""
        return request.path in (f"/{AGENTS}", f"/{CLIENTS}")

    def route(self, request: Request) -> Route:
        """:raises NotFound: for anything but a handshake on one of the two paths"""
        is_handshake = request.has_token("upgrade", "websocket")
        if self.matches(request) and is_handshake:
            return Route(request.path.removeprefix("/"), greets=True)
        if is_handshake:
            raise NoSuchSocket("no WebSocket is served here")
        raise NotFound("nothing is served here over plain HTTP")

    def credential(self, request: Request, route: Route) -> Credential:
        """It comes inside the conversation."""
        return Nothing()

    def grant(self, claims: Claims, request: Request, route: Route) -> Grant:
        """:raises NotFound: always: no route of ours is granted before its conversation"""
        raise NotFound("nothing is served here over plain HTTP")

    def conversation(self, request: Request, route: Route, grant: Grant | None) -> IConversation:
        """A new link's conversation."""
        binary = is_agreed(request.header)
        if route.name == AGENTS:
            return AgentLink(self._roll.agent, self._random_bits, binary)
        return AccessLink(self._roll.client, binary)

    async def answer(
        self, request: Request, route: Route, grant: Grant, services: IServices
    ) -> Response:
        """Nothing is served over plain HTTP; every request was refused before."""
        raise NotFound("nothing is served here over plain HTTP")

    def wire_code(self, error: RelayError) -> int:
        """:returns: the original's HTTP status for ``error``: 403 for an unknown WebSocket"""
        if isinstance(error, NoSuchSocket):
            return 403
        for kind, status in STATUSES:
            if isinstance(error, kind):
                return status
        return 500
