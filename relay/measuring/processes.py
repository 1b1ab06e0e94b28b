"""Programs under measurement as processes, and what the system knows of them.

All addresses are on loopback. What was started here is ended here, each by its own id.
"""

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TypeVar

LOOPBACK = "127.0.0.1"
LISTENING = "0A"
POLL_S = 0.005
START_S = 20.0
STOP_S = 5.0
TERMINATED = 128 + signal.SIGTERM
RESERVED_PORTS = range(20000, 32000)
"""Below the range that kernels take a caller's own port from: a daemon that knocks at a dead port
of that range would some time be given the same port for its own end, and be connected to itself."""

KEPT_VARIABLES = (
    "HOME",
    "LANG",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONHOME",
    "PYTHONPATH",
    "RELAY_WITHOUT_NVX",
    "TMPDIR",
    "VIRTUAL_ENV",
)

C = TypeVar("C", bound="Crew")


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
                env={**_kept_environment(), **environment},
            )

    @property
    def pid(self) -> int:
        """:returns: the process id."""
        return self.process.pid

    def printed(self) -> str:
        """:returns: what it has printed so far."""
        return self.log.read_text(errors="replace")

    def says(self, text: str, deadline_s: float = START_S, poll_s: float = POLL_S) -> float:
        """:returns: when ``text`` was seen in what it prints. :raises Late:"""

        def said() -> bool:
            if text in self.printed():
                return True
            if self.process.poll() is not None and text not in self.printed():
                raise Late(f"{self.name} has ended; it printed: {self.printed()[-2000:]}")
            return False

        return wait(said, f"{text!r} from {self.name}", deadline_s, poll_s)

    def is_running(self) -> bool:
        """:returns: whether it has not ended."""
        return self.process.poll() is None

    def rss_kib(self) -> float:
        """:returns: resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return float(found[1]) if found else 0.0

    def cpu_s(self) -> float:
        """:returns: processor time, own and the system's for it, in steps of 10 ms."""
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


class Crew:
    """A folder, and the programs that were started in it.

    Leaving it ends them all and removes the folder; after a failure the folder stays and is named,
    unless ``keeps`` is false.

    :ivar environment: what every program gets besides this process's own
    """

    keeps = True

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="relay-bench-"))
        self.environment: dict[str, str] = {}
        self._programs: list[Program] = []

    def __enter__(self: C) -> C:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        impatience = signal.signal(signal.SIGINT, signal.SIG_IGN)  # nobody is left behind
        for program in reversed(self._programs):
            program.kill()
        signal.signal(signal.SIGINT, impatience)
        if self.keeps and isinstance(error, Exception):
            print(f"what the programs said is in {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name: str, command: Sequence[str], **environment: str) -> Program:
        """Start anything; it ends with the crew."""
        with _undisturbed():
            program = Program(name, command, self.folder, {**self.environment, **environment})
            self._programs.append(program)
        return program

    def end(self, *programs: Program) -> None:
        """End some of them now."""
        for program in programs:
            program.kill()
            self._programs.remove(program)

    def twistd(self, plugin: str, *arguments: str) -> Program:
        """Start one of our daemons, of the installation that runs this."""
        program = "from twisted.scripts.twistd import run; run()"
        flags = ("--nodaemon", "--pidfile=")
        return self.start(plugin, [sys.executable, "-c", program, *flags, plugin, *arguments])

    def forward(self, *ports: int) -> Program:
        """Start Twisted's own TCP relay, a stand-in for any plain one.

        :param ports: where it listens and where it connects, in turn
        :returns: it, once it listens
        """
        words = ["-m", "relay.measuring.forward", *(str(port) for port in ports)]
        program = self.start("forward", [sys.executable, *words])
        program.says("listening")
        return program

    def write(self, name: str, text: str) -> Path:
        """:returns: a file in the folder that nobody else may read."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text + "\n")
        return path


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A signal to end takes effect behind the block: a program that is just being started would
    be known to nobody, and stay.
    """
    came: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for seen in came:
            signal.raise_signal(seen)


def _kept_environment() -> dict[str, str]:
    """:returns: what a program needs of ours; nothing that configures relay or its originals."""
    return {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}


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


def listening_port(pid: int) -> int | None:
    """:returns: a TCP port that the process listens on, None while there is none."""
    own = _socket_inodes(pid)
    for port, state, inode in _tcp_sockets(pid):
        if state == LISTENING and inode in own:
            return port
    return None


def descriptors(pid: int) -> int:
    """:returns: how many files and sockets the process holds open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def _tcp_sockets(pid: int) -> Iterator[tuple[int, str, str]]:
    """:returns: local port, state and inode of each TCP socket that the process can see."""
    for table in ("tcp", "tcp6"):
        path = Path(f"/proc/{pid}/net/{table}")
        # a kernel without IPv6 has one table only
        lines = path.read_text().splitlines()[1:] if path.exists() else []
        for fields in (line.split() for line in lines):
            yield int(fields[1].rpartition(":")[2], 16), fields[3], fields[9]


def _socket_inodes(pid: int) -> set[str]:
    """:returns: the inodes of the sockets that the process holds."""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
        if match := re.fullmatch(r"socket:\[(\d+)\]", target):
            inodes.add(match[1])
    return inodes
