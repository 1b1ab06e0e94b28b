"""Sessions of wsmux in memory, each of whose streams ends in the test."""

from __future__ import annotations

from collections.abc import Callable, Sized
from dataclasses import dataclass, field

from relay.core.session import Session
from relay.core.stream import Circuit, join
from relay.dialects.websocktunnel.mux import Mux, RouterMux
from relay.dialects.websocktunnel.mux_host import HostMux
from relay.interfaces import ILink
from relay.vocabulary import Accept, Answer, Call, Event, Offer, OfferName
from tests.fakes import FakeStream, FakeSwitch, World

NAME = OfferName("websocktunnel:demo")


@dataclass
class Side:
    """Our end of one stream: what it was told to say, and what it has yet to."""

    stream: FakeStream = field(default_factory=FakeStream)
    said: bytearray = field(default_factory=bytearray)
    waits: bytearray = field(default_factory=bytearray)
    finished: bool = False
    joined: bool = False

    def say(self, payload: bytes) -> None:
        """Say it as soon as it can be said."""
        if not self.finished and not self.over:
            self.said += payload
            self.waits += payload
            self.flush()

    def finish(self) -> None:
        """Say no more, behind what waits."""
        self.finished = True
        self.flush()

    def flush(self) -> None:
        """Say what waits, as far as it is taken."""
        if not self.joined or self.over:
            return
        if self.waits and not self.stream.paused:
            payload = bytes(self.waits)
            self.waits.clear()
            self.stream.speak(payload)
        if self.finished and not self.waits and self.stream.circuit is not None:
            self.stream.end()

    def bytes(self) -> tuple[int, int]:
        """What came for it, and what it said."""
        return len(self.stream.payload()), len(self.said)

    @property
    def over(self) -> bool:
        """Whether its circuit is."""
        return self.joined and self.stream.circuit is None


class End(FakeSwitch):
    """A session of ours; streams are joined with fakes once they are accepted.

    :param make: what each stream is joined with
    :ivar sides: by stream
    :ivar circuits: by stream, once it was accepted
    """

    def __init__(
        self,
        world: World,
        link: ILink,
        mux: Mux,
        make: Callable[[], FakeStream] = FakeStream,
    ) -> None:
        super().__init__()
        self._make = make
        self.world = world
        self.mux = mux
        self.session = Session(link, mux, self, world.around, type(mux).__name__)
        self.sides: dict[int, Side] = {}
        self.circuits: dict[int, Circuit] = {}
        self.on_request = self._asked
        self.session.opened()

    def call(self) -> Side:
        """The router opens a stream."""
        opening = self.mux.begin(Call(NAME))
        self.session.open_stream(opening.stream, opening.send_credit)
        self.sides[opening.stream] = side = Side(self._make())
        self.session.perform(Call(NAME, stream=opening.stream))
        return side

    def answer(self, number: int) -> None:
        """The host takes a call."""
        if not self.sides[number].joined:
            self.session.answer(Call(NAME, stream=number))
            self._join(number)

    def accepted(self, session: Session, event: Accept) -> None:
        """A call was answered."""
        self._join(event.stream)

    def clean(self) -> bool:
        """Whether nothing is left of any stream."""
        mux = self.mux
        left: list[Sized] = [self.session.streams(), mux._open, mux._draining]
        if isinstance(mux, RouterMux):
            left += [mux._waiting, mux._given_up]
        if isinstance(mux, HostMux):
            left.append(mux._asked)
        return not any(left)

    def held_bytes(self) -> int:
        """The most that waits in any stream."""
        streams = self.session.streams().values()
        return max((s.held_bytes() for s in streams if hasattr(s, "held_bytes")), default=0)

    def _asked(self, session: Session, event: Event) -> None:
        if isinstance(event, Call):
            self.sides[event.stream] = Side(self._make())

    def _join(self, number: int) -> None:
        side = self.sides[number]
        stream = self.session.streams()[number]
        self.circuits[number] = join("n", stream, side.stream, self.world.wheel, lambda _: None)
        side.joined = True
        side.flush()


def router_end(world: World, link: ILink, make: Callable[[], FakeStream] = FakeStream) -> End:
    """The router's end."""
    return End(world, link, RouterMux(Offer(NAME, Answer.STREAM)), make)


def host_end(
    world: World,
    link: ILink,
    window: int,
    credit: int,
    make: Callable[[], FakeStream] = FakeStream,
) -> End:
    """Our host's end."""
    return End(world, link, HostMux(NAME, window, credit), make)
