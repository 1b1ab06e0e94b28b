"""The measured programs, ours and the originals', as processes with a folder of their own."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.certificate import make_certificate
from bench.processes import PEERS_VARIABLE, peer
from relay.auth import mint
from relay.dialects.portal.tokens import portal_claims
from relay.measuring.processes import (
    LOOPBACK,
    START_S,
    Crew,
    Late,
    Program,
    free_ports,
    listens,
    wait,
)
from relay.vocabulary import Role

__all__ = ["LOOPBACK", "ROOT", "Late", "Program", "Workshop", "free_ports", "listens", "wait"]

ROOT = Path(__file__).resolve().parent.parent
TOKEN_LIFETIME_S = 7 * 86400


class Workshop(Crew):
    """A crew with a secret, which starts our daemons and the originals'.

    :ivar secret: signs the tokens of its routers
    """

    def __init__(self) -> None:
        super().__init__()
        path = (str(ROOT), os.environ.get("PYTHONPATH", ""))
        self.environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        self.secret = secrets.token_urlsafe(36)
        self.write("portal.secret", self.secret)

    @property
    def certificate(self) -> Path:
        """:returns: one for loopback, made when it is first wanted; its key is :attr:`key`"""
        path = self.folder / "bench.crt"
        if not path.exists():
            certificate, key = make_certificate(LOOPBACK)
            self.write(self.key.name, key)
            self.write(path.name, certificate)
        return path

    @property
    def key(self) -> Path:
        """:returns: the certificate's"""
        return self.folder / "bench.key"

    # -- ours ------------------------------------------------------------------------------------

    def router(
        self, port: int, limits: Mapping[str, object] | None = None, tls: bool = False
    ) -> Program:
        """Start our router; it may not listen yet.

        :param tls: whether the port is one for TLS, with :attr:`certificate`
        """
        lines = [
            "[router]",
            f"listen{'-tls' if tls else ''} = tcp:{port}:interface={LOOPBACK}:backlog=1024",
            "state-dir = state",
            *(("[tls]", f"certificate = {self.certificate}", f"key = {self.key}") if tls else ()),
            "[limits]",
            *(f"{key} = {value}" for key, value in (limits or {}).items()),
            "[dialect:portal]",
            "secret-file = portal.secret",
        ]
        self.write("relay.ini", "\n".join(lines))
        return self.twistd("relay-router", "--config", "relay.ini")

    def host(self, port: int, portal_id: int, target: int) -> Program:
        """Start our host with one tunnel to a local port."""
        section = self.tunnel("host", port, portal_id, f"forward = {endpoint(target)}")
        return self.tunnels("host", [section])

    def client(self, port: int, portal_id: int, door: int) -> Program:
        """Start our client with one door."""
        listen = f"listen = tcp:{door}:interface={LOOPBACK}"
        return self.tunnels("client", [self.tunnel("client", port, portal_id, listen)])

    def tunnel(self, role: str, port: int, portal_id: int, door: str) -> str:
        """:returns: an INI section for one tunnel."""
        token = self.token(Role(role), portal_id)
        self.write(f"{role}-{portal_id}.token", token)
        return "\n".join(
            (
                f"[{role}:t{portal_id}]",
                "dialect = portal",
                f"router = ws://{LOOPBACK}:{port}",
                f"token-file = {role}-{portal_id}.token",
                "service = echo",
                door,
            )
        )

    def tunnels(self, role: str, sections: Sequence[str], watched: Path | None = None) -> Program:
        """Start our host or client with these sections.

        :param watched: where to write the times of its connects
        """
        name = f"{role}-{secrets.token_hex(3)}.ini"
        self.write(name, "\n\n".join(sections))
        words = (f"relay-{role}", "--config", name)
        if watched is None:
            return self.twistd(*words)
        return self.module("watched", str(watched), "--nodaemon", "--pidfile=", *words)

    # -- the originals -----------------------------------------------------------------------------

    def original(
        self, name: str, *arguments: str, dialect: str = "portal", **environment: str
    ) -> Program:
        """Start a program of a dialect's original."""
        path = peer(name, dialect)
        assert path is not None, f"{PEERS_VARIABLE} names no folder with {dialect}/{name}"
        return self.start(
            name, [str(path), *arguments], NO_COLOR="1", RUST_LOG="info", **environment
        )

    def demo(self) -> tuple[Program, int]:
        """Start the original's router. :returns: it and its port."""
        program = self.original("demo-router", AUTH_SECRET=self.secret)
        wait(program.listening_port, "the demo router listening", START_S)
        port = program.listening_port()
        assert port is not None
        return program, port

    def original_host(self, port: int, portal_id: int, target: int) -> Program:
        """Start the original's host."""
        return self.original(
            "tcp-forward",
            *self._common(port, Role.HOST, portal_id),
            "host",
            *("--target-host", LOOPBACK, "--target-port", str(target)),
        )

    def original_client(self, port: int, portal_id: int, door: int) -> Program:
        """Start the original's client, which serves one connection after the other."""
        return self.original(
            "tcp-forward",
            *self._common(port, Role.CLIENT, portal_id),
            "client",
            *("--interface", LOOPBACK, "--port", str(door)),
        )

    def _common(self, port: int, role: Role, portal_id: int) -> tuple[str, ...]:
        server = ("--server", f"ws://{LOOPBACK}:{port}", "--service", "echo", "--reconnect")
        return (*server, "--auth-token", self.token(role, portal_id))

    # -- both --------------------------------------------------------------------------------------

    def module(self, name: str, *arguments: str) -> Program:
        """Start a module of this package."""
        command = [sys.executable, "-m", f"bench.{name}", *arguments]
        return self.start(name, command)

    def token(self, role: Role, portal_id: int) -> str:
        """:returns: a token that this workshop's routers take."""
        expires = int(time.time()) + TOKEN_LIFETIME_S
        claims = portal_claims(role, portal_id, f"bench-{role.value}", expires)
        return mint(claims, self.secret.encode())


def endpoint(port: int) -> str:
    """:returns: a Twisted client endpoint string for a local port."""
    return f"tcp:{LOOPBACK}:{port}"
