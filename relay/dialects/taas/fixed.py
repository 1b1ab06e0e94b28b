"""Fixed ports: labels that are reached without a request; taas.md §9.

One opens at its label's first hidden connection, and closes when no record lists it any more.
Where it cannot be opened that is told once, and tried again with or without further connections.
"""

from __future__ import annotations

from collections.abc import Collection

from relay.dialects.taas.conversations import MobileCall
from relay.dialects.taas.notions import DIALECT, Label, offer_name
from relay.errors import LimitReached, RelayError
from relay.faces import IPort, IServices, Welcome
from relay.raw import tcp_origin
from relay.vocabulary import Grant, OfferName, Role

RETRY_S = 60.0
"""A port that cannot be opened is tried again so long afterwards."""


class FixedPort:
    """One port, or the wish for it.

    :ivar owners: IDs whose records list it
    """

    __slots__ = ("_complaint", "_failed_at", "_port", "label", "name", "owners")

    def __init__(self, label: Label) -> None:
        self.label = label
        self.name: OfferName = offer_name(label.name)
        self.owners: set[str] = set()
        self._port: IPort | None = None
        self._failed_at: float | None = None
        self._complaint = ""

    def open(self, interface: str, services: IServices) -> None:
        """Take connections, unless it does."""
        if self._port is None and self._may_try(services):
            try:
                self._port = services.ports.open(
                    (self.label.fixed_port,), interface, DIALECT, self.welcome
                )
                self.may_try_now()
            except RelayError as error:
                self.failed(error, services)

    def failed(self, error: RelayError, services: IServices) -> None:
        """It, or a namesake of another label, cannot be had."""
        if self._may_try(services):
            self._failed_at = services.now()
            if self._complaint != error.text:
                self._complaint = error.text
                services.fault(f"the fixed port of {self.label} cannot be opened", error)

    def may_try_now(self) -> None:
        """What was in its way is gone."""
        self._failed_at, self._complaint = None, ""

    def welcome(self, address: str, port: int) -> Welcome:
        """Somebody connects."""
        grant = Grant(DIALECT, Role.CLIENT, "", self.name)
        return Welcome(grant, MobileCall(self.name, tcp_origin(address, port)))

    def close(self) -> None:
        """Take no more."""
        if self._port is not None:
            self._port.close()
            self._port = None

    def _may_try(self, services: IServices) -> bool:
        return self._failed_at is None or not 0 <= services.now() - self._failed_at < RETRY_S


class FixedPorts:
    """The fixed ports of all labels that had a responder."""

    def __init__(self) -> None:
        # bounded by what records list: a label's entry is gone when its last owner's record is
        self._ports: dict[Label, FixedPort] = {}
        self._by_number: dict[int, FixedPort] = {}

    def __len__(self) -> int:
        return len(self._ports)

    def open(self, label: Label, owner: str, interface: str, services: IServices) -> None:
        """A responder of that label came.

        That its port is in use is an error in the log, and harms nobody.

        :param owner: the ID whose record lists it
        """
        port = self._ports.setdefault(label, FixedPort(label))
        port.owners.add(owner)
        self._open(port, interface, services)

    def try_again(self, interface: str, services: IServices) -> None:
        """Open those that could not be opened when their responders came."""
        for port in self._ports.values():
            self._open(port, interface, services)

    def _open(self, port: FixedPort, interface: str, services: IServices) -> None:
        holder = self._by_number.setdefault(port.label.fixed_port, port)
        if holder is port:
            port.open(interface, services)
        else:
            port.failed(LimitReached(f"it is that of {holder.label.name}"), services)

    def owners(self) -> set[str]:
        """:returns: the IDs of which any is known"""
        return {owner for port in self._ports.values() for owner in port.owners}

    def keep(self, owner: str, labels: Collection[Label]) -> None:
        """Close what an ID's record lists no more.

        :param labels: what it lists
        """
        for label, port in tuple(self._ports.items()):
            if owner in port.owners and label not in labels:
                port.owners.discard(owner)
                if not port.owners:
                    port.close()
                    del self._ports[label]
                    if self._by_number.get(label.fixed_port) is port:
                        del self._by_number[label.fixed_port]
                        for other in self._ports.values():
                            if other.label.fixed_port == label.fixed_port:
                                other.may_try_now()
