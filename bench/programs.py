"""The measured programs, ours and the originals', as processes with a folder of their own."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from bench.processes import PEERS_VARIABLE, descriptors, listening_port, peer
from relay.auth import mint
from relay.dialects.portal.tokens import portal_claims
from relay.vocabulary import Role

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
POLL_S = 0.005
START_S = 20.0
STOP_S = 5.0
TERMINATED = 128 + signal.SIGTERM
TOKEN_LIFETIME_S = 7 * 86400
RESERVED_PORTS = range(20000, 32000)
"""Below the range that kernels take a caller's own port from: a daemon that knocks at a dead port
of that range would some time be given the same port for its own end, and be connected to itself."""


class Late(Exception):
    """Something did not happen in time."""


def wait(
    condition: Callable[[], object], what: str, deadline_s: float, poll_s: float = POLL_S
) -> float:
    """Wait until ``condition()`` is true.

    :returns: the monotonic time at which it was
    :raises Late:
    """
    end = time.monotonic() + deadline_s
    while True:
        done = condition()
        now = time.monotonic()
        if done:
            return now
        if now > end:
            raise Late(f"{what}: not within {deadline_s:g} s")
        time.sleep(poll_s)


class Program:
    """A running program; what it prints goes to a file.

    :param name: for messages and for the file
    """

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = folder / f"{name}-{secrets.token_hex(3)}.log"
        self.started = time.monotonic()
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **environment},
            )

    @property
    def pid(self) -> int:
        """:returns: the process id."""
        return self.process.pid

    def printed(self) -> str:
        """:returns: what it has printed so far."""
        return self.log.read_text(errors="replace")

    def says(self, text: str, deadline_s: float = START_S) -> float:
        """:returns: when ``text`` was seen in what it prints. :raises Late:"""

        def said() -> bool:
            if self.process.poll() is not None:
                raise Late(f"{self.name} has ended; it printed: {self.printed()[-2000:]}")
            return text in self.printed()

        return wait(said, f"{text!r} from {self.name}", deadline_s)

    def is_running(self) -> bool:
        """:returns: whether it has not ended."""
        return self.process.poll() is None

    def rss_kib(self) -> float:
        """:returns: resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return float(found[1]) if found else 0.0

    def cpu_s(self) -> float:
        """:returns: processor time, own and the system's for it."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> int:
        """:returns: open files and sockets."""
        return descriptors(self.pid)

    def listening_port(self) -> int | None:
        """:returns: a TCP port that it listens on."""
        return listening_port(self.pid)

    def kill(self) -> None:
        """End it with the signal that nobody can answer."""
        if self.is_running():
            self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it in order, or else hard."""
        if self.is_running():
            self.process.terminate()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


class Workshop:
    """A folder with secrets and settings, and the programs that were started in it.

    Leaving it ends them all and removes the folder; after a failure the folder stays and is named.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="relay-bench-"))
        self.secret = secrets.token_urlsafe(36)
        self._write("portal.secret", self.secret)
        self._programs: list[Program] = []

    def __enter__(self) -> Workshop:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for program in reversed(self._programs):
            program.kill()
        if error is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(f"what the programs said is in {self.folder}", file=sys.stderr)

    # -- ours ------------------------------------------------------------------------------------

    def router(self, port: int, limits: Mapping[str, object] | None = None) -> Program:
        """Start our router; it may not listen yet."""
        lines = [
            "[router]",
            f"listen = tcp:{port}:interface={LOOPBACK}:backlog=1024",
            "state-dir = state",
            "[limits]",
            *(f"{key} = {value}" for key, value in (limits or {}).items()),
            "[dialect:portal]",
            "secret-file = portal.secret",
        ]
        self._write("relay.ini", "\n".join(lines))
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
        self._write(f"{role}-{portal_id}.token", token)
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
        self._write(name, "\n\n".join(sections))
        return self.twistd(f"relay-{role}", "--config", name, watched=watched)

    def twistd(self, plugin: str, *arguments: str, watched: Path | None = None) -> Program:
        """Start one of our daemons."""
        if watched is None:
            program = [str(Path(sys.executable).with_name("twistd"))]
        else:
            program = ["-m", "bench.watched", str(watched)]
        command = [sys.executable, *program, "--nodaemon", "--pidfile=", plugin, *arguments]
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
        return self.start(plugin, command, PYTHONPATH=path)

    # -- the originals -----------------------------------------------------------------------------

    def original(self, name: str, *arguments: str, **environment: str) -> Program:
        """Start a program of the original."""
        path = peer(name)
        assert path is not None, f"{PEERS_VARIABLE} names no folder with portal/{name}"
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

    def start(self, name: str, command: Sequence[str], **environment: str) -> Program:
        """Start anything; it ends with the workshop."""
        program = Program(name, command, self.folder, environment)
        self._programs.append(program)
        return program

    def module(self, name: str, *arguments: str) -> Program:
        """Start a module of this package."""
        command = [sys.executable, "-m", f"bench.{name}", *arguments]
        return self.start(name, command, PYTHONPATH=str(ROOT))

    def token(self, role: Role, portal_id: int) -> str:
        """:returns: a token that this workshop's routers take."""
        expires = int(time.time()) + TOKEN_LIFETIME_S
        claims = portal_claims(role, portal_id, f"bench-{role.value}", expires)
        return mint(claims, self.secret.encode())

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text + "\n")
        path.chmod(0o600)


def endpoint(port: int) -> str:
    """:returns: a Twisted client endpoint string for a local port."""
    return f"tcp:{LOOPBACK}:{port}"


def free_ports(count: int) -> list[int]:
    """:returns: ports of loopback on which nothing listens now."""
    found: list[int] = []
    candidates = iter(secrets.SystemRandom().sample(RESERVED_PORTS, len(RESERVED_PORTS)))
    while len(found) < count:
        port = next(candidates)
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        found.append(port)
    return found


def listens(port: int) -> bool:
    """:returns: whether something accepts connections there; cheaper than asking the kernel."""
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
