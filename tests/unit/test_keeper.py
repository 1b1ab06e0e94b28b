"""An errand's link is kept up for ever."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from relay.core.patience import Repetition
from relay.errors import Refused, RelayError, TokenInvalid
from relay.links.keeper import Keeper, NamedErrand
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
    :ivar refusal: raised instead of making a link
    """

    settings = SETTINGS
    asked_at = 0.0

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.bug: Exception | None = None
        self.refusal: RelayError | None = None
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

    def fault(
        self,
        what: str,
        error: RelayError,
        next_try_s: float | None = None,
        repetition: Repetition | None = None,
    ) -> None:
        if repetition is None or repetition.says(what):
            self.said.append(f"{what}: {error.text}; {next_try_s}")

    async def errand(self) -> Any:  # a session, as far as it is asked here
        if self.refusal is not None:
            raise self.refusal
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


def test_an_errand_that_never_gives_up() -> None:
    """A refusal that would be final is not; the pauses grow to the longest."""
    clock = Clock()
    host = Host(clock)
    host.refusal = TokenInvalid("not for you")
    keeper = Keeper(host, host.errand, clock, gives_up=False, name="cam", longest_s=2.0)
    running = Deferred.fromCoroutine(keeper.run())
    for _ in range(40):
        clock.advance(0.25)
    assert not running.called
    assert len(host.said) >= 4
    assert all(line.startswith("cam: cannot connect: not for you; ") for line in host.said)
    pauses = [float(line.rpartition("; ")[2]) for line in host.said]
    assert 0.75 <= pauses[0] <= 1.25
    assert all(1.5 <= pause <= 2.5 for pause in pauses[1:])
    running.cancel()
    running.addErrback(lambda _: None)


def test_a_refusal_is_final_for_one_who_gives_up() -> None:
    """When it comes at the first attempt."""
    clock = Clock()
    host = Host(clock)
    host.refusal = Refused(401, "no", Reason.TOKEN_INVALID)
    running = Deferred.fromCoroutine(Keeper(host, host.errand, clock).run())
    clock.advance(0)
    failures: list[BaseException | None] = []

    def failed(failure: Failure) -> None:
        failures.append(failure.value)

    running.addErrback(failed)
    assert failures == [host.refusal]


def test_an_errand_that_is_given_up_closes_its_link_without_a_word() -> None:
    """Nobody is told that a link ended which nobody wants."""
    clock = Clock()
    clock.advance(100)
    host = Host(clock)
    running = Deferred.fromCoroutine(Keeper(host, host.errand, clock, name="cam").run())
    running.addErrback(lambda _: None)
    running.cancel()
    clock.advance(60)
    assert host.links[0].over.called
    assert len(host.links) == 1
    assert host.said == []


def test_errands_do_not_hide_each_other() -> None:
    """What one repeats is thinned out, and news again once its own link stood."""
    host = Host(Clock())
    one, two = NamedErrand(host), NamedErrand(host)
    for errand in (one, two, one, one, two):
        errand.fault("cannot connect", TokenInvalid("no"))
    assert len(host.said) == 4
    two.stood()
    one.fault("cannot connect", TokenInvalid("no"))
    two.fault("cannot connect", TokenInvalid("no"))
    assert len(host.said) == 6
