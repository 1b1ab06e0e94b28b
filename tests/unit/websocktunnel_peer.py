"""A conversation of wsmux, with the test as its peer and as its core."""

from __future__ import annotations

from relay.dialects.websocktunnel.mux import Mux, RouterMux
from relay.dialects.websocktunnel.mux_host import HostMux
from relay.vocabulary import (
    Accept,
    Answer,
    Call,
    Event,
    Message,
    Offer,
    OfferName,
)
from relay.wire.wsmux import (
    WINDOW_BYTES,
    Frame,
    FrameReader,
    Kind,
    encode_ack,
    encode_syn,
)

NAME = OfferName("websocktunnel:demo")
OFFER = Offer(NAME, Answer.STREAM)
WINDOW = 1000
CREDIT = 4096


class Peer:
    """A conversation, with the test as its peer and as its core.

    :ivar now: the clock
    :ivar sent: frames that went out
    :ivar told: events for the core
    """

    def __init__(self, mux: Mux) -> None:
        self.mux = mux
        self.now = 0.0
        self.sent: list[Frame] = []
        self.told: list[Event] = []
        self._reader = FrameReader()

    def says(self, *messages: bytes) -> None:
        """The peer sends frames."""
        for message in messages:
            self._take(self.mux.receive(Message(message), self.now))

    def does(self, *events: Event) -> None:
        """The core wants something told."""
        for event in events:
            self._take(self.mux.perform(event, self.now))

    def new(self) -> tuple[list[Frame], list[Event]]:
        """What went out and what the core was told since the last time."""
        sent, self.sent = self.sent, []
        told, self.told = self.told, []
        return sent, told

    def call(self) -> int:
        """The core calls."""
        number = self.mux.begin(Call(NAME)).stream
        self.does(Call(NAME, stream=number))
        return number

    def _take(self, outputs: object) -> None:
        assert isinstance(outputs, tuple)
        for output in outputs:
            if isinstance(output, Message):
                frame = self._reader.feed(output)
                assert frame is not None
                self.sent.append(frame)
            else:
                self.told.append(output)


def router() -> Peer:
    """The router's side of a link."""
    return Peer(RouterMux(OFFER))


def host() -> Peer:
    """Our host's side of a link."""
    return Peer(HostMux(NAME, WINDOW, CREDIT))


def opened_router(ack: int = WINDOW_BYTES) -> Peer:
    """A router's side whose stream 0 is open, with nothing left to see of how it came to that."""
    peer = router()
    peer.call()
    peer.says(encode_ack(0, ack))
    peer.new()
    return peer


def opened_host() -> Peer:
    """The same for a host's side."""
    peer = host()
    peer.says(encode_syn(0))
    peer.does(Accept(0))
    peer.new()
    return peer


def ack(amount: int, stream: int = 0) -> Frame:
    """An ACK."""
    return Frame(Kind.ACK, stream, amount=amount)


def fin(stream: int = 0) -> Frame:
    """A FIN."""
    return Frame(Kind.FIN, stream)


class Observer:
    """What an original must not see."""

    def __init__(self, is_router: bool) -> None:
        self._is_router = is_router
        self._syns: set[int] = set()
        self._acked: set[int] = set()
        self._fins: set[int] = set()

    def check(self, frames: list[Frame]) -> None:
        """Go through what was sent; a host's numbers are the router's, which may come again."""
        for frame in frames:
            number = frame.stream
            if frame.kind is Kind.SYN:
                assert self._is_router
                assert number not in self._syns
                self._syns.add(number)
            elif frame.kind is Kind.ACK:
                self._acked.add(number)
            else:
                assert frame.kind is Kind.FIN
                assert number in (self._syns if self._is_router else self._acked)
                assert not self._is_router or number not in self._fins
                self._fins.add(number)
