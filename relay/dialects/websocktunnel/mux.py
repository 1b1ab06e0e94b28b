"""wsmux as conversations: what both sides share, and the router's with a host.

Specification, section 7. The router opens streams and nobody else does; a stream is open from its
first ACK on, which grants the first credit; FIN ends one direction. There is no frame for a refusal
or a reset: who wants nothing more of a stream says FIN, and then takes and drops what still comes
until the peer says FIN, too. An original that writes would wait for ever otherwise (7.6).

What freezes or breaks an original (7.10) is never sent: a second FIN, anything behind one but ACKs,
an ACK for a stream that is not open, payload before the first ACK, an empty DAT, too many SYNs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from zope.interface import implementer

from relay.errors import LimitReached, ProtocolError, RelayError
from relay.interfaces import IConversation, ISplitting, Opening
from relay.vocabulary import (
    Accept,
    Call,
    Carries,
    Close,
    Credit,
    Data,
    End,
    Event,
    Finish,
    Message,
    Offer,
    Outputs,
    Passing,
    Ping,
    Reason,
    Reset,
    Role,
    Shape,
)
from relay.wire.closes import close_of
from relay.wire.wsmux import (
    MESSAGE_BYTES,
    STREAM_IDS,
    WINDOW_BYTES,
    Frame,
    FrameReader,
    Kind,
    encode_ack,
    encode_dat,
    encode_dat_head,
    encode_fin,
    encode_syn,
)

UNANSWERED_SYNS = 150
"""So many may wait for their ACK; an original host freezes at 200."""

DRAINING_STREAMS = 1024
"""So many streams are remembered of which only the peer's FIN is still to come; original routers
sometimes forget it.
"""

SILENT_CALLS = 5
SILENT_S = 30.0
"""A host that let so many calls in a row be given up, and accepted none for so long, accepts none
any more: an original's library can sit there like that (section 8)."""

PROTOCOL_CLOSE = 1008

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class OpenStream:
    """One open stream.

    :ivar assumed: what the peer believes it may send ahead
    :ivar owed: bytes that came and were not granted again
    """

    __slots__ = ("assumed", "got_fin", "owed", "sent_fin")

    def __init__(self, assumed: int) -> None:
        self.assumed = assumed
        self.owed = 0
        self.sent_fin = False
        self.got_fin = False


@implementer(IConversation, ISplitting)
class Mux:
    """What both sides share.

    :param window_bytes: what the peer may send ahead on each stream
    """

    shape = Shape.CREDIT
    role = Role.HOST
    carries = Carries(half_close=True)
    whole_messages = False
    message_bytes = MESSAGE_BYTES
    frame_bytes = MESSAGE_BYTES
    drop_is_end = True
    dead_timer = True
    passes = Passing.NOTHING
    utf8 = True
    goodbye_s: float | None = None
    payload_bytes = 0

    __slots__ = ("_draining", "_open", "_reader", "intent", "upgrade_headers", "window_bytes")

    def __init__(
        self,
        window_bytes: int,
        intent: Event | None = None,
        upgrade_headers: Mapping[str, str] = _NO_HEADERS,
    ) -> None:
        self.window_bytes = window_bytes
        self.intent = intent
        self.upgrade_headers = upgrade_headers
        self._reader = FrameReader()
        self._open: dict[int, OpenStream] = {}
        self._draining: dict[int, tuple[int, int]] = {}  # what is owed, of which window

    # -- what comes ------------------------------------------------------------------------------

    def opened(self, now: float) -> Outputs:
        """Ask for a sign of life (7.7), and for what the request was made for."""
        return (Ping(),) if self.intent is None else (Ping(), self.intent)

    def receive(self, message: Message, now: float) -> Outputs:
        """Read one frame. :raises ProtocolError: when it is none, or comes before it may."""
        frame = self._reader.feed(message)
        if frame is None:
            return ()
        stream = self._open.get(frame.stream)
        if stream is not None:
            return self._received(frame, stream, now)
        if frame.stream in self._draining:
            return self._drained(frame)
        return self._closed(frame)

    def payload_at(self, view: memoryview, start: int, end: int) -> tuple[int, int] | None:
        """Payload of a stream that is open for it need not be received."""
        found = self._reader.payload_at(view, start, end)
        stream = None if found is None else self._open.get(found[0])
        return None if stream is None or stream.got_fin else found

    def passed(self, stream: int, amount: int, final: bool) -> None:
        """It went on without us."""
        self._open[stream].owed += amount
        self._reader.passed(stream, amount, final)

    def head(self, stream: int) -> bytes:
        """:returns: what stands before the payload of each DAT"""
        return encode_dat_head(stream)

    def _received(self, frame: Frame, stream: OpenStream, now: float) -> Outputs:
        number = frame.stream
        if frame.kind is Kind.DAT and not stream.got_fin:
            stream.owed += len(frame.payload)
            return (Data(frame.payload, number),)
        if frame.kind is Kind.ACK and frame.amount:
            return (Credit(frame.amount, number),)
        if frame.kind is Kind.FIN and not stream.got_fin:
            stream.got_fin = True
            return (Finish(number),)
        return ()

    def _drained(self, frame: Frame) -> Outputs:
        """Nobody wants it, but its writer has to get on to where it ends."""
        number = frame.stream
        if frame.kind is Kind.FIN:
            del self._draining[number]
        elif frame.kind is Kind.DAT:
            owed, window_bytes = self._draining[number]
            owed += len(frame.payload)
            if owed * 2 < window_bytes:
                self._draining[number] = (owed, window_bytes)
            else:
                self._draining[number] = (0, self.window_bytes)
                return (Message(encode_ack(number, owed + self.window_bytes - window_bytes)),)
        return ()

    def _closed(self, frame: Frame) -> Outputs:
        """A frame of a stream that is not open: ignored where the stream is unknown."""
        raise NotImplementedError

    # -- what the core wants ---------------------------------------------------------------------

    def perform(self, event: Event, now: float) -> Outputs:
        """Tell the peer what it has to know, and nothing that it must not hear."""
        if isinstance(event, Credit | Finish | Reset):
            stream = self._open.get(event.stream)
            if stream is None:
                return self._gave_up(event.stream) if isinstance(event, Reset) else ()
            if isinstance(event, Credit):
                return self._refund(event, stream)
            if isinstance(event, Finish):
                return self._finish(event.stream, stream)
            return self._drain(event.stream, self._open.pop(event.stream))
        return ()

    def _refund(self, event: Credit, stream: OpenStream) -> Outputs:
        stream.owed -= event.amount
        return () if stream.got_fin else (Message(encode_ack(event.stream, event.amount)),)

    def _finish(self, number: int, stream: OpenStream) -> Outputs:
        if stream.sent_fin:
            return ()
        stream.sent_fin = True
        return (Message(encode_fin(number)),)

    def _drain(self, number: int, stream: OpenStream) -> Outputs:
        """Say FIN; let come what still comes.

        What is dropped needs no room: a peer that may wait for credit is granted a whole window, so
        that few ACKs do. Most have said all they had to say, and need none.
        """
        told = self._finish(number, stream)
        if stream.got_fin:
            return told
        while len(self._draining) >= DRAINING_STREAMS:
            del self._draining[next(iter(self._draining))]
        if stream.owed * 2 < stream.assumed:
            self._draining[number] = (stream.owed, stream.assumed)
            return told
        self._draining[number] = (0, self.window_bytes)
        grant = stream.owed + self.window_bytes - stream.assumed
        return (*told, Message(encode_ack(number, grant))) if grant else told

    def _gave_up(self, number: int) -> Outputs:
        """The core wants nothing of a stream that is not open."""
        raise NotImplementedError

    def begin(self, call: Call) -> Opening:
        """Choose a stream. :raises RelayError: when there is none"""
        raise RelayError("this link takes no calls")

    def encode(self, data: Data) -> Message:
        """One DAT."""
        return Message(encode_dat(data.stream, data.payload))

    def wake(self, now: float) -> Outputs:
        """No deadlines."""
        return ()

    def deadline(self) -> float | None:
        """No deadlines."""
        return None

    def end(self, reason: Reason, close: Close | None) -> Close | None:
        """The other side's own Close where it sent one, else ours; 1008 for broken rules."""
        if reason is Reason.PROTOCOL_ERROR:
            return Close(PROTOCOL_CLOSE, reason.value)
        return close or close_of(reason)


class RouterMux(Mux):
    """The router's link to a host: calls go out as streams.

    :param offer: what the host asked for; it is answered with Answer.STREAM
    :param upgrade_headers: for the 101
    """

    __slots__ = ("_given_up", "_next", "_silent_calls", "_silent_since", "_waiting")

    def __init__(self, offer: Offer, upgrade_headers: Mapping[str, str] = _NO_HEADERS) -> None:
        super().__init__(WINDOW_BYTES, offer, upgrade_headers)
        self._next = 0
        self._waiting: dict[int, float] = {}  # since when, by stream
        self._given_up: set[int] = set()
        self._silent_calls = 0
        self._silent_since = 0.0

    def begin(self, call: Call) -> Opening:
        """Even streams in turn (7.3). :raises LimitReached: when too many are not accepted."""
        if len(self._waiting) + len(self._given_up) >= UNANSWERED_SYNS:
            raise LimitReached(
                f"the host has yet to accept {UNANSWERED_SYNS} streams",
                "find out why it does not",
                retry_after_s=5,
            )
        inhabited = (self._open, self._draining, self._waiting, self._given_up)
        while any(self._next in streams for streams in inhabited):
            self._next = (self._next + 2) % STREAM_IDS
        number, self._next = self._next, (self._next + 2) % STREAM_IDS
        return Opening(number)

    def perform(self, event: Event, now: float) -> Outputs:
        """A call becomes a SYN."""
        if isinstance(event, Call):
            self._waiting[event.stream] = now
            return (Message(encode_syn(event.stream)),)
        return super().perform(event, now)

    def deadline(self) -> float | None:
        """:returns: when a host that accepts nothing has had its time"""
        return self._silent_since + SILENT_S if self._silent_calls >= SILENT_CALLS else None

    def wake(self, now: float) -> Outputs:
        """End the link to a host that accepts nothing."""
        deadline = self.deadline()
        return () if deadline is None or now < deadline else (End(Reason.HOST_SILENT),)

    def _closed(self, frame: Frame) -> Outputs:
        number = frame.stream
        if number in self._waiting:
            return self._answered(frame)
        if number in self._given_up and frame.kind in (Kind.ACK, Kind.FIN):
            self._given_up.remove(number)
            if frame.kind is Kind.ACK:
                self._silent_calls = 0
                return self._drain(number, OpenStream(min(WINDOW_BYTES, frame.amount)))
        return ()  # a SYN of the host's own, too: it is never accepted (7.4)

    def _answered(self, frame: Frame) -> Outputs:
        number = frame.stream
        if frame.kind is Kind.DAT:
            raise ProtocolError(f"payload on stream {number}, which was not accepted")
        if frame.kind is Kind.ACK:
            self._silent_calls = 0
            del self._waiting[number]
            self._open[number] = OpenStream(min(WINDOW_BYTES, frame.amount))
            return (Credit(frame.amount, number), Accept(number))
        if frame.kind is Kind.FIN:
            del self._waiting[number]
            return (Finish(number),)
        return ()

    def _gave_up(self, number: int) -> Outputs:
        since = self._waiting.pop(number, None)
        if since is not None:
            self._given_up.add(number)
            if not self._silent_calls:
                self._silent_since = since
            self._silent_calls += 1
        return ()
