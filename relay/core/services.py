"""What the core lends to dialects."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from relay.core.broker import Broker
from relay.errors import LimitReached, RelayError, StoreFailed
from relay.faces import IPort, IPorts, IRecords, IServices, ITimer, Welcome


@implementer(ITimer)
class Timer:
    """One call of the reactor's that need not be looked at before it is cancelled."""

    __slots__ = ("_call",)

    def __init__(self, call: IDelayedCall) -> None:
        self._call = call

    def cancel(self) -> None:
        """Do not call it; harmless when it was called, or cancelled before."""
        if self._call.active():
            self._call.cancel()


@implementer(IPorts)
class NoPorts:
    """Stands in for ports where there are none."""

    def open(
        self,
        numbers: Sequence[int],
        interface: str,
        dialect: str,
        welcome: Callable[[str, int], Welcome],
    ) -> IPort:
        """:raises LimitReached: always"""
        raise LimitReached("no ports can be opened here")


def no_records(dialect: str, database: str) -> NoReturn:
    """Stands in for stores where there are none. :raises StoreFailed: always"""
    raise StoreFailed(f"there is no store for {dialect} here")


@implementer(IServices)
class Services:
    """What the core lends to dialects.

    :param clock: the reactor, or a ``task.Clock``
    :param records: opens stores, by a dialect's name and what its settings say of the place
    :ivar ports: TCP ports, of whoever serves
    """

    log = Logger()

    def __init__(
        self,
        broker: Broker,
        clock: IReactorTime,
        records: Callable[[str, str], IRecords] = no_records,
    ) -> None:
        self.broker = broker
        self.codes = broker.codes
        self.ports: IPorts = NoPorts()
        self._records = records
        self._clock = clock

    def records(self, dialect: str, database: str) -> IRecords:
        """Open a store, or share one that is open. :raises StoreFailed: where there is none"""
        return self._records(dialect, database)

    def now(self) -> float:
        """:returns: Unix seconds."""
        return self._clock.seconds()

    def random_bits(self, bits: int) -> int:
        """:returns: an unpredictable integer below 2**bits."""
        return secrets.randbits(bits)

    def sleep(self, seconds: float) -> Deferred[None]:
        """Wait."""
        return deferLater(self._clock, seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> ITimer:
        """Have ``callback`` called once, as exactly as the reactor can."""
        return Timer(self._clock.callLater(seconds, callback))

    def fault(self, what: str, error: RelayError) -> None:
        """Log one line: what failed, why, what to try."""
        self.log.error(
            "{what} ({reason}: {text}{remedy})",
            what=what,
            reason=error.reason.value,
            text=error.text,
            remedy=f"; {error.remedy}" if error.remedy else "",
        )
