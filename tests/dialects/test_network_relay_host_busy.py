"""Our agent where targets keep it waiting: callers come and go, and what it opens stays bounded."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred

from relay.dialects.network_relay.host import ANSWERING
from relay.errors import TargetRefused
from relay.vocabulary import Call, Reason, Reset
from tests.dialects.network_relay_samples import OFFER
from tests.dialects.test_network_relay_host import Machine, serve
from tests.fakes.streams import FakeStream

TARGET = "10.0.0.7:80"


class Waits(Machine):
    """Connections that are made take as long as the test wants.

    :ivar running: the errands that wait
    """

    def __init__(self) -> None:
        super().__init__()
        self.running: list[Coroutine[Any, Any, None]] = []

    async def connect(self, endpoint: str) -> FakeStream:
        self.dialled.append(endpoint)
        await Deferred()
        raise AssertionError

    def spawn(self, errand: Awaitable[None]) -> None:
        self.running.append(cast("Coroutine[Any, Any, None]", errand))
        self.running[-1].send(None)


def test_calls_that_are_given_up_do_not_pile_up() -> None:
    """Whoever calls and leaves, again and again, has no more than so many sockets opened."""
    machine = Waits()
    serve(machine, allow=[TARGET])
    for number in range(ANSWERING):
        machine.handle(Call(OFFER, TARGET, stream=number))
    assert machine.link.told == []
    machine.handle(Call(OFFER, TARGET, stream=ANSWERING))
    (told,) = machine.link.told
    assert isinstance(told, Reset)
    assert (told.reason, told.stream) == (Reason.LIMIT, ANSWERING)
    assert len(machine.dialled) == ANSWERING
    with pytest.raises(StopIteration):
        machine.running.pop().throw(TargetRefused("nobody there"))
    machine.handle(Call(OFFER, TARGET, stream=ANSWERING + 1))
    assert len(machine.dialled) == ANSWERING + 1
    for errand in machine.running:
        errand.close()
