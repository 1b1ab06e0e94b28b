"""What tests of the cut-through gear watch, loaded as a pytest plugin."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import trustme
from twisted.logger import ILogObserver, globalLogPublisher

from relay.links.cutthrough import Hub
from tests.integration.cutthrough_log import Log


@pytest.fixture
def log() -> Iterator[Log]:
    """What is logged of circuits."""
    made = Log()
    observer = cast(ILogObserver, made)
    globalLogPublisher.addObserver(observer)
    yield made
    globalLogPublisher.removeObserver(observer)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """:returns: how often the reactor found a hub ready since the last call"""
    count = 0
    turn = Hub.doRead

    def counted(hub: Hub) -> Any:  # whatever Twisted makes of it
        nonlocal count
        count += 1
        return turn(hub)

    def taken() -> int:
        nonlocal count
        taken, count = count, 0
        return taken

    monkeypatch.setattr(Hub, "doRead", counted)
    return taken


@pytest.fixture
def trust(tls_authority: trustme.CA) -> ssl.SSLContext:
    """Trusts the routers of the tests."""
    context = ssl.create_default_context()
    tls_authority.configure_trust(context)
    return context
