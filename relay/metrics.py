"""Counters, kept as plain integers; text formats are made of them elsewhere.

The byte path never touches this: streams count their own bytes and hand them over when they end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

from relay.vocabulary import Reason

HANDSHAKE_BUCKETS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)


class Histogram:
    """Observations in fixed buckets.

    :param bounds: upper bounds, ascending; a last bucket takes what is above
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Metrics:
    """Everything that is counted since the start of the process."""

    def __init__(self) -> None:
        self.circuits_total: Counter[tuple[str, Reason]] = Counter()
        self.refused_total: Counter[tuple[str, Reason]] = Counter()
        self.bytes_total: Counter[tuple[str, str]] = Counter()
        self.failed_logins_total: Counter[str] = Counter()
        self.lost_messages_total: Counter[str] = Counter()
        self.handshake_s = Histogram(HANDSHAKE_BUCKETS_S)
        self.loop_lag_s = 0.0

    def refused(self, dialect: str, reason: Reason) -> None:
        """A request, link or call was refused."""
        self.refused_total[dialect, reason] += 1

    def circuit_closed(self, dialect: str, reason: Reason, up: int, down: int) -> None:
        """A circuit ended.

        :param up: payload bytes from the caller
        :param down: payload bytes to the caller
        """
        self.circuits_total[dialect, reason] += 1
        self._count_bytes(dialect, up, down)

    def member_left(self, dialect: str, up: int, down: int) -> None:
        """A stream left its topic.

        :param up: payload bytes from it
        :param down: payload bytes to it
        """
        self._count_bytes(dialect, up, down)

    def _count_bytes(self, dialect: str, up: int, down: int) -> None:
        self.bytes_total[dialect, "up"] += up
        self.bytes_total[dialect, "down"] += down
