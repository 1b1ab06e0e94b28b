"""Our own routers and hosts of websocktunnel, in this process, configured by INI files."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred

from relay.daemon import IReactor
from relay.dialects import dialect_keys
from relay.router import RouterService
from relay.settings import read_router, read_tunnels
from relay.settings.model import RouterSettings
from relay.vocabulary import Role
from tests import gears
from tests.integration.portal_ours import first_port
from tests.integration.websocktunnel_peers import PREFIX, SECRET_A, SECRET_B, Router
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


class RouterMaker:
    """Starts routers of ours with settings of the test's own.

    :ivar services: the routers' own, in the order of :attr:`routers`
    :ivar folders: where their files are, likewise
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stops: list[Callable[[], Deferred[None]]] = []
        self.routers: list[Router] = []
        self.services: list[Any] = []
        self.folders: list[Path] = []

    async def start(
        self,
        *,
        prefix: str = PREFIX,
        audience: str = "",
        limits: Section | None = None,
        dialect: Section | None = None,
        router: Section | None = None,
        more: str = "",
        port: int = 0,
    ) -> Router:
        """:param limits: of ``[limits]``; :param dialect: more of ``[dialect:websocktunnel]``
        :param router: more of ``[router]``; :param more: further sections
        """
        folder = self._folder / secrets.token_hex(4)
        folder.mkdir()
        write(folder / "a.secret", SECRET_A)
        write(folder / "b.secret", SECRET_B)
        listen = f"tcp:{port}:interface=127.0.0.1"
        own = {
            "secret-a-file": "a.secret",
            "secret-b-file": "b.secret",
            "url-prefix": prefix,
            **({"audience": audience} if audience else {}),
            **(dialect or {}),
        }
        sections = [
            section(
                "router",
                {"listen": listen, "state-dir": folder, "drain-s": 0, **(router or {})},
            ),
            section("limits", {"failed-logins-per-min": 0, **(limits or {})}),
            section("dialect:websocktunnel", own),
            more,
        ]
        config = write(folder / "relay.ini", "\n".join(sections))

        def read() -> RouterSettings:
            said = {"config": str(config)}
            return read_router(said, gears.variables(), folder, dialect_keys())

        service: Any = RouterService(read(), cast(IReactor, the_reactor()), read)
        self.services.append(service)
        self.folders.append(folder)
        service.startService()
        await service.when_ready()
        self._stops.append(lambda: Deferred.fromCoroutine(_stop(service)))
        made = Router("ours", first_port(service.addresses))
        self.routers.append(made)
        return made

    async def stop(self) -> None:
        """End all connections to the routers, and stop them."""
        for router in self.routers:
            router.hang_up()
        stops, self._stops = self._stops, []
        for stop in stops:
            await stop()


async def _stop(service: Any) -> None:
    await service.stopService()


class HostMaker:
    """Starts our own hosts, with one tunnel each.

    :ivar folder: where their files are: ``ID.token`` and ``ID.url``
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._services: list[Any] = []

    async def start(
        self, url: str, tunnel: str, token: str, target_port: int, **keys: object
    ) -> Any:
        """:param keys: more of ``[host:x]``, with ``_`` for ``-``
        :returns: the running service
        """
        token_file = write(self.folder / f"{tunnel}.token", token)
        own = {
            "dialect": "websocktunnel",
            "router": url,
            "token-file": token_file,
            "id": tunnel,
            "forward": f"tcp:127.0.0.1:{target_port}",
            "url-file": self.folder / f"{tunnel}.url",
            **{key.replace("_", "-"): value for key, value in keys.items()},
        }
        config = write(self.folder / f"{secrets.token_hex(4)}.ini", section("host:x", own))
        settings = read_tunnels(
            Role.HOST, {"config": str(config)}, gears.variables(), self.folder, dialect_keys()
        )
        from relay.host import TunnelsService

        service: Any = TunnelsService(settings, cast(IReactor, the_reactor()))
        self._services.append(service)
        service.startService()
        await service.when_ready()
        return service

    async def stop(self) -> None:
        """Stop them all."""
        services, self._services = self._services, []
        for service in services:
            stopped = service.stopService()
            service.hurry()
            await stopped
