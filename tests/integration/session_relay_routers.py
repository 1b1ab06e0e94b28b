"""Routers of session-relay to start: ours, or the original's server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay.measuring.processes import free_ports, listens
from tests.integration.portal_programs import Program
from tests.integration.session_relay_ours import RouterMaker
from tests.integration.session_relay_peers import Router
from tests.integration.session_relay_vectors import AUDIENCE, SECRET, TARGET
from tests.rawpeer import until

FAMILY = "session-relay"
KINDS = pytest.mark.parametrize("sr_routers", ["ours", "go"], indirect=True)
"""For tests that start routers with settings of their own."""


class GoServer:
    """The original's server.

    :param real: whether tokens and answers name the addresses that it really has
    :param program: which of its versions
    """

    def __init__(
        self, folder: Path, *, real: bool = False, program: str = "relay", **variables: str
    ) -> None:
        self._access, self._door = free_ports(2)
        self.audience = f"http://127.0.0.1:{self._access}" if real else AUDIENCE
        self.target = f"ws://127.0.0.1:{self._door}" if real else TARGET
        environment = {
            "RELAY_AUDIENCE": self.audience,
            "RELAY_URL": self.target,
            "RELAY_SECRET": SECRET,
            "RELAY_PORT_ACCESS": str(self._access),
            "RELAY_PORT_RELAY": str(self._door),
            "RELAY_PROFILE": "false",
            "RELAY_LOG_FILE": "stdout",
            "RELAY_STATS_EVERY": "1s",
            **variables,
        }
        self.program = Program(program, ["serve"], folder, environment, FAMILY)

    async def listens(self) -> None:
        """Wait until it does."""
        ports = (self._access, self._door)
        await until(lambda: all(map(listens, ports)) or None, "the original listening", 10.0)

    def router(self) -> Router:
        """:returns: the router to test"""
        return Router("go", (self._access, ""), (self._door, ""), self.audience, self.target)

    def stop(self) -> None:
        """End it."""
        self.program.stop()


class Maker:
    """Starts routers of one kind with settings of the test's own.

    :ivar kind: ``ours`` or ``go``
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.ours = RouterMaker(folder)
        self._folder = folder
        self._servers: list[tuple[GoServer, Router]] = []

    async def start(self, *, no_booking: bool = False, **options: Any) -> Router:
        """:param no_booking: whether tokens without a booking are taken
        :param options: of :class:`RouterMaker`, for ours alone
        """
        if self.kind == "ours":
            own = {"allow-no-booking-id": "yes" if no_booking else "no"}
            return await self.ours.start(**{"dialect": own, **options})
        server = GoServer(self._folder, RELAY_ALLOW_NO_BOOKING_ID=str(no_booking).lower())
        router = server.router()
        self._servers.append((server, router))
        await server.listens()
        return router

    async def stop(self) -> None:
        """Stop them all."""
        for server, router in self._servers:
            router.hang_up()
            server.stop()
        await self.ours.stop()
