"""One router of ours that speaks all five dialects: four at a listener that they share, and taas at
its own.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.threads import deferToThread

from tests.integration import (
    network_relay_peers,
    portal_peers,
    session_relay_peers,
    taas_peers,
    websocktunnel_peers,
)
from tests.integration.ini_services import Services, section, write
from tests.integration.network_relay_peers import credentials
from tests.integration.portal_ours import own_descriptors
from tests.integration.session_relay_vectors import SECRET as SESSION_SECRET
from tests.integration.session_relay_vectors import claims, sign
from tests.integration.taas_original import trusting
from tests.integration.taas_ours import DATABASE, PORTS
from tests.integration.taas_wire import ADDRESS, REGISTRAR, SERVERS, Certificate
from tests.integration.websocktunnel_peers import PREFIX, SECRET_A, SECRET_B
from tests.rawpeer import until

FIVE = ("portal", "websocktunnel", "network-relay", "session-relay", "taas")
SHARED, ADMIN = (f"tcp:0:interface=127.0.0.1:backlog={size}" for size in (1021, 51))
APART = "tcp:0:interface=127.0.0.1:backlog=1024"
"""Listeners are told apart by their backlog."""

HTTP_S = 5.0
REST_S = 20.0


def own_sockets() -> int:
    """:returns: how many sockets this process holds open; what Twisted keeps for itself is none"""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    return count


class House:
    """The router, as the peers of each dialect see it.

    :param store: a database of taas with the usual records
    :param made: the certificate of taas' listener
    :ivar port: of the shared listener
    :ivar at_rest: how many sockets were open before
    """

    def __init__(self, folder: Path, store: Path, made: Certificate) -> None:
        self.folder = folder
        self.certificate = made
        self.at_rest = own_sockets()
        self.service: Any = None
        self.port = 0
        self._store = store
        self._services = Services()
        self._admin = ""

    async def start(self) -> None:
        """Start it, with secrets that the peers know."""
        folder = self.folder / f"router-{secrets.token_hex(4)}"
        folder.mkdir()
        shutil.copy(self._store, folder / DATABASE)
        for name, secret in {
            "portal.secret": portal_peers.SECRET,
            "a.secret": SECRET_A,
            "b.secret": SECRET_B,
            "credentials.json": credentials(),
            "session.secret": SESSION_SECRET,
            "registrar.crt": self.certificate.certificate,
            "registrar.key": self.certificate.key,
        }.items():
            write(folder / name, secret)
        values: dict[str, dict[str, object]] = {
            "router": {"listen": SHARED, "admin": ADMIN, "state-dir": folder, "drain-s": 0},
            "limits": {"failed-logins-per-min": 0},
            "dialect:portal": {"secret-file": "portal.secret"},
            "dialect:websocktunnel": {
                "secret-a-file": "a.secret",
                "secret-b-file": "b.secret",
                "url-prefix": PREFIX,
            },
            "dialect:network-relay": {"credentials-file": "credentials.json"},
            "dialect:session-relay": {"secret-file": "session.secret"},
            "dialect:taas": {
                "listen": APART,
                "advertise": ADDRESS,
                "ports": PORTS,
                "registrar": REGISTRAR,
                "servers": SERVERS,
                "database": DATABASE,
                "certificate": "registrar.crt",
                "key": "registrar.key",
            },
        }
        sections = [section(name, own) for name, own in values.items()]
        self.service = await self._services.start_router(folder, *sections)
        ports = {text: cast(IPv4Address, at).port for text, at in self.service.addresses}
        self.port = port = ports[SHARED]
        self._admin = f"http://127.0.0.1:{ports[ADMIN]}"
        self.portal = portal_peers.Router("ours", port, own_descriptors)
        self.wst = websocktunnel_peers.Router("ours", port)
        self.relay = network_relay_peers.Router("ours", port)
        self.session = session_relay_peers.Router(
            "ours",
            (port, "/access"),
            (port, "/ws"),
            f"http://127.0.0.1:{port}/access",
            f"ws://127.0.0.1:{port}/ws",
        )
        tls = trusting(self.certificate)
        self.taas = taas_peers.Router("ours", ports[APART], tls, own_descriptors)

    @property
    def url(self) -> str:
        """:returns: that of the shared listener"""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def admin(self) -> str:
        """:returns: the URL of the admin address"""
        return self._admin

    # -- what it says of itself ------------------------------------------------------------------

    async def fetch(self, path: str, value: object = None) -> str:
        """:param value: to post, as JSON. :returns: what the admin address answers"""
        body = None if value is None else json.dumps(value).encode()

        def ask() -> str:
            with urllib.request.urlopen(f"{self._admin}{path}", body, HTTP_S) as answer:
                return str(answer.read().decode())

        return await deferToThread(ask)

    async def status(self) -> dict[str, list[dict[str, Any]]]:
        """:returns: links, offers, circuits and topics"""
        told: dict[str, list[dict[str, Any]]] = json.loads(await self.fetch("/api/v1/status"))
        return told

    async def revoke(self, **which: str) -> None:
        """Revoke whoever that is, of whom there is a link."""
        assert json.loads(await self.fetch("/api/v1/revoke", which))["ended"] > 0

    async def stands(self, dialect: str, standing: bool = True) -> None:
        """Wait until a host of that dialect is registered, or none is."""
        offers = self.service.broker.offers

        def found() -> bool | None:
            return any(name.startswith(f"{dialect}:") for name in offers()) is standing or None

        await until(found, f"offers of {dialect}: {standing}", REST_S)

    async def has_circuits(self, dialect: str, having: bool = True) -> None:
        """Wait until there is a circuit of that dialect, or there is none."""
        broker = self.service.broker

        def found() -> bool | None:
            names = [circuit.name for circuit in broker.circuits]
            return any(name.startswith(f"{dialect}:") for name in names) is having or None

        await until(found, f"circuits of {dialect}: {having}", REST_S)

    async def cancel(self, booking: str) -> None:
        """Cancel a booking of session-relay."""
        own = {"booking_id": "", "topic": "", "prefix": "", "scopes": ["relay:admin"]}
        token = sign(claims(**own, aud=[self.session.audience]))
        await self.session.deny(booking, token)

    # -- its end -----------------------------------------------------------------------------------

    async def is_empty(self) -> None:
        """Wait until no link, offer, circuit or topic is left."""
        broker = self.service.broker
        kinds: dict[str, Callable[[], int]] = {
            "links": lambda: len(broker.sessions),
            "offers": lambda: len(broker.offers()),
            "circuits": lambda: len(broker.circuits),
            "topics": lambda: len(broker.topics),
            "calls": lambda: broker.pending_calls(),
            "bytes": lambda: self.service.around.ledger.total,
        }

        def left() -> dict[str, int]:
            return {what: found for what, count in kinds.items() if (found := count())}

        await until(lambda: None if left() else True, lambda: f"nothing left: {left()}", REST_S)

    def hang_up(self) -> None:
        """Reset the connections of all peers."""
        for router in (self.portal, self.wst, self.relay, self.session, self.taas):
            router.hang_up()

    async def stop(self) -> None:
        """End all connections to it, and stop it."""
        if self.service is not None:
            self.hang_up()
        await self._services.stop()
