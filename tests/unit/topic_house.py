"""What a member of a topic may do to the world, with a clock and without a network."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, cast

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure

from relay.core.liveness import Wheel
from relay.core.stream import join
from relay.errors import RelayError
from relay.outside import HttpAnswer, IOutward
from relay.vocabulary import Data, Reason
from tests.fakes.streams import FakeStream

SESSION = "http://relay.example.test/access/session/t"
REFUSED = f"cannot reach {SESSION} (token-invalid: token invalid)"
"""What a command says of a token that the access API does not want."""

ANSWER = HttpAnswer(200, {}, b'{"uri":"ws://relay.example.test/ws/session/t?code=c"}')


class Topic:
    """A topic's link, as the router's end has it."""

    def __init__(self) -> None:
        self.far = FakeStream()

    def stream(self) -> FakeStream:
        """The only stream."""
        return self.far

    @property
    def heard(self) -> list[tuple[bytes, bool]]:
        """What our member said, and whether as text."""
        return [(data.payload, data.text) for data in self.far.heard]


class House:
    """An outside whose errands run once, until they are cancelled.

    :ivar topics: the links that stand or stood
    :ivar refusals: by which the next attempts end for good
    :ivar claims: of its tokens; None: they are none
    :ivar reports: what the log was told
    """

    def __init__(self, *refusals: RelayError) -> None:
        self.clock = Clock()
        self.topics: list[Topic] = []
        self.refusals = list(refusals)
        self.tokens = 0
        self.claims: dict[str, object] | None = None
        self.reports: list[str] = []
        self.left = 0

    @property
    def outward(self) -> IOutward:
        """It, as the interface that it provides in part."""
        return cast(IOutward, self)

    def now(self) -> float:
        """The clock's."""
        return self.clock.seconds()

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Until the test has moved the clock."""
        return deferLater(self.clock, seconds)

    async def token(self) -> str:
        """Another each time."""
        self.tokens += 1
        if self.claims is None:
            return f"token-{self.tokens}"
        payload = base64.urlsafe_b64encode(json.dumps(self.claims).encode()).decode()
        return f"e30.{payload.rstrip('=')}.s"

    async def http(self, method: str, url: str, headers: Mapping[str, str], limit: int) -> Any:
        """A code, or a refusal."""
        if self.refusals:
            raise self.refusals.pop(0)
        return ANSWER

    async def websocket_at(self, url: str, *_: object) -> Topic:
        """A link that stands."""
        self.topics.append(Topic())
        return self.topics[-1]

    def spawn(self, errand: Coroutine[Any, Any, None]) -> None:
        """Run on the side."""
        ensureDeferred(errand)

    def join(self, caller: Any, callee: Any, name: str) -> Deferred[Reason]:
        """A real circuit."""
        over: Deferred[Reason] = Deferred()
        join(name, caller, callee, Wheel(self.clock), lambda circuit: over.callback(Reason.LOST))
        return over

    def report(self, text: str) -> None:
        """Note it."""
        self.reports.append(text)

    async def keep(self, errand: Callable[[], Awaitable[Any]], **_: object) -> None:
        """Once, then wait."""
        await errand()
        try:
            await Deferred[None]()
        finally:
            self.left += 1

    # -- the test's side ---------------------------------------------------------------------------

    def run(self, errand: Awaitable[int]) -> Deferred[Any]:
        """Start a command's errand."""
        return ensureDeferred(cast("Deferred[Any]", errand))

    def pass_by(self, seconds: float, steps: int = 1) -> None:
        """Let time pass."""
        self.clock.pump([seconds / steps] * steps)

    def speak(self, payload: bytes, text: bool = True, topic: int = -1) -> None:
        """Somebody says something on the topic."""
        partner = self.topics[topic].far.partner
        assert partner is not None
        partner.send(Data(payload, text=text))


def failure_of(running: Deferred[Any]) -> Any:
    """:returns: the exception by which an errand has ended"""
    failures: list[Any] = []

    def failed(failure: Failure) -> None:
        failures.append(failure.value)

    running.addErrback(failed)
    (error,) = failures
    return error
