"""Our own host and client of taas around a router: a service behind one, a program before the
other."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IOpenSSLClientConnectionCreator

from relay.vocabulary import Role
from tests.integration.ini_services import write
from tests.integration.portal_ours import first_port
from tests.integration.taas_ours import TunnelMaker
from tests.integration.taas_peers import Router, host_of
from tests.integration.taas_wire import ADDRESS, Certificate, Identity, fresh
from tests.rawpeer import Late, RawPeer, RawServer, connect, together

BULK_S = 60.0
LOCAL = "tcp:0:interface=127.0.0.1"


class FarEnds:
    """Hosts with one service, and clients.

    :ivar who: whose label it is
    :ivar service: what hosts forward to
    :ivar port: its port
    :ivar root: PEM file of the router's certificate
    """

    def __init__(self, folder: Path, tunnels: TunnelMaker, made: Certificate) -> None:
        self.who: Identity = fresh()
        self.service = RawServer()
        self.port = 0
        self._peers: list[RawPeer] = []
        self._folder = folder
        self._tunnels = tunnels
        self._made = made
        self.root = write(folder / "front.pem", made.certificate)
        self.key = write(folder / "front.key", made.key)

    async def host(self, router: Router, **keys: object) -> Any:
        """Offer the service.

        :param keys: of the section. :returns: the running service, whose label stands
        """
        if not self.port:
            self.port = await self.service.listen()
        own = {"forward": f"tcp:127.0.0.1:{self.port}", **keys}
        service = await self.starting_host(router, **own)
        await service.when_connected("x")
        return service

    async def starting_host(self, router: Router, **keys: object) -> Any:
        """:returns: the running service, which may have to try for long"""
        file = write(
            self._folder / f"{self.who.label}.js",
            self.who.parameters(router.port, self._made.certificate),
        )
        plain = {} if router.tls else {"router": f"http://{ADDRESS}:{router.port}"}
        return await self._tunnels.start(Role.HOST, **{"provisioning-file": file, **plain, **keys})

    def way(self, router: Router) -> dict[str, object]:
        """:returns: what a client's section has of the router and the label"""
        return {
            "router": f"{router.scheme}://{ADDRESS}:{router.port}",
            "label": host_of(self.who.label),
            "ca-file": self.root,
        }

    def command(self, router: Router) -> list[str]:
        """:returns: what stands behind ``relay`` to call the label"""
        said = {**self.way(router), "dialect": "taas"}
        name = str(said.pop("label"))
        flags = [word for key, value in said.items() for word in (f"--{key}", str(value))]
        return ["connect", *flags, name]

    async def client(self, router: Router, **keys: object) -> int:
        """:returns: the port where a client of ours listens"""
        service = await self._tunnels.start(
            Role.CLIENT, **{**self.way(router), "listen": LOCAL, **keys}
        )
        return first_port(service.addresses)

    async def dial(self, port: int, tls: IOpenSSLClientConnectionCreator | None = None) -> RawPeer:
        """:returns: a connection that ends with the test"""
        self._peers.append(await connect(port, tls=tls))
        return self._peers[-1]

    async def circuit(self, port: int) -> tuple[RawPeer, RawPeer]:
        """:param port: of a client. :returns: a local program and the service, which have spoken"""
        local = await self.dial(port)
        local.stays_half_open = True
        local.write(b"ping\n")
        remote = await self.service.accept()
        remote.stays_half_open = True
        assert await remote.exactly(5) == b"ping\n"
        remote.write(b"pong\n")
        assert await local.exactly(5) == b"pong\n"
        return local, remote

    async def close(self) -> None:
        """End the test's own connections."""
        for peer in self._peers:
            peer.reset()
        await self.service.close()

    async def accept(self, count: int) -> list[RawPeer]:
        """:returns: the service's next connections"""
        return [await self.service.accept() for _ in range(count)]

    async def comes_back(self, router: Router, deadline_s: float) -> None:
        """Wait until the label is there. :raises Late: when it is not in time"""
        expiry = time.monotonic() + deadline_s
        while (await router.get("/", host_of(self.who.label))).status != 307:
            if time.monotonic() > expiry:
                raise Late(f"the label is not there after {deadline_s} s")


async def carry(sender: RawPeer, receiver: RawPeer, payload: bytes) -> None:
    """Send much, and check that it comes; a difference would be too long to be shown."""

    async def send() -> bytes:
        await sender.write_all(payload)
        return b""

    came, _ = await together(receiver.exactly(len(payload), BULK_S), send())
    same = came == payload
    assert same, f"other bytes of {len(payload)} came than went"
