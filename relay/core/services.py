"""What the core lends to dialects."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from relay.core.broker import Broker
from relay.faces import IServices, ITimer


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


@implementer(IServices)
class Services:
    """What the core lends to dialects.

    :param clock: the reactor, or a ``task.Clock``
    """

    def __init__(self, broker: Broker, clock: IReactorTime) -> None:
        self.broker = broker
        self.codes = broker.codes
        self._clock = clock

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
