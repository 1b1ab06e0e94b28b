"""A router's stores: opened once, shared, and let go of at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from relay.errors import StoreFailed
from relay.store import opening
from relay.stores import Stores


class Kept:
    """A store that only closes, or fails to."""

    def __init__(self, *told: object) -> None:
        self.told = told
        self.closed = 0

    async def close(self) -> None:
        self.closed += 1
        if self.told[0] == "lost":
            raise StoreFailed("the line is cut")


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Stores:
    """Stores that are of the kind above."""
    monkeypatch.setattr(opening, "open_records", Kept)
    return Stores(Path("/state"), Clock())


def done(deferred: Deferred[Any]) -> bool:
    """:returns: whether it is over, without an error"""
    results: list[object] = []
    deferred.addCallback(results.append)
    return results == [None]


def test_opened_once(stores: Stores) -> None:
    """Who asks again shares what is open; another dialect, or another place, is another store."""
    one: Any = stores.records("taas", "")
    again: Any = stores.records("taas", "")
    assert again is one
    assert one.told[:3] == ("", Path("/state"), "taas")
    assert stores.records("taas", "other") is not one
    assert stores.records("fleet", "") is not one


def test_closed_at_the_end(stores: Stores) -> None:
    """Each is closed once; one that cannot be keeps no other open, and the log says so."""
    opened: list[Any] = [stores.records("taas", name) for name in ("lost", "file")]
    with capturedLogs() as events:
        assert done(Deferred.fromCoroutine(stores.close()))
        assert done(Deferred.fromCoroutine(stores.close()))
    assert [one.closed for one in opened] == [1, 1]
    assert [(event["dialect"], event["why"]) for event in events] == [("taas", "the line is cut")]
    assert stores.records("taas", "file") is not opened[1]
