"""Our own routers, hosts and clients of taas, in this process."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relay.vocabulary import Role
from tests.integration.ini_services import Section, Services, section, write
from tests.integration.portal_ours import first_port, own_descriptors
from tests.integration.taas_original import trusting
from tests.integration.taas_peers import Router
from tests.integration.taas_wire import ADDRESS, REGISTRAR, SERVERS, Certificate
from tests.relay_command import relay

DIALECT = "taas"
DATABASE = "taas.db"
_FIRST_PORT = 14000 + 1000 * (os.getpid() % 4)
PORTS = f"{_FIRST_PORT}-{_FIRST_PORT + 999}"
"""Below those that kernels take a caller's own from, and others in each run beside this one: a port
that is closed here may not be open there."""


def import_records(folder: Path, kept: Mapping[str, object], database: str = DATABASE) -> Path:
    """Put records into a store, as an operator does. :returns: the database in that folder"""
    file = write(folder / "records.json", json.dumps(kept))
    config = write(
        folder / "import.ini",
        section("router", {"state-dir": folder, "listen": "tcp:0:interface=127.0.0.1"})
        + section(f"dialect:{DIALECT}", {"database": database}),
    )
    done = relay("token", DIALECT, "import", file, "--config", config)
    assert done.returncode == 0, done.stderr
    return folder / database


class RouterMaker:
    """Starts routers of ours with settings of the test's own.

    :param store: a database with the usual records, of which each router gets a copy
    :param made: of their front doors, unless that is plain HTTP
    :ivar services: the routers' own, in the order of :attr:`routers`
    """

    def __init__(self, folder: Path, store: Path, made: Certificate, reactor: Any = None) -> None:
        self._folder = folder
        self._store = store
        self._made = made
        self._running = Services(reactor)
        self.routers: list[Router] = []
        self.services: list[Any] = []

    async def start(
        self,
        *,
        plain: bool = False,
        limits: Section | None = None,
        dialect: Section | None = None,
        more: str = "",
        folder: Path | None = None,
    ) -> Router:
        """:param limits: of ``[limits]``; :param dialect: more of ``[dialect:taas]``
        :param more: further sections
        :param folder: that of a router before, whose store is used on; None: a new one
        """
        if folder is None:
            folder = self._folder / secrets.token_hex(4)
            folder.mkdir()
            shutil.copy(self._store, folder / DATABASE)
        own: dict[str, object] = {
            "listen": "tcp:0:interface=127.0.0.1:backlog=1024",
            "advertise": ADDRESS,
            "ports": PORTS,
            "registrar": REGISTRAR,
            "servers": SERVERS,
            "database": DATABASE,
        }
        if not plain:
            own["certificate"] = write(folder / "registrar.crt", self._made.certificate)
            own["key"] = write(folder / "registrar.key", self._made.key)
        service = await self._running.start_router(
            folder,
            section("router", {"state-dir": folder, "drain-s": 0}),
            section("limits", {"failed-logins-per-min": 0, **(limits or {})}),
            section(f"dialect:{DIALECT}", {**own, **(dialect or {})}),
            more,
        )
        tls = None if plain else trusting(self._made)
        router = Router("ours", first_port(service.addresses), tls, own_descriptors)
        self.routers.append(router)
        self.services.append(service)
        return router

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

    async def start(self, role: Role, **keys: object) -> Any:
        """:param keys: of its section, with ``_`` for ``-``
        :returns: the running service
        """
        return await self._running.start_tunnel(role, self._folder, {"dialect": DIALECT, **keys})

    async def stop(self) -> None:
        """Stop them all."""
        await self._running.stop()
