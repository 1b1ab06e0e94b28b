"""What ``relay connect`` is tested against: a router, and services that a host offers."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from relay.settings.model import Door
from tests.integration.portal_peers import OurRouter, Portal, Router, TunnelMaker
from tests.relay_command import COMMAND, Handler

Serve = Callable[[Handler], str]


class Lab(NamedTuple):
    """A router, and the services that a host offers on it."""

    router: Router
    ours: OurRouter
    portal: Portal
    token: Path
    tunnels: TunnelMaker

    async def offer(self, **services: str) -> None:
        """Have a host offer these endpoints."""
        doors = [Door(name, endpoint) for name, endpoint in services.items()]
        await self.tunnels.host(self.router.url, self.portal.host_token, *doors)

    def words(self, service: str, **options: str | Path) -> list[str | Path]:
        """:returns: what stands behind ``relay`` to call ``service``"""
        said = {"router": self.router.url, "token-file": self.token, **options}
        flags = [word for name, value in said.items() for word in (f"--{name}", value)]
        return ["connect", *flags, service]

    def proxy_command(self, service: str) -> str:
        """:returns: the same as ssh's ProxyCommand"""
        return shlex.join(map(str, [*COMMAND, *self.words(service)]))


def unused_port() -> int:
    """:returns: a port where nothing listens"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
