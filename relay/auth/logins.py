"""Failed logins: counted per address, and answered late when there are many."""

from __future__ import annotations

from collections.abc import Callable

LOGIN_WINDOW_S = 60
LOGIN_DELAY_S = 1.0
LOGINS_WAITING = 64
LOGIN_ADDRESSES = 10_000


class FailedLogins:
    """Counts failed logins per address, and per name, and says how long the answer must wait.

    A correct login is never asked about here, so it is never delayed. Memory is bounded by
    ``LOGIN_ADDRESSES``; beyond that whose minute began first is forgotten.

    :param limit_per_min: failures of one address or name that are answered at once, 0: all are;
        asked anew at each failure
    """

    __slots__ = ("_limit_per_min", "_minutes", "_waiting")

    def __init__(self, limit_per_min: Callable[[], int]) -> None:
        self._limit_per_min = limit_per_min
        # whose -> (when the minute began, failures since), the oldest first
        self._minutes: dict[str, tuple[float, int]] = {}
        self._waiting = 0

    def failed(self, address: str, now: float, subject: str = "") -> float:
        """A login failed.

        :param now: seconds of any clock, the same at each call
        :param subject: whom it was for, where that is known here; the failures for one subject are
            counted from all addresses together, too
        :returns: seconds to wait before the answer; if not 0, :meth:`done_waiting` must follow
        """
        limit = self._limit_per_min()
        if not limit:
            return 0.0
        counts = [self._count(f"from {address}", now)]
        if subject:
            counts.append(self._count(f"for {subject}", now))
        if max(counts) < limit or self._waiting >= LOGINS_WAITING:
            return 0.0
        self._waiting += 1
        return LOGIN_DELAY_S

    def _count(self, whose: str, now: float) -> int:
        """:returns: failures of this minute before this one"""
        began, count = self._minutes.get(whose, (now, 0))
        if not 0 <= now - began < LOGIN_WINDOW_S:
            del self._minutes[whose]
            began, count = now, 0
        self._minutes[whose] = (began, count + 1)
        if len(self._minutes) > LOGIN_ADDRESSES:
            del self._minutes[next(iter(self._minutes))]
        return count

    def done_waiting(self) -> None:
        """An answer that had to wait is sent, or its connection is gone."""
        self._waiting -= 1
