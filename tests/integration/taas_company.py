"""A taas router, a host and callers in mixes of ours and the original's programs.

A mix is named ROUTER-HOST-CALLER. Our parts run in this process, those of the original as processes
of their own; a ``raw`` caller follows the redirect itself, as any program may.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.processes import peer
from relay.measuring.processes import free_ports
from relay.vocabulary import Role
from tests.integration.ini_services import write
from tests.integration.portal_ours import first_port
from tests.integration.portal_programs import Program, Programs
from tests.integration.taas_original import FAMILY, START_S, Server
from tests.integration.taas_ours import RouterMaker, TunnelMaker
from tests.integration.taas_peers import Circuit, Router, host_of
from tests.integration.taas_wire import ADDRESS, Certificate, Identity, fresh
from tests.rawpeer import Late, RawPeer, RawServer, until

OURS, ORIGINAL, RAW = "ours", "original", "raw"
KINDS = (OURS, ORIGINAL)
MIXES = [
    f"{router}-{host}-{caller}" for router in KINDS for host in KINDS for caller in (OURS, RAW)
]
POOL = 15
LOCAL = "tcp:0:interface=127.0.0.1"


class Company:
    """Starts the parts of a mix, around one label.

    :ivar who: whose label it is
    :ivar service: what the host forwards to
    :ivar folder: for files of the test
    :ivar store: the usual records
    :ivar router: which is called, once it has started
    """

    def __init__(self, folder: Path, store: Path, made: Certificate) -> None:
        self.who: Identity = fresh()
        self.service = RawServer()
        self.root = write(folder / "registrar.pem", made.certificate)
        self.key = write(folder / "registrar-key.pem", made.key)
        self.routers = RouterMaker(folder, store, made)
        self.tunnels = TunnelMaker(folder)
        self.programs = Programs(folder, FAMILY)
        self.folder = self._folder = folder
        self.store = store
        self._made = made
        self._servers: list[Server] = []
        self._called: list[Router] = []

    @property
    def router(self) -> Router:
        """:returns: the one that was started last"""
        return self._called[-1]

    async def start_router(
        self, kind: str, *options: str, dialect: Mapping[str, object] | None = None
    ) -> Router:
        """:param options: of the original; :param dialect: keys of ours"""
        if kind == OURS:
            self.use(await self.routers.start(dialect=dialect))
        else:
            server = Server(self._folder, self._made, *options)
            self._servers.append(server)
            self.use(await server.router())
        return self.router

    def use(self, router: Router) -> None:
        """Call this router from now on."""
        self._called.append(router)

    # -- hosts -------------------------------------------------------------------------------------

    async def start_host(self, kind: str, router: Router | None = None, *, port: int = 0) -> Any:
        """:param port: of the service; 0: that of :attr:`service`
        :returns: the host, once a caller is redirected to it
        """
        router = router or self.router
        port = port or await self.service.listen()
        text = self.who.parameters(router.port, self._made.certificate)
        file = write(self._folder / f"{self.who.label}.js", text)
        made: Any
        if kind == OURS:
            own: dict[str, object] = {"provisioning-file": file, "forward": f"tcp:127.0.0.1:{port}"}
            made = await self.tunnels.start(Role.HOST, **own)
            await made.when_connected("x")
        else:
            words = [str(file), "--forward", f"127.0.0.1:{port}", "--dir", str(self._folder)]
            made = self.programs.start("hidden-server", *words)
            await made.has_printed(f"pool {POOL}", START_S)
        return made

    async def is_reached(self, deadline_s: float) -> None:
        """Wait until callers are redirected again. :raises Late: when they are not in time"""
        expiry = time.monotonic() + deadline_s
        name = host_of(self.who.label)
        while (await self.router.get("/", name)).status != 307:
            if time.monotonic() > expiry:
                raise Late(f"{name} is not reached within {deadline_s} s")

    # -- callers -----------------------------------------------------------------------------------

    async def start_client(self, router: Router | None = None, **keys: object) -> int:
        """:returns: the port where a client of ours listens"""
        router = router or self.router
        own: dict[str, object] = {
            "router": f"{router.scheme}://{ADDRESS}:{router.port}",
            "label": host_of(self.who.label),
            "ca-file": self.root,
            "listen": LOCAL,
        }
        service = await self.tunnels.start(Role.CLIENT, **{**own, **keys})
        return first_port(service.addresses)

    async def call(self, kind: str) -> RawPeer:
        """:returns: a caller's connection, on which nothing was said"""
        if kind == RAW:
            return await self.router.mobile(self.who.label)
        return await self.router.dial(await self.start_client())

    async def circuit(self, kind: str) -> Circuit:
        """:returns: a caller and the service, which have spoken"""
        caller = await self.call(kind)
        caller.write(b"ping\n")
        remote = await self.service.accept(START_S)
        remote.stays_half_open = True
        made = Circuit(caller, remote)
        assert await remote.exactly(5) == b"ping\n"
        await made.passes()
        return made

    # -- the library of the original ---------------------------------------------------------------

    async def start_console(self) -> int:
        """:returns: the port of a service that its library can talk to"""
        (port,) = free_ports(1)
        files = ("--cert", str(self.root), "--key", str(self.key))
        words = (*files, "--port", str(port), "--dir", str(self._folder))
        program = self.programs.start("console-service", *words)
        await program.has_printed(f"ready {port}", START_S)
        return port

    def start_library(self, router: Router | None = None) -> Library:
        """:returns: a program of the original's that calls the label's console"""
        router = router or self.router
        words = [host_of(self.who.label), "--ca", str(self.root), "--steward-ca", str(self.root)]
        words += ["--connect", f"{ADDRESS}:{router.port}", "--dir", str(self._folder)]
        return Library(self.programs.start("client", *words))

    async def stop(self) -> None:
        """End all."""
        await self.tunnels.stop()
        self.programs.stop()
        for router in self._called:
            router.hang_up()
        await self.routers.stop()
        for server in self._servers:
            server.stop()
        await self.service.close()


class Library:
    """A program around the original's client library; it tells events as lines of JSON."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def events(self) -> list[dict[str, Any]]:
        """:returns: what it has told so far"""
        lines = self.program.printed().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    async def tells(self, deadline_s: float = START_S, **members: object) -> dict[str, Any]:
        """:returns: the first event with these members"""

        def found() -> dict[str, Any] | None:
            for event in self.events():
                if members.items() <= event.items():
                    return event
            return None

        return await until(found, lambda: f"{members} among {self.events()}", deadline_s)


def at_hand() -> bool:
    """:returns: whether the original's programs can be started"""
    return peer("server", FAMILY) is not None
