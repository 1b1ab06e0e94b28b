"""A stream whose peer cannot be told to wait: a bounded buffer, then the link pauses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.core.flow.shared import SharedStream
from relay.core.liveness import Entry
from relay.vocabulary import Close, Reason

if TYPE_CHECKING:
    from relay.core.session import Session

STREAM_BUFFER_BYTES = 8 * 1024 * 1024
"""What a stream without credit may keep waiting before its whole link is paused. Once all streams
together keep as much as they may, that is nothing."""

STALL_S = 2.0
"""How long it may then take nothing."""


class CreditlessStream(SharedStream):
    """A stream whose peer cannot be told to wait."""

    __slots__ = ("_seen_drained", "_stall")

    def __init__(self, session: Session, stream_id: int) -> None:
        super().__init__(session, stream_id)
        self._stall: Entry | None = None
        self._seen_drained = 0

    def stored(self) -> None:
        """Above the mark the link pauses, for as long as this stream still drains."""
        if self._stall is None and self._is_over():
            self.session.pause_for(self)
            self._watch()

    def taken(self, amount: int) -> None:
        """Below the mark the link goes on."""
        if self._stall is not None and not self._is_over():
            self._let_go()

    def peer_reset(self, reason: Reason, close: Close | None, text: str = "") -> None:
        """No more comes: what waits harms nobody on this link."""
        self._let_go()
        super().peer_reset(reason, close, text)

    def _forget(self) -> None:
        super()._forget()
        self._let_go()

    def _is_over(self) -> bool:
        if self.session.around.ledger.is_full():
            return self._inbox_bytes > 0
        return self._inbox_bytes > STREAM_BUFFER_BYTES

    def _watch(self) -> None:
        self._seen_drained = self._drained
        self._stall = self.session.around.wheel.after(STALL_S, self._check_stall)

    def _check_stall(self) -> None:
        if not self._is_over():
            self._let_go()  # others made room
        elif self._drained == self._seen_drained:
            self.overrun()
        else:
            self._watch()

    def _let_go(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
            self.session.resume_for(self)
