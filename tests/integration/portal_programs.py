"""The original's programs, as processes of their own.

They run only when ``RELAY_PEERS`` names a folder that holds them as ``portal/NAME``.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.rawpeer import DEADLINE_S, until

PEERS_VARIABLE = "RELAY_PEERS"
LISTENING = "0A"


class Program:
    """A program of the original, running; what it prints goes to a file."""

    def __init__(
        self, name: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.log = folder / f"{name}-{secrets.token_hex(4)}.log"
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                [str(program_path(name)), *arguments],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "RUST_LOG": "info", "NO_COLOR": "1", **environment},
            )

    def printed(self) -> str:
        """:returns: what it has printed so far"""
        return self.log.read_text(errors="replace")

    def type(self, line: str) -> None:
        """Give it one line of input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    async def has_printed(self, text: str, deadline_s: float = DEADLINE_S) -> None:
        """Wait for ``text`` in what it prints. :raises Late:"""
        await until(
            lambda: True if text in self.printed() else None,
            lambda: f"{text!r} from {self.log.stem}, which printed {self.printed()!r}",
            deadline_s,
        )

    async def exited(self, deadline_s: float = DEADLINE_S) -> int:
        """:returns: its exit status. :raises Late:"""
        return await until(self.process.poll, f"exit of {self.log.stem}", deadline_s)

    async def listens(self, deadline_s: float = DEADLINE_S) -> int:
        """:returns: the port it listens on. :raises Late:"""
        return await until(self.port, f"listening {self.log.stem}", deadline_s)

    def port(self) -> int | None:
        """:returns: the TCP port it listens on, None while there is none"""
        for port, state, inode in tcp_sockets(self.process.pid):
            if state == LISTENING and inode in socket_inodes(self.process.pid):
                return port
        return None

    def descriptors(self) -> int:
        """:returns: how many files and sockets it holds open"""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()


def tcp_sockets(pid: int) -> Iterator[tuple[int, str, str]]:
    """:returns: local port, state and inode of each IPv4 socket that the process can see"""
    lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    for fields in (line.split() for line in lines):
        yield int(fields[1].rpartition(":")[2], 16), fields[3], fields[9]


def socket_inodes(pid: int) -> set[str]:
    """:returns: the inodes of the sockets that the process holds"""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
        if match := re.fullmatch(r"socket:\[(\d+)\]", target):
            inodes.add(match[1])
    return inodes


def at_hand(name: str) -> bool:
    """:returns: whether the original's program can be started"""
    folder = os.environ.get(PEERS_VARIABLE)
    return folder is not None and (Path(folder) / "portal" / name).exists()


def program_path(name: str) -> Path:
    """:returns: where the original's program is; skips the test when it is not there"""
    folder = os.environ.get(PEERS_VARIABLE)
    if not folder:
        pytest.skip(f"did not run: {PEERS_VARIABLE} names no folder with portal/{name}")
    path = Path(folder) / "portal" / name
    if not path.exists():
        pytest.skip(f"did not run: {PEERS_VARIABLE}={folder} holds no portal/{name}")
    return path


class Programs:
    """Starts the original's programs for one test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.running: list[Program] = []

    def start(self, name: str, *arguments: str, **environment: str) -> Program:
        """Start ``name``; it is ended with the test."""
        program = Program(name, arguments, self._folder, environment)
        self.running.append(program)
        return program
