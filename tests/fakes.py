"""Links, streams and small dialects in memory, for tests without a reactor.

A :class:`MemoryLink` behaves as a WebSocket link does: what is sent lies in a bounded buffer until
the far end takes it, nothing is delivered while reading is paused, and nothing arrives inside a
call of ours. Bytes move only in :func:`pump`.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from twisted.internet.task import Clock
from zope.interface import implementer

from relay.core.ledger import Ledger
from relay.core.liveness import TICK_S, Wheel
from relay.core.session import Session
from relay.core.surroundings import Surroundings
from relay.errors import ProtocolError
from relay.interfaces import ICircuit, IConversation, ILink, ILinkReceiver, IStream, Opening
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
    Grant,
    Hello,
    Join,
    Message,
    Offer,
    OfferName,
    Outputs,
    Reason,
    Reset,
    Role,
    Shape,
)

SEND_BUFFER_BYTES = 64 * 1024
"""As Twisted's transports."""

MOST_STEPS = 1_000_000
HALF_CLOSE = Carries(half_close=True)
BOUNDARIES = Carries(boundaries=True)
BOTH = Carries(half_close=True, boundaries=True)
WORDS = {reason.value: reason for reason in Reason}


class Ping(NamedTuple):
    """A request for a sign of life, or the answer."""

    answer: bool = False


class Drop(NamedTuple):
    """The connection ended without a Close."""


Item = Message | Close | Ping | Drop


def passes(clock: Clock, seconds: float, step_s: float = TICK_S) -> None:
    """Let time pass in small steps, as it does for a reactor."""
    whole, rest = divmod(seconds, step_s)
    for _ in range(int(whole)):
        clock.advance(step_s)
    clock.advance(rest)


# -- links -----------------------------------------------------------------------------------------


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

    def __init__(self, name: str = "peer", buffer_bytes: int = SEND_BUFFER_BYTES) -> None:
        self.peer = name
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

    def close(self, close: Close) -> None:
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
    left, right = MemoryLink("right", buffer_bytes), MemoryLink("left", buffer_bytes)
    left.far, right.far = right, left
    return left, right


def pump(*links: MemoryLink) -> None:
    """Move what can move, until nothing can."""
    for _ in range(MOST_STEPS):
        if not sum(link.step() for link in links):
            return
    raise AssertionError("the links never come to rest")


# -- streams ---------------------------------------------------------------------------------------


@implementer(IStream)
class FakeStream:
    """A stream that ends here: it records what it is sent, and speaks when told to.

    :ivar heard: what came for it
    :ivar events: what it was told, in order: ``finish``, ``reset REASON``, ``pause``, ``resume``
    :ivar left: what :meth:`has_left` says
    """

    def __init__(self, carries: Carries = HALF_CLOSE, label: str = "fake") -> None:
        self.carries = carries
        self.label = label
        self.bytes_in = 0
        self.circuit: ICircuit | None = None
        self.partner: IStream | None = None
        self.heard: list[Data] = []
        self.events: list[str] = []
        self.left: bool | None = None
        self.refuses = False
        self.paused = False

    # -- IStream -----------------------------------------------------------------------------------

    def attach(self, partner: IStream) -> None:
        """Speak to ``partner``."""
        self.partner = partner

    def detach(self) -> None:
        """The circuit is over."""
        self.partner = None
        self.circuit = None

    def send(self, data: Data) -> None:
        """Record; ask for a pause where nothing more can be taken."""
        assert self.reset_reason() is None, "payload after the end"
        self.heard.append(data)
        if self.refuses and self.partner is not None:
            self.partner.pause()

    def finish(self) -> None:
        """Record."""
        self.events.append("finish")

    def reset(self, reason: Reason, close: Close | None) -> None:
        """Record."""
        self.events.append(f"reset {reason.value}")

    def pause(self) -> None:
        """Record."""
        self.paused = True
        self.events.append("pause")

    def resume(self) -> None:
        """Record."""
        self.paused = False
        self.events.append("resume")

    def is_paused(self) -> bool:
        """:returns: whether the partner has asked for a pause."""
        return self.paused

    def has_left(self) -> bool | None:
        """:returns: what the test says."""
        return self.left

    # -- the test's side ---------------------------------------------------------------------------

    def speak(self, payload: bytes, text: bool = False, final: bool = True) -> None:
        """Send ``payload`` to the partner."""
        assert self.partner is not None
        self.bytes_in += len(payload)
        self.partner.send(Data(payload, text=text, final=final))

    def end(self) -> None:
        """Say that no more payload comes."""
        assert self.circuit is not None
        self.circuit.finished(self)

    def hang_up(self, reason: Reason = Reason.PEER_CLOSED, close: Close | None = None) -> None:
        """Be over in both directions."""
        assert self.circuit is not None
        self.circuit.broken(self, reason, close)

    def stop_reading(self) -> None:
        """Take nothing more; harmless once the circuit is over."""
        self.refuses = True
        if self.partner is not None:
            self.partner.pause()

    def read_on(self) -> None:
        """Take more; harmless once the circuit is over."""
        self.refuses = False
        if self.partner is not None:
            self.partner.resume()

    def payload(self) -> bytes:
        """:returns: all bytes that came."""
        return b"".join(data.payload for data in self.heard)

    def reset_reason(self) -> str | None:
        """:returns: the reason's word, once it was reset."""
        for event in self.events:
            if event.startswith("reset "):
                return event.removeprefix("reset ")
        return None


# -- dialects --------------------------------------------------------------------------------------


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


# -- what surrounds a session ----------------------------------------------------------------------


class World:
    """One process: a clock, its wheel, and the account of what waits.

    :ivar around: what sessions share
    """

    def __init__(
        self,
        buffered_bytes: int = 1 << 28,
        frame_bytes: int = 64 * 1024,
        window_bytes: int = DEFAULT_WINDOW_BYTES,
        max_streams: int = 1024,
    ) -> None:
        self.clock = Clock()
        self.wheel = Wheel(self.clock)
        self.ledger = Ledger(buffered_bytes, self.wheel)
        self.around = Surroundings(self.wheel, self.ledger, frame_bytes, window_bytes, max_streams)

    def passes(self, seconds: float, step_s: float = TICK_S) -> None:
        """Let time pass."""
        passes(self.clock, seconds, step_s)


class FakeSwitch:
    """Records what a session's peer wants.

    :ivar refuse_with: raised at every request
    :ivar on_request: called with every request that is not refused
    :ivar losses: reason, Close and detail of every end
    """

    def __init__(self) -> None:
        self.requests: list[Event] = []
        self.accepts: list[int] = []
        self.losses: list[tuple[Reason, Close | None, str]] = []
        self.refuse_with: Exception | None = None
        self.on_request: Callable[[Session, Event], None] | None = None

    def requested(self, session: Session, event: Hello | Offer | Call | Join | Enter) -> None:
        """Record."""
        self.requests.append(event)
        if self.refuse_with is not None:
            raise self.refuse_with
        if self.on_request is not None:
            self.on_request(session, event)

    def accepted(self, session: Session, event: Accept) -> None:
        """Record."""
        self.accepts.append(event.stream)

    def lost(self, session: Session, reason: Reason, close: Close | None, detail: str) -> None:
        """Record."""
        self.losses.append((reason, close, detail))


def grant(
    role: Role = Role.HOST,
    subject: str = "somebody",
    name: OfferName | None = None,
    token_id: str | None = None,
    dialect: str = "talk",
) -> Grant:
    """:returns: what a token of that kind allows."""
    return Grant(dialect, role, subject, name, token_id=token_id)
