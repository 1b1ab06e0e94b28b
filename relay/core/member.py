"""One stream's seat in a topic, and what waits there for a slow reader.

What a writer says is not collected where it comes whole: it goes from the buffer that it was read
into to every reader's socket, in frames that were built once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zope.interface import implementer

from relay.core.batch import Batch, Kept
from relay.core.liveness import Entry
from relay.interfaces import ICircuit, IStream
from relay.outlets import Buffer, IBroadcastOutlet, IInlet, IOutlet, Span
from relay.vocabulary import Carries, Close, Data, Enter, Reason

if TYPE_CHECKING:
    from relay.core.topic import Topic

MESSAGE_BYTES = 10_485_760
"""Largest message that is put together from parts; a longer one is lost."""

ROOM_BYTES = 1024 * 1024
"""So much may be read of a writer at once: whatever its readers cannot take waits, or is lost."""

ASSURED_BYTES = 8 * 1024 * 1024
"""May wait for one reader while much of the memory is spent: 128 messages of 64 KiB."""

DRAIN_BYTES = 1024 * 1024
"""Of what waits about so much is sent at once."""

STANDSTILL_S = 10.0
"""A reader that takes nothing for so long, of what is on its way to it, is cut off."""

LOOK_S = 2.5


@implementer(IStream, ICircuit, IOutlet)
class Member:
    """One stream's seat in a topic: what the stream's partner is.

    :ivar lost: messages that this reader missed
    :ivar bytes_out: payload that was sent to it
    """

    __slots__ = (
        "_buffer_messages",
        "_drained",
        "_left",
        "_outlet",
        "_parts",
        "_queue",
        "_queue_bytes",
        "_skips",
        "_stalled_s",
        "_timer",
        "_waiting",
        "bytes_out",
        "carries",
        "circuit",
        "label",
        "lost",
        "reads",
        "stream",
        "topic",
        "writes",
    )

    bytes_in = 0
    """What others say is counted where they are."""

    closed = False
    """A seat that was given up is nobody's partner any more."""

    is_guest = False
    """Whether a circuit counts what it says and hears."""

    def __init__(self, topic: Topic, stream: IStream, event: Enter) -> None:
        self.topic = topic
        self.stream = stream
        self.reads = event.reads
        self.writes = event.writes
        self.carries = Carries(boundaries=True, text=True)
        self.label = f"{topic.name} member"
        self.circuit: ICircuit | None = None
        self.bytes_out = 0
        self.lost = 0
        self._buffer_messages = event.buffer_messages or topic.buffer_messages
        outlet = stream.outlet() if event.reads else None
        self._outlet: IBroadcastOutlet | None = None
        if IBroadcastOutlet.providedBy(outlet) and not outlet.masks:
            self._outlet = outlet
        self._queue: deque[Kept] = deque()
        self._queue_bytes = 0
        self._drained = 0
        self._waiting = False
        self._parts: bytearray | None = None
        self._skips = False
        self._timer: Entry | None = None
        self._left = 0
        self._stalled_s = 0.0

    # -- writing ---------------------------------------------------------------------------------

    def send(self, data: Data) -> None:
        """The member's stream heard ``data``: a message for everybody else, once it is whole."""
        if not self.writes:
            return
        if data.final and self._parts is None and not self._skips:
            if len(data.payload) <= MESSAGE_BYTES:
                self.topic.spread(self, Batch.of(data.payload, data.text))
            else:
                self.topic.count_lost()
            return
        whole = self._gather(data.payload, data.final)
        if whole is not None:
            self.topic.spread(self, Batch.of(whole, data.text))

    def put(self, view: memoryview, spans: Sequence[Span], text: bool) -> bool:
        """Parts of messages came, unread. :returns: True: nobody makes a writer wait"""
        if not self.writes:
            return True
        batch = Batch(text)
        for start, end, final in spans:
            if final and self._parts is None and not self._skips:
                batch.add(view[start:end])
            else:
                whole = self._gather(view[start:end], final)
                if whole is not None:
                    batch.add(whole)
        if batch:
            self.topic.spread(self, batch)
        return True

    def room(self) -> int:
        """:returns: how much may be read at once"""
        return ROOM_BYTES

    def feed(self, source: IInlet | None) -> None:
        """A writer never waits, so nobody need be told that there is room."""

    def _gather(self, part: Buffer, final: bool) -> bytes | None:
        """A part of a message came. :returns: the message, with the last one, unless it is lost"""
        held = 0 if self._parts is None else len(self._parts)
        if not self._skips and (held + len(part) > MESSAGE_BYTES or self.topic.ledger.is_full()):
            self._skips = True
            self._drop_parts()
            self.topic.count_lost()
        if self._skips:
            self._skips = not final
            return None
        if self._parts is None:
            self._parts = bytearray()
        self._parts += part
        if not final:
            self.topic.ledger.add(self, len(part))
            return None
        whole = bytes(self._parts)
        self._drop_parts(held)
        return whole

    def _drop_parts(self, counted: int | None = None) -> None:
        """:param counted: what of it is on the ledger; None: all"""
        if self._parts is not None:
            amount = len(self._parts) if counted is None else counted
            self._parts = None
            self.topic.ledger.remove(self, amount)

    # -- reading ---------------------------------------------------------------------------------

    def hear(self, batch: Batch, alone: bool) -> None:
        """Pass messages to the member's stream, or queue them while that is busy.

        :param alone: whether nobody else hears them
        """
        if self._waiting or self._queue:
            self._wait(batch)
        elif self._outlet is not None:
            self.bytes_out += batch.size_bytes
            self._outlet.put_frames(batch.parts() if alone else [batch.frames()])
        else:
            for position, data in enumerate(batch.messages()):
                if self._waiting:
                    return self._wait(batch, position)
                self.bytes_out += len(data.payload)
                self.stream.send(data)

    def _wait(self, batch: Batch, first: int = 0) -> None:
        """Queue the messages of a batch from the ``first`` one on; what has no room is lost."""
        count = len(batch)
        while first < count and self._takes(batch, first):
            kept = batch.kept(first)
            size = len(kept.data.payload)
            self._queue.append(kept)
            self._queue_bytes += size
            # a message is there once, however many readers it waits for
            self.topic.ledger.add(self, 0 if kept.holders else size)
            kept.holders += 1
            first += 1
        self._lose(count - first)

    def _takes(self, batch: Batch, position: int) -> bool:
        size = batch.size(position)
        if self._queue and (
            len(self._queue) >= self._buffer_messages
            or self._queue_bytes + size > self.topic.buffer_bytes
        ):
            return False
        if batch.is_held(position):
            return True
        ledger = self.topic.ledger
        much = bool(self._queue) and self._queue_bytes + size > ASSURED_BYTES
        return not (ledger.is_tight() if much else ledger.is_full())

    def _lose(self, count: int) -> None:
        if count:
            self.lost += count
            self.topic.count_lost(count)

    def pause(self) -> None:
        """The member's stream is busy: queue."""
        self._waiting = True
        if self._timer is None:
            self._left = self.stream.untaken_bytes()
            self._stalled_s = 0.0
            self._timer = self.topic.wheel.after(LOOK_S, self._look)

    def resume(self) -> None:
        """The member's stream takes more."""
        self._waiting = False
        while self._queue and not self._waiting:
            self._send_waiting()
        if not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send_waiting(self) -> None:
        """Send some of what waits, of one kind."""
        batch = Batch(self._queue[0].data.text)
        freed = 0
        while self._queue and self._queue[0].data.text == batch.text:
            batch.add(self._queue[0].data.payload)
            freed += _let_go(self._queue.popleft())
            if self._outlet is None or batch.size_bytes >= DRAIN_BYTES:
                break
        size = batch.size_bytes
        self._queue_bytes -= size
        self._drained += size
        self.bytes_out += size
        self.topic.ledger.remove(self, freed)
        if self._outlet is not None:
            self._outlet.put_frames(batch.parts())
        else:
            self.stream.send(batch.messages()[0])

    def _look(self) -> None:
        """Does a reader that is busy take anything of what is on its way?"""
        left = self.stream.untaken_bytes()
        self._stalled_s = self._stalled_s + LOOK_S if left == self._left else 0.0
        self._left = left
        if self._stalled_s >= STANDSTILL_S:
            self._timer = None
            self.overrun()
        else:
            self._timer = self.topic.wheel.after(LOOK_S, self._look)

    # -- the ledger's side -----------------------------------------------------------------------

    def forget(self) -> None:
        """The seat is given up: drop what waits."""
        freed = sum(map(_let_go, self._queue))
        self._queue.clear()
        self._queue_bytes = 0
        self.topic.ledger.remove(self, freed)
        self._drop_parts()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def held_bytes(self) -> int:
        """:returns: bytes that wait here, of messages to it and of one from it."""
        return self._queue_bytes + len(self._parts or b"")

    def drained_bytes(self) -> int:
        """:returns: how much of what had to wait has left."""
        return self._drained

    def overrun(self) -> None:
        """Cut it off for standing still."""
        stream = self.stream
        self.topic.leave(self)
        stream.reset(Reason.OVERRUN, None)

    # -- IStream and ICircuit --------------------------------------------------------------------

    def attach(self, partner: IStream) -> None:
        """A member speaks to its topic only."""

    def detach(self) -> None:
        """A seat is given up by leaving the topic."""

    def finish(self) -> None:
        """The member's stream writes no more; it may still read."""
        self.writes = False

    def reset(self, reason: Reason, close: Close | None) -> None:
        """The member's stream is over."""
        self.topic.leave(self)

    def forget_unsent(self) -> None:
        """What waits here waits for its readers."""

    def is_paused(self) -> bool:
        """:returns: whether messages are being queued."""
        return self._waiting

    def has_left(self) -> bool | None:
        """:returns: None; a seat has no far end."""
        return None

    def has_given_up(self) -> bool | None:
        """:returns: None; a seat has no far end."""
        return None

    def untaken_bytes(self) -> int:
        """:returns: 0; what waits is on the ledger"""
        return 0

    def outlet(self) -> IOutlet:
        """:returns: this: what a writer says is not collected before it is spread"""
        return self

    def finished(self, side: IStream) -> None:
        """As a circuit: the stream writes no more."""
        self.finish()

    def broken(
        self, side: IStream, reason: Reason, close: Close | None = None, text: str = ""
    ) -> None:
        """As a circuit: the stream is over."""
        self.topic.leave(self)


def _let_go(kept: Kept) -> int:
    """One reader less waits for a message. :returns: the bytes that are free by that"""
    kept.holders -= 1
    return 0 if kept.holders else len(kept.data.payload)
