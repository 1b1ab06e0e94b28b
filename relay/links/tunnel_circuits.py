"""The circuits of one tunnel: made, counted, logged."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relay.core.stream import Circuit, join
from relay.core.surroundings import Surroundings
from relay.errors import NoSuchOffer, RelayError, TargetForbidden, TargetRefused
from relay.interfaces import IStream
from relay.settings.model import TunnelSettings
from relay.vocabulary import Reason

FAILED_CALLS: dict[Reason, RelayError] = {
    Reason.TARGET_REFUSED: TargetRefused(
        "the host could not connect to its service", "look at the host's log"
    ),
    Reason.NO_SUCH_OFFER: NoSuchOffer("the host does not offer that service"),
    Reason.TARGET_FORBIDDEN: TargetForbidden("the host does not allow that target"),
}
"""A host that cannot serve a call accepts it and ends it at once; the user is told as of a
refusal.
"""


class TunnelCircuits:
    """Those that have not ended; false when there are none.

    :param fault: told of a call that the host could not serve
    """

    log = Logger()

    def __init__(
        self,
        settings: TunnelSettings,
        around: Surroundings,
        fault: Callable[[str, RelayError], None],
    ) -> None:
        self._settings = settings
        self._around = around
        self._fault = fault
        self._circuits: set[Circuit] = set()

    def __bool__(self) -> bool:
        return bool(self._circuits)

    def join(self, caller: IStream, callee: IStream, name: str) -> Deferred[Reason]:
        """Make a circuit of two streams. :returns: fires with why it ended, once it has"""
        over: Deferred[Reason] = Deferred()

        def closed(circuit: Circuit) -> None:
            self._circuits.discard(circuit)
            self._closed(circuit)
            over.callback(circuit.reason or Reason.INTERNAL)

        circuit = join(name, caller, callee, self._around.wheel, closed)
        if circuit.reason is None:
            self._circuits.add(circuit)
        return over

    def _closed(self, circuit: Circuit) -> None:
        up, down = circuit.bytes()
        reason = circuit.reason or Reason.INTERNAL
        self._around.metrics.circuit_closed(self._settings.dialect, reason, up, down)
        if reason in FAILED_CALLS:
            self._fault(f"call for {circuit.name}", FAILED_CALLS[reason])
        self.log.info(
            "{name}: circuit closed: {offer}, {bytes_in} bytes up, {bytes_out} down, "
            "{seconds:.1f} s: {reason}",
            event="circuit-closed",
            name=self._settings.name,
            offer=circuit.name,
            bytes_in=up,
            bytes_out=down,
            seconds=self._around.wheel.now() - circuit.started,
            reason=reason.value,
        )
