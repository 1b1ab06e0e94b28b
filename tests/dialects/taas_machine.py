"""What a host or client of taas may do to the world, in memory: a router with a queue, and time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from typing import Any, ClassVar, cast

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, succeed
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from relay.auth import time_code
from relay.core.session import Session
from relay.core.stream import Circuit, join
from relay.errors import CannotConnect, RelayError, TargetRefused
from relay.interfaces import IConversation
from relay.links.bundle import Bundle
from relay.links.keeper import Keeper
from relay.outside import FINAL_STATUSES, HttpAnswer, IErrand, IOutward, Way
from relay.settings.model import Limits, TunnelSettings
from relay.vocabulary import Accept, Call, Enter, Event, Hello, Join, Message, Offer, Reason
from tests.fakes import FakeStream, FakeSwitch, MemoryLink, World
from tests.fakes.links import Drop, pump

NOW = 1_700_000_010.0
FIN = Message(b"")
NOTHING = Message(b"", final=False)
SOON_S = 0.3
"""Longer than the first pause after a link that stood, and than that of the first failure."""


class Switch(FakeSwitch):
    """Hands on what a session says of its call."""

    def __init__(self, handle: Callable[[Event], None]) -> None:
        super().__init__()
        self._handle = handle

    def requested(self, session: Session, event: Hello | Offer | Call | Join | Enter) -> None:
        """Hand it on."""
        self._handle(event)

    def accepted(self, session: Session, event: Accept) -> None:
        """Hand it on."""
        self._handle(event)


class Connection:
    """One raw link, with the test at its far end.

    :ivar address: that was dialled
    :ivar tls: what of TLS was wanted
    :ivar taken: whether it waits no more, since a caller came or it was lost
    """

    def __init__(self, address: str, link: MemoryLink, tls: object) -> None:
        self.address = address
        self.link = link
        self.tls = tls
        self.taken = False

    def say(self, payload: bytes) -> None:
        """Octets come."""
        self.taken = True
        self.link.arrive(Message(payload, final=False))

    def begin_tls(self) -> None:
        """The first octet of a handshake comes, where it is the host who serves TLS."""
        self.taken = True
        self.link.arrive(NOTHING)

    def end_tls(self) -> None:
        """The handshake is complete."""
        self.link.arrive(NOTHING)

    def fin(self) -> None:
        """A FIN comes."""
        self.link.arrive(FIN)

    def lose(self) -> None:
        """It is reset."""
        self.taken = True
        self.link.arrive(Drop())

    def heard(self) -> bytes:
        """:returns: what came from the host or client"""
        pump(self.link)
        return b"".join(message.payload for message in self.link.sent)

    def is_over(self) -> bool:
        """:returns: whether the host or client ended it"""
        pump(self.link)
        return self.link.aborted or self.link.close_sent is not None


class Machine:
    """The world.

    :ivar put: what the registrar answers, or raises; a Deferred makes it wait
    :ivar get: what the front door answers
    :ivar asked: method, URL, Authorization and way of all requests
    :ivar refuses: what connecting raises
    :ivar connections: that were made, in order
    :ivar most_asking: how many requests were under way at a time at most
    :ivar services: connections to the service
    :ivar streams: for how many a link has room
    :ivar known: the names that can be looked up
    :ivar looking_up: fires when they are
    """

    running: ClassVar[list[Machine]] = []

    def __init__(self, settings: TunnelSettings) -> None:
        self.running.append(self)
        self.world = World()
        self.world.clock.advance(NOW)
        self.settings = settings
        self.asked_at = 0.0
        self.reports: list[str] = []
        self.faults: list[tuple[str, Reason, str]] = []
        self.losses: list[str] = []
        self.stood_count = 0
        self.streams = 1
        self.put: Callable[[], Any] = lambda: HttpAnswer(200, {}, b"198.51.100.7:20001")
        self.get: Callable[[], Any] = lambda: HttpAnswer(503, {}, b"")
        self.asked: list[tuple[str, str, str, Way]] = []
        self.asking = self.most_asking = 0
        self.refuses: RelayError | None = None
        self.at_connect: Callable[[Connection], None] = lambda _: None
        self.connections: list[Connection] = []
        self.services: list[FakeStream] = []
        self.service_refuses = False
        self.known: set[str] = set()
        self.looked_up: list[str] = []
        self.looking_up: Deferred[None] = succeed(None)
        self.circuits: list[Circuit] = []
        self.accept: Callable[[FakeStream], None] = lambda _: None
        self.errand: Deferred[None] | None = None
        self.failure: Failure | None = None

    # -- the test's side -------------------------------------------------------------------------

    def run(self, dialect_run: Callable[[TunnelSettings, IOutward], Awaitable[None]]) -> None:
        """Run a host or client, on the side."""
        errand = dialect_run(self.settings, cast(IOutward, self))
        self.errand = ensureDeferred(cast("Deferred[None]", errand))
        self.errand.addErrback(self._failed)

    def end(self) -> None:
        """The host or client is told to stop."""
        if self.errand is not None:
            self.errand.cancel()

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.world.passes(seconds)

    def waiting(self) -> list[Connection]:
        """:returns: the connections that wait"""
        return [each for each in self.connections if not (each.taken or each.is_over())]

    def call(self) -> FakeStream:
        """:returns: a local connection, just accepted"""
        local = FakeStream()
        self.accept(local)
        return local

    def _failed(self, failure: Failure) -> None:
        self.failure = failure

    # -- IOutward --------------------------------------------------------------------------------

    def now(self) -> float:
        """The clock's."""
        return self.world.clock.seconds()

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait."""
        return deferLater(self.world.clock, seconds)

    def spawn(self, errand: Awaitable[None]) -> IErrand:
        """Run on the side; any failure but a refusal fails the test."""
        running = ensureDeferred(cast("Deferred[None]", errand))
        running.addErrback(lambda failure: failure.trap(CancelledError) and None)
        return cast(IErrand, running)

    def report(self, text: str) -> None:
        """Record."""
        self.reports.append(text)

    def fault(self, what: str, error: RelayError, next_try_s: float | None = None) -> None:
        """Record."""
        self.faults.append((what, error.reason, f"{error.text}; {error.remedy}"))

    def stood(self) -> None:
        """Count."""
        self.stood_count += 1

    def lost(self, text: str) -> None:
        """Record."""
        self.losses.append(text)

    def time_code(self, base32: str, step: int) -> str:
        """As the real one."""
        return time_code(base32, step)

    async def http(
        self, method: str, url: str, headers: Mapping[str, str], limit_bytes: int, way: Way
    ) -> HttpAnswer:
        """Answer as the test says."""
        self.asked.append((method, url, headers.get("Authorization", ""), way))
        self.asking += 1
        self.most_asking = max(self.asking, self.most_asking)
        try:
            answer = self.put() if method == "PUT" else self.get()
            if isinstance(answer, Deferred):
                answer = await answer
        finally:
            self.asking -= 1
        if isinstance(answer, RelayError):
            raise answer
        return cast(HttpAnswer, answer)

    async def tcp(
        self,
        address: str,
        conversation: IConversation,
        handle: Callable[[Event], None],
        tls: object = None,
    ) -> Session:
        """Connect to the router."""
        if self.refuses is not None:
            raise self.refuses
        connection = Connection(address, MemoryLink(), tls)
        around = self.world.limited(Limits(streams=self.streams))
        session = Session(connection.link, conversation, Switch(handle), around, "lab/1")
        session.opened()
        self.connections.append(connection)
        self.world.clock.callLater(0.001, self.at_connect, connection)
        return session

    async def connect(self, endpoint: str) -> FakeStream:
        """Connect to the service."""
        if self.service_refuses:
            raise TargetRefused(f"nothing listens at {endpoint}")
        self.services.append(FakeStream())
        return self.services[-1]

    async def resolve(self, host: str) -> list[str]:
        """Look a name up."""
        self.looked_up.append(host)
        await self.looking_up
        if host not in self.known:
            raise TargetRefused(f"the name {host} is not known")
        return ["192.0.2.1"]

    async def listen(self, endpoint: str, accepted: Callable[[FakeStream], None]) -> str:
        """Accept what the test brings."""
        self.accept = accepted
        return endpoint

    async def serve(self) -> None:
        """For ever."""
        await Deferred()

    def join(self, caller: FakeStream, callee: FakeStream, name: str) -> Deferred[Reason]:
        """Make a circuit."""
        over: Deferred[Reason] = Deferred()
        self.circuits.append(
            join(name, caller, callee, self.world.wheel, lambda _: over.callback(Reason.FINISHED))
        )
        return over

    def bundle(self, end: Callable[[Reason], None]) -> Bundle:
        """A real one."""
        return Bundle(end)

    async def keep(
        self,
        errand: Callable[[], Awaitable[Any]],
        final: Collection[int] = FINAL_STATUSES,
        where: Callable[[], str] = str,
    ) -> None:
        """As a real one does."""
        await Keeper(self, errand, cast(Any, self.world.clock), final, where=where).run()


def all_end() -> Iterator[None]:
    """What still runs at the end of a test is stopped in order, not by the garbage collector."""
    yield
    while Machine.running:
        Machine.running.pop().end()


def unreachable() -> RelayError:
    """:returns: what connecting to nobody raises"""
    return CannotConnect("nothing listens at 198.51.100.7:443")
