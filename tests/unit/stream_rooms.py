"""Links of many streams in memory: one session or two, each of whose streams ends in the test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from relay.core.flow.shared import ITEM_BYTES, MERGE_BYTES
from relay.core.session import Session
from relay.core.stream import Circuit, join
from relay.interfaces import IConversation, ILink, IStream
from relay.vocabulary import Accept, Call, Event, OfferName
from tests.fakes import FakeStream, FakeSwitch, MemoryLink, World, pump

CHUNK_BYTES = 3000
"""The most that a side says at a time."""


def pattern(start: int, amount: int) -> bytes:
    """Bytes by which a loss, or another order, is seen."""
    return bytes((start + i) * 7 % 251 for i in range(amount))


def kept(window: int) -> int:
    """What one window of received bytes, and one chunk to be sent, may cost."""
    return window + CHUNK_BYTES + ITEM_BYTES * (window // (MERGE_BYTES // 2) + 3)


def move(links: Sequence[MemoryLink]) -> bool:
    """Move what can move. :returns: whether that was anything"""
    before = [len(link.sent) for link in links]
    pump(*links)
    return [len(link.sent) for link in links] != before


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


Talk = TypeVar("Talk", bound=IConversation)


class Room(FakeSwitch, Generic[Talk]):
    """A session of ours; streams are joined with fakes once they are accepted.

    :param name: of the offer that is called
    :param make: what each stream is joined with
    :ivar sides: by stream
    :ivar circuits: by stream, once it was accepted
    """

    def __init__(
        self,
        name: OfferName,
        world: World,
        link: ILink,
        talk: Talk,
        make: Callable[[], FakeStream] = FakeStream,
    ) -> None:
        super().__init__()
        self._name = name
        self._make = make
        self.world = world
        self.talk = talk
        self.session = Session(link, talk, self, world.around, type(talk).__name__)
        self.sides: dict[int, Side] = {}
        self.circuits: dict[int, Circuit] = {}
        self.on_request = self._asked
        self.session.opened()

    def call(self, target: str = "") -> Side:
        """The router opens a stream. :returns: our end of it"""
        call = Call(self._name, target)
        opening = self.talk.begin(call)
        self.session.open_stream(opening.stream, opening.send_credit)
        self.sides[opening.stream] = side = Side(self._make())
        self.session.perform(call._replace(stream=opening.stream))
        return side

    def answer(self, number: int) -> None:
        """The host takes a call, unless it has."""
        if not self.sides[number].joined:
            self.session.answer(Call(self._name, stream=number))
            self._join(number)

    def accepted(self, session: Session, event: Accept) -> None:
        """A call was answered."""
        self._join(event.stream)

    def held_bytes(self) -> int:
        """The most that waits in any stream."""
        streams = self.session.streams().values()
        return max((s.held_bytes() for s in streams if hasattr(s, "held_bytes")), default=0)

    def _asked(self, session: Session, event: Event) -> None:
        if isinstance(event, Call):
            self.sides[event.stream] = Side(self._make())

    def _ends(self, number: int) -> tuple[IStream, IStream]:
        """:returns: who has called, and who was"""
        return self.session.streams()[number], self.sides[number].stream

    def _join(self, number: int) -> None:
        side = self.sides[number]
        self.circuits[number] = join("n", *self._ends(number), self.world.wheel, lambda _: None)
        side.joined = True
        side.flush()


End = TypeVar("End", bound="Room[Any]")
Link = TypeVar("Link", bound=MemoryLink)


class Joined(Generic[End, Link]):
    """A router's end, which comes first, and a host's, on one link.

    :ivar ends: both; a subclass makes them, on :attr:`links`
    """

    ends: Sequence[End]

    def __init__(self, world: World, links: Sequence[Link]) -> None:
        self.world = world
        self.links = links
        links[0].far, links[1].far = links[1], links[0]

    def begin(self) -> None:
        """All calls are answered."""
        pump(*self.links)
        host = self.ends[1]
        for number in tuple(host.sides):
            host.answer(number)
        pump(*self.links)

    def do(self, what: str, end: int, number: int, amount: int) -> None:
        """One step of a schedule; steps of streams that do not stand yet do nothing."""
        side = self.ends[end].sides.get(number)
        if what == "move":
            for _ in range(amount):
                self.links[end].step()
        elif what == "stuck":
            self.links[end].stuck = bool(amount)
        elif side is None:
            return
        elif what == "say" and not side.waits:
            side.say(pattern(len(side.said), amount))
        elif what == "stop":
            side.stream.stop_reading()
        elif what == "read":
            side.stream.read_on()
        elif what == "answer":
            self.ends[end].answer(number)
        elif what == "finish":
            side.finish()

    def sides(self) -> list[Side]:
        """All of both ends."""
        return [side for end in self.ends for side in end.sides.values()]
