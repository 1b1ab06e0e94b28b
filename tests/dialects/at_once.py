"""Hosts and clients without a network: all that they wait for is there at once."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from typing import Any, cast

import pytest

from relay.errors import RelayError
from relay.vocabulary import Reason


def finish(errand: Awaitable[None]) -> None:
    """Run what waits for nothing."""
    with pytest.raises(StopIteration):
        cast("Coroutine[Any, Any, None]", errand).send(None)


class AtOnce:
    """What any host or client may do to the world.

    :ivar reports: what was said
    :ivar faults: what failed, and why
    """

    def __init__(self) -> None:
        self.reports: list[str] = []
        self.faults: list[tuple[str, Reason]] = []

    def now(self) -> float:
        """Nothing takes any time."""
        return 0.0

    async def serve(self) -> None:
        """The test is over at once."""

    def spawn(self, errand: Awaitable[None]) -> None:
        """Run it to its end."""
        finish(errand)

    def report(self, text: str) -> None:
        """Record."""
        self.reports.append(text)

    def fault(self, what: str, error: RelayError) -> None:
        """Record."""
        self.faults.append((what, error.reason))
