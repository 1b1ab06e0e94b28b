"""The circuits of a router, from their beginning to the line of the log that tells of their end."""

from __future__ import annotations

from collections.abc import Callable, KeysView

from twisted.logger import Logger

from relay.core.denials import Denial
from relay.core.publications import Published
from relay.core.stream import Circuit, join
from relay.core.surroundings import Surroundings
from relay.interfaces import IStream
from relay.vocabulary import Reason


class Circuits:
    """The circuits of one router."""

    log = Logger()

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._live: dict[Circuit, Published | None] = {}
        self._waiting: list[Callable[[], None]] = []

    def live(self) -> KeysView[Circuit]:
        """:returns: those that are not over"""
        return self._live.keys()

    def begin(
        self, name: str, caller: IStream, callee: IStream, published: Published | None
    ) -> Circuit:
        """Let payload flow.

        :param name: what was called, for the log
        :param published: how the caller came to it, where it had named another
        :returns: the circuit, which may be over already
        """
        around = self._around
        circuit = join(name, caller, callee, around.wheel, self._closed, around.limits.idle_s)
        if circuit.reason is None:
            self._live[circuit] = published
        return circuit

    def end_published(self, denial: Denial) -> int:
        """End what goes on under a name that no link stands for. :returns: how many circuits"""
        meant = [
            circuit
            for circuit, published in self._live.items()
            if published is not None and published.is_meant(denial)
        ]
        ended = 0
        for circuit in meant:
            if circuit.reason is None:
                circuit.end(Reason.REVOKED)
                ended += 1
        return ended

    def when_over(self, over: Callable[[], None]) -> None:
        """:param over: called when the last of them has ended, at once when there is none"""
        self._waiting.append(over)
        self._tell()

    def _closed(self, circuit: Circuit) -> None:
        self._live.pop(circuit, None)
        up, down = circuit.bytes()
        reason = circuit.reason or Reason.INTERNAL
        self._around.metrics.circuit_closed(circuit.name.partition(":")[0], reason, up, down)
        self.log.info(
            "circuit closed: {offer} {link} -> {partner}, {bytes_in} bytes up, {bytes_out} down, "
            "{seconds:.1f} s: {reason}",
            event="circuit-closed",
            offer=circuit.name,
            link=circuit.caller.label,
            partner=circuit.callee.label,
            bytes_in=up,
            bytes_out=down,
            seconds=self._around.wheel.now() - circuit.started,
            reason=reason.value,
        )
        self._tell()

    def _tell(self) -> None:
        if not self._live:
            waiting, self._waiting = self._waiting, []
            for over in waiting:
                over()
