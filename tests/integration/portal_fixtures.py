"""The fixtures of the portal tests, loaded as a pytest plugin."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.portal_daemon import Daemon
from tests.integration.portal_ours import RouterMaker, TunnelMaker
from tests.integration.portal_peers import SECRET, Router, wait_for
from tests.integration.portal_programs import Program, Programs
from tests.rawpeer import DEADLINE_S, POLL_S, RawServer


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """The original's programs, ended with the test."""
    started = Programs(tmp_path)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The original's demo router; one for all tests, which take portals of their own."""
    program = Program("demo-router", [], tmp_path_factory.mktemp("demo"), {"AUTH_SECRET": SECRET})
    expiry = time.monotonic() + DEADLINE_S
    while program.port() is None and time.monotonic() < expiry:
        time.sleep(POLL_S)
    yield program
    program.stop()


@pytest.fixture
def start_router(tmp_path: Path) -> Iterator[RouterMaker]:
    """Routers of ours, stopped with the test."""
    maker = RouterMaker(tmp_path)
    yield maker
    wait_for(maker.stop())


@pytest.fixture
def router(request: pytest.FixtureRequest) -> Iterator[Router]:
    """The router that the test's parameter names."""
    if request.param == "ours":
        maker = request.getfixturevalue("start_router")
        yield wait_for(maker.start())[0]
        return
    program = request.getfixturevalue("demo")
    router = Router("demo", program.port(), program.descriptors)
    yield router
    router.hang_up()


@pytest.fixture
def tunnels(tmp_path: Path) -> Iterator[TunnelMaker]:
    """Our own hosts and clients, stopped with the test."""
    maker = TunnelMaker(tmp_path)
    yield maker
    wait_for(maker.stop())


@pytest.fixture
def scripted_router() -> Iterator[RawServer]:
    """A router that does what the test says, byte by byte."""
    server = RawServer()
    yield server
    wait_for(server.close())


@pytest.fixture
def daemon(
    request: pytest.FixtureRequest,
    scripted_router: RawServer,
    tunnels: TunnelMaker,
    programs: Programs,
    expected_log_errors: Callable[[], object],
) -> Iterator[Daemon]:
    """The host or client that the parameter names; what it says of a failed call is expected."""
    made = Daemon(request.param, scripted_router, tunnels, programs)
    yield made
    wait_for(made.target.close())
    expected_log_errors()
