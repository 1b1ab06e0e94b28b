"""Two hosts that want one name: the newest wins, but ever more slowly."""

from __future__ import annotations

from collections import deque

from relay.core.liveness import Wheel
from relay.vocabulary import OfferName

FLAP_SPAN_S = 10.0
FREE_REPLACEMENTS = 3
"""Replacements of a live registration within the span that cost nothing."""

FIRST_HOLD_S = 1.0
MAX_HOLD_S = 8.0
MAX_NAMES = 10_000


class _Record:
    __slots__ = ("held_s", "times")

    def __init__(self) -> None:
        self.times: deque[float] = deque(maxlen=FREE_REPLACEMENTS)
        self.held_s = 0.0


class Rivals:
    """Remembers replacements of live registrations."""

    def __init__(self, wheel: Wheel) -> None:
        self._wheel = wheel
        self._records: dict[OfferName, _Record] = {}

    def replaced(self, name: OfferName) -> None:
        """A live registration of ``name`` was replaced."""
        record = self._records.pop(name, None) or _Record()
        record.times.append(self._wheel.now())
        self._records[name] = record
        while len(self._records) > MAX_NAMES:
            self._records.pop(next(iter(self._records)))

    def hold_s(self, name: OfferName) -> float:
        """:returns: how long the next newcomer is held, doubling while the name flaps."""
        record = self._records.get(name)
        if record is None or len(record.times) < FREE_REPLACEMENTS:
            return 0.0
        span = FLAP_SPAN_S + record.held_s
        if self._wheel.now() - record.times[0] > span:
            self._records.pop(name)
            return 0.0
        record.held_s = min(MAX_HOLD_S, record.held_s * 2 or FIRST_HOLD_S)
        return record.held_s
