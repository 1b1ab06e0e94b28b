"""The router's taas: a registrar for hosts, and redirects for those who look for them.

Specification: taas.md §3 to §9, §15 and §16. The two are told apart by a request's Host alone.
"""

from __future__ import annotations

from typing import cast

from zope.interface import implementer

from relay.dialects.taas.conversations import Responder
from relay.dialects.taas.credentials import challenge
from relay.dialects.taas.keys import (
    REGISTRAR_KEY,
    SAME_ADDRESS_KEY,
    SERVERS_KEY,
    USERS_KEY,
    USES_KEY,
    advertised,
    database_url,
    port_numbers,
)
from relay.dialects.taas.mobile import Mobile, host_of, label_of
from relay.dialects.taas.notions import DIALECT, offer_name
from relay.dialects.taas.records import Record
from relay.dialects.taas.refusals import date_of, refused, status_of
from relay.dialects.taas.registrar import HostGrant, Registrar, grant_of, look_up
from relay.dialects.taas.state import Config, Memory
from relay.dialects.taas.users import UsersFace
from relay.errors import NotFound, RelayError, TokenMissing
from relay.faces import (
    ILookingUpFace,
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
from relay.settings.endpoints import interface_of
from relay.settings.model import DialectSettings
from relay.vocabulary import Claims, Credential, Grant, Missing, Nothing, OfferName, Role

REGISTRAR = "registrar"
MOBILE = "mobile"
IGNORED_BYTES = 64 * 1024
"""So much of a body is read, that nobody looks at, before the answer comes without the rest."""
LOOK_EVERY_S = 10.0
"""How often it is looked whether records still list what stands."""
LASTS_S = 1.0
"""How long a revocation lasts that only ends links: no code of such an ID is good in any case."""


def make_face(settings: DialectSettings, url: str) -> TaasFace:
    """:raises ConfigurationError: when the database's password cannot be read"""
    values = settings.values
    listeners = (*settings.listen, *settings.listen_tls)
    config = Config(
        registrar=str(values[REGISTRAR_KEY]),
        servers=str(values[SERVERS_KEY]),
        advertise=advertised(settings),
        numbers=port_numbers(values),
        interface=interface_of(listeners[0]) if listeners else "",
        database=database_url(values),
        same_address=bool(values[SAME_ADDRESS_KEY]),
        uses=cast(int, values[USES_KEY]),
    )
    return TaasFace(config, UsersFace(settings))


@implementer(IWordedFace, ILookingUpFace, IPlacedFace, IRememberingFace, IResidentFace)
class TaasFace:
    """The router's side, configured.

    :param users: the operator's page; None: there is none
    """

    name: str = DIALECT
    catch_all: bool = False

    def __init__(self, config: Config, users: IRouterFace | None = None) -> None:
        self._config = config
        self._users = users
        self._memory = Memory()

    @property
    def memory(self) -> Memory:
        """:returns: what survives a reload"""
        return self._memory

    def placed(self, key: str) -> IRouterFace:
        """:returns: the face for the listeners of ``users``; itself for any other"""
        return self._users if key == USERS_KEY and self._users is not None else self

    def remember(self, before: IRouterFace) -> None:
        """Go on with what ``before`` knows; ports that it opened stay as they are."""
        if isinstance(before, TaasFace):
            self._memory = before.memory

    # -- requests ------------------------------------------------------------------------------

    def matches(self, request: Request) -> bool:
        """:returns: whether the Host is the registrar's, or that of a label"""
        host = host_of(request)
        return host == self._config.registrar or bool(label_of(host, self._config.servers))

    def route(self, request: Request) -> Route:
        """:raises NotFound: without a Host, which only HTTP/1.0 may leave out"""
        host = host_of(request)
        if not host:
            raise NotFound("there is no Host, by which labels are told apart")
        whole = Route("", websocket=False, body_bytes=IGNORED_BYTES, spares_body=True)
        if host == self._config.registrar:
            return whole._replace(name=REGISTRAR, looks_up=True)
        return whole._replace(name=MOBILE, parameters=(label_of(host, self._config.servers),))

    def credential(self, request: Request, route: Route) -> Credential:
        """None is asked for, but by the registrar, which looks them up."""
        return Missing() if route.looks_up else Nothing()

    async def look_up(self, request: Request, route: Route, services: IServices) -> Credential:
        """:raises BadRequest: when what is shown is malformed

        :raises StoreFailed: when the store cannot be asked
        """
        self._memory.asked_at = services.now()
        return await look_up(self._config, request, services)

    def grant(self, claims: Claims, request: Request, route: Route) -> Grant:
        """Hosts may ask for the labels of their record, callers for all."""
        return grant_of(claims) if route.looks_up else Grant(DIALECT, Role.CLIENT, "")

    def conversation(self, request: Request, route: Route, grant: Grant | None) -> IConversation:
        """:raises NotFound: always: links come by ports of their own"""
        raise NotFound("no WebSocket is served here")

    async def answer(
        self, request: Request, route: Route, grant: Grant, services: IServices
    ) -> Response:
        """Answer a host, or somebody who looks for one. :raises RelayError: a refusal"""
        if isinstance(grant, HostGrant):
            return Registrar(self._config, self._memory).answer(request, grant, services)
        mobile = Mobile(self._config, self._memory)
        return await mobile.answer(request, route.parameters[0], grant, services)

    def refusal(self, error: RelayError, request: Request) -> Response:
        """:returns: the whole answer, its headers included"""
        host, now = host_of(request), self._memory.asked_at
        headers: list[tuple[str, str]] = []
        if host == self._config.registrar:
            headers.append(date_of(now))
            if isinstance(error, TokenMissing):
                headers.append(("WWW-Authenticate", challenge(now)))
        elif host:
            # without it programs that use the original's library end (§12)
            named = host if label_of(host, self._config.servers) else self._config.servers
            headers.append(("Location", f"https://{named}/"))
        return refused(error, tuple(headers))

    def wire_code(self, error: RelayError) -> int:
        """:returns: the HTTP status of a refusal"""
        return status_of(error)

    # -- records that change -------------------------------------------------------------------

    async def reside(self, services: IServices) -> None:
        """End, until cancelled, what no record lists any more: links, and fixed ports."""
        while True:
            await services.sleep(LOOK_EVERY_S)
            try:
                await self._look(services)
            except RelayError:
                continue  # a store that cannot be asked now is asked again; meanwhile all stays

    async def _look(self, services: IServices) -> None:
        standing: dict[str, set[OfferName]] = {
            owner: set() for owner in sorted(self._memory.fixed.owners())
        }
        for link in services.broker.links(DIALECT):
            if isinstance(link.conversation, Responder):
                held = link.conversation
                standing.setdefault(held.subject, set()).add(held.name)
        records = services.records(DIALECT, self._config.database)
        for subject, names in standing.items():
            stored = await records.get(subject)
            record = None if stored is None else Record.read(stored)
            labels = () if record is None else record.labels
            listed = {offer_name(label.name) for label in labels}
            for name in sorted(names - listed):
                services.broker.revoke(DIALECT, subject, name, until=services.now() + LASTS_S)
            self._memory.fixed.keep(subject, labels)
        self._memory.fixed.try_again(self._config.interface, services)
