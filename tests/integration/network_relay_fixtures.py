"""The fixtures of the network-relay tests with real programs, loaded as a pytest plugin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.network_relay_trio import Trio
from tests.integration.portal_peers import wait_for
from tests.rawpeer import RawServer


@pytest.fixture
def trio(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Trio]:
    """The mix that the parameter names, ready for calls."""
    made = Trio(request.param, tmp_path)
    try:
        wait_for(made.start())
        yield made
    finally:
        wait_for(made.stop())


@pytest.fixture
def service() -> Iterator[RawServer]:
    """A service beside the agent; it is to be told to listen."""
    server = RawServer()
    yield server
    wait_for(server.close())
