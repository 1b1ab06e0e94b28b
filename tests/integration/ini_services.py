"""Our own routers, hosts and clients, in this process, configured by INI files."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from relay.daemon import IReactor
from relay.dialects import dialect_keys
from relay.router import RouterService
from relay.settings import read_router, read_tunnels
from relay.settings.model import RouterSettings
from relay.vocabulary import Role
from tests import gears
from tests.rawpeer import the_reactor

Section = Mapping[str, object]


def write(path: Path, text: str) -> Path:
    """:returns: the file, which only we may read"""
    path.write_text(text)
    path.chmod(0o600)
    return path


def section(name: str, values: Section) -> str:
    """:returns: a section of an INI file"""
    return "\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in values.items()), ""])


class Services:
    """Starts services, and stops them all.

    :param reactor: what they run on; None: the one that runs
    """

    def __init__(self, reactor: Any = None) -> None:
        self.reactor = reactor
        self._running: list[Any] = []

    async def start_router(self, folder: Path, *sections: str) -> Any:
        """:param sections: of its INI file, which will be in ``folder``
        :returns: the running service, which listens
        """
        config = write(folder / "relay.ini", "\n".join(sections))

        def read() -> RouterSettings:
            said = {"config": str(config)}
            return read_router(said, gears.variables(), folder, dialect_keys())

        return await self._run(RouterService(read(), self._its_reactor(), read))

    async def start_tunnel(self, role: Role, folder: Path, values: Section) -> Any:
        """:param values: of the only section of its INI file, with ``_`` for ``-`` or not
        :returns: the running service, configured and listening
        """
        from relay.host import TunnelsService

        keys = {key.replace("_", "-"): value for key, value in values.items()}
        text = section(f"{role.value}:x", keys)
        config = write(folder / f"{secrets.token_hex(4)}.ini", text)
        said = {"config": str(config)}
        settings = read_tunnels(role, said, gears.variables(), folder, dialect_keys())
        return await self._run(TunnelsService(settings, self._its_reactor()))

    def _its_reactor(self) -> IReactor:
        return cast(IReactor, self.reactor or the_reactor())

    async def _run(self, service: Any) -> Any:
        self._running.append(service)
        service.startService()
        await service.when_ready()
        return service

    async def stop(self) -> None:
        """Stop them all; tunnels do not wait for what is under way."""
        running, self._running = self._running, []
        for service in running:
            stopped = service.stopService()
            if not isinstance(service, RouterService):
                service.hurry()
            await stopped
