"""Routers of websocktunnel to start: ours, or the original's server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.portal_programs import Program
from tests.integration.websocktunnel_ours import RouterMaker
from tests.integration.websocktunnel_peers import PREFIX, SECRET_A, SECRET_B, Router

FAMILY = "websocktunnel"

KINDS = pytest.mark.parametrize("wst_routers", ["ours", "go"], indirect=True)
"""For tests that start routers with settings of their own."""


def go_server(folder: Path, prefix: str = PREFIX, audience: str = "", port: int = 0) -> Program:
    """:returns: the original's server, started on that port, or on one of its own"""
    environment = {
        "URL_PREFIX": prefix,
        "TASKCLUSTER_PROXY_SECRET_A": SECRET_A,
        "TASKCLUSTER_PROXY_SECRET_B": SECRET_B,
        "AUDIENCE": audience,
        "PORT": str(port),
    }
    return Program("websocktunnel", [], folder, environment, FAMILY)


class Maker:
    """Starts routers of one kind with settings of the test's own.

    :ivar kind: ``ours`` or ``go``
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.ours = RouterMaker(folder)
        self._folder = folder
        self._servers: list[tuple[Program, Router]] = []

    async def start(self, *, prefix: str = PREFIX, audience: str = "", **options: Any) -> Router:
        """:param options: of :class:`RouterMaker`, for ours alone"""
        if self.kind == "ours":
            return await self.ours.start(prefix=prefix, audience=audience, **options)
        program = go_server(self._folder, prefix, audience)
        router = Router("go", 0)
        self._servers.append((program, router))
        router.port = await program.listens()
        return router

    async def stop(self) -> None:
        """Stop them all."""
        for program, router in self._servers:
            router.hang_up()
            program.stop()
        await self.ours.stop()
