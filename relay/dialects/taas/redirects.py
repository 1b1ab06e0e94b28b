"""Mobile ports: one for each label that somebody was sent to; taas.md §7 and §8.

Any number of connections come to one, and each is a call. The original opens one for each request
and closes none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from relay.addresses import unmapped
from relay.dialects.taas.conversations import MobileCall
from relay.dialects.taas.notions import DIALECT
from relay.errors import LimitReached
from relay.faces import IPort, IServices, Welcome
from relay.raw import tcp_origin
from relay.vocabulary import Grant, OfferName, Role

OPEN_S = 120.0
"""How long a mobile port outlives the last redirect to it, and the last connection."""
SHARE = 0.75
"""Of all numbers; the others are for hosts, since who looks for a label shows nothing of itself."""
ADDRESSES = 256
"""Addresses that were sent to one port and are remembered; the first goes first."""


class MobilePort:
    """The port of one label.

    :param closed: called once, when it takes no more connections
    """

    __slots__ = ("_closed", "_name", "_origins", "_port", "_services", "_used")

    def __init__(self, name: OfferName, services: IServices, closed: Callable[[], None]) -> None:
        self._name = name
        self._services = services
        self._closed = closed
        self._origins: dict[str, str] = {}  # by address, the one that was sent last at the end
        self._port: IPort | None = None
        self._used = services.now()

    def open(self, numbers: Sequence[int], interface: str) -> None:
        """Take connections. :raises RelayError: when no port is free"""
        self._port = self._services.ports.open(numbers, interface, DIALECT, self.welcome)
        self._services.call_later(OPEN_S, self._look)

    def sent(self, address: str, origin: str) -> int:
        """Somebody is told of it.

        :param origin: of the request, for pairings
        :returns: the port's number
        """
        assert self._port is not None
        self._used = self._services.now()
        address = unmapped(address)
        self._origins.pop(address, None)
        self._origins[address] = origin
        if len(self._origins) > ADDRESSES:
            del self._origins[next(iter(self._origins))]
        return int(self._port.number)

    def welcome(self, address: str, port: int) -> Welcome:
        """Somebody connects, of those who were sent or not."""
        self._used = self._services.now()
        origin = self._origins.get(unmapped(address)) or tcp_origin(address, port)
        grant = Grant(DIALECT, Role.CLIENT, "", self._name)
        return Welcome(grant, MobileCall(self._name, origin))

    def _look(self) -> None:
        """Close, unless it was used since."""
        quiet_s = self._services.now() - self._used
        # a clock that was set back keeps nothing open for longer than usual
        if 0 <= quiet_s < OPEN_S:
            self._services.call_later(OPEN_S - quiet_s, self._look)
            return
        if self._port is not None:
            self._port.close()
        self._closed()


class Redirects:
    """The mobile ports, by what is called there."""

    def __init__(self) -> None:
        self._ports: dict[OfferName, MobilePort] = {}

    def __len__(self) -> int:
        return len(self._ports)

    def send(
        self,
        name: OfferName,
        address: str,
        origin: str,
        numbers: Sequence[int],
        interface: str,
        services: IServices,
    ) -> int:
        """Send somebody to a label's port, which is opened where it is not.

        :returns: the port's number
        :raises RelayError: when none is free
        """
        port = self._ports.get(name)
        if port is None:
            if len(self._ports) >= max(1, int(len(numbers) * SHARE)):
                raise LimitReached(f"{len(self._ports)} labels are being called already")
            port = MobilePort(name, services, partial(self._closed, name))
            port.open(numbers, interface)
            self._ports[name] = port
        return port.sent(address, origin)

    def _closed(self, name: OfferName) -> None:
        self._ports.pop(name, None)
