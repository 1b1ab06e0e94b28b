"""What was revoked: grants that are refused although their credential is good."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from relay.errors import Revoked
from relay.vocabulary import Grant

MAX_DENIALS = 10_000


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


class Denials:
    """The list of revocations, bounded: the oldest goes first."""

    def __init__(self) -> None:
        self._denials: list[Denial] = []

    def add(
        self,
        dialect: str | None,
        subject: str | None,
        offer: str | None,
        token_id: str | None,
        until: float | None,
    ) -> Denial:
        """Remember a revocation.

        :raises ValueError: when it would mean everybody
        """
        if subject is None and offer is None and token_id is None:
            raise ValueError("a revocation names a subject, an offer or a token id")
        denial = Denial(dialect, subject, offer, token_id, until)
        self._denials = [*self._denials[-MAX_DENIALS + 1 :], denial]
        return denial

    def check(self, grant: Grant, now: float, names: Iterable[str] = ()) -> None:
        """:raises Revoked: when ``grant``, or its use for one of ``names``, is on the list."""
        if not self._denials:
            return
        self._denials = [
            denial for denial in self._denials if denial.until is None or denial.until > now
        ]
        for denial in self._denials:
            if denial.matches(grant, names):
                raise Revoked("this credential was revoked", "ask the router's operator")
