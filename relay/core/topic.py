"""Fan-out: many streams, each hearing the writers.

A reader that cannot keep up loses messages, counted; it never slows a writer or another reader.
What waits for it is on the ledger: when memory gets short, one that takes nothing is cut off.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from zope.interface import implementer

from relay.core.ledger import Ledger
from relay.interfaces import ICircuit, IStream
from relay.metrics import Metrics
from relay.vocabulary import Carries, Close, Data, Enter, Reason, TopicName

BUFFER_MESSAGES = 128
BUFFER_BYTES = 64 * 1024 * 1024
MESSAGE_BYTES = 10_485_760
"""Largest message that is put together from parts; a longer one is lost."""


@implementer(IStream, ICircuit)
class Member:
    """One stream's seat in a topic: what the stream's partner is.

    :ivar lost: messages that this reader missed
    """

    __slots__ = (
        "_drained",
        "_parts",
        "_parts_bytes",
        "_queue",
        "_queue_bytes",
        "_waiting",
        "bytes_in",
        "carries",
        "circuit",
        "label",
        "lost",
        "reads",
        "stream",
        "topic",
        "writes",
    )

    closed = False
    """A seat that was given up is nobody's partner any more."""

    def __init__(self, topic: Topic, stream: IStream, reads: bool, writes: bool) -> None:
        self.topic = topic
        self.stream = stream
        self.reads = reads
        self.writes = writes
        self.carries = Carries(boundaries=True, text=True)
        self.label = f"{topic.name} member"
        self.circuit = None
        self.bytes_in = 0
        self.lost = 0
        self._queue: deque[Data] = deque()
        self._queue_bytes = 0
        self._drained = 0
        self._waiting = False
        self._parts = bytearray()
        self._parts_bytes = 0

    def attach(self, partner: IStream) -> None:
        """A member speaks to its topic only."""

    def detach(self) -> None:
        """A seat is given up by leaving the topic."""

    def send(self, data: Data) -> None:
        """The member's stream heard ``data``: a message for everybody else, once it is whole."""
        if not self.writes:
            return
        self._parts_bytes += len(data.payload)
        if self._parts_bytes > MESSAGE_BYTES:
            self._drop_parts()
        elif self._parts or not data.final:
            self._parts += data.payload
            self.topic.ledger.add(self, len(data.payload))
        if data.final:
            whole, self._parts_bytes = self._parts_bytes <= MESSAGE_BYTES, 0
            payload = bytes(self._parts) if self._parts else data.payload
            self._drop_parts()
            if whole:
                self.topic.publish(self, Data(payload, text=data.text))
            else:
                self.topic.count_lost()

    def hear(self, data: Data) -> bool:
        """Pass a message to the member's stream, or queue it while that is busy.

        :returns: False when it was lost
        """
        if not self._waiting and not self._queue:
            self.stream.send(data)
            return True
        size = len(data.payload)
        full = len(self._queue) >= self.topic.buffer_messages
        if self._queue and (full or self._queue_bytes + size > self.topic.buffer_bytes):
            self.lost += 1
            return False
        self._queue.append(data)
        self._queue_bytes += size
        self.topic.ledger.add(self, size)
        return True

    def forget(self) -> None:
        """Drop what waits."""
        amount, self._queue_bytes = self._queue_bytes, 0
        self._queue.clear()
        self.topic.ledger.remove(self, amount)
        self._drop_parts()

    def held_bytes(self) -> int:
        """:returns: bytes that wait here, of messages to it and of one from it."""
        return self._queue_bytes + len(self._parts)

    def drained_bytes(self) -> int:
        """:returns: how much of what had to wait has left."""
        return self._drained

    def overrun(self) -> None:
        """Cut it off for standing still."""
        self.topic.leave(self)
        self.stream.reset(Reason.OVERRUN, None)

    def finish(self) -> None:
        """The member's stream writes no more; it may still read."""
        self.writes = False

    def reset(self, reason: Reason, close: Close | None) -> None:
        """The member's stream is over."""
        self.topic.leave(self)

    def forget_unsent(self) -> None:
        """What waits here waits for its readers."""

    def pause(self) -> None:
        """The member's stream is busy: queue."""
        self._waiting = True

    def resume(self) -> None:
        """The member's stream takes more."""
        self._waiting = False
        while self._queue and not self._waiting:
            data = self._queue.popleft()
            size = len(data.payload)
            self._queue_bytes -= size
            self._drained += size
            self.topic.ledger.remove(self, size)
            self.stream.send(data)

    def is_paused(self) -> bool:
        """:returns: whether messages are being queued."""
        return self._waiting

    def has_left(self) -> bool | None:
        """:returns: None; a seat has no far end."""
        return None

    def outlet(self) -> None:
        """:returns: None; who writes to a topic must be read"""

    def has_given_up(self) -> bool | None:
        """:returns: None; a seat has no far end."""
        return None

    def finished(self, side: IStream) -> None:
        """As a circuit: the stream writes no more."""
        self.finish()

    def broken(
        self, side: IStream, reason: Reason, close: Close | None = None, text: str = ""
    ) -> None:
        """As a circuit: the stream is over."""
        self.topic.leave(self)

    def _drop_parts(self) -> None:
        if self._parts:
            amount = len(self._parts)
            self._parts.clear()
            self.topic.ledger.remove(self, amount)


class Topic:
    """Everybody who entered under one name.

    :param emptied: called when the last member has left
    """

    def __init__(
        self,
        name: TopicName,
        ledger: Ledger,
        metrics: Metrics,
        emptied: Callable[[Topic], None],
        buffer_messages: int = BUFFER_MESSAGES,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        self.name = name
        self.ledger = ledger
        self._metrics = metrics
        self._emptied = emptied
        self.buffer_messages = buffer_messages
        self.buffer_bytes = buffer_bytes
        self.members: set[Member] = set()
        self.readers: set[Member] = set()
        self.lost = 0

    def enter(self, stream: IStream, event: Enter) -> Member:
        """Give ``stream`` a seat."""
        member = Member(self, stream, event.reads, event.writes)
        self.members.add(member)
        if event.reads:
            self.readers.add(member)
        stream.circuit = member
        stream.attach(member)
        if not stream.is_paused():
            stream.resume()
        return member

    def publish(self, writer: Member, data: Data) -> None:
        """Tell every reader but the writer."""
        for reader in tuple(self.readers):
            if reader is not writer and not reader.hear(data):
                self.count_lost()

    def count_lost(self) -> None:
        """One message did not reach one reader, or none at all."""
        self.lost += 1
        self._metrics.lost_messages_total[self.name.partition(":")[0]] += 1

    def leave(self, member: Member) -> None:
        """Take a seat away; harmless when it is gone."""
        if member in self.members:
            self.members.discard(member)
            self.readers.discard(member)
            member.forget()
            if not self.members:
                self._emptied(self)
