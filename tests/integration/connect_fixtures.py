"""The fixtures of the tests of ``relay connect``, loaded as a pytest plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.connect_lab import Lab, Serve
from tests.integration.portal_ours import RouterMaker, TunnelMaker
from tests.integration.portal_peers import wait_for
from tests.relay_command import Handler, Service


@pytest.fixture
def lab(start_router: RouterMaker, tunnels: TunnelMaker, tmp_path: Path) -> Lab:
    """A router that nobody else uses."""
    router, ours = wait_for(start_router.start())
    portal = router.portal()
    token = tmp_path / "client.token"
    token.write_text(portal.client_token)
    token.chmod(0o600)
    return Lab(router, ours, portal, token, tunnels)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts services, and gives the endpoint of each."""
    services: list[Service] = []

    def start(handler: Handler) -> str:
        services.append(Service(handler))
        return services[-1].endpoint

    yield start
    for service in services:
        service.close()


@pytest.fixture
def complaining_host(expected_log_errors: Callable[[], object]) -> Iterator[None]:
    """Lets the host log what goes wrong, to its end; comes before the host itself."""
    yield
    expected_log_errors()
