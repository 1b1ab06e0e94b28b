"""Our own routers and hosts of websocktunnel, in this process, configured by INI files."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from relay.vocabulary import Role
from tests.integration.ini_services import Section, Services, section, write
from tests.integration.portal_ours import first_port
from tests.integration.websocktunnel_peers import PREFIX, SECRET_A, SECRET_B, Router

__all__ = ["HostMaker", "RouterMaker", "Section", "section", "write"]


class RouterMaker:
    """Starts routers of ours with settings of the test's own.

    :ivar services: the routers' own, in the order of :attr:`routers`
    :ivar folders: where their files are, likewise
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = Services()
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
        service = await self._running.start_router(folder, *sections)
        self.services.append(service)
        self.folders.append(folder)
        made = Router("ours", first_port(service.addresses))
        self.routers.append(made)
        return made

    async def stop(self) -> None:
        """End all connections to the routers, and stop them."""
        for router in self.routers:
            router.hang_up()
        await self._running.stop()


class HostMaker:
    """Starts our own hosts, with one tunnel each.

    :ivar folder: where their files are: ``ID.token`` and ``ID.url``
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running = Services()

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
            **keys,
        }
        return await self._running.start_tunnel(Role.HOST, self.folder, own)

    async def stop(self) -> None:
        """Stop them all."""
        await self._running.stop()
