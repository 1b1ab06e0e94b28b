"""The fixtures of the network-relay tests, loaded as a pytest plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.hurry import HURRY, Hurry
from tests.integration.ini_services import write
from tests.integration.network_relay_daemon import AgentDaemon
from tests.integration.network_relay_ours import CREDENTIALS, RouterMaker, TunnelMaker
from tests.integration.network_relay_peers import Router, credentials
from tests.integration.network_relay_program import ClientProgram
from tests.integration.portal_peers import wait_for
from tests.integration.portal_programs import Program, Programs

FAMILY = "network-relay"


@pytest.fixture
def nr_programs(tmp_path: Path) -> Iterator[Programs]:
    """The original's programs, ended with the test."""
    started = Programs(tmp_path, FAMILY)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def nr_relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The original's relay; one for all tests, which take names of their own."""
    folder = tmp_path_factory.mktemp("original")
    file = write(folder / CREDENTIALS, credentials())
    program = Program("relay", ["--port", "0", f"--credentials-file={file}"], folder, {}, FAMILY)
    yield program
    program.stop()


@pytest.fixture
def start_relay(tmp_path: Path) -> Iterator[RouterMaker]:
    """Routers of ours, stopped with the test."""
    maker = RouterMaker(tmp_path)
    yield maker
    wait_for(maker.stop())


@pytest.fixture
def relay(request: pytest.FixtureRequest) -> Iterator[Router]:
    """The router that the parameter names."""
    yield from _router(request, "start_relay")


@pytest.fixture
def hurried_routers(tmp_path: Path) -> Iterator[RouterMaker]:
    """Routers of ours for which time passes ten times as fast, stopped with the test."""
    maker = RouterMaker(tmp_path, Hurry(HURRY))
    yield maker
    wait_for(maker.stop())


@pytest.fixture
def hurried_relay(request: pytest.FixtureRequest) -> Iterator[Router]:
    """The router that the parameter names; for ours, time passes ten times as fast."""
    yield from _router(request, "hurried_routers")


def _router(request: pytest.FixtureRequest, maker: str) -> Iterator[Router]:
    """:param maker: the fixture that makes ours"""
    if request.param == "ours":
        yield wait_for(request.getfixturevalue(maker).start())
        return
    program: Program = request.getfixturevalue("nr_relay")
    router = Router("original", wait_for(program.listens()))
    yield router
    router.hang_up()


@pytest.fixture
def nr_tunnels(tmp_path: Path, expected_log_errors: Callable[[], object]) -> Iterator[TunnelMaker]:
    """Our own hosts and clients, stopped with the test; what failed meanwhile is expected."""
    maker = TunnelMaker(tmp_path)
    yield maker
    wait_for(maker.stop())
    expected_log_errors()


@pytest.fixture
def nr_agent(
    agent_kind: str, nr_tunnels: TunnelMaker, nr_programs: Programs
) -> Iterator[AgentDaemon]:
    """The agent that the parameter names."""
    made = AgentDaemon(agent_kind, nr_tunnels, nr_programs)
    yield made
    # before its router goes, for which it would look again
    wait_for(nr_tunnels.stop())
    wait_for(made.stop())


@pytest.fixture
def hurried_agent(
    agent_kind: str, tmp_path: Path, nr_programs: Programs, nr_tunnels: TunnelMaker
) -> Iterator[AgentDaemon]:
    """The same; for ours, time passes ten times as fast."""
    tunnels = TunnelMaker(tmp_path, Hurry(HURRY))
    made = AgentDaemon(agent_kind, tunnels, nr_programs)
    yield made
    wait_for(tunnels.stop())
    wait_for(made.stop())


@pytest.fixture
def nr_client(client_kind: str, tmp_path: Path) -> Iterator[ClientProgram]:
    """The access client that the parameter names."""
    made = ClientProgram(client_kind, tmp_path)
    yield made
    wait_for(made.stop())
