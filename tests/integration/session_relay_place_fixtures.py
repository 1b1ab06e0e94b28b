"""Fixtures: routers of session-relay that clients can really dial, and our own clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.measuring.processes import free_ports
from tests.integration.portal_peers import wait_for
from tests.integration.session_relay_ours import RouterMaker, TunnelMaker
from tests.integration.session_relay_peers import Router
from tests.integration.session_relay_routers import GoServer


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Router]:
    """The router that the parameter names."""
    if request.param == "go":
        server = GoServer(tmp_path, real=True)
        wait_for(server.listens())
        router = server.router()
        yield router
        router.hang_up()
        server.stop()
        return
    maker = RouterMaker(tmp_path)
    (port,) = free_ports(1)
    yield wait_for(
        maker.start(
            shared=f"tcp:{port}:interface=127.0.0.1",
            audience=f"http://127.0.0.1:{port}/access",
            target=f"ws://127.0.0.1:{port}/ws",
        )
    )
    wait_for(maker.stop())


@pytest.fixture
def sr_tunnels(tmp_path: Path) -> Iterator[TunnelMaker]:
    """Our own hosts and clients, stopped with the test."""
    maker = TunnelMaker(tmp_path)
    yield maker
    wait_for(maker.stop())
