"""The account of all bytes that wait in this process for somebody slow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from relay.core.liveness import Entry, Wheel
from relay.errors import LimitReached

PRESSURE_SHARE = 0.75
"""Above this share of the cap, streams that drain nothing are ended."""

TIGHT_SHARE = 0.5
"""Above this share of the cap, who holds much already is to keep no more: others need it."""

PRESSURE_STALL_S = 10.0
CHECK_S = 1.0


class IHolder(Protocol):
    """A stream whose bytes are on the account."""

    def held_bytes(self) -> int:
        """:returns: bytes of it that wait here."""

    def drained_bytes(self) -> int:
        """:returns: bytes that ever left, so that standstill shows."""

    def overrun(self) -> None:
        """End it for standing still."""


class Ledger:
    """Counts waiting bytes; under pressure ends the largest streams that stand still.

    :param cap_bytes: new streams are refused at this sum
    """

    def __init__(self, cap_bytes: int, wheel: Wheel) -> None:
        self.cap_bytes = cap_bytes
        self.total = 0
        self._wheel = wheel
        self._holders: dict[IHolder, tuple[int, float]] = {}
        self._timer: Entry | None = None

    def add(self, holder: IHolder, amount: int) -> None:
        """``holder`` keeps ``amount`` more bytes."""
        self.total += amount
        if holder not in self._holders:
            self._holders[holder] = (holder.drained_bytes(), self._wheel.now())
        if self._timer is None and self.total > PRESSURE_SHARE * self.cap_bytes:
            self._timer = self._wheel.after(CHECK_S, self._check)

    def remove(self, holder: IHolder, amount: int) -> None:
        """``holder`` keeps ``amount`` fewer bytes."""
        self.total -= amount
        if holder.held_bytes() == 0:
            self._holders.pop(holder, None)

    def is_full(self) -> bool:
        """:returns: whether no more should wait than does already."""
        return self.total >= self.cap_bytes

    def is_tight(self) -> bool:
        """:returns: whether nobody should keep much more than others do."""
        return self.total >= TIGHT_SHARE * self.cap_bytes

    def admit(self) -> None:
        """:raises LimitReached: when no further stream may begin."""
        if self.is_full():
            raise LimitReached(
                f"{self.total} bytes wait for slow readers, the limit is {self.cap_bytes}",
                "wait, or raise [limits] buffered-bytes",
                retry_after_s=5,
            )

    def _check(self) -> None:
        self._timer = None
        now = self._wheel.now()
        for holder, (drained, _) in list(self._holders.items()):
            if holder.drained_bytes() != drained:
                self._holders[holder] = (holder.drained_bytes(), now)
        for holder in self._stalled(now):
            if self.total <= PRESSURE_SHARE * self.cap_bytes:
                return
            holder.overrun()
        if self.total > PRESSURE_SHARE * self.cap_bytes:
            self._timer = self._wheel.after(CHECK_S, self._check)

    def _stalled(self, now: float) -> Iterator[IHolder]:
        stalled = [
            holder
            for holder, (_, since) in self._holders.items()
            if now - since >= PRESSURE_STALL_S
        ]
        yield from sorted(stalled, key=lambda holder: holder.held_bytes(), reverse=True)
