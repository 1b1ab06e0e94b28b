"""The application and the tunnels to it, loaded as a pytest plugin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.websocktunnel_app_tunnels import (
    TUNNELS,
    Tunnel,
    crew_in,
    start_app,
    start_tunnel,
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the application, one for all tests of a module."""
    with crew_in(tmp_path_factory.mktemp("app")) as crew:
        yield start_app(crew)


@pytest.fixture(scope="module", params=TUNNELS)
def tunnel(
    request: pytest.FixtureRequest, app: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tunnel]:
    """Each way to the application in turn."""
    with crew_in(tmp_path_factory.mktemp(request.param)) as crew:
        yield start_tunnel(crew, request.param, app)
