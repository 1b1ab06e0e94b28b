"""What stands in for the circuit of a stream that has none yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import implementer

from relay.core.standing import PendingCall
from relay.interfaces import ICircuit, IStream
from relay.vocabulary import CLEAN_REASONS, Close, Reason

if TYPE_CHECKING:
    from relay.core.registry import Registry


@implementer(ICircuit)
class Waiting:
    """Stands in for the circuit of a caller that has none yet: its end ends the call."""

    __slots__ = ("_pending", "_registry")

    def __init__(self, registry: Registry, pending: PendingCall) -> None:
        self._registry = registry
        self._pending = pending

    def finished(self, side: IStream) -> None:
        """The caller has said all it wants to say, and waits for the answer."""
        self._pending.finished = True

    def broken(
        self, side: IStream, reason: Reason, close: Close | None = None, text: str = ""
    ) -> None:
        """The caller has left."""
        side.circuit = None  # else the two keep each other until the next search for such rings
        self._registry.give_up(self._pending, reason)


@implementer(ICircuit)
class Opening:
    """Stands in for the circuit of a host's stream that has not accepted yet."""

    __slots__ = ("_pending", "_registry")

    def __init__(self, registry: Registry, pending: PendingCall) -> None:
        self._registry = registry
        self._pending = pending

    def finished(self, side: IStream) -> None:
        """A stream that ends before it was accepted was refused."""
        side.reset(Reason.TARGET_REFUSED, None)
        self.broken(side, Reason.TARGET_REFUSED)

    def broken(
        self, side: IStream, reason: Reason, close: Close | None = None, text: str = ""
    ) -> None:
        """The host refused the call, or its link is gone."""
        if reason in CLEAN_REASONS:
            reason, close = Reason.TARGET_REFUSED, None
        self._registry.refused(self._pending, side, reason)
        self._pending.end(reason, close, text)
