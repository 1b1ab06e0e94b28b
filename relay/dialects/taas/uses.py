"""How often codes are used, and from where; taas.md §5, §11 and §16.

Hidden servers use one code many times within its step, so that a used code is still good. It is
good for the address alone that it came from first, and not without end: a hidden server that
registers in a tight loop runs dry, while one whose connections find partners is given back a use
for each.
"""

from __future__ import annotations

import heapq
import math
from typing import NamedTuple

from relay.errors import LimitReached, TokenInvalid

CODES = 100_000
"""Most codes that are known; beyond that the one that ends soonest is forgotten."""
SHIFT_S = 30
"""So long before its step and behind it a code is good."""


class CodeElsewhere(TokenInvalid):
    """A code is right, and was used from another address before."""


class TooManyUses(LimitReached):
    """An ID asks for more than one ID can need."""


class Code(NamedTuple):
    """A code that was found right.

    :ivar subject: whose it is
    :ivar counter: its time step
    :ivar step_s: how long that is, seconds
    """

    subject: str
    counter: int
    step_s: int

    @property
    def over(self) -> float:
        """:returns: when the next step begins, Unix seconds"""
        return (self.counter + 1.0) * self.step_s

    @property
    def ends(self) -> float:
        """:returns: from when on it is no good, Unix seconds"""
        return self.over + SHIFT_S


class _Known:
    __slots__ = ("address", "count")

    def __init__(self, address: str) -> None:
        self.address = address
        self.count = 0


class Uses:
    """The codes that are good just now, and were used."""

    def __init__(self, most: int = CODES) -> None:
        self._most = most
        self._codes: dict[str, dict[int, _Known]] = {}
        # (end, whose, counter), the soonest first; one for each code
        self._ends: list[tuple[float, str, int]] = []

    def __len__(self) -> int:
        return len(self._ends)

    def bind(self, code: Code, address: str, everywhere: bool, now: float) -> None:
        """A code came from an address.

        :param everywhere: whether it may come from others, too
        :param now: Unix seconds
        :raises CodeElsewhere: when it may not, and did before
        """
        self._prune(now)
        if self._known(code, address).address != address and not everywhere:
            raise CodeElsewhere(
                "this code was used from another address",
                "make a code for each machine; same-address = no permits several addresses",
            )

    def take(self, code: Code, address: str, most: int, now: float) -> None:
        """Use a code once more.

        :param most: how often it may be used
        :raises TooManyUses: when it was used so often already
        """
        known = self._known(code, address)
        if known.count >= most:
            raise TooManyUses(
                f"this code was used {most} times, and as many registrations found no client",
                "is something registering in a tight loop?",
                retry_after_s=max(1, math.ceil(code.over - now)),
            )
        known.count += 1

    def give_back(self, subject: str) -> None:
        """A registration of that ID came to something: its newest code has one more use."""
        codes = self._codes.get(subject, {})
        for counter in sorted(codes, reverse=True):
            if codes[counter].count:
                codes[counter].count -= 1
                return

    def used(self, subject: str) -> int:
        """:returns: uses of an ID's codes that nothing has come of"""
        return sum(known.count for known in self._codes.get(subject, {}).values())

    def _known(self, code: Code, address: str) -> _Known:
        codes = self._codes.setdefault(code.subject, {})
        known = codes.get(code.counter)
        if known is None:
            known = codes[code.counter] = _Known(address)
            heapq.heappush(self._ends, (code.ends, code.subject, code.counter))
            if len(self._ends) > self._most:
                self._drop_first()
        return known

    def _prune(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            self._drop_first()

    def _drop_first(self) -> None:
        _, subject, counter = heapq.heappop(self._ends)
        codes = self._codes[subject]
        del codes[counter]
        if not codes:
            del self._codes[subject]
