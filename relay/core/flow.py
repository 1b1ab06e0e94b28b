"""The three kinds of streams on a link, by who stops a fast sender.

* :class:`DedicatedStream`: the link has no other stream; pausing it pauses the socket.
* :class:`CreditStream`: windows; a consumer that pauses is refunded nothing, so its sender runs
  dry.
* :class:`CreditlessStream`: a bounded buffer; above it the link pauses for as long as the stream
  still drains, and a stream that takes nothing meanwhile ends with ``overrun``.

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

ITEM_BYTES = 128
"""What one waiting piece costs beside its payload: a million empty messages are not free."""

MERGE_BYTES = 4 * 1024
"""Waiting pieces of a byte stream are put together up to this size."""

MOST_WINDOWS = 16
"""What the pieces of one window may cost, in windows, before their stream ends with ``overrun``;
only messages of a few bytes get there."""


class Hold(enum.IntFlag):
    """Why a stream's partner is paused."""

    LINK = 1
    """The link's send buffer is full."""
    CREDIT = 2
    """The peer granted no more."""


class LinkStream(Stream):
    """A stream that belongs to a session.

    :param stream_id: as on the wire, 0 on dedicated links
    :ivar closed: nothing more may be said to the peer about this stream
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
        """Begin to deliver to ``partner``; what came early follows at :meth:`resume`."""
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
            if data.stream != self.stream_id:
                data = data._replace(stream=self.stream_id)
            self.session.send(data)

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
        """The peer sends no more payload: told behind what waits."""
        if self._has_waiting() or self.circuit is None:
            self._wait(Finish(self.stream_id))
        else:
            self._tell(Finish(self.stream_id))

    def peer_reset(self, reason: Reason, close: Close | None) -> None:
        """The peer ended the stream, or the link is gone: told behind what waits.

        A caller that leaves before it has a partner is told of at once: nobody wants what it said.
        """
        if self.closed:
            return
        self.closed = True
        end = Reset(reason, self.stream_id, close)
        if self.circuit is None or (self._has_waiting() and self.partner is not None):
            self._wait(end)
            # nothing goes to this peer any more, so nobody need wait for it
            self.release(Hold.LINK | Hold.CREDIT)
        else:
            self._forget()
            self._tell(end)

    def _has_waiting(self) -> bool:
        raise NotImplementedError

    def _wait(self, item: Data | Finish | Reset) -> None:
        """Keep ``item``, in order."""
        raise NotImplementedError

    def _forget(self) -> None:
        """Drop what waits to be delivered."""
        raise NotImplementedError

    def _tell(self, end: Finish | Reset) -> None:
        """Tell the circuit of an end that came from the wire."""
        if self.circuit is None:
            return
        if isinstance(end, Reset):
            self.circuit.broken(self, end.reason, end.close)
        else:
            self.circuit.finished(self)


class DedicatedStream(LinkStream):
    """The only stream of its link."""

    __slots__ = ("_early",)

    def __init__(self, session: Session, stream_id: int = 0) -> None:
        super().__init__(session, stream_id)
        self._early: deque[Data | Finish | Reset] | None = None

    def deliver(self, data: Data) -> None:
        """Pass payload on; before there is a partner keep it and read no further."""
        if self.partner is None or self._early:
            self._wait(data)
            self.session.pause_for(self)
        else:
            self.bytes_in += len(data.payload)
            self.partner.send(data)

    def pause(self) -> None:
        """Read no more from the link."""
        self._paused = True
        self.session.pause_for(self)

    def resume(self) -> None:
        """Deliver what came early, then read on."""
        self._paused = False
        while self._early and not self._paused and self.partner is not None:
            item = self._early.popleft()
            if isinstance(item, Data):
                self.bytes_in += len(item.payload)
                self.partner.send(item)
            else:
                self._tell(item)
        if not self._early and not self._paused:
            self._early = None
            self.session.resume_for(self)

    def reset(self, reason: Reason, close: Close | None) -> None:
        """End the link; nobody wants what came early."""
        self._forget()
        super().reset(reason, close)

    def _has_waiting(self) -> bool:
        return bool(self._early)

    def _wait(self, item: Data | Finish | Reset) -> None:
        if self._early is None:
            self._early = deque()
        self._early.append(item)

    def _forget(self) -> None:
        self._early = None


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
        if self._paused or self._inbox or self.partner is None:
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
        while self._inbox and not self._paused and self.partner is not None:
            item = self._inbox.popleft()
            if isinstance(item, Data):
                cost = len(item.payload) + ITEM_BYTES
                self._inbox_bytes -= cost
                self._drained += cost
                self.session.ledger.remove(self, cost)
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
        self.session.ledger.add(self, cost)

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
        self.session.ledger.add(self, len(data.payload))
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
            self.session.ledger.remove(self, sent)
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
        start = 0
        while start < len(payload):
            room = self._send.spend(min(len(payload) - start, self.session.frame_bytes))
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

    def peer_reset(self, reason: Reason, close: Close | None) -> None:
        """No more comes: what waits harms nobody on this link."""
        self._let_go()
        super().peer_reset(reason, close)

    def _forget(self) -> None:
        super()._forget()
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
