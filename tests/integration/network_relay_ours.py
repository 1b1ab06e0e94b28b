"""Our own routers, hosts and clients of network-relay, in this process."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from relay.vocabulary import Role
from tests.integration.ini_services import Section, Services, section, write
from tests.integration.network_relay_peers import Router, credentials
from tests.integration.portal_ours import first_port

DIALECT = "network-relay"
CREDENTIALS = "credentials.json"


class RouterMaker:
    """Starts routers of ours with settings of the test's own.

    :ivar folders: where their files are, in the order of :attr:`routers`
    :ivar services: the routers' own, likewise
    """

    def __init__(self, folder: Path, reactor: Any = None) -> None:
        self._folder = folder
        self._running = Services(reactor)
        self.routers: list[Router] = []
        self.folders: list[Path] = []
        self.services: list[Any] = []

    async def start(
        self,
        *,
        members: dict[str, object] | None = None,
        limits: Section | None = None,
        dialect: Section | None = None,
    ) -> Router:
        """:param members: of the credentials file, beside or instead of the usual ones
        :param limits: of ``[limits]``; :param dialect: more of ``[dialect:network-relay]``
        """
        folder = self._folder / secrets.token_hex(4)
        folder.mkdir()
        write(folder / CREDENTIALS, credentials(**(members or {})))
        listen = "tcp:0:interface=127.0.0.1"
        service = await self._running.start_router(
            folder,
            section("router", {"listen": listen, "state-dir": folder, "drain-s": 0}),
            section("limits", {"failed-logins-per-min": 0, **(limits or {})}),
            section(f"dialect:{DIALECT}", {"credentials-file": CREDENTIALS, **(dialect or {})}),
        )
        made = Router("ours", first_port(service.addresses))
        self.routers.append(made)
        self.folders.append(folder)
        self.services.append(service)
        return made

    async def stop(self) -> None:
        """End all connections to the routers, and stop them."""
        for router in self.routers:
            router.hang_up()
        await self._running.stop()


class TunnelMaker:
    """Starts our own hosts and clients, with one tunnel each."""

    def __init__(self, folder: Path, reactor: Any = None) -> None:
        self._folder = folder
        self._running = Services(reactor)

    async def start(self, role: Role, url: str, secret: str, **keys: object) -> Any:
        """:param keys: of its section, with ``_`` for ``-``
        :returns: the running service
        """
        secret_file = write(self._folder / f"{secrets.token_hex(4)}.secret", secret)
        own = {"dialect": DIALECT, "router": url, "secret-file": secret_file, **keys}
        return await self._running.start_tunnel(role, self._folder, own)

    async def stop(self) -> None:
        """Stop them all."""
        await self._running.stop()
