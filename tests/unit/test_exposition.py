"""What ``/metrics`` says."""

from __future__ import annotations

import re
from pathlib import Path

from relay.admin.exposition import exposition
from relay.core.broker import Broker
from relay.core.surroundings import Surroundings
from tests.fakes.surroundings import World

PAGE = Path(__file__).parents[2] / "docs" / "admin.rst"


class Router:
    """What is counted."""

    def __init__(self) -> None:
        self.around: Surroundings = World().around
        self.broker = Broker(self.around, lambda bits: 7)


def test_everything_counted_is_shown() -> None:
    """No counter is kept for nobody."""
    router = Router()
    router.around.metrics.failed_logins_total["portal"] += 3
    router.around.metrics.lost_messages_total["talk"] += 2
    text = exposition(router).decode()
    assert 'relay_failed_logins_total{dialect="portal"} 3.0' in text
    assert 'relay_lost_messages_total{dialect="talk"} 2.0' in text


def test_every_metric_is_explained() -> None:
    """docs/admin.rst lists those that there are, and no others."""
    shown = set(re.findall(r"^# TYPE (\S+)", exposition(Router()).decode(), re.MULTILINE))
    assert shown == set(re.findall(r"^   \* - ``(relay_\w+)``", PAGE.read_text(), re.MULTILINE))
