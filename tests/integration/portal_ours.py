"""Our own portal router, hosts and clients, in this process."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import trustme
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates

from bench.processes import descriptors
from relay.daemon import IReactor
from relay.router import RouterService
from relay.settings.model import (
    DialectSettings,
    Door,
    Limits,
    RouterSettings,
    TlsFiles,
    TunnelSettings,
    TunnelsSettings,
)
from relay.settings.secrets import SecretFile
from relay.vocabulary import Role
from tests.integration.portal_peers import SECRET, Router
from tests.rawpeer import the_reactor


def own_descriptors() -> int:
    """:returns: how many files and sockets this process holds open"""
    return descriptors(os.getpid())


def resident_bytes() -> int:
    """:returns: this process's memory"""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


@dataclass
class OurRouter:
    """Our router in this process.

    :ivar options: of :class:`RouterSettings`, where the test wants others
    """

    folder: Path
    limits: Limits = field(default_factory=Limits)
    options: dict[str, Any] = field(default_factory=dict)
    listen: str = "tcp:0:interface=127.0.0.1"
    service: Any = None
    stopping: Deferred[None] | None = None

    async def start(self) -> int:
        """:returns: the port of the first listener"""
        secret = self.folder / "portal.secret"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        portal = DialectSettings(
            "portal",
            (),
            (),
            {"secret-file": SecretFile(secret)},
            self.limits.ping_s,
            self.limits.dead_s,
        )
        settings: dict[str, Any] = {
            "listen": (self.listen,),
            "listen_tls": (),
            "public_url": None,
            "dialects": (portal,),
            "state_dir": self.folder,
            "admin": None,
            "trusted_proxies": (),
            "proxy_protocol": False,
            "log_format": "text",
            "log_level": "info",
            "drain_s": 0.0,
            "limits": self.limits,
            "tls": None,
        }
        reactor = cast(IReactor, the_reactor())
        self.service = RouterService(RouterSettings(**{**settings, **self.options}), reactor)
        self.service.startService()
        await self.service.when_ready()
        return first_port(self.service.addresses)

    def stop(self) -> Deferred[None]:
        """Stop it, once. :returns: fires when it has ended"""
        if self.stopping is None:
            self.stopping = Deferred.fromCoroutine(self._stop())
        return self.stopping

    async def _stop(self) -> None:
        await self.service.stopService()


def first_port(addresses: Sequence[tuple[str, IAddress]]) -> int:
    """:returns: the port of the first of several listening addresses"""
    return cast(IPv4Address, addresses[0][1]).port


def tls_of(authority: trustme.CA, folder: Path) -> tuple[IOpenSSLClientConnectionCreator, TlsFiles]:
    """:returns: how clients verify, and the files of a router at 127.0.0.1"""
    issued = authority.issue_cert("127.0.0.1")
    chain, key = folder / "router.crt", folder / "router.key"
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    key.chmod(0o600)
    root = Certificate.loadPEM(authority.cert_pem.bytes())
    return optionsForClientTLS("127.0.0.1", trustRootFromCertificates([root])), TlsFiles(chain, key)


class RouterMaker:
    """Starts routers of ours with settings of the test's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stops: list[Callable[[], Deferred[None]]] = []
        self.routers: list[Router] = []

    async def start(
        self,
        limits: Limits | None = None,
        *,
        authority: trustme.CA | None = None,
        port: int = 0,
        **options: Any,
    ) -> tuple[Router, OurRouter]:
        """:param authority: issues a certificate for a TLS listener; None: it is plain
        :returns: the router to test, and the handle by which to stop it
        """
        listen = f"tcp:{port}:interface=127.0.0.1"
        folder = self._folder / secrets.token_hex(4)
        folder.mkdir()
        tls = None
        if authority is not None:
            tls, files = tls_of(authority, folder)
            options = {"listen": (), "listen_tls": (listen,), "tls": files, **options}
        ours = OurRouter(folder, limits or Limits(failed_logins_per_min=0), options, listen)
        self._stops.append(ours.stop)
        router = Router("ours", await ours.start(), own_descriptors, tls)
        self.routers.append(router)
        return router, ours

    async def stop(self) -> None:
        """Stop all routers and end all connections to them."""
        for router in self.routers:
            router.hang_up()
        for stop in self._stops:
            await stop()


class TunnelMaker:
    """Starts our own hosts and clients, with one tunnel each.

    :ivar token_file: of the one that was started last
    """

    token_file: Path

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._services: list[Any] = []

    async def start(self, role: Role, url: str, token: str, *doors: Door, **options: Any) -> Any:
        """:returns: the running service, configured and listening"""
        from relay.host import TunnelsService

        name = f"{role.value}-{len(self._services)}"
        self.token_file = file = self._folder / f"{name}.token"
        file.write_text(token)
        file.chmod(0o600)
        settings: dict[str, Any] = {
            "role": role,
            "name": name,
            "dialect": "portal",
            "router": url,
            "token": SecretFile(file),
            "doors": doors,
            "ca_file": None,
            "tls_name": None,
            "proxy": None,
            "reconnect": "yes",
            "window_bytes": Limits().window_bytes,
            "ping_s": Limits().ping_s,
            "dead_s": Limits().dead_s,
        }
        reactor = cast(IReactor, the_reactor())
        tunnel = TunnelSettings(**{**settings, **options})
        service = TunnelsService(TunnelsSettings(role, (tunnel,), "text", "info"), reactor)
        self._services.append(service)
        service.startService()
        await service.when_ready()
        return service

    async def host(self, url: str, token: str, *doors: Door, **options: Any) -> Any:
        """:returns: a host whose offer stands"""
        service = await self.start(Role.HOST, url, token, *doors, **options)
        await service.when_connected(f"host-{len(self._services) - 1}")
        return service

    async def client(self, url: str, token: str, service: str, **options: Any) -> int:
        """:returns: the port where a client's local door stands open"""
        door = Door(service, "tcp:0:interface=127.0.0.1")
        started = await self.start(Role.CLIENT, url, token, door, **options)
        return first_port(started.addresses)

    async def stop(self) -> None:
        """Stop them all."""
        for service in self._services:
            stopped = service.stopService()
            service.hurry()
            await stopped
