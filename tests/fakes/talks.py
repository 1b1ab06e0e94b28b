"""Small dialects, each with what the core can be asked to carry."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from zope.interface import implementer

from relay.errors import ProtocolError
from relay.interfaces import IConversation, Opening
from relay.vocabulary import (
    Accept,
    Answer,
    Call,
    Carries,
    Close,
    Credit,
    Data,
    Enter,
    Event,
    Finish,
    Message,
    Offer,
    OfferName,
    Outputs,
    Passing,
    Reason,
    Reset,
    Role,
    Shape,
    Stands,
)
from tests.fakes.links import WORDS

BOUNDARIES = Carries(boundaries=True)
BOTH = Carries(half_close=True, boundaries=True)


@implementer(IConversation)
class Talk:
    """What the conversations here share: a dedicated link that carries payload as it comes.

    Text ``fin`` is a Finish where half-close is agreed; ``accepted`` answers a call and
    ``call:KEY`` announces one.
    """

    shape = Shape.DEDICATED
    role = Role.HOST
    upgrade_headers: Mapping[str, str] = {}
    whole_messages = False
    message_bytes = 1 << 24
    frame_bytes = 1 << 20
    passes = Passing.NOTHING
    utf8 = True
    goodbye_s: float | None = None
    payload_bytes = 0
    window_bytes: int | None = None

    def __init__(
        self,
        intent: Event | None = None,
        carries: Carries = BOUNDARIES,
        drop_is_end: bool = False,
        dead_timer: bool = False,
    ) -> None:
        self.intent = intent
        self.carries = carries
        self.drop_is_end = drop_is_end
        self.dead_timer = dead_timer

    def opened(self, now: float) -> Outputs:
        """Ask for the intent."""
        return () if self.intent is None else (self.intent,)

    def receive(self, message: Message, now: float) -> Outputs:
        """Payload, or an agreed Finish."""
        if message.text and message.payload == b"fin" and self.carries.half_close:
            return (Finish(),)
        return (Data(message.payload, 0, message.text, message.final),)

    def perform(self, event: Event, now: float) -> Outputs:
        """Tell the peer in text."""
        if isinstance(event, Finish):
            return (Message(b"fin", text=True),) if self.carries.half_close else ()
        if isinstance(event, Accept):
            return (Message(b"accepted", text=True),)
        if isinstance(event, Call):
            return (Message(f"call:{event.key}".encode(), text=True),)
        if isinstance(event, Stands):
            return (Message(b"stands", text=True),)
        return ()

    def begin(self, call: Call) -> Opening:
        """:raises ProtocolError: a dedicated link answers no calls."""
        raise ProtocolError("this link carries one stream")

    def encode(self, data: Data) -> Message:
        """One message."""
        return Message(data.payload, data.text, data.final)

    def wake(self, now: float) -> Outputs:
        """No deadlines."""
        return ()

    def deadline(self) -> float | None:
        """No deadlines."""
        return None

    def end(self, reason: Reason, close: Close | None) -> Close | None:
        """The other side's Close, or 1000 with the reason's word."""
        return close or Close(1000, reason.value)


class ControlTalk(Talk):
    """A host's link for announcements."""

    shape = Shape.CONTROL


class MemberTalk(Talk):
    """A member of a topic."""

    role = Role.CLIENT

    def __init__(self, enter: Enter) -> None:
        super().__init__(enter, Carries(boundaries=True, text=True))


_HEAD = struct.Struct("!cI")
DEFAULT_WINDOW_BYTES = 1024


class MuxTalk(Talk):
    """Many streams on one link, without credit.

    Payload of a message: kind (1 byte), stream (unsigned, 4 bytes, big-endian), body. Kinds: ``D``
    data (one byte of flags: 1 = text, 2 = final), ``C`` credit (unsigned, 4 bytes), ``F`` finish,
    ``R`` reset (the reason's word), ``O`` call (offer, NUL, service), ``A`` accept, ``N`` an
    offer's name.

    :ivar breaches: what was sent although it must not be: anything about a stream that has ended
    """

    shape = Shape.CREDITLESS

    def __init__(
        self,
        intent: Event | None = None,
        carries: Carries = BOTH,
        first_stream: int = 1,
    ) -> None:
        super().__init__(intent, carries)
        self.breaches: list[str] = []
        self.full = False
        self._next = first_stream
        self._over: set[int] = set()

    def receive(self, message: Message, now: float) -> Outputs:
        """Decode one frame. :raises ProtocolError: for anything else."""
        if len(message.payload) < _HEAD.size:
            raise ProtocolError("a frame without a head")
        kind, stream = _HEAD.unpack_from(message.payload)
        return self._events(kind, stream, message.payload[_HEAD.size :])

    def perform(self, event: Event, now: float) -> Outputs:
        """Encode what the core says of a stream."""
        if isinstance(event, Accept):
            return (self._frame(b"A", event.stream),)
        if isinstance(event, Credit):
            return (self._frame(b"C", event.stream, event.amount.to_bytes(4, "big")),)
        if isinstance(event, Finish):
            return (self._frame(b"F", event.stream),)
        if isinstance(event, Call):
            body = f"{event.name}\0{event.service}".encode()
            return (self._frame(b"O", event.stream, body),)
        if isinstance(event, Reset):
            frame = self._frame(b"R", event.stream, event.reason.value.encode())
            self._over.add(event.stream)
            return (frame,)
        return ()

    def begin(self, call: Call) -> Opening:
        """The next stream. :raises ProtocolError: when the test says that there is none."""
        if self.full:
            raise ProtocolError("no stream is left")
        stream, self._next = self._next, self._next + 1
        return Opening(stream, self.first_credit())

    def encode(self, data: Data) -> Message:
        """One frame."""
        return self._frame(b"D", data.stream, bytes([data.text + 2 * data.final]) + data.payload)

    def first_credit(self) -> int:
        """:returns: what a peer takes without having said so."""
        return 0

    def _events(self, kind: bytes, stream: int, body: bytes) -> Outputs:
        if kind == b"D" and body:
            return (Data(body[1:], stream, bool(body[0] & 1), bool(body[0] & 2)),)
        if kind == b"C":
            return (Credit(int.from_bytes(body, "big"), stream),)
        if kind == b"F":
            return (Finish(stream),)
        if kind == b"A":
            return (Accept(stream),)
        if kind == b"N":
            return (Offer(OfferName(body.decode()), Answer.STREAM),)
        if kind == b"O":
            name, _, service = body.decode().partition("\0")
            call = Call(OfferName(name), service, stream=stream)
            return (call, Credit(self.first_credit(), stream)) if self.first_credit() else (call,)
        if kind == b"R" and body.decode() in WORDS:
            self._over.add(stream)
            return (Reset(WORDS[body.decode()], stream),)
        raise ProtocolError(f"no frame begins with {kind!r}")

    def _frame(self, kind: bytes, stream: int, body: bytes = b"") -> Message:
        if stream in self._over:
            self.breaches.append(f"{kind.decode()} on stream {stream} after its end")
        return Message(_HEAD.pack(kind, stream) + body)


class CreditTalk(MuxTalk):
    """Many streams on one link, each with a window.

    :param window_bytes: what both sides take without having said so
    :ivar outstanding: by stream: bytes sent beyond what was granted, never above 0
    """

    shape = Shape.CREDIT

    def __init__(
        self,
        intent: Event | None = None,
        window_bytes: int = DEFAULT_WINDOW_BYTES,
        carries: Carries = BOTH,
    ) -> None:
        super().__init__(intent, carries)
        self._window_bytes = window_bytes
        self._granted: dict[int, int] = {}

    def first_credit(self) -> int:
        """:returns: the window."""
        return self._window_bytes

    def encode(self, data: Data) -> Message:
        """One frame; one beyond the window is a breach."""
        left = self._granted.get(data.stream, self._window_bytes) - len(data.payload)
        self._granted[data.stream] = left
        if left < 0:
            self.breaches.append(f"{-left} bytes beyond the window of stream {data.stream}")
        return super().encode(data)

    def _events(self, kind: bytes, stream: int, body: bytes) -> Outputs:
        if kind == b"C":
            left = self._granted.get(stream, self._window_bytes)
            self._granted[stream] = left + int.from_bytes(body, "big")
        return super()._events(kind, stream, body)
