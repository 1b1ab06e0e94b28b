"""Hidden ports: each is open for one responder; taas.md §6 and §16.

A connection from another address than the registration's is refused, and the port goes on waiting:
who guesses a port's number from elsewhere takes nobody's place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from relay.addresses import unmapped
from relay.dialects.taas.notions import DIALECT
from relay.dialects.taas.uses import TooManyUses
from relay.errors import TokenMissing
from relay.faces import IPort, IServices, ITimer, Welcome

OPEN_S = 30.0
"""How long a hidden port waits for its responder."""
OPEN_PER_ID = 64
"""Hidden ports of one ID that wait for a responder each."""
RETRY_S = 1
"""When an ID that has so many may try again."""


class HiddenPort:
    """A port that waits for its responder.

    :param address: from which that has to come; empty: from anywhere
    :param arrived: called once, with address and port of the responder
    :param closed: called once, when the port waits no more
    """

    __slots__ = ("_address", "_arrived", "_closed", "_over", "_port", "_timer")

    def __init__(
        self,
        address: str,
        arrived: Callable[[str, int], Welcome],
        closed: Callable[[HiddenPort], None],
    ) -> None:
        self._address = address
        self._arrived = arrived
        self._closed = closed
        self._over = False
        self._port: IPort | None = None
        self._timer: ITimer | None = None

    def open(self, numbers: Sequence[int], interface: str, services: IServices) -> int:
        """Begin to wait.

        :returns: the port's number
        :raises RelayError: when none is free
        """
        self._port = services.ports.open(numbers, interface, DIALECT, self.welcome)
        self._timer = services.call_later(OPEN_S, self.close)
        return int(self._port.number)

    def welcome(self, address: str, port: int) -> Welcome:
        """Somebody connects. :raises TokenMissing: when it is not the responder"""
        if self._over:
            raise TokenMissing("another connection has taken this port")
        if self._address and unmapped(address) != self._address:
            raise TokenMissing(
                "this port is for another address",
                "a host connects from the address that it registers from; "
                "same-address = no permits others",
            )
        self.close()
        return self._arrived(address, port)

    def close(self) -> None:
        """Wait no more; harmless when it does not."""
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._port is not None:
            self._port.close()
        self._closed(self)


class HiddenPorts:
    """Those that wait, by the ID that asked for them."""

    def __init__(self) -> None:
        self._open: dict[str, set[HiddenPort]] = {}

    def waiting(self, subject: str) -> int:
        """:returns: how many of an ID wait"""
        return len(self._open.get(subject, ()))

    def check(self, subject: str) -> None:
        """:raises TooManyUses: when an ID may have no further one"""
        if self.waiting(subject) >= OPEN_PER_ID:
            raise TooManyUses(
                f"{OPEN_PER_ID} ports wait for connections of this host already",
                "does it reach the advertised address?",
                retry_after_s=RETRY_S,
            )

    def open(
        self,
        subject: str,
        address: str,
        arrived: Callable[[str, int], Welcome],
        numbers: Sequence[int],
        interface: str,
        services: IServices,
    ) -> int:
        """Open one more; the parameters as for :class:`HiddenPort` and its ``open``.

        :returns: its number
        :raises RelayError: when none is free
        """
        port = HiddenPort(address, arrived, partial(self._closed, subject))
        number = port.open(numbers, interface, services)
        self._open.setdefault(subject, set()).add(port)
        return number

    def _closed(self, subject: str, port: HiddenPort) -> None:
        ports = self._open.get(subject, set())
        ports.discard(port)
        if not ports:
            self._open.pop(subject, None)
