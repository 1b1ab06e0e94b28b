"""The users page of taas behind a real front door, with a real store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import maybeDeferred

from relay.core.admission import Reception
from relay.core.broker import Broker
from relay.core.services import Services
from relay.core.surroundings import Surroundings
from relay.dialects.taas.keys import ROUTER_KEYS
from relay.dialects.taas.users import UsersFace
from relay.links.cutthrough import Hub
from relay.links.front_factory import FrontFactory
from relay.links.hall import Hall
from relay.settings.model import DialectSettings, Limits
from relay.stores import Stores


class PageRoom:
    """A front door at which nothing is served but the page.

    :ivar port: of it, on 127.0.0.1
    :ivar stores: of the router
    """

    def __init__(self, folder: Path) -> None:
        from twisted.internet import reactor

        clock: Any = reactor  # its type is a module's
        values: dict[str, object] = {key.name: key.default for key in ROUTER_KEYS}
        values |= {"advertise": "127.0.0.1", "database": ""}
        face = UsersFace(DialectSettings("taas", ("tcp:8899",), (), values, 0, 0))
        self._around = Surroundings.of_process(clock, Limits(failed_logins_per_min=0))
        self.stores = Stores(folder, clock)
        broker = Broker(self._around, lambda bits: 0)
        self._hall = Hall(
            Reception(broker, self._around),
            broker,
            self._around,
            Services(broker, clock, self.stores.records),
            clock,
            lambda peer, request: peer,
            Hub(clock),
        )
        factory = FrontFactory(self._hall, lambda: (face,))
        self._port = clock.listenTCP(0, factory, interface="127.0.0.1")
        self.port: int = self._port.getHost().port

    async def close(self) -> None:
        """End it all."""
        await maybeDeferred(self._port.stopListening)
        self._hall.close_doors()
        await self._hall.when_empty()
        await self.stores.close()
        self._around.wheel.stop()
