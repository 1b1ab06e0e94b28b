"""Who may knock at a router's doors at the same time, and who has to wait.

A visitor is counted by address until it has shown a credential or is gone, and a handshake from its
first byte until it is judged. Above the limit of handshakes visitors wait, unread, for their turn.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from relay.errors import LimitReached
from relay.settings.model import Limits

QUEUE_TIMEOUT_S = 5.0
BUSY_RETRY_S = 2


class IVisitor(Protocol):
    """A connection that waits for its turn."""

    def begin(self) -> None:
        """It is its turn."""

    def turned_away(self, error: LimitReached) -> None:
        """It has waited too long."""


class Turns:
    """Counts of one router.

    :param limits: asks for those in force
    :ivar visitors: connections without a grant yet, by address
    :ivar handshakes: how many are in progress
    :ivar queue: connections that wait unread for a handshake to end
    """

    def __init__(self, reactor: IReactorTime, limits: Callable[[], Limits]) -> None:
        self.visitors: Counter[str] = Counter()
        self.handshakes = 0
        self.queue: deque[Turn] = deque()
        self._reactor = reactor
        self._limits = limits

    def arrive(self, visitor: IVisitor, address: str) -> Turn:
        """Count a connection that was accepted.

        :raises LimitReached: when its address has too many that showed no credential
        """
        self.count(address)
        return Turn(self, visitor, address)

    def count(self, address: str) -> None:
        """Count a connection without a credential; :meth:`leave` must follow.

        :raises LimitReached: when its address has too many of them; this one is not counted then
        """
        limit = self._limits().links_per_address
        if limit and self.visitors[address] >= limit:
            raise LimitReached(f"{limit} connections of yours have shown no credential yet", "", 1)
        self.visitors[address] += 1

    def may_begin(self) -> bool:
        """:returns: whether another handshake may be in progress"""
        return self.handshakes < self._limits().handshakes

    def wait(self, turn: Turn) -> IDelayedCall:
        """Put it at the end of the queue. :returns: the timer that turns it away"""
        self.queue.append(turn)
        return self._reactor.callLater(QUEUE_TIMEOUT_S, turn.late)

    def leave(self, address: str) -> None:
        """A visitor has shown a credential, or is gone."""
        self.visitors[address] -= 1
        if not self.visitors[address]:
            del self.visitors[address]

    def done_shaking(self) -> None:
        """A handshake is over: the next in the queue may begin."""
        self.handshakes -= 1
        while self.queue and self.may_begin():
            self.queue.popleft().come()

    def busy(self) -> LimitReached:
        """:returns: what one is told who has waited too long"""
        busy = f"{self._limits().handshakes} handshakes are in progress"
        return LimitReached(busy, retry_after_s=BUSY_RETRY_S)


class Turn:
    """One visitor's place.

    :ivar waits: whether it is in the queue
    """

    __slots__ = ("_address", "_shaking", "_timer", "_turns", "_visitor", "waits")

    def __init__(self, turns: Turns, visitor: IVisitor, address: str) -> None:
        self._turns = turns
        self._visitor = visitor
        self._address = address
        self._shaking = False
        self._timer: IDelayedCall | None = None
        self.waits = False

    def wait(self) -> None:
        """Wait for it."""
        self.waits = True
        self._timer = self._turns.wait(self)

    def come(self) -> None:
        """It has come."""
        self._stop_waiting()
        self._visitor.begin()

    def late(self) -> None:
        """It has not come in time."""
        self._timer = None
        self._turns.queue.remove(self)
        self._visitor.turned_away(self._turns.busy())

    def shake(self) -> None:
        """Its handshake begins."""
        self._shaking = True
        self._turns.handshakes += 1

    def shaken(self) -> None:
        """Its handshake is over, however."""
        if self._shaking:
            self._shaking = False
            self._turns.done_shaking()

    def leave(self) -> None:
        """It has shown a credential, or is gone."""
        address, self._address = self._address, ""
        if address:
            self._turns.leave(address)

    def forget(self) -> None:
        """Its connection is gone."""
        self.leave()
        self.shaken()
        if self.waits and self in self._turns.queue:
            self._turns.queue.remove(self)
        self._stop_waiting()

    def _stop_waiting(self) -> None:
        self.waits = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
