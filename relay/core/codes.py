"""One-time codes: what lets somebody in who has shown a better credential before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from zope.interface import implementer

from relay.core.denials import Denial
from relay.core.liveness import Entry, Wheel
from relay.errors import LimitReached
from relay.faces import ICodes
from relay.vocabulary import Claims, Grant

CODES_KEPT = 65536
"""Codes that nobody has used yet, of all dialects together."""

CODES_PER_SUBJECT = 4096
"""Of one subject: whoever asks in a loop leaves room for others."""

UUID_BITS = 128


class _Kept(NamedTuple):
    grant: Grant
    claims: Claims
    until: float


@implementer(ICodes)
class Codes:
    """Codes that were handed out and not used.

    :param random_bits: an unpredictable integer below 2**n
    """

    def __init__(self, wheel: Wheel, random_bits: Callable[[int], int]) -> None:
        self._wheel = wheel
        self._random_bits = random_bits
        self._kept: dict[str, _Kept] = {}
        self._held: Counter[tuple[str, str]] = Counter()
        self._sweep: Entry | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def issue(self, grant: Grant, claims: Claims, lifetime_s: float) -> str:
        """Make a code. :raises LimitReached: when too many wait to be used"""
        self._drop_stale()
        whose = (grant.dialect, grant.subject)
        if self._held[whose] >= CODES_PER_SUBJECT or len(self._kept) >= CODES_KEPT:
            raise LimitReached(
                "too many codes wait to be used", "use those that you have", retry_after_s=5
            )
        code = str(UUID(int=self._random_bits(UUID_BITS), version=4))
        self._kept[code] = _Kept(grant, claims, self._wheel.now() + lifetime_s)
        self._held[whose] += 1
        if self._sweep is None:
            self._sweep = self._wheel.after(lifetime_s, self._swept)
        return code

    def take(self, code: str) -> Claims | None:
        """:returns: what the code's bearer claims; None: it is unknown, used or too old"""
        kept = self._kept.get(code)
        if kept is None:
            return None
        self._drop(code)
        return kept.claims if self._wheel.now() < kept.until else None

    def revoke(self, denial: Denial) -> None:
        """Make those void whose bearers are turned away."""
        names = [code for code, kept in self._kept.items() if denial.matches(kept.grant)]
        for code in names:
            self._drop(code)

    def _swept(self) -> None:
        self._sweep = None
        self._drop_stale()
        if self._kept:
            first = next(iter(self._kept.values()))
            self._sweep = self._wheel.at(first.until, self._swept)

    def _drop_stale(self) -> None:
        """Forget the oldest, as far as they are too old; a shorter life ends behind theirs."""
        now = self._wheel.now()
        while self._kept:
            code, kept = next(iter(self._kept.items()))
            if kept.until > now:
                return
            self._drop(code)

    def _drop(self, code: str) -> None:
        grant = self._kept.pop(code).grant
        whose = (grant.dialect, grant.subject)
        self._held[whose] -= 1
        if self._held[whose] <= 0:
            del self._held[whose]
