"""The three kinds of streams on a link, by who stops a fast sender.

* :class:`DedicatedStream`: the link has no other stream; pausing it pauses the socket.
* :class:`CreditStream`: windows; a consumer that pauses is refunded nothing, so its sender runs dry.
* :class:`CreditlessStream`: a bounded buffer; above it the link pauses for as long as the stream still
  drains, and a stream that takes nothing meanwhile ends with ``overrun``.

Nothing follows a stream's end, and an end never overtakes payload.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING

from relay.core.liveness import Entry
from relay.core.stream import Stream
from relay.interfaces import IStream
from relay.vocabulary import CLEAN_REASONS, Close, Credit, Data, Finish, Reason, Reset
from relay.wire.credit import ReceiveWindow, SendWindow

if TYPE_CHECKING:
    from relay.core.session import Session

STREAM_BUFFER_BYTES = 8 * 1024 * 1024
"""What a stream without credit may keep waiting before its whole link is paused."""

STALL_S = 2.0
"""How long it may then take nothing."""


class Hold(enum.IntFlag):
    """Why a stream's partner is paused."""

    LINK = 1
    """The link's send buffer is full."""
    CREDIT = 2
    """The peer granted no more."""


class LinkStream(Stream):
    """A stream that belongs to a session.

    :param stream_id: as on the wire, 0 on dedicated links
    """

    __slots__ = ("_holds", "_paused", "closed", "session", "stream_id")

    def __init__(self, session: Session, stream_id: int) -> None:
        super().__init__(session.conversation.carries, f"{session.label}#{stream_id}")
        self.session = session
        self.stream_id = stream_id
        self._holds = Hold(0)
        self._paused = False
        self.closed = False

    def attach(self, partner: IStream) -> None:
        """Begin to deliver to ``partner``."""
        super().attach(partner)
        if self._holds:
            partner.pause()

    def hold(self, why: Hold) -> None:
        """Pause the partner."""
        if not self._holds and self.partner is not None:
            self.partner.pause()
        self._holds |= why

    def release(self, why: Hold) -> None:
        """Let the partner go on, unless there is another reason to hold it."""
        if self._holds & why:
            self._holds &= ~why
            if not self._holds and self.partner is not None:
                self.partner.resume()

    def is_paused(self) -> bool:
        """:returns: whether the partner has asked for a pause."""
        return self._paused

    def send(self, data: Data) -> None:
        """Encode and hand to the link."""
        if not self.closed:
            self.session.send(data._replace(stream=self.stream_id) if self.stream_id else data)

    def finish(self) -> None:
        """Tell the peer that no more payload follows."""
        if not self.closed:
            self.session.perform(Finish(self.stream_id))

    def reset(self, reason: Reason, close: Close | None) -> None:
        """Tell the peer that the stream is over."""
        if not self.closed:
            self.closed = True
            self.session.stream_over(self, Reset(reason, self.stream_id, close))

    def credited(self, amount: int) -> None:
        """The peer granted more; only streams with credit care."""

    def peer_finished(self) -> None:
        """The peer sends no more payload."""
        if self.circuit is not None:
            self.circuit.finished(self)

    def peer_reset(self, reason: Reason, close: Close | None) -> None:
        """The peer ended the stream, or the link is gone."""
        if not self.closed:
            self.closed = True
            if self.circuit is not None:
                self.circuit.broken(self, reason, close)


class DedicatedStream(LinkStream):
    """The only stream of its link."""

    __slots__ = ("_early",)

    def __init__(self, session: Session, stream_id: int = 0) -> None:
        super().__init__(session, stream_id)
        self._early: list[Data] = []

    def deliver(self, data: Data) -> None:
        """Pass payload on; before there is a partner keep it and read no further."""
        if self.partner is None:
            self._early.append(data)
            self.session.link.pause_reading()
        else:
            self.bytes_in += len(data.payload)
            self.partner.send(data)

    def attach(self, partner: IStream) -> None:
        """Begin to deliver to ``partner``, with what came early."""
        super().attach(partner)
        if self._early:
            early, self._early = self._early, []
            for data in early:
                self.deliver(data)
            if not self._paused:
                self.session.link.resume_reading()

    def pause(self) -> None:
        """Read no more from the link."""
        self._paused = True
        self.session.link.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        self.session.link.resume_reading()


class SharedStream(LinkStream):
    """One of many: what its consumer does not take waits in an inbox, ends included."""

    __slots__ = ("_drained", "_inbox", "_inbox_bytes")

    def __init__(self, session: Session, stream_id: int) -> None:
        super().__init__(session, stream_id)
        self._inbox: deque[Data | Finish | Reset] = deque()
        self._inbox_bytes = 0
        self._drained = 0

    def attach(self, partner: IStream) -> None:
        """Begin to deliver to ``partner``, with what came early."""
        super().attach(partner)
        self._drain()

    def deliver(self, data: Data) -> None:
        """Pass payload on, or keep it in order while the consumer pauses."""
        if self.closed:
            return
        if self._paused or self._inbox or self.partner is None:
            self._inbox.append(data)
            self._inbox_bytes += len(data.payload)
            self.session.ledger.add(self, len(data.payload))
            self.stored()
        else:
            self._pass_on(data)

    def pause(self) -> None:
        """Keep what arrives."""
        self._paused = True

    def resume(self) -> None:
        """Deliver what waits, then what arrives."""
        self._paused = False
        self._drain()

    def peer_finished(self) -> None:
        """The peer sends no more: told behind what waits."""
        if self._inbox:
            self._inbox.append(Finish(self.stream_id))
        else:
            super().peer_finished()

    def peer_reset(self, reason: Reason, close: Close | None) -> None:
        """The peer ended the stream: told behind what waits."""
        if self._inbox and self.partner is not None:
            self._inbox.append(Reset(reason, self.stream_id, close))
        else:
            super().peer_reset(reason, close)

    def reset(self, reason: Reason, close: Close | None) -> None:
        """End the stream; nobody wants what waits."""
        self._forget_inbox()
        super().reset(reason, close)

    def held_bytes(self) -> int:
        """:returns: bytes of it that wait here."""
        return self._inbox_bytes

    def drained_bytes(self) -> int:
        """:returns: bytes that ever left."""
        return self._drained

    def overrun(self) -> None:
        """End it for standing still."""
        self._forget_inbox()
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
        self._drained += amount
        assert self.partner is not None
        self.partner.send(data)
        self.taken(amount)

    def _drain(self) -> None:
        while self._inbox and not self._paused:
            item = self._inbox.popleft()
            if isinstance(item, Data):
                self._inbox_bytes -= len(item.payload)
                self.session.ledger.remove(self, len(item.payload))
                self._pass_on(item)
            elif isinstance(item, Finish):
                super().peer_finished()
            else:
                super().peer_reset(item.reason, item.close)

    def _forget_inbox(self) -> None:
        amount, self._inbox_bytes = self._inbox_bytes, 0
        self._inbox.clear()
        if amount:
            self.session.ledger.remove(self, amount)


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
        super().deliver(data)

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
            data = self._send_part(data)
            if not data.payload:
                return
        self._outbox.append(data)
        self._outbox_bytes += len(data.payload)
        self.session.ledger.add(self, len(data.payload))
        self.hold(Hold.CREDIT)

    def credited(self, amount: int) -> None:
        """The peer granted more. :raises ProtocolError: for a sum beyond belief."""
        self._send.add(amount)
        while self._outbox:
            data = self._outbox.popleft()
            rest = self._send_part(data)
            sent = len(data.payload) - len(rest.payload)
            self._outbox_bytes -= sent
            self._drained += sent
            if rest.payload:
                self._outbox.appendleft(rest)
            self.session.ledger.remove(self, sent)
            if rest.payload:
                return
        over, self._over = self._over, None
        if isinstance(over, Finish):
            super().finish()
        elif over is not None:
            super().reset(over.reason, over.close)
        self.release(Hold.CREDIT)

    def finish(self) -> None:
        """Tell the peer, behind what waits for credit."""
        if self._outbox:
            self._over = Finish(self.stream_id)
        else:
            super().finish()

    def reset(self, reason: Reason, close: Close | None) -> None:
        """End the stream; a clean end waits for what waits for credit."""
        if self._outbox and reason in CLEAN_REASONS:
            self._forget_inbox()
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

    def _send_part(self, data: Data) -> Data:
        """Send as much as credit and frame size allow. :returns: what is left, perhaps empty."""
        payload = data.payload
        start = 0
        while start < len(payload):
            room = self._send.spend(min(len(payload) - start, self.session.frame_bytes))
            if not room:
                break
            part = payload[start : start + room]
            start += room
            last = start == len(payload)
            self.session.send(Data(part, self.stream_id, data.text, data.final and last))
        return data._replace(payload=payload[start:])

    def _forget_outbox(self) -> None:
        amount, self._outbox_bytes = self._outbox_bytes, 0
        self._outbox.clear()
        self._over = None
        if amount:
            self.session.ledger.remove(self, amount)


class CreditlessStream(SharedStream):
    """A stream whose peer cannot be told to wait."""

    __slots__ = ("_seen_drained", "_stall")

    def __init__(self, session: Session, stream_id: int) -> None:
        super().__init__(session, stream_id)
        self._stall: Entry | None = None
        self._seen_drained = 0

    def stored(self) -> None:
        """Above the mark the link pauses, for as long as this stream still drains."""
        if self._inbox_bytes > STREAM_BUFFER_BYTES and self._stall is None:
            self.session.pause_for(self)
            self._watch()

    def taken(self, amount: int) -> None:
        """Below the mark the link goes on."""
        if self._stall is not None and self._inbox_bytes <= STREAM_BUFFER_BYTES:
            self._let_go()

    def _forget_inbox(self) -> None:
        super()._forget_inbox()
        self._let_go()

    def _watch(self) -> None:
        self._seen_drained = self._drained
        self._stall = self.session.wheel.after(STALL_S, self._check_stall)

    def _check_stall(self) -> None:
        if self._drained == self._seen_drained:
            self.overrun()
        else:
            self._watch()

    def _let_go(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
            self.session.resume_for(self)
