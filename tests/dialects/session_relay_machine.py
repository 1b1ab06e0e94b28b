"""What a host of session-relay may do to the world, in memory: routers that admit, local topics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator, Mapping
from typing import Any, cast

from relay.dialects.session_relay.host.commands import Commands
from relay.dialects.session_relay.host.destinations import Destinations
from relay.dialects.session_relay.host.local_api import LocalFace
from relay.dialects.session_relay.host.streams import Streams
from relay.dialects.session_relay.host.visitors import Visitors
from relay.errors import RelayError
from relay.faces import IServices
from relay.http import Request, Response
from relay.interfaces import IConversation
from relay.outside import HttpAnswer, ILocalRouter, IOutward
from relay.vocabulary import Data, Enter, Message, Reason, TopicName
from tests.dialects.at_once import AtOnce

CODE_URL = "ws://127.0.0.1/session/t?code=1"


class FakeSession:
    """A link to a router that stands.

    :ivar sent: what went out on it
    :ivar closed: why it was ended
    """

    def __init__(self, url: str, conversation: IConversation) -> None:
        self.url = url
        self.conversation = conversation
        self.sent: list[Data] = []
        self.closed: list[Reason] = []

    def close(self, reason: Reason) -> None:
        """Record."""
        self.closed.append(reason)


class Seat:
    """A member of a topic."""

    def __init__(
        self, hub: LocalHub, enter: Enter, heard: Callable[[Data], None], session: object = None
    ) -> None:
        self.enter = enter
        self.heard = heard
        self.session = session
        self._hub = hub

    def say(self, payload: bytes, text: bool) -> None:
        """Tell the others."""
        if self in self._hub.seats and self.enter.writes:
            self._hub.tell(self.enter.topic, Data(payload, text=text), self)

    def leave(self) -> None:
        """Give it up."""
        self._hub.seats.remove(self)


class LocalHub:
    """Local topics.

    :ivar seats: of all topics
    :ivar composed: what each composed topic hears
    :ivar endpoints: that are listened on
    """

    def __init__(self) -> None:
        self.seats: list[Seat] = []
        self.composed: dict[TopicName, frozenset[TopicName]] = {}
        self.endpoints: list[str] = []
        self.broker = self
        self.services = cast(IServices, self)

    async def listen(self, endpoint: str) -> str:
        """Record."""
        self.endpoints.append(endpoint)
        return "127.0.0.1:8888"

    def enter(self, session: FakeSession, event: Enter) -> None:
        """Give a link a seat."""
        self.seats.append(Seat(self, event, session.sent.append, session))

    def reside(self, topic: TopicName, heard: Callable[[Data], None]) -> Seat:
        """Give somebody a seat."""
        self.seats.append(Seat(self, Enter(topic), heard))
        return self.seats[-1]

    def compose(self, topic: TopicName, sources: Collection[TopicName]) -> None:
        """Record."""
        self.composed[topic] = frozenset(sources)

    def publish(self, topic: TopicName, message: Message) -> None:
        """Tell everybody."""
        self.tell(topic, Data(message.payload, text=message.text), None)

    def tell(self, topic: TopicName, data: Data, by: Seat | None) -> None:
        """Tell a topic, and those that are composed of it."""
        for seat in tuple(self.seats):
            if seat.enter.topic == topic and seat is not by and seat.enter.reads:
                seat.heard(data)
        for composed, sources in self.composed.items():
            if topic in sources:
                self.tell(composed, data, None)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Any:
        """Nobody waits here."""
        raise AssertionError("no time passes here")


class _Forever:
    def __await__(self) -> Generator[None, None, None]:
        yield


class Running:
    """What runs on the side."""

    def __init__(self, errand: Awaitable[None]) -> None:
        self._errand = cast("Coroutine[Any, Any, None]", errand)
        try:
            self._errand.send(None)
        except StopIteration:
            pass

    def cancel(self) -> None:
        """Give it up."""
        self._errand.close()


class Machine(AtOnce):
    """The world.

    :ivar meanwhile: done while the host serves

    :ivar asked: the URLs and tokens that were shown at access APIs
    :ivar dialled: the sessions that stand or stood, in order
    :ivar kept: names of errands, and how long they pause at most
    :ivar answer: what access APIs say
    :ivar refusals: what went wrong at connecting
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []
        self.dialled: list[FakeSession] = []
        self.kept: list[tuple[str, bool, float]] = []
        self.answer = HttpAnswer(200, {}, b'{"uri":"%s"}\n' % CODE_URL.encode())
        self.refusals: list[RelayError] = []
        self.tokens = ["first", "second", "third"]
        self.hub = LocalHub()
        self.meanwhile: Callable[[], None] = lambda: None

    async def serve(self) -> None:
        """The host serves, and then it is over."""
        self.meanwhile()

    def now(self) -> float:
        """A time."""
        return 1_700_000_000.0

    async def token(self) -> str:
        """The next one."""
        return self.tokens.pop(0)

    def local_router(self, face: object) -> LocalHub:
        """The one there is."""
        return self.hub

    async def http(
        self, method: str, url: str, headers: Mapping[str, str], limit_bytes: int
    ) -> HttpAnswer:
        """Admit everybody."""
        self.asked.append((url, headers["Authorization"]))
        return self.answer

    async def websocket_at(
        self,
        url: str,
        headers: Mapping[str, str],
        conversation: Callable[[Mapping[str, str]], IConversation],
        handle: Callable[[object], None],
    ) -> FakeSession:
        """Stand."""
        self.dialled.append(FakeSession(url, conversation({})))
        return self.dialled[-1]

    async def keep(
        self,
        errand: Callable[[], Awaitable[FakeSession]],
        gives_up: bool,
        name: str,
        longest_s: float,
    ) -> None:
        """Connect once, and stand until cancelled."""
        self.kept.append((name, gives_up, longest_s))
        try:
            session = await errand()
        except RelayError as error:
            self.refusals.append(error)
            await _Forever()
            return
        try:
            await _Forever()
        finally:
            session.close(Reason.GOING_AWAY)

    def spawn(self, errand: Awaitable[None]) -> Running:  # type: ignore[override]  # it goes on
        """Run until it waits."""
        return Running(errand)


class Desk:
    """A host's rules and its API.

    :param files: folder for files of rules
    :param api: URL of the destination for commands
    """

    def __init__(
        self, files: str = "/nowhere", api: str = "", origins: Collection[str] = ()
    ) -> None:
        self.machine = Machine()
        self.hub = self.machine.hub
        outward = cast(IOutward, self.machine)
        local = cast(ILocalRouter, self.hub)
        self.destinations = Destinations(outward, local, files)
        self.streams = Streams(local)
        self.face = LocalFace(Visitors(origins))
        self.face.serve(self.destinations, self.streams)
        self.commands = Commands(self.destinations, self.streams, api)

    def ask(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Response:
        """Ask the API, as the front door does."""
        named = {"host": "localhost:8888", **(headers or {})}
        path, _, query = target.partition("?")
        request = Request(method, target, path, query, tuple(named.items()), "::1", body=body)
        try:
            route = self.face.route(request)
            assert not route.websocket
            grant = self.face.grant({}, request, route)
            answering = self.face.answer(request, route, grant, self.hub.services)
            answering.send(None)
        except StopIteration as answered:
            return cast(Response, answered.value)
        except RelayError as error:
            return self.face.refusal(error, request)
        raise AssertionError("an answer waits for nothing")

    def said(self, method: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
        """The status and body of an answer."""
        answer = self.ask(method, target, body)
        return answer.status, answer.body
