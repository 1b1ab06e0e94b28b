"""A newcomer wants a name whose holder may be dead without anybody knowing: it is asked.

Where a live host keeps its name (:class:`relay.vocabulary.Rivalry`), one that lost its network
would keep it, too, until its silence is noticed; and its own successor is whom that locks out.
"""

from __future__ import annotations

from collections.abc import Callable

from relay.core.liveness import TICK_S
from relay.core.session import Session
from relay.core.surroundings import Surroundings
from relay.errors import LimitReached, RelayError
from relay.vocabulary import OfferName

CHALLENGE_S = 3.0
"""How long a holder may take to give a sign of life when somebody else wants its name."""

ASK_EVERY_S = 1.0


class Challenges:
    """The holders that are being asked, one newcomer at a time for each name."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._running: dict[OfferName, Session] = {}

    def begin(
        self, name: OfferName, holder: Session, newcomer: Session, register: Callable[[], None]
    ) -> None:
        """Ask ``holder`` for a sign of life; without one it is dropped.

        :param register: called when ``newcomer`` may have the name; it is ended otherwise
        :raises LimitReached: when somebody else waits for the same name
        """
        waiting = self._running.get(name)
        if waiting is not None and waiting.reason is None:
            raise LimitReached(f"another host waits for {name} already")
        self._running[name] = newcomer

        def decided(alive: bool) -> None:
            if self._running.get(name) is newcomer:
                del self._running[name]
            if newcomer.reason is not None:
                return
            try:
                if alive:
                    raise LimitReached(f"{name} is registered already, and its host is alive")
                register()
            except RelayError as error:
                self._around.metrics.refused(name.partition(":")[0], error.reason)
                newcomer.fail(error)

        _Challenge(self._around, holder, newcomer, decided).look()


class _Challenge:
    __slots__ = ("_around", "_asked", "_began", "_decided", "_holder", "_newcomer")

    def __init__(
        self,
        around: Surroundings,
        holder: Session,
        newcomer: Session,
        decided: Callable[[bool], None],
    ) -> None:
        self._around = around
        self._holder = holder
        self._newcomer = newcomer
        self._decided = decided
        self._began = around.wheel.now()
        self._asked = 0
        holder.link.heard = False

    def look(self) -> None:
        """Look now and again, until it is clear."""
        holder, wheel = self._holder, self._around.wheel
        waited_s = wheel.now() - self._began
        if holder.reason is not None:
            self._decided(False)
        elif holder.link.heard or holder.is_paused() or self._newcomer.reason is not None:
            self._decided(True)
        elif waited_s >= CHALLENGE_S:
            holder.drop(f"no sign of life in {CHALLENGE_S:g} s, and another host wants the name")
            self._decided(False)
        else:
            # asked more than once: whoever else looks for signs of life may have taken the first
            if waited_s >= self._asked * ASK_EVERY_S:
                self._asked += 1
                holder.link.ping()
            wheel.after(TICK_S, self.look)
