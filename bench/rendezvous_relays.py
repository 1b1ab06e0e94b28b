"""Servers of taas, ours and the original's, and the ways through them."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

from bench.originals import OURS, THEIRS, left_out
from bench.processes import peer
from bench.programs import LOOPBACK, Program, Workshop, free_ports
from relay.measuring.places import Place
from relay.measuring.processes import START_S
from relay.measuring.runs import Way

DIALECT = "taas"
ORIGINAL = "server"
NO_ORIGINAL = left_out(DIALECT)
REGISTRAR, SERVERS = "taas-registrar.example.com", "taas.example.com"
IDS = 200
STEP_S = 30
BACKLOG = 1024
PORTS = "10000-13999"
RECORDS = "taas.json"


def secret(number: int) -> str:
    """:returns: the key of an ID, base32"""
    return base64.b32encode(hashlib.sha256(b"bench %d" % number).digest()[:20]).decode()


class Server(NamedTuple):
    """A server that listens, plain HTTP.

    :ivar port: its front door's
    """

    name: str
    port: int
    program: Program

    def hidden(self, number: int) -> Place:
        """:returns: where a connection waits, registered by that ID"""
        base = {"kind": "hidden", "port": self.port, "registrar": REGISTRAR}
        own = {"label": label(number), "username": identity(number), "secret": secret(number)}
        return {**base, **own}

    def mobile(self, number: int) -> Place:
        """:returns: where somebody calls for the label of that ID"""
        return {"kind": "mobile", "port": self.port, "host": f"{label(number)}.{SERVERS}"}

    def way(self, number: int) -> Way:
        """:returns: from a caller to the connection that waits"""
        return Way(self.mobile(number), self.hidden(number), False, (self.program,))


Maker = Callable[[Workshop], Server]


def identity(number: int) -> str:
    """:returns: the ID of that number"""
    return f"bench-{number:04}"


def label(number: int) -> str:
    """:returns: the label of that number"""
    return f"cam-{number:04}"


def makers() -> dict[str, Maker]:
    """:returns: how to start the servers that are at hand, by name"""
    made: dict[str, Maker] = {OURS: our_server}
    if peer(ORIGINAL, DIALECT):
        made[THEIRS] = original_server
    return made


def our_server(shop: Workshop) -> Server:
    """:returns: ours, listening"""
    (port,) = free_ports(1)
    lines = (
        "[router]",
        "state-dir = taas-state",
        "[limits]",
        "failed-logins-per-min = 0",
        f"[dialect:{DIALECT}]",
        f"listen = tcp:{port}:interface={LOOPBACK}:backlog={BACKLOG}",
        f"advertise = {LOOPBACK}",
        f"ports = {PORTS}",
        f"registrar = {REGISTRAR}",
        f"servers = {SERVERS}",
    )
    config = shop.write("taas.ini", "\n".join(lines))
    words = ("token", DIALECT, "import", _records(shop), "--config", str(config))
    command = [sys.executable, "-m", "relay.commands.main", *words]
    subprocess.run(command, check=True, capture_output=True, timeout=START_S, cwd=shop.folder)
    router = shop.twistd("relay-router", "--config", str(config))
    router.says("ready")
    return Server(OURS, port, router)


def original_server(shop: Workshop) -> Server:
    """:returns: the original's, listening"""
    (port,) = free_ports(1)
    words = ("--host", LOOPBACK, "--port", str(port), "--registrar", REGISTRAR)
    folder = shop.folder / "taas-original"
    folder.mkdir(exist_ok=True)
    own = ("--servers", SERVERS, "--store", _records(shop), "--dir", str(folder))
    program = shop.original(ORIGINAL, *words, *own, dialect=DIALECT)
    program.says(f"ready {port}")
    return Server(THEIRS, port, program)


def _records(shop: Workshop) -> str:
    """Write down all IDs, each with one label. :returns: the file's path"""
    records = {
        identity(number): {
            "authParams": {"base32": secret(number), "step": STEP_S},
            "labels": [label(number)],
        }
        for number in range(IDS)
    }
    return str(shop.write(RECORDS, json.dumps(records)))
