"""Our client without a network: each local connection is a member of the topic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from relay.dialects.session_relay.client import run_client
from relay.dialects.session_relay.keys import SESSION_KEY
from relay.dialects.session_relay.topic_link import TopicLink
from relay.errors import Refused, RelayError, TokenInvalid, TokenMissing
from relay.outside import HttpAnswer, IOutward
from relay.settings.model import Door, TunnelSettings
from relay.vocabulary import Reason, Role
from tests.dialects.at_once import AtOnce, finish
from tests.dialects.samples import KnownSecret
from tests.fakes.streams import FakeStream

SESSION = "http://127.0.0.1:3000/session/t"
URI = "ws://127.0.0.1:3001/session/t?code=c"


class Link:
    """A link that stands."""

    def __init__(self) -> None:
        self.remote = FakeStream()

    def stream(self) -> FakeStream:
        return self.remote


class Machine(AtOnce):
    """What a client may do to the world, done at once.

    :ivar failures: by which the first sessions fail
    """

    def __init__(self, *failures: RelayError, token: str | None = "T") -> None:
        super().__init__()
        self.failures = list(failures)
        self.secret = token
        self.locals = [FakeStream(), FakeStream()]
        self.link = Link()
        self.dialled: list[str] = []
        self.tokens = 0
        self.joined: list[object] = []
        self.slept = 0

    def now(self) -> float:
        return 0.0

    async def token(self) -> str:
        self.tokens += 1
        if not self.secret:
            raise TokenMissing("no token")
        return f"{self.secret}{self.tokens}"

    async def sleep(self, seconds: float) -> None:
        self.slept += 1

    async def listen(self, endpoint: str, accepted: Callable[[FakeStream], None]) -> str:
        for local in self.locals:
            accepted(local)
        return endpoint

    async def http(
        self, method: str, url: str, headers: Mapping[str, str], limit_bytes: int
    ) -> HttpAnswer:
        assert (method, url) == ("POST", SESSION)
        assert headers == {"Authorization": f"T{self.tokens}"}
        if self.failures:
            raise self.failures.pop(0)
        return HttpAnswer(200, {}, b'{"uri":"%b"}' % URI.encode())

    async def websocket_at(
        self, url: str, headers: object, conversation: Callable[[Any], object], handle: object
    ) -> Link:
        self.dialled.append(url)
        assert isinstance(conversation({}), TopicLink)
        return self.link

    async def join(self, caller: object, callee: object, name: str) -> None:
        assert callee is self.link.remote
        assert name == SESSION or not self.tokens
        self.joined.append(caller)


def use(machine: Machine, session: str = SESSION) -> Machine:
    """Run our client there."""
    token = KnownSecret("x") if machine.secret is not None else None
    settings = TunnelSettings(
        Role.CLIENT, "rig", "session-relay", "", token, (Door("", "tcp:5000"),), None, None, None,
        "yes", 1, 0, 0, {SESSION_KEY: session},
    )  # fmt: skip
    finish(run_client(settings, cast(IOutward, machine)))
    return machine


def test_each_local_connection_is_a_session_of_its_own() -> None:
    """Each with a token that was read for it."""
    machine = use(Machine())
    assert machine.joined == machine.locals
    assert (machine.tokens, machine.dialled) == (2, [URI, URI])
    assert machine.reports == [f"tcp:5000 leads to {SESSION}"]


def test_a_refusal_ends_the_local_connection_and_no_other() -> None:
    """The program goes on, and says why once for each."""
    machine = use(Machine(TokenInvalid("token invalid")))
    assert machine.locals[0].reset_reason() == Reason.TOKEN_INVALID.value
    assert machine.joined == machine.locals[1:]
    assert machine.faults == [(f"session at {SESSION}", Reason.TOKEN_INVALID)]


def test_a_router_that_restarts_is_waited_for() -> None:
    """Whoever connected need not notice."""
    machine = use(Machine(*[Refused(503, "", Reason.GOING_AWAY)] * 2))
    assert machine.joined == machine.locals
    assert machine.slept == 2


def test_a_token_that_is_not_there_is_told() -> None:
    """As any other refusal."""
    machine = use(Machine(token=""))
    assert [reason for _, reason in machine.faults] == [Reason.TOKEN_MISSING] * 2


def test_without_a_token_the_url_is_dialled() -> None:
    """A relay may be reached through a host's own door."""
    machine = use(Machine(token=None), "ws://127.0.0.1:8888/ws/f")
    assert machine.dialled == ["ws://127.0.0.1:8888/ws/f"] * 2
    assert machine.tokens == 0
