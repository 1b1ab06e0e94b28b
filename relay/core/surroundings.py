"""What the core is given: what a whole process shares, and who decides on requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from twisted.internet.interfaces import IReactorTime

from relay.core.ledger import Ledger
from relay.core.liveness import Wheel
from relay.metrics import Metrics
from relay.settings.model import Limits
from relay.vocabulary import Accept, Call, Close, Enter, Hello, Join, Offer, Reason

if TYPE_CHECKING:
    from relay.core.session import Session


@dataclass(slots=True, eq=False)
class Surroundings:
    """What a whole process shares.

    :ivar limits: those in force; whoever is held to one looks here each time
    """

    wheel: Wheel
    ledger: Ledger
    metrics: Metrics
    limits: Limits

    @classmethod
    def of_process(cls, clock: IReactorTime, limits: Limits) -> Surroundings:
        """:returns: new ones. :param clock: the reactor, or a ``task.Clock``"""
        wheel = Wheel(clock)
        return cls(wheel, Ledger(limits.buffered_bytes, wheel), Metrics(), limits)

    def adopt(self, limits: Limits) -> None:
        """From now on other limits hold; what stands already keeps its sizes."""
        self.limits = limits
        self.ledger.cap_bytes = limits.buffered_bytes


class ISwitch(Protocol):
    """Who decides what a session's requests lead to: a router's broker, a daemon's tunnel."""

    def requested(self, session: Session, event: Hello | Offer | Call | Join | Enter) -> None:
        """The peer asks for something. :raises RelayError: when it may not have it."""

    def accepted(self, session: Session, event: Accept) -> None:
        """The peer answered the call on a stream."""

    def ready(self, session: Session) -> None:
        """The link takes more again, after it had been full."""

    def lost(self, session: Session, reason: Reason, close: Close | None, detail: str) -> None:
        """The session is over."""
