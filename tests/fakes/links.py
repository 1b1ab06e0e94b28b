"""Links in memory.

A :class:`MemoryLink` behaves as a WebSocket link does: what is sent lies in a bounded buffer until
the far end takes it, nothing is delivered while reading is paused, and nothing arrives inside a
call of ours. Bytes move only in :func:`pump`.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from zope.interface import implementer

from relay.interfaces import ILink, ILinkReceiver, IStream
from relay.outlets import IOutlet
from relay.vocabulary import Close, Message, Reason

SEND_BUFFER_BYTES = 64 * 1024
"""As Twisted's transports."""

MOST_STEPS = 1_000_000
WORDS = {reason.value: reason for reason in Reason}


class Ping(NamedTuple):
    """A request for a sign of life, or the answer."""

    answer: bool = False


class Drop(NamedTuple):
    """The connection ended without a Close."""


Item = Message | Close | Ping | Drop


@implementer(ILink)
class MemoryLink:
    """One end of a connection.

    Without :attr:`far` the far end is the test: it takes all that is sent, unless :attr:`stuck`,
    and speaks through :meth:`arrive`.

    :ivar far: the other end
    :ivar stuck: the far end takes nothing
    :ivar cut: nothing gets through in either direction, and nobody is told
    :ivar sent: messages that the far end took
    :ivar close_sent: the Close that went out, once it did
    :ivar reading: whether we take what arrives
    """

    def __init__(self, buffer_bytes: int = SEND_BUFFER_BYTES) -> None:
        self.heard = False
        self.cut = False
        self.far: MemoryLink | None = None
        self.stuck = False
        self.cut = False
        self.reading = True
        self.aborted = False
        self.sent: list[Message] = []
        self.close_sent: Close | None = None
        self.pings = 0
        self.unsent_bytes = 0
        self.most_unsent_bytes = 0
        self._buffer_bytes = buffer_bytes
        self._receiver: ILinkReceiver | None = None
        self._open = True
        self._full = False
        self._out: deque[Item] = deque()
        self._in: deque[Item] = deque()

    # -- ILink -------------------------------------------------------------------------------------

    def start(self, receiver: ILinkReceiver) -> None:
        """Deliver what arrives to ``receiver``."""
        self._receiver = receiver

    def send_message(self, message: Message) -> None:
        """Put a message into the buffer; a full one pauses the receiver."""
        if not self._open:
            return
        self._out.append(message)
        self.unsent_bytes += len(message.payload)
        self.most_unsent_bytes = max(self.most_unsent_bytes, self.unsent_bytes)
        if self.unsent_bytes > self._buffer_bytes and self._receiver is not None:
            self._full = True
            self._receiver.pauseProducing()

    def pause_reading(self) -> None:
        """Take nothing more."""
        self.reading = False

    def resume_reading(self) -> None:
        """Take what arrives; it does not arrive inside this call."""
        self.reading = True

    def ping(self) -> None:
        """Ask for a sign of life."""
        if self._open:
            self.pings += 1
            self._out.append(Ping())

    def close(self, close: Close, goodbye_s: float | None = None) -> None:
        """Send a Close behind what was sent; hear and say nothing more."""
        if self._open:
            self._out.append(close)
        self._let_go()

    def abort(self) -> None:
        """End at once."""
        self.aborted = True
        self._out.clear()
        self.unsent_bytes = 0
        if self._open:
            self._out.append(Drop())
        self._let_go()

    def outlet(self) -> None:
        """:returns: None"""

    def forward(self, counted: IStream | None, outlet: IOutlet | None, text: bool = False) -> None:
        """Payload goes to the receiver all the same."""

    def is_blocked(self) -> bool:
        """:returns: False"""
        return False

    def untaken_bytes(self) -> int:
        """:returns: payload bytes that the far end has yet to take."""
        return self.unsent_bytes

    def has_unsent(self) -> bool:
        """:returns: whether anything of ours, a ping included, was not taken."""
        return bool(self._out)

    # -- the test's side ---------------------------------------------------------------------------

    def arrive(self, *items: Item) -> None:
        """Something comes from the far end; it is delivered while we read."""
        self._in.extend(items)
        pump(self)

    def lose(self) -> None:
        """The connection breaks."""
        self.arrive(Drop())

    def texts(self) -> list[bytes]:
        """:returns: the payloads of the text messages that the far end took."""
        return [message.payload for message in self.sent if message.text]

    def step(self) -> bool:
        """Move one item each way. :returns: whether there was one."""
        return not self.cut and (self._take_one() | self._deliver_one())

    # -- inside ------------------------------------------------------------------------------------

    def _let_go(self) -> None:
        self._open = False
        self._receiver = None
        self.reading = True

    def _take_one(self) -> bool:
        if self.stuck or not self._out:
            return False
        item = self._out.popleft()
        if isinstance(item, Message):
            self.sent.append(item)
            self.unsent_bytes -= len(item.payload)
        elif isinstance(item, Close):
            self.close_sent = item
        if self.far is not None:
            self.far._in.append(item)
        if not self._out and self._full:
            self._full = False
            if self._receiver is not None:
                self._receiver.resumeProducing()
        return True

    def _deliver_one(self) -> bool:
        if not self.reading or not self._in:
            return False
        item = self._in.popleft()
        self.heard = True
        receiver = self._receiver
        if isinstance(item, Ping):
            if not item.answer and self._open:
                self._out.append(Ping(answer=True))
        elif receiver is None:
            return True
        elif isinstance(item, Message):
            receiver.message_received(item)
        else:
            close = item if isinstance(item, Close) else None
            reason = WORDS.get(close.text, Reason.PEER_CLOSED) if close else Reason.LOST
            self._let_go()
            receiver.link_lost(close, reason, "")
        return True


def joined_links(buffer_bytes: int = SEND_BUFFER_BYTES) -> tuple[MemoryLink, MemoryLink]:
    """:returns: both ends of one connection."""
    left, right = MemoryLink(buffer_bytes), MemoryLink(buffer_bytes)
    left.far, right.far = right, left
    return left, right


def pump(*links: MemoryLink) -> None:
    """Move what can move, until nothing can."""
    for _ in range(MOST_STEPS):
        if not sum(link.step() for link in links):
            return
    raise AssertionError("the links never come to rest")
