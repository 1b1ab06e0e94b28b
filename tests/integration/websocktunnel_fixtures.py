"""The fixtures of the websocktunnel tests, loaded as a pytest plugin.

Plugins share their names with those of the other dialects' tests, hence the prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.portal_peers import wait_for
from tests.integration.portal_programs import Program, Programs
from tests.integration.websocktunnel_app import Application
from tests.integration.websocktunnel_daemon import HostDaemon
from tests.integration.websocktunnel_ours import HostMaker, RouterMaker
from tests.integration.websocktunnel_peers import Router
from tests.integration.websocktunnel_routers import FAMILY, Maker, go_server


@pytest.fixture
def wst_programs(tmp_path: Path) -> Iterator[Programs]:
    """The original's programs, ended with the test."""
    started = Programs(tmp_path, FAMILY)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def wst_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The original's server; one for all tests, which take ids of their own."""
    program = go_server(tmp_path_factory.mktemp("go"))
    yield program
    program.stop()


@pytest.fixture
def start_wst(tmp_path: Path) -> Iterator[RouterMaker]:
    """Routers of ours, stopped with the test."""
    maker = RouterMaker(tmp_path)
    yield maker
    wait_for(maker.stop())


@pytest.fixture
def wst_routers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Maker]:
    """Starts routers of the kind that the parameter names."""
    maker = Maker(request.param, tmp_path)
    yield maker
    wait_for(maker.stop())


@pytest.fixture
def wst(request: pytest.FixtureRequest) -> Iterator[Router]:
    """The router that the parameter names."""
    if request.param == "ours":
        maker = request.getfixturevalue("start_wst")
        yield wait_for(maker.start())
        return
    program: Program = request.getfixturevalue("wst_server")
    router = Router("go", wait_for(program.listens()))
    yield router
    router.hang_up()


@pytest.fixture
def wst_hosts(tmp_path: Path) -> Iterator[HostMaker]:
    """Our own hosts, stopped with the test."""
    maker = HostMaker(tmp_path)
    yield maker
    wait_for(maker.stop())


@pytest.fixture
def wst_daemon(
    daemon_kind: str,
    wst_hosts: HostMaker,
    wst_programs: Programs,
    expected_log_errors: Callable[[], object],
) -> Iterator[HostDaemon]:
    """The host that the parameter names; what it says of a failed request is expected."""
    made = HostDaemon(daemon_kind, wst_hosts, wst_programs)
    yield made
    # before its router goes, for which it would look again
    wait_for(wst_hosts.stop())
    wait_for(made.close())
    expected_log_errors()


@pytest.fixture
def wst_app() -> Iterator[Application]:
    """The application."""
    app = Application()
    yield app
    app.close()
