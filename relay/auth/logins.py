"""Failed logins: counted per address, and answered late when there are many."""

from __future__ import annotations

from collections.abc import Callable

LOGIN_WINDOW_S = 60
LOGIN_DELAY_S = 1.0
LOGINS_WAITING = 64
LOGIN_ADDRESSES = 10_000


class FailedLogins:
    """Counts failed logins per address and says how long the answer to one must wait.

    A correct login is never asked about here, so it is never delayed. Memory is bounded by
    ``LOGIN_ADDRESSES``; beyond that the address whose minute began first is forgotten.

    :param limit_per_min: failures of one address that are answered at once, 0: all are; asked anew
        at each failure
    """

    __slots__ = ("_limit_per_min", "_minutes", "_waiting")

    def __init__(self, limit_per_min: Callable[[], int]) -> None:
        self._limit_per_min = limit_per_min
        # address -> (when its minute began, failures since), the oldest first
        self._minutes: dict[str, tuple[float, int]] = {}
        self._waiting = 0

    def failed(self, address: str, now: float) -> float:
        """A login failed.

        :param now: seconds of any clock, the same at each call
        :returns: seconds to wait before the answer; if not 0, :meth:`done_waiting` must follow
        """
        limit = self._limit_per_min()
        if not limit:
            return 0.0
        began, count = self._minutes.get(address, (now, 0))
        if not 0 <= now - began < LOGIN_WINDOW_S:
            del self._minutes[address]
            began, count = now, 0
        self._minutes[address] = (began, count + 1)
        if len(self._minutes) > LOGIN_ADDRESSES:
            del self._minutes[next(iter(self._minutes))]
        if count < limit or self._waiting >= LOGINS_WAITING:
            return 0.0
        self._waiting += 1
        return LOGIN_DELAY_S

    def done_waiting(self) -> None:
        """An answer that had to wait is sent, or its connection is gone."""
        self._waiting -= 1
