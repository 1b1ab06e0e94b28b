"""The original's taas server, as a process of its own."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate as Root
from twisted.internet.ssl import optionsForClientTLS, trustRootFromCertificates

from relay.measuring.processes import free_ports
from tests.integration.ini_services import write
from tests.integration.portal_programs import Program
from tests.integration.taas_peers import Router
from tests.integration.taas_wire import ADDRESS, REGISTRAR, SERVERS, Certificate, records

FAMILY = "taas"
START_S = 20.0
STORE, CERTIFICATE, KEY = "records.json", "registrar.crt", "registrar.key"


def trusting(made: Certificate) -> IOpenSSLClientConnectionCreator:
    """:returns: how peers verify a front door with that certificate"""
    root = Root.loadPEM(made.certificate.encode())
    return optionsForClientTLS(REGISTRAR, trustRootFromCertificates([root]))


class Server:
    """The original's server, which a test may have ended; then it is started again.

    :param made: of its front door; None: plain HTTP
    :param options: of the program, beside the usual ones
    """

    def __init__(self, folder: Path, made: Certificate | None, *options: str) -> None:
        self._folder = folder
        self._made = made
        self._options = options
        self._tls = trusting(made) if made else None
        self.program: Program | None = None
        self.port = 0

    async def router(self) -> Router:
        """:returns: the router to test, which listens"""
        if self.program is None or self.program.process.poll() is not None:
            await self.start()
        assert self.program is not None
        return Router("original", self.port, self._tls, self.program.descriptors)

    async def start(self) -> None:
        """Start it, on a port of its own."""
        self.stop()
        (self.port,) = free_ports(1)
        folder = self._folder / f"original-{secrets.token_hex(4)}"
        folder.mkdir()
        words = ["--host", ADDRESS, "--port", str(self.port), "--dir", str(folder)]
        words += ["--registrar", REGISTRAR, "--servers", SERVERS]
        words += ["--store", str(write(folder / STORE, json.dumps(records())))]
        if self._made:
            words += ["--cert", str(write(folder / CERTIFICATE, self._made.certificate))]
            words += ["--key", str(write(folder / KEY, self._made.key))]
        self.program = Program("server", [*words, *self._options], folder, {}, FAMILY)
        await self.program.has_printed(f"ready {self.port}", START_S)

    def lives(self) -> bool:
        """:returns: whether it has not ended since it was started"""
        return self.program is not None and self.program.process.poll() is None

    def stop(self) -> None:
        """End it."""
        if self.program is not None:
            self.program.stop()
            self.program = None
