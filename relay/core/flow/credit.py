"""A stream with a window each way."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from relay.core.flow.link_stream import Hold
from relay.core.flow.shared import SharedStream
from relay.vocabulary import CLEAN_REASONS, Close, Credit, Data, Finish, Reason, Reset
from relay.wire.credit import ReceiveWindow, SendWindow

if TYPE_CHECKING:
    from relay.core.session import Session

MOST_WINDOWS = 16
"""What the pieces of one window may cost, in windows, before their stream ends with ``overrun``;
only messages of a few bytes get there."""


class CreditStream(SharedStream):
    """A stream with a window each way.

    :param send_credit: what the peer takes before it has granted anything
    :param window_bytes: what we take before refunding
    """

    __slots__ = ("_outbox", "_outbox_bytes", "_over", "_receive", "_send")

    def __init__(
        self, session: Session, stream_id: int, send_credit: int, window_bytes: int
    ) -> None:
        super().__init__(session, stream_id)
        self._send = SendWindow(send_credit)
        self._receive = ReceiveWindow(window_bytes)
        self._outbox: deque[Data] = deque()
        self._outbox_bytes = 0
        self._over: Finish | Reset | None = None

    def deliver(self, data: Data) -> None:
        """:raises ProtocolError: when the peer exceeds its window."""
        self._receive.received(len(data.payload))
        if type(self._over) is not Reset:
            super().deliver(data)

    def stored(self) -> None:
        """A window bounds payload, not the number of its pieces."""
        if self._inbox_bytes > MOST_WINDOWS * self._receive.size:
            self.overrun()

    def taken(self, amount: int) -> None:
        """Refund, in portions of half a window."""
        refund = self._receive.consume(amount)
        if refund and not self.closed:
            self.session.perform(Credit(refund, self.stream_id))

    def send(self, data: Data) -> None:
        """Send what the credit allows, keep the rest and pause the partner."""
        if self.closed or self._over is not None:
            return
        if not self._outbox:
            data, whole = self._send_part(data)
            if whole:
                return
        self._outbox.append(data)
        self._outbox_bytes += len(data.payload)
        self.session.around.ledger.add(self, len(data.payload))
        self.hold(Hold.CREDIT)

    def credited(self, amount: int) -> None:
        """The peer granted more. :raises ProtocolError: for a sum beyond belief."""
        self._send.add(amount)
        while self._outbox:
            data = self._outbox.popleft()
            rest, whole = self._send_part(data)
            sent = len(data.payload) - len(rest.payload)
            self._outbox_bytes -= sent
            self._drained += sent
            if not whole:
                self._outbox.appendleft(rest)
            self.session.around.ledger.remove(self, sent)
            if not whole:
                return
        over, self._over = self._over, None
        if isinstance(over, Finish):
            super().finish()
        elif over is not None:
            super().reset(over.reason, over.close)
        self.release(Hold.CREDIT)

    def finish(self) -> None:
        """Tell the peer, behind what waits for credit."""
        if not self._outbox:
            super().finish()
        elif self._over is None:
            self._over = Finish(self.stream_id)

    def reset(self, reason: Reason, close: Close | None) -> None:
        """End the stream; a clean end waits for what waits for credit."""
        if self._outbox and reason in CLEAN_REASONS:
            self._forget()
            self._over = Reset(reason, self.stream_id, close)
            return
        self._forget_outbox()
        super().reset(reason, close)

    def peer_reset(self, reason: Reason, close: Close | None) -> None:
        """The peer takes no more either."""
        self._forget_outbox()
        super().peer_reset(reason, close)

    def held_bytes(self) -> int:
        """:returns: bytes of it that wait here."""
        return self._inbox_bytes + self._outbox_bytes

    def overrun(self) -> None:
        """End it for standing still."""
        self._forget_outbox()
        super().overrun()

    def _send_part(self, data: Data) -> tuple[Data, bool]:
        """Send as much as credit and frame size allow.

        :returns: what is left, and whether that is nothing
        """
        payload = data.payload
        if not payload:
            if self.carries.boundaries:
                self.session.send(data._replace(stream=self.stream_id))
            return data, True
        frame_bytes = self.session.around.limits.frame_bytes
        start = 0
        while start < len(payload):
            room = self._send.spend(min(len(payload) - start, frame_bytes))
            if not room:
                return data._replace(payload=payload[start:]), False
            part = payload[start : start + room]
            start += room
            last = start == len(payload)
            self.session.send(Data(part, self.stream_id, data.text, data.final and last))
        return data._replace(payload=b""), True

    def _forget_outbox(self) -> None:
        amount, self._outbox_bytes = self._outbox_bytes, 0
        self._outbox.clear()
        self._over = None
        if amount:
            self.session.around.ledger.remove(self, amount)
