"""What was revoked: grants that are refused although their credential is good."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from relay.errors import Revoked
from relay.vocabulary import Grant

MAX_DENIALS = 100_000
SPARE_ENDS = 1024
"""Out-of-date ends that are kept, besides one for each denial, before they are swept out."""


@dataclass(frozen=True, slots=True)
class Denial:
    """One revocation; what is None does not matter.

    :ivar until: the clock's seconds at which it ends, None = never
    """

    dialect: str | None
    subject: str | None
    offer: str | None
    token_id: str | None
    until: float | None

    def matches(self, grant: Grant, names: Iterable[str] = ()) -> bool:
        """Is this grant meant?

        :param names: the offers it is used for, where it does not name one itself
        """
        return (
            (self.dialect is None or self.dialect == grant.dialect)
            and (self.subject is None or self.subject == grant.subject)
            and (self.offer is None or self.offer == grant.name or self.offer in names)
            and (self.token_id is None or self.token_id == grant.token_id)
        )

    def is_over(self, now: float) -> bool:
        """:returns: whether it holds no more"""
        return self.until is not None and self.until <= now


_Meant = tuple[str | None, str | None, str | None, str | None]
"""Dialect, subject, offer and token id of a denial."""


class Denials:
    """The list of revocations, bounded: at the bound the one that ends soonest goes first."""

    def __init__(self) -> None:
        self._denials: dict[_Meant, Denial] = {}
        # (end, number, whom), the soonest first; with ends that have been replaced since
        self._ends: list[tuple[float, int, _Meant]] = []
        self._numbers = itertools.count()

    def add(
        self,
        dialect: str | None,
        subject: str | None,
        offer: str | None,
        token_id: str | None,
        until: float | None,
        now: float = 0.0,
    ) -> Denial:
        """Remember a revocation; the same once more replaces the earlier one.

        :param now: the clock's seconds
        :raises ValueError: when it would mean everybody
        """
        if subject is None and offer is None and token_id is None:
            raise ValueError("a revocation names a subject, an offer or a token id")
        denial = Denial(dialect, subject, offer, token_id, until)
        meant = (dialect, subject, offer, token_id)
        self._denials[meant] = denial
        heapq.heappush(self._ends, (_end(denial), next(self._numbers), meant))
        while self._ends[0][0] <= now or len(self._denials) > MAX_DENIALS:
            if self._drop_first() is denial:
                break
        if len(self._ends) > 2 * len(self._denials) + SPARE_ENDS:
            self._ends = [
                (_end(kept), next(self._numbers), known) for known, kept in self._denials.items()
            ]
            heapq.heapify(self._ends)
        return denial

    def _drop_first(self) -> Denial | None:
        """:returns: the denial that ended, unless another has replaced it"""
        end, _, meant = heapq.heappop(self._ends)
        denial = self._denials.get(meant)
        if denial is None or _end(denial) != end:
            return None
        del self._denials[meant]
        return denial

    def remove(self, dialect: str, subject: str) -> None:
        """Take back what was revoked of that subject alone."""
        self._denials.pop((dialect, subject, None, None), None)

    def subjects(self, dialect: str, now: float) -> Sequence[str]:
        """:returns: the subjects that are revoked as such, of one dialect"""
        return [
            denial.subject
            for denial in self._denials.values()
            if denial.dialect == dialect
            and denial.subject is not None
            and denial.offer is None
            and denial.token_id is None
            and not denial.is_over(now)
        ]

    def check(self, grant: Grant, now: float, names: Iterable[str] = ()) -> None:
        """:raises Revoked: when ``grant``, or its use for one of ``names``, is on the list."""
        if not self._denials:
            return
        offers = dict.fromkeys((None, grant.name, *names))
        for meant in itertools.product(
            (None, grant.dialect),
            (None, grant.subject),
            offers,
            dict.fromkeys((None, grant.token_id)),
        ):
            denial = self._denials.get(meant)
            if denial is None:
                continue
            if denial.is_over(now):
                del self._denials[meant]
            else:
                raise Revoked("this credential was revoked", "ask the router's operator")


def _end(denial: Denial) -> float:
    return math.inf if denial.until is None else denial.until
