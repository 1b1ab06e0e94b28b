"""Names whose waiting links were all taken, and are most likely back in a moment."""

from __future__ import annotations

from relay.vocabulary import OfferName

EXPECTED_S = 60.0
"""So long after the last link that waited there is worth waiting for another."""
NAMES = 10_000
"""Names that are kept in mind; the one that ran dry first goes first."""


class Refills:
    """When names ran dry.

    :param names: how many are kept in mind
    """

    def __init__(self, names: int = NAMES) -> None:
        self._names = names
        self._dry: dict[OfferName, float] = {}  # the one that ran dry last at the end

    def ran_dry(self, name: OfferName, now: float) -> None:
        """No link waits there any more."""
        self._dry.pop(name, None)
        self._dry[name] = now
        if len(self._dry) > self._names:
            del self._dry[next(iter(self._dry))]

    def is_expected(self, name: OfferName, now: float) -> bool:
        """:returns: whether that was a moment ago"""
        dry = self._dry.get(name)
        # a clock that was set back keeps nobody waiting
        return dry is not None and 0 <= now - dry < EXPECTED_S
