"""One timer wheel for all links, and the rule by which a silent peer is dead.

A wheel costs one reactor timer however many links wait on it; entries fire up to one tick late.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from relay.interfaces import ILink

TICK_S = 0.25
CHECKS_PER_PERIOD = 4
MAX_CHECK_S = 5.0
LATE_S = 2 * TICK_S
"""So much earlier a peer is dead that was asked at once, since looks come late."""


class Entry:
    """One callback on the wheel."""

    __slots__ = ("_bucket", "callback")

    def __init__(self, bucket: set[Entry], callback: Callable[[], None]) -> None:
        self._bucket = bucket
        self.callback = callback

    def cancel(self) -> None:
        """Forget the callback; harmless when it has fired."""
        self._bucket.discard(self)


class Wheel:
    """Calls back at or shortly after a time.

    :param clock: the reactor, or a ``task.Clock``
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, tick_s: float = TICK_S) -> None:
        self._clock = clock
        self._tick_s = tick_s
        self._buckets: dict[int, set[Entry]] = {}
        self._timer: IDelayedCall | None = None
        self._timer_tick = 0
        self._stopped = False

    def now(self) -> float:
        """:returns: the clock's seconds; a reactor's are Unix seconds, as tokens have them."""
        return self._clock.seconds()

    def after(self, delay_s: float, callback: Callable[[], None]) -> Entry:
        """Call ``callback`` once, no earlier than ``delay_s`` from now."""
        tick = int((self._clock.seconds() + delay_s) / self._tick_s) + 1
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = set()
        entry = Entry(bucket, callback)
        bucket.add(entry)
        self._arm(tick)
        return entry

    def at(self, when: float, callback: Callable[[], None]) -> Entry:
        """Call ``callback`` once, at that time of the clock, or at once when it is past."""
        return self.after(max(0.0, when - self.now()), callback)

    def stop(self) -> None:
        """Drop all entries and the timer; nothing fires any more."""
        self._stopped = True
        self._buckets.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, tick: int) -> None:
        if self._stopped or (self._timer is not None and self._timer_tick <= tick):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_tick = tick
        delay = max(0.0, tick * self._tick_s - self._clock.seconds())
        self._timer = self._clock.callLater(delay, self._turn)

    def _turn(self) -> None:
        self._timer = None
        due = int(self._clock.seconds() / self._tick_s + 1e-6)
        for tick in sorted(tick for tick in self._buckets if tick <= due):
            bucket = self._buckets.pop(tick, set())
            while bucket and not self._stopped:
                try:
                    bucket.pop().callback()
                except Exception:
                    self.log.failure("a timer's callback failed")
        if self._buckets:
            self._arm(min(self._buckets))


class Liveness:
    """Decides from what was heard when to ping and when to give a peer up.

    Time is added up look by look, each look bounded, so that a clock that jumps or a machine that
    slept kills nobody who was not asked for a sign of life.

    :param ping_s: silence after which a sign of life is asked for; 0 = never
    :param dead_s: silence after which the peer is dead; 0 = never
    :ivar asked: whether a ping waits for its answer
    """

    __slots__ = (
        "_asked_at_once",
        "_last_look",
        "_silent_s",
        "_since_ping_s",
        "asked",
        "check_s",
        "dead_s",
        "ping_s",
    )

    def __init__(self, ping_s: float, dead_s: float, now: float) -> None:
        self.ping_s = ping_s
        self.dead_s = dead_s
        spans = [span for span in (ping_s, dead_s - ping_s, dead_s) if span > 0] or [MAX_CHECK_S]
        self.check_s = min(MAX_CHECK_S, max(TICK_S, min(spans) / CHECKS_PER_PERIOD))
        self.asked = False
        self._asked_at_once = False
        self._last_look = now
        self._silent_s = 0.0
        self._since_ping_s = 0.0

    def look(self, link: ILink, now: float, paused: bool) -> bool:
        """Look at a link once every ``check_s``, and ping it when it is time.

        :param paused: whether we do not read from it
        :returns: whether the peer is dead
        """
        heard, link.heard = link.heard, False
        # a ping that is cut off lies unsent too: once asked, only an answer counts
        unsent = not self.asked and link.has_unsent()
        ping, dead = self.judge(now, heard, paused or unsent)
        if ping:
            link.ping()
        return dead

    def next_look_s(self) -> float:
        """:returns: seconds to the next look: sooner where the peer may be dead before"""
        if not self.dead_s:
            return self.check_s
        return max(TICK_S, min(self.check_s, self._dead_from_s() - self._silent_s))

    def ask(self) -> None:
        """A sign of life was asked for already: a peer that gives none is kept for ``dead_s`` at
        the longest; others for that at the least.
        """
        self._asked_at_once = True

    def _dead_from_s(self) -> float:
        early_s = LATE_S if self._asked_at_once else 0.0
        return max(self.dead_s - early_s, self.dead_s / 2)

    def judge(self, now: float, heard: bool, excused: bool) -> tuple[bool, bool]:
        """Decide from one look.

        :param heard: whether any byte came since the last look
        :param excused: whether silence says nothing: we do not read, or the peer had not taken our
            bytes when it was last asked
        :returns: whether to ping now, and whether the peer is dead
        """
        elapsed = min(max(0.0, now - self._last_look), 2 * self.check_s)
        self._last_look = now
        if heard or excused:
            self._silent_s = self._since_ping_s = 0.0
            self.asked = False
            return False, False
        self._silent_s += elapsed
        self._since_ping_s += elapsed
        if self.dead_s and self._silent_s >= self._dead_from_s():
            return False, True
        ping = bool(self.ping_s) and self._since_ping_s >= self.ping_s
        if ping:
            self._since_ping_s = 0.0
            self.asked = True
        return ping, False
