"""Doors at which local programs speak WebSocket: each connection is a stream, as it comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from relay.core.admission import Reception
from relay.core.broker import Broker
from relay.core.session import Session
from relay.core.surroundings import Surroundings
from relay.errors import (
    LimitReached,
    MethodNotAllowed,
    RelayError,
    TargetForbidden,
)
from relay.faces import IRouterFace, IServices, Route
from relay.http import Request, Response
from relay.interfaces import IConversation, IStream
from relay.links.cutthrough import Hub
from relay.links.doors import Doors
from relay.links.local_router import LocalRoom
from relay.links.responses import plain_status
from relay.one_stream import OneStream
from relay.settings.model import TunnelSettings
from relay.vocabulary import (
    Call,
    Carries,
    Claims,
    Close,
    Credential,
    Enter,
    Grant,
    Hello,
    Join,
    Nothing,
    Offer,
    OfferName,
    Outputs,
    Passing,
    Reason,
    Role,
)
from relay.wire.closes import close_of

SOCKET_DOOR = "ws"
"""The kind of endpoint, as it stands before the first colon."""

MESSAGE_BYTES = 10_485_760
"""Largest message, and largest frame: what our original takes of one who writes."""

LOOPBACK = "127.0.0.1"
NULL = "null"
"""The subprotocol that some players ask for, and do without an answer to badly."""

ORIGINS = "origins"
"""The key of browser origins that may connect; without it any may."""


class SocketDoor(LocalRoom):
    """One such door; the parameters are those of :class:`relay.links.local_router.LocalRoom`."""

    def __init__(
        self,
        settings: TunnelSettings,
        reactor: IReactorTime,
        around: Surroundings,
        hub: Hub,
        doors: Doors,
    ) -> None:
        origins = cast("tuple[str, ...] | None", settings.values.get(ORIGINS)) or ()
        face = SocketFace(settings.dialect, origins)
        super().__init__(face, settings, reactor, around, hub, doors, self._make_reception)
        self._accepted: Callable[[IStream], None] | None = None

    async def listen(self, endpoint: str, accepted: Callable[[IStream], None]) -> str:
        """Accept connections.

        :param endpoint: ``ws:PORT``, perhaps with ``:interface=ADDRESS``
        :param accepted: called with the stream of each
        :returns: the address that really listens
        :raises CannotListen: when it cannot
        """
        self._accepted = accepted
        return await self.open(tcp_endpoint(endpoint), endpoint)

    def _make_reception(self, broker: Broker, around: Surroundings) -> Reception:
        return _Reception(broker, around, self._hand_over)

    def _hand_over(self, stream: IStream) -> None:
        assert self._accepted is not None
        self._accepted(stream)


def tcp_endpoint(endpoint: str) -> str:
    """:returns: what listens for ``ws:PORT``: loopback, unless an interface is named"""
    rest = endpoint.partition(":")[2]
    named = any(argument.startswith("interface=") for argument in rest.split(":"))
    return f"tcp:{rest}" if named else f"tcp:{rest}:interface={LOOPBACK}"


class _Reception(Reception):
    """Hands each link's stream on, instead of looking for whom it calls."""

    def __init__(
        self, broker: Broker, around: Surroundings, accepted: Callable[[IStream], None]
    ) -> None:
        super().__init__(broker, around)
        self._accepted = accepted

    def requested(self, session: Session, event: Hello | Offer | Call | Join | Enter) -> None:
        """A link stands."""
        self._accepted(session.stream())


@implementer(IRouterFace)
class SocketFace:
    """Takes a WebSocket handshake at any path.

    :param name: the tunnel's dialect, for log and counts
    :param origins: browser origins that may connect; empty: any
    """

    catch_all = True

    def __init__(self, name: str, origins: tuple[str, ...]) -> None:
        self.name = name
        self._origins = origins

    def matches(self, request: Request) -> bool:
        """:returns: True"""
        return True

    def route(self, request: Request) -> Route:
        """:raises TargetForbidden: for a page of another origin than those that may connect"""
        origin = request.header("origin")
        if self._origins and origin is not None and origin not in self._origins:
            raise TargetForbidden("pages of this origin may not connect here")
        return Route("socket")

    def credential(self, request: Request, route: Route) -> Credential:
        """:returns: none: who is on this machine may connect"""
        return Nothing()

    def grant(self, claims: Claims, request: Request, route: Route) -> Grant:
        """:returns: one for nobody in particular"""
        return Grant(self.name, Role.CLIENT, "")

    def conversation(self, request: Request, route: Route, grant: Grant | None) -> IConversation:
        """:returns: payload as it comes"""
        offered = request.has_token("sec-websocket-protocol", NULL)
        return SocketTalk(OfferName(f"{self.name}:"), NULL if offered else "")

    async def answer(
        self, request: Request, route: Route, grant: Grant, services: IServices
    ) -> Response:
        """:raises MethodNotAllowed: nothing but handshakes is served here"""
        raise MethodNotAllowed("a WebSocket handshake is made by GET", "GET")

    def wire_code(self, error: RelayError) -> int:
        """:returns: the status of a refusal"""
        if isinstance(error, TargetForbidden):
            return 403
        if isinstance(error, LimitReached):
            return 503
        return plain_status(error)


class SocketTalk(OneStream):
    """A local program's messages, kept as they are.

    :param name: stands for whatever the tunnel does with the stream
    :param subprotocol: to agree to; empty: none
    """

    carries = Carries(boundaries=True, text=True)
    message_bytes = MESSAGE_BYTES
    frame_bytes = MESSAGE_BYTES
    drop_is_end = True
    dead_timer = True
    passes = Passing.ALL

    __slots__ = ("_name", "upgrade_headers")

    def __init__(self, name: OfferName, subprotocol: str) -> None:
        self._name = name
        self.upgrade_headers: Mapping[str, str] = (
            {"Sec-WebSocket-Protocol": subprotocol} if subprotocol else {}
        )

    def opened(self, now: float) -> Outputs:
        """:returns: a call, which :class:`SocketDoor` answers"""
        return (Call(self._name),)

    def end(self, reason: Reason, close: Close | None) -> Close | None:
        """:returns: the other side's Close, or the code of the reason"""
        return close or close_of(reason)
