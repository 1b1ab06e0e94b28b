"""The fixtures of the session-relay tests, loaded as a pytest plugin.

Plugins share their names with those of the other dialects' tests, hence the prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.hurry import HURRY, Hurry
from tests.integration.portal_peers import wait_for
from tests.integration.portal_programs import Programs
from tests.integration.session_relay_company import Company
from tests.integration.session_relay_ours import RouterMaker
from tests.integration.session_relay_peers import Router
from tests.integration.session_relay_routers import FAMILY, GoServer, Maker


@pytest.fixture
def sr_programs(tmp_path: Path) -> Iterator[Programs]:
    """The original's programs, ended with the test."""
    started = Programs(tmp_path, FAMILY)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def sr_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoServer]:
    """The original's relay; one for all tests, which take topics and bookings of their own."""
    server = GoServer(tmp_path_factory.mktemp("go"))
    wait_for(server.listens())
    yield server
    server.stop()


@pytest.fixture
def start_sr(tmp_path: Path) -> Iterator[RouterMaker]:
    """Routers of ours, stopped with the test."""
    maker = RouterMaker(tmp_path)
    yield maker
    wait_for(maker.stop())


@pytest.fixture
def sr_routers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Maker]:
    """Starts routers of the kind that the parameter names."""
    maker = Maker(request.param, tmp_path)
    yield maker
    wait_for(maker.stop())


@pytest.fixture
def sr(request: pytest.FixtureRequest) -> Iterator[Router]:
    """The router that the parameter names."""
    yield from _router(request, "start_sr")


@pytest.fixture
def hurried_sr_routers(tmp_path: Path) -> Iterator[RouterMaker]:
    """Routers of ours for which time passes ten times as fast, stopped with the test."""
    maker = RouterMaker(tmp_path, Hurry(HURRY))
    yield maker
    wait_for(maker.stop())


@pytest.fixture
def hurried_sr(request: pytest.FixtureRequest) -> Iterator[Router]:
    """The router that the parameter names; for ours, time passes ten times as fast."""
    yield from _router(request, "hurried_sr_routers")


@pytest.fixture
def sr_company(tmp_path: Path, expected_log_errors: Callable[[], object]) -> Iterator[Company]:
    """Programs of each kind, ended with the test; what failed meanwhile is expected."""
    made = Company(tmp_path)
    yield made
    wait_for(made.stop())
    expected_log_errors()


def _router(request: pytest.FixtureRequest, maker: str) -> Iterator[Router]:
    """:param maker: the fixture that makes ours"""
    if request.param == "ours":
        yield wait_for(request.getfixturevalue(maker).start())
        return
    server: GoServer = request.getfixturevalue("sr_server")
    router = server.router()
    yield router
    router.hang_up()
