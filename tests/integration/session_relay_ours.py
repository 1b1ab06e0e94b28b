"""Our own routers of session-relay, in this process."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from twisted.internet.address import IPv4Address

from relay.vocabulary import Role
from tests.integration.ini_services import Section, Services, section, write
from tests.integration.session_relay_peers import Router
from tests.integration.session_relay_vectors import AUDIENCE, SECRET, TARGET

DIALECT = "session-relay"
SHARED, ACCESS, DOOR = (f"tcp:0:interface=127.0.0.1:backlog={size}" for size in (1022, 1023, 1024))
"""Listeners are told apart by their backlog."""


class RouterMaker:
    """Starts routers of ours with settings of the test's own.

    :ivar services: the routers' own, in the order of :attr:`routers`
    """

    def __init__(self, folder: Path, reactor: Any = None) -> None:
        self._folder = folder
        self._running = Services(reactor)
        self.routers: list[Router] = []
        self.services: list[Any] = []

    async def start(
        self,
        *,
        audience: str = AUDIENCE,
        target: str = TARGET,
        own_ports: bool = False,
        shared: str = SHARED,
        limits: Section | None = None,
        dialect: Section | None = None,
        more: str = "",
    ) -> Router:
        """:param own_ports: whether both are served at listeners of their own, too, and used there
        :param limits: of ``[limits]``; :param dialect: more of ``[dialect:session-relay]``
        :param more: further sections
        """
        folder = self._folder / secrets.token_hex(4)
        folder.mkdir()
        write(folder / "session-relay.secret", SECRET)
        own = {
            "secret-file": "session-relay.secret",
            "audience": audience,
            "target": target,
            "stats-every-s": 1,
        }
        ports = {"listen-access": ACCESS, "listen-relay": DOOR} if own_ports else {}
        service = await self._running.start_router(
            folder,
            section("router", {"listen": shared, "state-dir": folder, "drain-s": 0}),
            section("limits", {"failed-logins-per-min": 0, **(limits or {})}),
            section(f"dialect:{DIALECT}", {**own, **ports, **(dialect or {})}),
            more,
        )
        found = {text: cast(IPv4Address, address).port for text, address in service.addresses}
        if own_ports:
            access, door = (found[ACCESS], ""), (found[DOOR], "")
        else:
            access, door = ((found[shared], urlsplit(url).path) for url in (audience, target))
        made = Router("ours", access, door, audience, target)
        self.routers.append(made)
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

    async def start(self, role: Role, token: str | None = None, **keys: object) -> Any:
        """:param keys: of its section, with ``_`` for ``-``
        :returns: the running service
        """
        own: dict[str, object] = {"dialect": DIALECT, **keys}
        if token is not None:
            own["token-file"] = write(self._folder / f"{secrets.token_hex(4)}.token", token)
        return await self._running.start_tunnel(role, self._folder, own)

    async def stop(self) -> None:
        """Stop them all."""
        await self._running.stop()
