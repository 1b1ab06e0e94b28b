"""What ``relay connect`` is tested against: a router, and services that a host offers."""

from __future__ import annotations

import shlex
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from twisted.internet.threads import deferToThread

from relay.settings.model import Door
from tests.integration.portal_ours import OurRouter, TunnelMaker
from tests.integration.portal_peers import Portal, Router
from tests.rawpeer import until
from tests.relay_command import COMMAND, PROCESS_S, Handler

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


async def exited(process: subprocess.Popen[bytes]) -> int:
    """:returns: its exit status. :raises Late:"""
    return await until(process.poll, "exit", PROCESS_S)


async def complaint(process: subprocess.Popen[bytes]) -> str:
    """:returns: all that it said on standard error"""
    assert process.stderr is not None
    return (await deferToThread(process.stderr.read)).decode()


async def comes(process: subprocess.Popen[bytes], data: bytes) -> None:
    """Check what standard output says next."""
    assert process.stdout is not None
    assert await deferToThread(process.stdout.read, len(data)) == data
