"""The fixtures of the taas tests, loaded as a pytest plugin.

Plugins share their names with those of the other dialects' tests, hence the prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.hurry import HURRY, Hurry
from tests.integration.portal_peers import wait_for
from tests.integration.portal_programs import Programs
from tests.integration.taas_company import Company
from tests.integration.taas_original import FAMILY, Server
from tests.integration.taas_ours import RouterMaker, TunnelMaker, import_records
from tests.integration.taas_peers import Router
from tests.integration.taas_wire import Certificate, certificate, records


@pytest.fixture(scope="session")
def taas_certificate() -> Certificate:
    """What all front doors show, which nobody trusts unless told so."""
    return certificate()


@pytest.fixture(scope="session")
def taas_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of ours with the usual records; each router gets a copy."""
    return import_records(tmp_path_factory.mktemp("store"), records())


@pytest.fixture(scope="session")
def taas_server(
    tmp_path_factory: pytest.TempPathFactory, taas_certificate: Certificate
) -> Iterator[Server]:
    """The original's server; one for all tests, which take IDs of their own."""
    server = Server(tmp_path_factory.mktemp("taas"), taas_certificate)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def taas_plain_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same, without TLS."""
    server = Server(tmp_path_factory.mktemp("taas"), None)
    yield server
    server.stop()


@pytest.fixture
def taas_programs(tmp_path: Path) -> Iterator[Programs]:
    """The original's programs, ended with the test."""
    started = Programs(tmp_path, FAMILY)
    yield started
    started.stop()


@pytest.fixture
def taas_routers(
    tmp_path: Path, taas_store: Path, taas_certificate: Certificate
) -> Iterator[RouterMaker]:
    """Routers of ours, stopped with the test."""
    maker = RouterMaker(tmp_path, taas_store, taas_certificate)
    yield maker
    wait_for(maker.stop())


@pytest.fixture
def hurried_taas_routers(
    tmp_path: Path, taas_store: Path, taas_certificate: Certificate
) -> Iterator[RouterMaker]:
    """Routers of ours for which time passes ten times as fast, stopped with the test."""
    maker = RouterMaker(tmp_path, taas_store, taas_certificate, Hurry(HURRY))
    yield maker
    wait_for(maker.stop())


@pytest.fixture
def taas(request: pytest.FixtureRequest) -> Iterator[Router]:
    """The router that the parameter names."""
    yield from _router(request, "taas_server")


@pytest.fixture
def plain_taas(request: pytest.FixtureRequest) -> Iterator[Router]:
    """The router that the parameter names, without TLS."""
    yield from _router(request, "taas_plain_server", plain=True)


@pytest.fixture
def taas_tunnels(
    tmp_path: Path, expected_log_errors: Callable[[], object]
) -> Iterator[TunnelMaker]:
    """Our own hosts and clients, stopped with the test; what failed meanwhile is expected."""
    maker = TunnelMaker(tmp_path)
    yield maker
    wait_for(maker.stop())
    expected_log_errors()


@pytest.fixture
def taas_company(
    tmp_path: Path,
    taas_store: Path,
    taas_certificate: Certificate,
    expected_log_errors: Callable[[], object],
) -> Iterator[Company]:
    """Programs of each kind around one label, ended with the test; what failed is expected."""
    made = Company(tmp_path, taas_store, taas_certificate)
    yield made
    wait_for(made.stop())
    expected_log_errors()


def _router(
    request: pytest.FixtureRequest, original: str, *, plain: bool = False
) -> Iterator[Router]:
    """:param original: the fixture that has the original's"""
    if request.param == "ours":
        yield wait_for(request.getfixturevalue("taas_routers").start(plain=plain))
        return
    server: Server = request.getfixturevalue(original)
    router = wait_for(server.router())
    yield router
    router.hang_up()
