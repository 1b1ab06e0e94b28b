"""Taas among the lanes of all five dialects: calls that follow a redirect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from typing_extensions import override

from relay.measuring.processes import free_ports
from relay.vocabulary import Role
from tests.integration.five_lanes import ANY_PORT, BULK_S, LOOPBACK, START_S, Lane
from tests.integration.ini_services import write
from tests.integration.portal_ours import first_port
from tests.integration.portal_programs import Program
from tests.integration.taas_wire import ADDRESS, SERVERS, Identity, fresh
from tests.rawpeer import together


class TaasLane(Lane):
    """Taas; it is the ID that is revoked.

    With the originals two hidden servers stand: one for who follows a redirect by hand, and one
    for the original's client, which speaks WebSocket through TLS to what is behind.
    """

    dialect = "taas"

    @override
    async def start(self) -> None:
        self._who, self._other = fresh(), fresh()
        self._texts: Iterator[str] = (f"said {number}" for number in range(1 << 30))
        self._console: Program | None = None
        await super().start()
        if not self.is_ours:
            await self._begin_console()

    @override
    async def begin_host(self, target: int) -> None:
        file = self._provisioned(self._who)
        if self.is_ours:
            own = {"provisioning_file": file, "forward": f"tcp:{LOOPBACK}:{target}"}
            await self.run(Role.HOST, **own)
            return
        self._hidden = self._serves(file, target)
        await self._hidden.has_printed("pool 15", START_S)

    def _provisioned(self, who: Identity) -> Path:
        made = self.house.certificate.certificate
        return write(self.folder / f"{who.label}.js", who.parameters(self.house.taas.port, made))

    def _serves(self, file: Path, target: int) -> Program:
        words = [str(file), "--forward", f"{LOOPBACK}:{target}", "--dir", str(self.folder)]
        return self.programs.start("hidden-server", *words)

    @override
    async def begin_client(self, target: int) -> int:
        label = f"{self._who.label}.{SERVERS}"
        if not self.is_ours:
            return await self.house.taas.redirect(self._who.label)
        ca = write(self.folder / "registrar.crt", self.house.certificate.certificate)
        own = {"router": f"https://{ADDRESS}:{self.house.taas.port}", "label": label}
        return first_port(
            (await self.run(Role.CLIENT, **own, ca_file=ca, listen=ANY_PORT)).addresses
        )

    async def _begin_console(self) -> None:
        """Start what the original's client speaks to, and that."""
        ca = str(write(self.folder / "registrar.crt", self.house.certificate.certificate))
        key = str(write(self.folder / "registrar.key", self.house.certificate.key))
        (port,) = free_ports(1)
        words = ["--cert", ca, "--key", key, "--port", str(port), "--dir", str(self.folder)]
        service = self.programs.start("console-service", *words)
        await service.has_printed(f"ready {port}", START_S)
        hidden = self._serves(self._provisioned(self._other), port)
        await hidden.has_printed("pool 15", START_S)
        self._console = self.programs.start(
            "client",
            *(f"{self._other.label}.{SERVERS}", "--ca", ca, "--quiet"),
            *("--connect", f"{ADDRESS}:{self.house.taas.port}", "--dir", str(self.folder)),
        )
        await self._console.has_printed("management", START_S)

    @override
    async def carries(self, size: int) -> None:
        async def talk() -> None:
            assert self._console is not None
            text = next(self._texts)
            self._console.type(f"console {text}")
            came = {"event": "message", "channel": "console", "data": text}
            await self._console.has_printed(json.dumps(came, separators=(",", ":")), BULK_S)

        lanes = [super().carries(size)]
        await together(*lanes, *([talk()] if self._console is not None else []))

    @override
    async def revoke(self) -> None:
        await self.house.revoke(dialect=self.dialect, subject=self._who.name)
        if self._console is not None:
            await self.house.revoke(dialect=self.dialect, subject=self._other.name)
