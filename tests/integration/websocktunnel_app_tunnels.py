"""Tunnels of dialect websocktunnel to the real application, all of it as processes.

A tunnel is named ROUTER-HOST; ``go`` is the original's ``websocktunnel`` or ``wst-client``.
``direct`` is the application with nothing before it: what fails there is no tunnel's fault.
"""

from __future__ import annotations

import http.client
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.processes import PEERS_VARIABLE, peer
from relay.auth import mint
from relay.measuring.processes import LOOPBACK, Program, free_ports, wait
from tests import gears
from tests.relay_command import ROOT

SECRETS = ("alpha-secret-alpha-secret-alpha-32", "bravo-secret-bravo-secret-bravo-32")
TUNNEL_ID = "demo~1.8080"
DIALECT = "websocktunnel"
TIMEOUT_S = 60.0
"""Of a viewer; nothing here takes more than a fraction of it."""

GATEWAY_TIMEOUT = 504
TUNNELS = ("direct", "ours-ours", "ours-go", "go-ours")


class Answer(NamedTuple):
    """What a viewer got."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Tunnel(NamedTuple):
    """A way to the application.

    :ivar port: where viewers knock, on loopback
    :ivar prefix: of every path, without a slash behind it
    """

    name: str
    port: int
    prefix: str

    @property
    def has_our_router(self) -> bool:
        """:returns: whether viewers meet a router of ours, or nothing at all, before the app."""
        return not self.name.startswith("go-")

    def connect(self) -> http.client.HTTPConnection:
        """:returns: a viewer's connection, for one request after the other"""
        return http.client.HTTPConnection(LOOPBACK, self.port, timeout=TIMEOUT_S)

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> Answer:
        """Ask on a connection of its own. :param headers: with ``_`` for ``-``"""
        connection = self.connect()
        try:
            return self.ask_on(connection, path, method, body, **headers)
        finally:
            connection.close()

    def ask_on(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        **headers: str,
    ) -> Answer:
        """Ask on this connection, which stays open."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, f"{self.prefix}/{path}", body, fields)
        answer = connection.getresponse()
        return Answer(answer.status, answer.msg, answer.read())


# -- the programs --------------------------------------------------------------------------------


class Crew:
    """Processes in a folder, ended one by one in the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[Program] = []
        self._environment = {"PYTHONPATH": str(ROOT), **gears.variables()}

    def start(self, name: str, *command: str, **environment: str) -> Program:
        """:returns: a program of that name, running"""
        everything = {**self._environment, **environment}
        program = Program(name, command, self.folder, everything)
        self._running.append(program)
        return program

    def python(self, name: str, *words: str) -> Program:
        """:returns: a Python program of ours, running"""
        return self.start(name, sys.executable, *words)

    def twistd(self, plugin: str, config: str) -> Program:
        """:returns: one of our daemons, running"""
        run = "from twisted.scripts.twistd import run; run()"
        words = ("-c", run, "-n", "--pidfile=", plugin, "--config", config)
        return self.python(plugin, *words)

    def write(self, name: str, *lines: str) -> str:
        """:returns: the name of a file with these lines, which nobody else may read"""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text("\n".join(lines) + "\n")
        return name

    def stop(self) -> None:
        """End all, the last one first. :raises AssertionError: when one of ours left a traceback"""
        for program in reversed(self._running):
            program.kill()
        torn = [program.printed() for program in self._running if "Traceback" in program.printed()]
        assert not torn, "\n".join(torn)


@contextmanager
def crew_in(folder: Path) -> Iterator[Crew]:
    """Give a crew, and end it."""
    crew = Crew(folder)
    try:
        yield crew
    finally:
        crew.stop()


def start_app(crew: Crew) -> int:
    """:returns: the port of the application, which serves"""
    program = crew.python("webapp", "-m", "tests.webapp")
    program.says("port ")
    found = re.search(r"^port (\d+)$", program.printed(), re.MULTILINE)
    assert found is not None, program.printed()
    return int(found[1])


def start_tunnel(crew: Crew, name: str, app: int) -> Tunnel:
    """:returns: the tunnel of that name, through which the application answers"""
    if name == "direct":
        return Tunnel(name, app, "")
    router, host = name.split("-")
    (port,) = free_ports(1)
    tunnel = Tunnel(name, port, f"/{TUNNEL_ID}")
    programs = (
        our_router(crew, port) if router == "ours" else go_router(crew, port),
        our_host(crew, port, app) if host == "ours" else go_host(crew, port, app),
    )

    def answers() -> bool:
        assert all(one.is_running() for one in programs), [one.printed() for one in programs]
        try:
            return tunnel.ask("static/note.txt").status < GATEWAY_TIMEOUT
        except (OSError, http.client.HTTPException):
            return False

    wait(answers, f"the application answering through {name}", TIMEOUT_S)
    return tunnel


def our_router(crew: Crew, port: int) -> Program:
    """Start our router on that port; it may not listen yet."""
    letters = ("a", "b")
    for letter, secret in zip(letters, SECRETS, strict=True):
        crew.write(f"{letter}.secret", secret)
    config = crew.write(
        "relay.ini",
        "[router]",
        f"listen = tcp:{port}:interface={LOOPBACK}:backlog=1024",
        "state-dir = state",
        f"[dialect:{DIALECT}]",
        *(f"secret-{letter}-file = {letter}.secret" for letter in letters),
        f"url-prefix = http://{LOOPBACK}:{port}",
    )
    return crew.twistd("relay-router", config)


def our_host(crew: Crew, port: int, app: int) -> Program:
    """Start our host before the application; it may not stand for it yet."""
    crew.write("host.token", token())
    config = crew.write(
        "host.ini",
        "[host:app]",
        f"dialect = {DIALECT}",
        f"router = http://{LOOPBACK}:{port}",
        "token-file = host.token",
        f"id = {TUNNEL_ID}",
        f"forward = tcp:{LOOPBACK}:{app}",
    )
    return crew.twistd("relay-host", config)


def go_router(crew: Crew, port: int) -> Program:
    """Start the original's server on that port, and wait until it listens."""
    program = crew.start(
        "go-server",
        original("websocktunnel"),
        URL_PREFIX=f"http://{LOOPBACK}:{port}",
        PORT=str(port),
        TASKCLUSTER_PROXY_SECRET_A=SECRETS[0],
        TASKCLUSTER_PROXY_SECRET_B=SECRETS[1],
    )
    wait(lambda: has_port_open(port), "the original's server listening", TIMEOUT_S)
    return program


def go_host(crew: Crew, port: int, app: int) -> Program:
    """Start the original's client, once there is a router for it."""
    wait(lambda: has_port_open(port), "the router listening", TIMEOUT_S)
    server = f"http://{LOOPBACK}:{port}"
    return crew.start("go-client", original("wst-client"), server, TUNNEL_ID, str(app), token())


def has_port_open(port: int) -> bool:
    """:returns: whether somebody takes connections there"""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=TIMEOUT_S)
    try:
        connection.connect()
    except OSError:
        return False
    connection.close()
    return True


def token() -> str:
    """:returns: one for :data:`TUNNEL_ID`, by the second secret"""
    now = int(time.time())
    return mint({"tid": TUNNEL_ID, "nbf": now - 60, "exp": now + 3600}, SECRETS[1].encode())


def original(name: str) -> str:
    """:returns: where a program of the original is; skips the test when it is not there"""
    path = peer(name, DIALECT)
    if path is None:
        pytest.skip(f"did not run: {PEERS_VARIABLE} names no folder with {DIALECT}/{name}")
    return str(path)


def prefixed(tunnel: Tunnel, path: str) -> Mapping[str, str]:
    """:returns: what the application must be told of a path it was asked for"""
    return {"x-websocktunnel-original-path": f"{tunnel.prefix}/{path}"} if tunnel.prefix else {}
