"""A call of ours: how long it may take, and what its failure says."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from relay.core.session import Session
from relay.dialects.portal.data import EndpointLink
from relay.errors import CallerLeft, HostSilent, Refused
from relay.links.outgoing import CALLER_CHECK_S, CallAttempt
from relay.vocabulary import Accept, Close, Reason, Role
from tests.fakes import FakeStream, FakeSwitch, MemoryLink, World

TIMEOUT_S = 10.0


class Attempt:
    """A call whose handshake took some time."""

    def __init__(self, handshake_s: float) -> None:
        self.world = World()
        self.link = MemoryLink()
        self.caller = FakeStream()
        self.call = CallAttempt(self.world.clock, self.caller, TIMEOUT_S)
        self.world.clock.advance(handshake_s)
        self.session = Session(
            self.link, EndpointLink(Role.CLIENT, False), FakeSwitch(), self.world.around, "call"
        )
        self.session.opened()
        self.results: list[object] = []
        waiting = Deferred.fromCoroutine(self.call.succeeds(self.session))
        waiting.addBoth(self.results.append)

    def failure(self) -> Exception:
        """How it failed."""
        (result,) = self.results
        assert isinstance(result, Failure)
        assert isinstance(result.value, Exception)
        return result.value


def test_the_handshake_counts() -> None:
    """A call may take ten seconds in all; the router is then told why it ends."""
    attempt = Attempt(handshake_s=6)
    attempt.world.clock.advance(3.9)
    assert attempt.results == []
    attempt.world.clock.advance(0.2)
    assert isinstance(attempt.failure(), HostSilent)
    assert attempt.session.reason is Reason.HOST_SILENT
    assert attempt.world.clock.getDelayedCalls() == []


def test_a_late_handshake_leaves_no_time() -> None:
    """It fails at once rather than never."""
    attempt = Attempt(handshake_s=TIMEOUT_S + 1)
    attempt.world.clock.advance(0)
    assert isinstance(attempt.failure(), HostSilent)


def test_an_accepted_call_has_all_the_time() -> None:
    """What comes later does not concern it."""
    attempt = Attempt(handshake_s=1)
    attempt.call.handle(Accept())
    attempt.world.clock.advance(2 * TIMEOUT_S)
    assert attempt.results == [None]
    assert attempt.session.reason is None


def test_nobody_waits_for_a_caller_that_left() -> None:
    """The call ends as soon as that is noticed, and the router hears of it."""
    attempt = Attempt(handshake_s=1)
    attempt.world.clock.advance(CALLER_CHECK_S)
    attempt.caller.left = False  # has said all it wants to say, and listens
    attempt.world.clock.advance(CALLER_CHECK_S)
    assert attempt.results == []
    attempt.caller.left = True
    attempt.world.clock.advance(CALLER_CHECK_S)
    assert isinstance(attempt.failure(), CallerLeft)
    assert attempt.session.reason is Reason.PEER_CLOSED
    assert attempt.world.clock.getDelayedCalls() == []


def test_a_link_that_ends_first_says_why() -> None:
    """The router's word is the call's; an end in order, without a word, is a loss."""
    for close, reason in (
        (Close(1011, "target-refused"), Reason.TARGET_REFUSED),
        (Close(1000, ""), Reason.LOST),
    ):
        attempt = Attempt(handshake_s=1)
        attempt.session.link_lost(
            close, reason if reason is not Reason.LOST else Reason.PEER_CLOSED, ""
        )
        error = attempt.failure()
        assert isinstance(error, Refused)
        assert (error.reason, error.status) == (reason, close.code)
