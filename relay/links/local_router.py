"""A small router inside a host or client, for programs beside it."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Collection
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from relay.core.admission import Reception
from relay.core.broker import Broker
from relay.core.resident import Resident
from relay.core.services import Services
from relay.core.session import Session
from relay.core.surroundings import Surroundings
from relay.faces import IRouterFace
from relay.http import Request
from relay.links.cutthrough import Hub
from relay.links.doors import Doors
from relay.links.front_factory import FrontFactory
from relay.links.hall import Hall
from relay.outside import ILocalRouter, IResident, ITunnelSession
from relay.settings.model import TunnelSettings
from relay.vocabulary import Data, Enter, Message, TopicName

MakeReception = Callable[[Broker, Surroundings], Reception]


class LocalRoom:
    """What is behind local doors at which HTTP is spoken: a hall, and who decides in it.

    :param settings: of the tunnel
    :param around: of the process
    :param hub: of the cut-through gear
    :param doors: of the tunnel
    """

    def __init__(
        self,
        face: IRouterFace,
        settings: TunnelSettings,
        reactor: IReactorTime,
        around: Surroundings,
        hub: Hub,
        doors: Doors,
        make_reception: MakeReception = Reception,
    ) -> None:
        self.broker = Broker(around, secrets.randbits)
        self.services = Services(self.broker, reactor)
        self._doors = doors
        self._hall = Hall(
            make_reception(self.broker, around),
            self.broker,
            around,
            self.services,
            reactor,
            _as_it_came,
            hub,
        )
        self._hall.liveness = {face.name: (settings.ping_s, settings.dead_s)}
        self._factory = FrontFactory(self._hall, lambda: (face,))

    async def open(self, endpoint: str, shown: str = "") -> str:
        """Listen, too.

        :param endpoint: Twisted server endpoint string
        :param shown: the endpoint as configured, where that differs
        :returns: the address that really listens
        :raises CannotListen: when that cannot be
        """
        return await self._doors.open(endpoint, self._factory, shown)

    def end(self) -> None:
        """End what goes on; the doors are shut already."""
        self.broker.draining = True
        self.broker.end_all()
        self._hall.close_doors()

    def when_empty(self) -> Deferred[None]:
        """:returns: fires when every connection is gone, or was waited for long enough"""
        return self._hall.when_empty()

    def wait_no_more(self) -> None:
        """Nobody waits for connections to be gone."""
        self._hall.wait_no_more()


@implementer(ILocalRouter)
class LocalRouter(LocalRoom):
    """A router of one tunnel's own: topics, in which its links take part."""

    def __init__(
        self,
        face: IRouterFace,
        settings: TunnelSettings,
        reactor: IReactorTime,
        around: Surroundings,
        hub: Hub,
        doors: Doors,
    ) -> None:
        super().__init__(face, settings, reactor, around, hub, doors)
        self._compositions: dict[TopicName, frozenset[TopicName]] = {}
        self._bridges: dict[tuple[TopicName, TopicName], Resident] = {}

    async def listen(self, endpoint: str) -> str:
        """Serve the face at a Twisted server endpoint."""
        return await self.open(endpoint)

    def enter(self, session: ITunnelSession, event: Enter) -> None:
        """A link of ours becomes a member of a local topic."""
        self.broker.topic(event.topic).enter(cast(Session, session).stream(), event)

    def reside(self, topic: TopicName, heard: Callable[[Data], None]) -> IResident:
        """Become a member without a link."""
        return self._seat(topic, heard, writes=True)

    def compose(self, topic: TopicName, sources: Collection[TopicName]) -> None:
        """Have ``topic`` hear what is said on ``sources``.

        A topic that is composed itself is no source, so that nothing goes in a circle.
        """
        self._compositions.pop(topic, None)
        if sources:
            self._compositions[topic] = frozenset(sources)
        wanted = {
            (composed, source)
            for composed, parts in self._compositions.items()
            for source in parts
            if source not in self._compositions
        }
        for gone in self._bridges.keys() - wanted:
            self._bridges.pop(gone).leave()
        for composed, source in wanted - self._bridges.keys():
            told = functools.partial(self._tell, composed)
            self._bridges[composed, source] = self._seat(source, told, writes=False)

    def _seat(self, topic: TopicName, heard: Callable[[Data], None], writes: bool) -> Resident:
        resident = Resident(f"{topic} resident", heard)
        self.broker.topic(topic).enter(resident, Enter(topic, writes=writes))
        return resident

    def _tell(self, topic: TopicName, data: Data) -> None:
        """Tell a composed topic, where there is anybody."""
        self.broker.publish(topic, Message(data.payload, data.text))


def _as_it_came(peer: str, _request: Request) -> str:
    """:returns: the address that connected; nobody stands before a local door"""
    return peer
