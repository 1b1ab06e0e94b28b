"""An errand's link is kept up for ever."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from relay.errors import RelayError
from relay.links.keeper import Keeper
from relay.outside import ITunnelSession
from relay.settings.model import TunnelSettings
from relay.vocabulary import Ending, Reason, Role
from tests.conftest import Flush

SETTINGS = TunnelSettings(
    Role.HOST, "web", "portal", "ws://r", None, (), None, None, None, "yes", 1, 0, 0
)


class Link:
    """A session that ends when the test says so."""

    def __init__(self) -> None:
        self.over: Deferred[Ending] = Deferred()

    def when_closed(self) -> Deferred[Ending]:
        return self.over

    def close(self, reason: Reason) -> None:
        self.over.callback(Ending(reason))


class Host:
    """Whose errand it is.

    :ivar bug: raised when the link ends
    """

    settings = SETTINGS
    asked_at = 0.0

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.bug: Exception | None = None
        self.links: list[Link] = []
        self.said: list[str] = []

    def now(self) -> float:
        return self.clock.seconds()

    def stood(self) -> None:
        """The link stands."""

    def lost(self, text: str) -> None:
        self.said.append(text)
        if self.bug is not None:
            raise self.bug

    def fault(self, what: str, error: RelayError, next_try_s: float | None = None) -> None:
        """No attempt fails here."""

    async def errand(self) -> Any:  # a session, as far as it is asked here
        self.links.append(Link())
        return self.links[-1]


def test_a_link_that_ended_is_made_again() -> None:
    """After a short wait, and until it is told to stop."""
    clock = Clock()
    clock.advance(100)
    host = Host(clock)
    keeper = Keeper(host, host.errand, clock)
    running = Deferred.fromCoroutine(keeper.run())
    clock.advance(10)
    host.links[0].close(Reason.LOST)
    clock.advance(1)
    assert len(host.links) == 2
    assert host.said[0].startswith("the link to the router ended (lost); connecting again in")
    stopped = Deferred.fromCoroutine(keeper.stop())
    assert stopped.called
    assert not running.called
    running.cancel()
    running.addErrback(lambda _: None)


def test_a_bug_at_the_end_of_a_link(expected_log_errors: Flush) -> None:
    """It is logged, and the next link is made all the same."""
    clock = Clock()
    clock.advance(100)
    host = Host(clock)
    keeper = Keeper(host, host.errand, clock)
    running = Deferred.fromCoroutine(keeper.run())
    host.bug = ValueError("a bug")
    host.links[0].close(Reason.LOST)
    host.bug = None
    clock.advance(5)
    assert len(expected_log_errors(ValueError)) == 1
    assert len(host.links) == 2
    running.cancel()
    running.addErrback(lambda _: None)


def test_an_attempt_that_is_stopped_is_no_failure() -> None:
    """A tunnel that ends while its router is waited for leaves no error in the log."""
    clock = Clock()
    waiting: Deferred[ITunnelSession] = Deferred()

    async def waits() -> ITunnelSession:
        return await waiting

    keeper = Keeper(Host(clock), waits, clock)
    running = Deferred.fromCoroutine(keeper.run())
    stopped = Deferred.fromCoroutine(keeper.stop())
    assert stopped.called
    running.cancel()
    running.addErrback(lambda _: None)
