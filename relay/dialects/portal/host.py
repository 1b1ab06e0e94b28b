"""Our portal host: keeps the control link up, and dials once more for every call.

Source: portal.md §6, §10 and §13 ("a compatible host must").
"""

from __future__ import annotations

from collections.abc import Mapping

from relay.dialects.portal.data import EndpointControl, EndpointLink
from relay.dialects.portal.wire import (
    ACCEPT,
    CONTROL,
    FIRST_SEGMENT,
    HALF_CLOSE,
    HALF_CLOSE_HEADER,
    offer_name,
)
from relay.errors import (
    LimitReached,
    NoSuchOffer,
    Refused,
    RelayError,
)
from relay.interfaces import IConversation, IStream
from relay.outside import IOutward, ITunnelSession
from relay.settings import secrets
from relay.settings.model import TunnelSettings
from relay.vocabulary import Call, CallKey, Event, OfferName, Reason, Role
from relay.wire.tokens import peek_claims

RETRY_ACCEPT_S = (0.05, 0.1, 0.15, 0.2)
"""The original stores a call only after it has announced it, so a fast accept meets a 404 at
first.
"""

GONE = 404

ANSWERED_AT_ONCE = 1200
"""So many calls are being answered at a time, each with two sockets; further ones are ignored. Our
router announces 1000 at a time (``pending-calls``); for it a call is answered a moment earlier, so
this is above that.
"""


async def run_host(settings: TunnelSettings, outward: IOutward) -> None:
    """Offer the section's services until cancelled."""
    await outward.keep(_PortalHost(settings, outward).register)


class _PortalHost:
    def __init__(self, settings: TunnelSettings, outward: IOutward) -> None:
        self._settings = settings
        self._outward = outward
        self._targets = {door.service: door.endpoint for door in settings.doors}
        self._name = OfferName("portal:?")
        self._answering: set[CallKey] = set()
        self._said_full = False

    async def register(self) -> ITunnelSession:
        """Open the control link: the offer stands."""
        token = read_token(self._settings)
        claims = peek_claims(token)
        portal_id = claims.get("portal_id", "?")
        self._name = offer_name(portal_id) if isinstance(portal_id, int) else OfferName("portal:?")
        services = ",".join(self._targets)
        session = await self._outward.websocket(
            f"/{FIRST_SEGMENT}/{CONTROL}?services={services}",
            {"Authorization": f"Bearer {token}"},
            lambda _: EndpointControl(self._name),
            self._handle,
        )
        for service, target in self._targets.items():
            self._outward.report(
                f"{self._name}/{service} stands for {target}; reach it with: "
                f"relay connect --dialect portal --router {self._settings.router} "
                f"--token-file TOKEN --service {service}   "
                f"(a TOKEN comes from: relay token portal client --id {portal_id})"
            )
        return session

    def _handle(self, event: Event) -> None:
        # a call that is announced twice is one call
        if not isinstance(event, Call) or event.key in self._answering:
            return
        if len(self._answering) < ANSWERED_AT_ONCE:
            self._answering.add(event.key)
            self._outward.spawn(self._answer(event))
        elif not self._said_full:
            self._said_full = True
            said = f"{ANSWERED_AT_ONCE} are being answered already"
            self._outward.fault("further calls are ignored", LimitReached(said))

    async def _answer(self, call: Call) -> None:
        try:
            ends = await self._meet(call)
        finally:
            self._answering.discard(call.key)
            if len(self._answering) < ANSWERED_AT_ONCE // 2:
                self._said_full = False
        if ends is not None:
            caller, target = ends
            await self._outward.join(caller, target, f"{call.name}/{call.service}")

    async def _meet(self, call: Call) -> tuple[IStream, IStream] | None:
        """:returns: the two ends of a circuit; None: there is none, and everybody knows."""
        what = f"call of {call.caller or 'somebody'} for {call.service[:100]}"
        target: IStream | None = None
        refused: Reason | None = None
        try:
            target = await self._connect(call)
        except RelayError as error:
            self._outward.fault(what, error)
            refused = error.reason
        try:
            session = await self._accept(call)
            if target is not None:
                return stream_of(session), target
            session.close(refused or Reason.INTERNAL)
        except RelayError as error:
            if target is not None:
                target.reset(error.reason, None)
            self._outward.fault(what, error)
        return None

    async def _connect(self, call: Call) -> IStream:
        endpoint = self._targets.get(call.service)
        if endpoint is None:
            raise NoSuchOffer(f"the service {call.service[:100]!r} is not offered here")
        return await self._outward.connect(endpoint)

    async def _accept(self, call: Call) -> ITunnelSession:
        path = f"/{FIRST_SEGMENT}/{ACCEPT}/{call.key}"
        headers = {
            "Authorization": f"Bearer {read_token(self._settings)}",
            HALF_CLOSE_HEADER: HALF_CLOSE[1],
        }
        for pause_s in RETRY_ACCEPT_S:
            try:
                return await self._outward.websocket(path, headers, _conversation, _ignore)
            except Refused as error:
                if error.status != GONE:
                    raise
            await self._outward.sleep(pause_s)
        return await self._outward.websocket(path, headers, _conversation, _ignore)


def _conversation(headers: Mapping[str, str]) -> IConversation:
    key, value = HALF_CLOSE
    return EndpointLink(Role.HOST, headers.get(key) == value)


def _ignore(event: Event) -> None:
    """A data link asks for nothing."""


def stream_of(session: ITunnelSession) -> IStream:
    """:returns: a data link's stream. :raises RelayError: when there is no room; the link ends."""
    try:
        return session.stream()
    except RelayError as error:
        session.close(error.reason)
        raise


def read_token(settings: TunnelSettings) -> str:
    """:returns: the token, read afresh. :raises TokenMissing, TokenInvalid: when there is none"""
    return secrets.read_token(settings.token)
