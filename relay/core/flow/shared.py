"""One of a link's many streams: what its consumer does not take waits here."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from relay.core.flow.link_stream import LinkStream
from relay.vocabulary import Close, Data, Finish, Reason, Reset

if TYPE_CHECKING:
    from relay.core.session import Session

ITEM_BYTES = 128
"""What one waiting piece costs beside its payload: a million empty messages are not free."""

MERGE_BYTES = 4 * 1024
"""Waiting pieces of a byte stream are put together up to this size."""


class SharedStream(LinkStream):
    """One of many: what its consumer does not take waits in an inbox, ends included."""

    __slots__ = ("_drained", "_inbox", "_inbox_bytes")

    def __init__(self, session: Session, stream_id: int) -> None:
        super().__init__(session, stream_id)
        self._inbox: deque[Data | Finish | Reset] = deque()
        self._inbox_bytes = 0
        self._drained = 0

    def deliver(self, data: Data) -> None:
        """Pass payload on, or keep it in order while the consumer pauses."""
        if self.closed:
            return
        if self.is_paused() or self._inbox or self.partner is None:
            self._wait(data)
            self.stored()
        else:
            self._pass_on(data)

    def pause(self) -> None:
        """Keep what arrives."""
        self._paused = True

    def resume(self) -> None:
        """Deliver what waits, then what arrives."""
        self._paused = False
        while self._inbox and not self.is_paused() and self.partner is not None:
            item = self._inbox.popleft()
            if isinstance(item, Data):
                cost = len(item.payload) + ITEM_BYTES
                self._inbox_bytes -= cost
                self._drained += cost
                self.session.around.ledger.remove(self, cost)
                self._pass_on(item)
            else:
                self._tell(item)

    def reset(self, reason: Reason, close: Close | None) -> None:
        """End the stream; nobody wants what waits."""
        self._forget()
        super().reset(reason, close)

    def held_bytes(self) -> int:
        """:returns: bytes of it that wait here."""
        return self._inbox_bytes

    def drained_bytes(self) -> int:
        """:returns: how much of what had to wait has left."""
        return self._drained

    def overrun(self) -> None:
        """End it for standing still."""
        self._forget()
        if not self.closed:
            self.closed = True
            self.session.stream_over(self, Reset(Reason.OVERRUN, self.stream_id))
        if self.circuit is not None:
            self.circuit.broken(self, Reason.OVERRUN)

    def stored(self) -> None:
        """Something was put into the inbox."""

    def taken(self, amount: int) -> None:
        """The consumer took ``amount`` bytes."""

    def _pass_on(self, data: Data) -> None:
        amount = len(data.payload)
        self.bytes_in += amount
        assert self.partner is not None
        self.partner.send(data)
        self.taken(amount)

    def _has_waiting(self) -> bool:
        return bool(self._inbox)

    def _wait(self, item: Data | Finish | Reset) -> None:
        if not isinstance(item, Data):
            self._inbox.append(item)
            return
        cost = len(item.payload)
        last = self._inbox[-1] if self._inbox else None
        if isinstance(last, Data) and self._may_merge(last, item):
            self._inbox[-1] = item._replace(payload=last.payload + item.payload)
        else:
            self._inbox.append(item)
            cost += ITEM_BYTES
        self._inbox_bytes += cost
        self.session.around.ledger.add(self, cost)

    def _may_merge(self, last: Data, data: Data) -> bool:
        if len(last.payload) + len(data.payload) > MERGE_BYTES:
            return False
        if not last.final:
            return last.text == data.text
        return not self.carries.boundaries or (
            self.partner is not None and not self.partner.carries.boundaries
        )

    def _forget(self) -> None:
        amount, self._inbox_bytes = self._inbox_bytes, 0
        self._inbox.clear()
        if amount:
            self.session.around.ledger.remove(self, amount)
