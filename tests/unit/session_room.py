"""Sessions on links in memory, and a conversation that says what the test wants."""

from __future__ import annotations

from relay.core.session import Session
from relay.core.stream import join
from relay.vocabulary import Close, Event, Message, Outputs, Reason, Shape
from tests.fakes import FakeSwitch, MemoryLink, Talk, World, grant, pump


class Says(Talk):
    """Says what the test tells it to, whatever comes.

    :ivar answers: outputs of ``receive``
    :ivar when: the deadline
    """

    def __init__(self, answers: Outputs = (), dead_timer: bool = False) -> None:
        super().__init__(dead_timer=dead_timer)
        self.answers = answers
        self.when: float | None = None
        self.woken: list[float] = []
        self.told: list[Event] = []

    def receive(self, message: Message, now: float) -> Outputs:
        """Say it."""
        return self.answers

    def perform(self, event: Event, now: float) -> Outputs:
        """Record it."""
        self.told.append(event)
        return super().perform(event, now)

    def wake(self, now: float) -> Outputs:
        """Record it; no deadline follows."""
        self.woken.append(now)
        self.when = None
        return ()

    def deadline(self) -> float | None:
        """When the test wants it."""
        return self.when


class SaysShared(Says):
    """The same on a link of many streams."""

    shape = Shape.CREDITLESS


class Room:
    """Sessions of one process, each on a link of its own."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.links: list[MemoryLink] = []
        self.switches: list[FakeSwitch] = []

    def open(self, talk: Talk, ping_s: float = 0, dead_s: float = 0) -> Session:
        """A new link with that conversation, begun."""
        link, switch = MemoryLink(), FakeSwitch()
        self.links.append(link)
        self.switches.append(switch)
        label = f"link-{len(self.links)}"
        session = Session(link, talk, switch, self.world.around, label, grant(), ping_s, dead_s)
        session.opened()
        return session

    def joined(self, *talks: Talk) -> tuple[Session, Session]:
        """Two sessions whose only streams are a circuit."""
        one, other = (self.open(talk) for talk in talks)
        join("n", one.stream(), other.stream(), self.world.wheel, lambda _: None)
        return one, other

    def loss(self, number: int = -1) -> tuple[Reason, Close | None, str]:
        """How a session ended, which happened once."""
        (loss,) = self.switches[number].losses
        return loss

    def pump(self) -> None:
        """Move what can move."""
        pump(*self.links)
