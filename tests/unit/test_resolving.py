"""Names that callers say are looked up, while name servers do what they like."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from queue import Queue
from threading import Event
from typing import cast

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorFromThreads

from relay.errors import LimitReached, TargetRefused
from relay.links.resolving import LOOKUPS, Resolver

DEADLINE_S = 10


class Reactor:
    """What threads hand over, until the test lets it happen."""

    def __init__(self) -> None:
        self.waiting: Queue[Callable[[], None]] = Queue()

    def callFromThread(  # noqa: N802  # Twisted's name
        self, done: Callable[..., None], *arguments: object
    ) -> None:
        self.waiting.put(lambda: done(*arguments))

    def turn(self) -> None:
        """Wait for one thread, and hear what it has found."""
        self.waiting.get(timeout=DEADLINE_S)()


class Servers:
    """Name servers that answer once :attr:`up` is set."""

    def __init__(self) -> None:
        self.up = Event()
        self.reactor = Reactor()
        self.resolver = Resolver(cast(IReactorFromThreads, self.reactor), self.look_up)

    def look_up(self, host: str, flags: int) -> Sequence[str]:
        """Addresses in the wire's form are none of their business."""
        if host == "192.0.2.1":
            return (host,)
        if flags & socket.AI_NUMERICHOST:
            raise OSError
        self.up.wait(DEADLINE_S)
        if host == "nobody.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return ("192.0.2.7",)

    def ask(self, host: str) -> Deferred[Sequence[str]]:
        """:returns: fires with what it was looked up for"""
        return Deferred.fromCoroutine(self.resolver.addresses_of(host))


@pytest.fixture
def servers() -> Iterator[Servers]:
    """Name servers that are down, and up at the end."""
    made = Servers()
    yield made
    made.up.set()


def test_an_address_needs_no_server(servers: Servers) -> None:
    """It is answered at once, however many names wait."""
    asked = [servers.ask("slow.example") for _ in range(LOOKUPS)]
    assert servers.ask("192.0.2.1").result == ("192.0.2.1",)
    assert not any(one.called for one in asked)


def test_a_name(servers: Servers) -> None:
    """Its addresses come from a thread; without any the caller is told why."""
    servers.up.set()
    found = servers.ask("db.example")
    servers.reactor.turn()
    assert found.result == ("192.0.2.7",)
    missing = servers.ask("nobody.invalid")
    servers.reactor.turn()
    refused: list[str] = []
    missing.addErrback(lambda failure: refused.append(failure.trap(TargetRefused).__name__))
    assert refused == ["TargetRefused"]


def test_names_that_hang_do_not_pile_up(servers: Servers) -> None:
    """Above so many a name is refused, until one of them was answered."""
    asked = [servers.ask("slow.example") for _ in range(LOOKUPS)]
    refused: list[object] = []
    servers.ask("other.example").addErrback(
        lambda failure: refused.append(failure.check(LimitReached))
    )
    assert refused == [LimitReached]
    servers.up.set()
    for _ in asked:
        servers.reactor.turn()
    assert all(one.result == ("192.0.2.7",) for one in asked)
    again = servers.ask("other.example")
    servers.reactor.turn()
    assert again.called


def test_who_is_cancelled_is_not_told(servers: Servers) -> None:
    """What is found later is nobody's, and makes room."""
    asked = [servers.ask("slow.example") for _ in range(LOOKUPS)]
    ended: list[object] = []
    asked[0].addErrback(lambda failure: ended.append(failure.check(CancelledError)))
    asked[0].cancel()
    assert ended == [CancelledError]
    servers.up.set()
    for _ in asked:
        servers.reactor.turn()
    again = servers.ask("other.example")
    servers.reactor.turn()
    assert again.result == ("192.0.2.7",)
