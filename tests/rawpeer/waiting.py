"""Waits, each with a deadline."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IReactorTCP, IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

DEADLINE_S = 5.0
POLL_S = 0.005

T = TypeVar("T")


class PeerError(AssertionError):
    """The other end did not behave as the test expects."""


class Late(PeerError):
    """What was waited for did not come in time."""


class Ended(PeerError):
    """The connection ended instead."""


class Reactor(IReactorTCP, IReactorTime):
    """What the reactor offers and these tests need."""


def the_reactor() -> Reactor:
    """:returns: the running reactor"""
    from twisted.internet import reactor

    return cast(Reactor, reactor)


async def until(
    found: Callable[[], T | None], what: str | Callable[[], str], deadline_s: float = DEADLINE_S
) -> T:
    """Poll until ``found`` gives something. :raises Late: at the deadline, naming ``what``"""
    reactor = the_reactor()
    expiry = reactor.seconds() + deadline_s
    while (result := found()) is None:
        if reactor.seconds() > expiry:
            raise Late(f"no {what if isinstance(what, str) else what()} in {deadline_s} s")
        await deferLater(reactor, POLL_S)
    return result


def together(*coroutines: Coroutine[Any, Any, T]) -> Deferred[list[T]]:
    """Run all at once. :returns: their results in order, or the first failure"""
    running = [Deferred.fromCoroutine(coroutine) for coroutine in coroutines]

    def fail(failure: Failure) -> Failure:
        for each in running:
            each.cancel()
        return failure.value.subFailure if isinstance(failure.value, FirstError) else failure

    return gatherResults(running, consumeErrors=True).addErrback(fail)
