"""The fixtures of the tests of published topics, loaded as a pytest plugin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from tests.integration.session_relay_ours import RouterMaker
from tests.integration.topic_house import House


@pytest.fixture
def house(start_sr: RouterMaker, tmp_path: Path) -> Iterator[House]:
    """A router of four dialects, which the test starts."""
    made = House(start_sr, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """The lines of the log that tell of published calls."""
    seen: list[str] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event.get("event") == "published-call":
            seen.append(formatEvent(event).partition(" (")[0])

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)
