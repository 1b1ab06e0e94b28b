"""What surrounds a session: time, the account of what waits, and a switch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from twisted.internet.task import Clock

from relay.core.liveness import TICK_S
from relay.core.session import Session
from relay.core.surroundings import Surroundings
from relay.settings.model import Limits
from relay.vocabulary import (
    Accept,
    Call,
    Close,
    Enter,
    Event,
    Grant,
    Hello,
    Join,
    Offer,
    OfferName,
    Reason,
    Role,
    TopicName,
)
from tests.fakes.talks import DEFAULT_WINDOW_BYTES


def passes(clock: Clock, seconds: float, step_s: float = TICK_S) -> None:
    """Let time pass in small steps, as it does for a reactor."""
    whole, rest = divmod(seconds, step_s)
    for _ in range(int(whole)):
        clock.advance(step_s)
    clock.advance(rest)


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
        limits = Limits(
            buffered_bytes=buffered_bytes,
            frame_bytes=frame_bytes,
            window_bytes=window_bytes,
            streams=max_streams,
        )
        self.around = Surroundings.of_process(self.clock, limits)
        self.wheel, self.ledger = self.around.wheel, self.around.ledger
        self.metrics = self.around.metrics

    def limited(self, limits: Limits | None) -> Surroundings:
        """:returns: the same surroundings with other limits, those by default without."""
        return replace(self.around, limits=limits or Limits())

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

    def ready(self, session: Session) -> None:
        """The link takes more again."""

    def lost(self, session: Session, reason: Reason, close: Close | None, detail: str) -> None:
        """Record."""
        self.losses.append((reason, close, detail))


def grant(
    role: Role = Role.HOST,
    subject: str = "somebody",
    name: OfferName | TopicName | None = None,
    token_id: str | None = None,
    dialect: str = "talk",
) -> Grant:
    """:returns: what a token of that kind allows."""
    return Grant(dialect, role, subject, name, token_id=token_id)
