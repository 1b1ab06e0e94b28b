"""Who waits for somebody waits for as long as something moves."""

from __future__ import annotations

from collections.abc import Callable

from relay.core.liveness import Entry, Wheel


class Standstill:
    """Calls back once, when a count has not changed for a while.

    :param after_s: for so long, in seconds
    :param count: in bytes, of what is to move
    :param stands: called when it does not
    """

    __slots__ = ("_after_s", "_count", "_entry", "_seen", "_stands", "_wheel")

    def __init__(
        self, wheel: Wheel, after_s: float, count: Callable[[], int], stands: Callable[[], None]
    ) -> None:
        self._wheel = wheel
        self._after_s = after_s
        self._count = count
        self._stands = stands
        self._watch()

    def cancel(self) -> None:
        """Nobody waits any more; harmless when it has called back."""
        self._entry.cancel()

    def _watch(self) -> None:
        self._seen = self._count()
        self._entry: Entry = self._wheel.after(self._after_s, self._look)

    def _look(self) -> None:
        if self._count() != self._seen:
            self._watch()
        else:
            self._stands()
