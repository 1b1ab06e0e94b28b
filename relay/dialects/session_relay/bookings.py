"""Which bookings were let in, or are to be: the allow list.

Specification: session-relay.md §3.3 and §5.5. It decides nothing; who is denied is the core's to
know. An entry ends exactly when its booking does.
"""

from __future__ import annotations

import heapq

MOST_BOOKINGS = 100_000
"""Beyond that the booking that ends soonest is forgotten."""
SPARE_ENDS = 1024
"""Out-of-date ends that are kept, besides one for each booking, before they are swept out."""


class AllowList:
    """Bookings by id, with their ends in whole Unix seconds."""

    __slots__ = ("_ends", "_entries", "_most")

    def __init__(self, most: int = MOST_BOOKINGS) -> None:
        self._most = most
        self._entries: dict[str, int] = {}
        # (end, booking), the soonest first; with ends that have been replaced since
        self._ends: list[tuple[int, str]] = []

    def put(self, booking: str, expires: int, now: float) -> None:
        """Note a booking; what was noted of it before is forgotten.

        :param expires: Unix seconds
        """
        self._prune(now)
        if self._entries.get(booking) != expires:
            self._entries[booking] = expires
            heapq.heappush(self._ends, (expires, booking))
        while len(self._entries) > self._most:
            self._drop_first()
        if len(self._ends) > 2 * len(self._entries) + SPARE_ENDS:
            self._ends = [(end, known) for known, end in self._entries.items()]
            heapq.heapify(self._ends)

    def remove(self, booking: str) -> None:
        """Forget a booking, if it is known."""
        self._entries.pop(booking, None)

    def names(self, now: float) -> list[str]:
        """:returns: the bookings that have not ended"""
        self._prune(now)
        return list(self._entries)

    def _prune(self, now: float) -> None:
        while self._ends and self._ends[0][0] < int(now):
            self._drop_first()

    def _drop_first(self) -> None:
        end, booking = heapq.heappop(self._ends)
        if self._entries.get(booking) == end:
            del self._entries[booking]
