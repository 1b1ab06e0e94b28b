"""The original's multiplexer in memory: it does what the specification says, and breaks where it
does when the other side does what it must not (section 7.10)."""

from __future__ import annotations

from zope.interface import implementer

from relay.interfaces import ILinkReceiver
from relay.vocabulary import Close, Message, Reason
from relay.wire.wsmux import (
    Frame,
    FrameReader,
    Kind,
    encode_ack,
    encode_dat,
    encode_fin,
    encode_syn,
)
from tests.fakes import MemoryLink

DAT_BYTES = 32 * 1024
FRAGMENT_BYTES = 4096


class FragmentingLink(MemoryLink):
    """Sends messages in fragments, as the original's client does."""

    def __init__(self, buffer_bytes: int = 1 << 26, fragment: int = FRAGMENT_BYTES) -> None:
        super().__init__(buffer_bytes)
        self._fragment = fragment

    def send_message(self, message: Message) -> None:
        """In fragments, the last of which may be full."""
        payload = message.payload
        last = max(0, (len(payload) - 1) // self._fragment * self._fragment)
        for start in range(0, last, self._fragment):
            part = payload[start : start + self._fragment]
            super().send_message(Message(part, message.text, final=False))
        super().send_message(Message(payload[last:], message.text))


class OriginalStream:
    """One stream of an original, with the test as its application.

    :ivar heard: what the application read
    :ivar said: what it wrote
    :ivar over: whether both directions have ended
    """

    def __init__(self, peer: Original, number: int) -> None:
        self.number = number
        self.heard = bytearray()
        self.said = bytearray()
        self.is_open = False
        self.got_fin = False
        self.sent_fin = False
        self._peer = peer
        self._credit = 0
        self._unread = bytearray()
        self._written = 0
        self._closing = False

    @property
    def over(self) -> bool:
        """Whether nothing is left to happen."""
        return self.got_fin and self.sent_fin

    def accept(self) -> None:
        """The application takes the stream."""
        if not self.is_open:
            self.is_open = True
            self._credit = self._peer.buffer
            self._peer.send(encode_ack(self.number, self._peer.buffer))

    def write(self, payload: bytes) -> None:
        """The application writes, and waits for credit if need be."""
        if not self._closing:
            self.said += payload
            self._flush()

    def close(self) -> None:
        """The application has written all it wants to."""
        self._closing = True
        self._flush()

    def read(self, amount: int) -> None:
        """The application reads: each of its reads is an ACK."""
        taken = bytes(self._unread[:amount])
        if taken:
            del self._unread[:amount]
            self.heard += taken
            self._peer.send(encode_ack(self.number, len(taken)))

    def received(self, frame: Frame) -> None:
        """A frame arrived; what breaks an original fails the test."""
        if frame.kind is Kind.ACK:
            assert self.is_open or self._peer.opens, "an ACK on a stream that was not accepted"
            self.is_open = True
            self._credit += frame.amount
            self._flush()
            return
        assert self.is_open, f"{frame.kind.name} before the stream was accepted"
        assert not self.got_fin, f"{frame.kind.name} behind a FIN"
        if frame.kind is Kind.FIN:
            self.got_fin = True
            return
        self._unread += frame.payload
        assert len(self._unread) <= self._peer.buffer, "an overrun: the whole DAT would be lost"

    def _flush(self) -> None:
        while self.is_open and self._written < len(self.said):
            room = min(self._credit, DAT_BYTES, len(self.said) - self._written)
            if not room:
                return
            part = bytes(self.said[self._written : self._written + room])
            self._written += room
            self._credit -= room
            self._peer.send(encode_dat(self.number, part))
        if self.is_open and self._closing and not self.sent_fin:
            self.sent_fin = True
            self._peer.send(encode_fin(self.number))


@implementer(ILinkReceiver)
class Original:
    """One end of a link.

    :param buffer: of each stream; it believes that ours is as large, and says no more of it
    :param opens: whether it is the original's server
    """

    def __init__(self, link: MemoryLink, buffer: int, opens: bool) -> None:
        self.link = link
        self.buffer = buffer
        self.opens = opens
        self.streams: dict[int, OriginalStream] = {}
        self.close: Close | None = None
        self._reader = FrameReader()
        link.start(self)

    def open(self) -> OriginalStream:
        """The server opens a stream."""
        number = 2 * len(self.streams)
        stream = self.streams[number] = OriginalStream(self, number)
        self.send(encode_syn(number))
        return stream

    def send(self, frame: bytes) -> None:
        """One message."""
        self.link.send_message(Message(frame))

    def message_received(self, message: Message) -> None:
        """A frame, or a part of one."""
        if message.final and message.payload[:1] == b"\0":
            assert len(message.payload) > 5, "an empty DAT"
        frame = self._reader.feed(message)
        if frame is None:
            return
        if frame.kind is Kind.SYN:
            assert not self.opens, "a client that opens a stream"
            assert frame.stream == 2 * len(self.streams), "a number out of turn"
            self.streams[frame.stream] = OriginalStream(self, frame.stream)
        else:
            self.streams[frame.stream].received(frame)

    def link_lost(self, close: Close | None, reason: Reason, detail: str) -> None:
        """The link is gone."""
        self.close = close

    def pauseProducing(self) -> None:
        """Its writers block; here they do not, and the link's buffer is large."""

    def resumeProducing(self) -> None:
        """Nobody waits."""

    def stopProducing(self) -> None:
        """Nobody writes."""
