"""A stream with a window each way."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from relay.core.flow.link_stream import Hold
from relay.core.flow.passing import Inflow, Outflow
from relay.core.flow.shared import ITEM_BYTES, SharedStream
from relay.core.liveness import Entry
from relay.outlets import IOutlet, Span
from relay.vocabulary import CLEAN_REASONS, Close, Credit, Data, Finish, Reason, Reset
from relay.wire.credit import ReceiveWindow, SendWindow

if TYPE_CHECKING:
    from relay.core.session import Session

MOST_WINDOWS = 16
"""What the pieces of one window may cost, in windows, before their stream ends with ``overrun``;
only messages of a few bytes get there. One piece is always kept, however small the window."""

TAIL_STALL_S = 30.0
"""How long a peer may grant nothing while the end of its stream waits behind what was sent."""


class CreditStream(SharedStream):
    """A stream with a window each way.

    :param send_credit: what the peer takes before it has granted anything
    :param window_bytes: what we take before refunding
    """

    __slots__ = (
        "_inflow",
        "_outbox",
        "_outbox_bytes",
        "_outbox_start",
        "_over",
        "_receive",
        "_seen_drained",
        "_send",
        "_tail",
        "_untold",
    )

    def __init__(
        self, session: Session, stream_id: int, send_credit: int, window_bytes: int
    ) -> None:
        super().__init__(session, stream_id)
        self._send = SendWindow(send_credit)
        self._receive = ReceiveWindow(window_bytes)
        self._inflow: Inflow | None = None
        self._outbox: deque[Data] = deque()
        self._outbox_bytes = 0
        self._outbox_start = 0  # what of the first one has been sent
        self._over: Finish | Reset | None = None
        self._untold = not send_credit
        self._tail: Entry | None = None
        self._seen_drained = 0

    # -- unread ----------------------------------------------------------------------------------

    def passes(self) -> IOutlet | None:
        """:returns: what takes what comes now, unread; None: it has to be delivered"""
        inflow = self._inflow
        if inflow is None or inflow.blocked or self._paused or self._inbox:
            return None
        return None if type(self._over) is Reset else inflow

    def came(self, amount: int) -> None:
        """So much comes unread. :raises ProtocolError: when the peer exceeds its window."""
        self._receive.received(amount)
        self.bytes_in += amount

    def credit(self) -> int:
        """:returns: bytes that the peer takes now"""
        return self._send.available

    def outlet(self) -> IOutlet | None:
        """:returns: what takes payload for the link unread."""
        return None if self.closed or self.session.frames() is None else Outflow(self)

    def put(self, view: memoryview, spans: Sequence[Span]) -> None:
        """Send what the credit allows, keep a copy of the rest and pause the partner."""
        for first, end, _ in spans:
            if self.closed or self._over is not None:
                return
            start = first if self._outbox else self._put_part(view, first, end)
            if start < end:
                self._keep(Data(bytes(view[start:end])))

    def resume(self) -> None:
        """Deliver what waits; what comes then may go straight to the partner."""
        super().resume()
        if self._inbox or self._paused or self.partner is None or self.session.frames() is None:
            return
        if self._inflow is None:
            outlet = self.partner.outlet()
            self._inflow = None if outlet is None else Inflow(self, outlet)

    def is_paused(self) -> bool:
        """:returns: whether the partner has asked for a pause, or has no room."""
        return super().is_paused() or (self._inflow is not None and self._inflow.blocked)

    def detach(self) -> None:
        """The circuit is over: nothing passes any more."""
        super().detach()
        inflow, self._inflow = self._inflow, None
        if inflow is not None:
            inflow.end()

    # -- read ------------------------------------------------------------------------------------

    def deliver(self, data: Data) -> None:
        """:raises ProtocolError: when the peer exceeds its window."""
        self._receive.received(len(data.payload))
        if type(self._over) is Reset:
            self.taken(len(data.payload))  # by nobody, but its writer may have to go on to read
        else:
            super().deliver(data)

    def stored(self) -> None:
        """A window bounds payload, not the number of its pieces."""
        if self._inbox_bytes > MOST_WINDOWS * self._receive.size + ITEM_BYTES:
            self.overrun()

    def taken(self, amount: int) -> None:
        """Refund, in portions of half a window."""
        self._receive.consume(amount)
        self._refund()

    def release(self, why: Hold) -> None:
        """Let the partner go on, and the peer."""
        if Hold.LINK in why:
            self._refund()
        super().release(why)

    def send(self, data: Data) -> None:
        """Send what the credit allows, keep the rest and pause the partner."""
        if self.closed or self._over is not None:
            return
        start = 0
        if not self._outbox:
            start = self._send_part(data, 0)
            if start == len(data.payload):
                return
        self._keep(data._replace(payload=data.payload[start:]) if start else data)

    def credited(self, amount: int) -> None:
        """The peer granted more. :raises ProtocolError: for a sum beyond belief.

        One that says at first how much it takes may believe that we take no more either.
        """
        if self._untold:
            self._untold = False
            self._receive.assume(amount)
        self._send.add(amount)
        while self._outbox:
            data, start = self._outbox[0], self._outbox_start
            end = self._send_part(data, start)
            if self.closed:
                return  # the link broke
            whole = end == len(data.payload)
            if whole:
                self._outbox.popleft()
            self._outbox_start = 0 if whole else end
            self._outbox_bytes -= end - start
            self._drained += end - start
            self.session.around.ledger.remove(self, end - start)
            if not whole:
                return
        self._emptied()

    def finish(self) -> None:
        """Tell the peer, behind what waits for credit."""
        if not self._outbox:
            super().finish()
        elif self._over is None:
            self._over = Finish(self.stream_id)

    def reset(self, reason: Reason, close: Close | None) -> None:
        """End the stream; a clean end waits for what waits for credit, within bounds."""
        if self._outbox and reason in CLEAN_REASONS:
            unread = sum(len(item.payload) for item in self._inbox if isinstance(item, Data))
            self._forget()
            self._over = Reset(reason, self.stream_id, close)
            self._watch_tail()
            self.taken(unread)
            return
        self._forget_outbox()
        super().reset(reason, close)

    def forget_unsent(self) -> None:
        """Drop what waits for credit; an end that waited behind it goes out."""
        if self._outbox and not self.closed:
            over = self._over
            self._forget_outbox()
            self._over = over
            self._emptied()

    def peer_reset(self, reason: Reason, close: Close | None, text: str = "") -> None:
        """The peer takes no more either."""
        self._forget_outbox()
        super().peer_reset(reason, close, text)

    def held_bytes(self) -> int:
        """:returns: bytes of it that wait here."""
        return self._inbox_bytes + self._outbox_bytes

    def overrun(self) -> None:
        """End it for standing still."""
        self._forget_outbox()
        super().overrun()

    def _keep(self, data: Data) -> None:
        """It waits for credit."""
        self._outbox.append(data)
        self._outbox_bytes += len(data.payload)
        self.session.around.ledger.add(self, len(data.payload))
        self.hold(Hold.CREDIT)

    def _put_part(self, view: memoryview, start: int, end: int) -> int:
        """Send as much of this as credit and frame size allow. :returns: where the rest begins"""
        frame_bytes = self.session.around.limits.frame_bytes
        spans: list[Span] = []
        while start < end:
            room = self._send.spend(min(end - start, frame_bytes))
            if not room:
                break
            spans.append((start, start + room, True))
            start += room
        if spans:
            self.session.put(self.stream_id, view, spans)
        return start

    def _refund(self) -> None:
        # while the peer does not read, refunds would pile up in front of it
        if self.closed or self.session.full:
            return
        refund = self._receive.refund()
        if refund:
            self.session.perform(Credit(refund, self.stream_id))

    def _emptied(self) -> None:
        """Nothing waits for credit any more."""
        self._watch_no_tail()
        over, self._over = self._over, None
        if isinstance(over, Finish):
            super().finish()
        elif over is not None:
            super().reset(over.reason, over.close)
        self.release(Hold.CREDIT)

    def _watch_tail(self) -> None:
        self._watch_no_tail()
        self._seen_drained = self._drained
        self._tail = self.session.around.wheel.after(TAIL_STALL_S, self._check_tail)

    def _check_tail(self) -> None:
        self._tail = None
        if self._drained == self._seen_drained:
            self.overrun()
        else:
            self._watch_tail()

    def _watch_no_tail(self) -> None:
        if self._tail is not None:
            self._tail.cancel()
            self._tail = None

    def _send_part(self, data: Data, start: int) -> int:
        """Send as much as credit and frame size allow. :returns: where the rest begins"""
        payload = data.payload
        if not payload and self.carries.boundaries:
            self.session.send(data._replace(stream=self.stream_id))
        frame_bytes = self.session.around.limits.frame_bytes
        while start < len(payload):
            room = self._send.spend(min(len(payload) - start, frame_bytes))
            if not room:
                break
            part = payload[start : start + room]
            start += room
            last = start == len(payload)
            self.session.send(Data(part, self.stream_id, data.text, data.final and last))
        return start

    def _forget_outbox(self) -> None:
        amount, self._outbox_bytes = self._outbox_bytes, 0
        self._outbox.clear()
        self._outbox_start = 0
        self._over = None
        self._watch_no_tail()
        if amount:
            self.session.around.ledger.remove(self, amount)
