"""A stream, and the joining of two: the message gear's byte path on one page.

The way of one chunk: the link's conversation yields ``Data`` -> :meth:`Stream.deliver` -> the
partner's ``send`` -> the partner's link. Ends take the longer way through the :class:`Circuit`,
which decides what a side without half-close is told, and when the circuit is over.
"""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from relay.core.liveness import Entry, Wheel
from relay.interfaces import ICircuit, IStream
from relay.outlets import IOutlet
from relay.vocabulary import Carries, Close, Data, Reason

HALF_CLOSE_S = 60.0
"""How long a caller's Finish is held, with nothing coming back, where the other side cannot be
told."""

HALF_CLOSE_CALLEE_S = 2.0
"""The same for a callee's Finish: a service that finished has nearly always closed for good, and
its caller waits for the end (a download that ends with a close)."""

HOLD_CHECK_S = 1.0


@implementer(IStream)
class Stream:
    """What all streams share; a subclass puts it on a wire."""

    __slots__ = ("bytes_in", "carries", "circuit", "closed", "label", "partner")

    def __init__(self, carries: Carries, label: str) -> None:
        self.carries = carries
        self.label = label
        self.bytes_in = 0
        self.partner: IStream | None = None
        self.circuit: ICircuit | None = None
        self.closed = False

    def attach(self, partner: IStream) -> None:
        """From now on what comes from the wire goes to ``partner``."""
        self.partner = partner

    def detach(self) -> None:
        """The circuit is over: forget it and the partner."""
        self.partner = None
        self.circuit = None

    def deliver(self, data: Data) -> None:
        """Payload came from the wire; :meth:`attach` has been called."""
        self.bytes_in += len(data.payload)
        assert self.partner is not None
        self.partner.send(data)

    def send(self, data: Data) -> None:
        """Put payload on the wire."""
        raise NotImplementedError

    def finish(self) -> None:
        """Tell the wire that no more payload follows."""
        raise NotImplementedError

    def reset(self, reason: Reason, close: Close | None) -> None:
        """End both directions, after all that was sent."""
        raise NotImplementedError

    def forget_unsent(self) -> None:
        """Nobody wants what was sent and not taken; only streams with credit know what that is."""

    def pause(self) -> None:
        """Deliver no more until :meth:`resume`."""
        raise NotImplementedError

    def resume(self) -> None:
        """Undo :meth:`pause`."""
        raise NotImplementedError

    def is_paused(self) -> bool:
        """:returns: whether the partner has asked for a pause, or does not take what was read."""
        raise NotImplementedError

    def untaken_bytes(self) -> int:
        """:returns: bytes on their way to the far end; 0 where that cannot be known"""
        return 0

    def outlet(self) -> IOutlet | None:
        """:returns: what takes payload for it unread; None: :meth:`send` has to"""
        return None

    def has_left(self) -> bool | None:
        """:returns: whether the far end is gone for good; None when that cannot be known."""
        return None

    def has_given_up(self) -> bool | None:
        """:returns: whether the far end has left, and nothing that it said is to be delivered."""
        return self.has_left()


@implementer(ICircuit)
class Circuit:
    """Two joined streams and the rules of their end.

    :param name: what was called, for the log
    :param caller: the side that asked
    :param callee: the side that answered
    :param closed: called once, when it is over
    """

    __slots__ = (
        "_closed",
        "_finished",
        "_hold",
        "_idle_s",
        "_looked",
        "_quiet_s",
        "_seen_bytes",
        "_wheel",
        "callee",
        "caller",
        "name",
        "reason",
        "started",
    )

    def __init__(
        self,
        name: str,
        caller: IStream,
        callee: IStream,
        wheel: Wheel,
        closed: Callable[[Circuit], None],
        idle_s: float = 0,
    ) -> None:
        self.name = name
        self.caller = caller
        self.callee = callee
        self.started = wheel.now()
        self.reason: Reason | None = None
        self._wheel = wheel
        self._closed = closed
        self._finished: IStream | None = None
        self._hold: Entry | None = None
        self._quiet_s = 0.0
        self._seen_bytes = 0
        self._looked = self.started
        self._idle_s = idle_s
        if idle_s:
            self._hold = wheel.after(HOLD_CHECK_S, self._check_idle)

    def bytes(self) -> tuple[int, int]:
        """:returns: payload bytes from the caller and from the callee."""
        return self.caller.bytes_in, self.callee.bytes_in

    def finished(self, side: IStream) -> None:
        """No more payload comes from ``side``."""
        if self.reason is not None or self._finished is side:
            return
        other = self._other(side)
        if self._finished is not None or side.has_left():
            self._over(Reason.FINISHED, None, told=None)
        elif other.carries.half_close:
            self._finished = side
            other.finish()
        else:
            self._finished = side
            self._quiet_s, self._seen_bytes = 0.0, other.bytes_in
            self._looked = self._wheel.now()
            self._arm(self._check_hold)

    def broken(
        self, side: IStream, reason: Reason, close: Close | None = None, text: str = ""
    ) -> None:
        """``side`` is over in both directions."""
        if self.reason is None:
            self._over(reason, close, told=side)

    def end(self, reason: Reason) -> None:
        """Neither side may go on."""
        if self.reason is None:
            self._over(reason, None, told=None)

    def _other(self, side: IStream) -> IStream:
        return self.callee if side is self.caller else self.caller

    def _arm(self, check: Callable[[], None]) -> None:
        if self._hold is not None:
            self._hold.cancel()
        self._hold = self._wheel.after(HOLD_CHECK_S, check)

    def _check_hold(self) -> None:
        """A side was not told of the other's Finish: is there still traffic back?"""
        side = self._finished
        assert side is not None
        other = self._other(side)
        grace_s = HALF_CLOSE_S if side is self.caller else HALF_CLOSE_CALLEE_S
        elapsed_s = self._look()
        if other.bytes_in != self._seen_bytes or other.is_paused():
            self._quiet_s, self._seen_bytes = 0.0, other.bytes_in
        else:
            self._quiet_s += elapsed_s
        if self._quiet_s >= grace_s or side.has_left():
            self._over(Reason.FINISHED, None, told=None)
        else:
            self._arm(self._check_hold)

    def _check_idle(self) -> None:
        moved, elapsed_s = sum(self.bytes()), self._look()
        self._quiet_s = 0.0 if moved != self._seen_bytes else self._quiet_s + elapsed_s
        self._seen_bytes = moved
        if self._quiet_s >= self._idle_s:
            self._over(Reason.IDLE, None, told=None)
        else:
            self._arm(self._check_idle)

    def _look(self) -> float:
        """:returns: seconds since the last look, bounded: a clock that jumps ends nothing."""
        last, self._looked = self._looked, self._wheel.now()
        return min(max(0.0, self._looked - last), 2 * HOLD_CHECK_S)

    def _over(self, reason: Reason, close: Close | None, told: IStream | None) -> None:
        self.reason = reason
        if self._hold is not None:
            self._hold.cancel()
            self._hold = None
        for stream in (self.caller, self.callee):
            if stream is not told:
                stream.reset(reason, close)
        self._closed(self)
        # two streams and a circuit that know each other would wait for the garbage collector
        for stream in (self.caller, self.callee):
            stream.detach()


def join(
    name: str,
    caller: IStream,
    callee: IStream,
    wheel: Wheel,
    closed: Callable[[Circuit], None],
    idle_s: float = 0,
) -> Circuit:
    """Make a circuit of two streams: from now on each delivers to the other.

    :returns: the circuit, which has told both streams of itself
    """
    circuit = Circuit(name, caller, callee, wheel, closed, idle_s)
    caller.circuit = callee.circuit = circuit
    caller.attach(callee)
    callee.attach(caller)
    # what came early flows now, when each side can already ask the other to pause
    for stream in (caller, callee):
        if circuit.reason is None and not stream.is_paused():
            stream.resume()
    return circuit
