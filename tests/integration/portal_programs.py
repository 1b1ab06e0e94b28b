"""The original's programs, as processes of their own.

They run only when ``RELAY_PEERS`` names a folder that holds them as ``FAMILY/NAME``.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from bench.processes import PEERS_VARIABLE, descriptors, listening_port, peer
from tests.rawpeer import DEADLINE_S, until


class Program:
    """A program of the original, running; what it prints goes to a file."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        family: str = "portal",
    ) -> None:
        self.log = folder / f"{name}-{secrets.token_hex(4)}.log"
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                [str(program_path(name, family)), *arguments],
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
        return listening_port(self.process.pid)

    def descriptors(self) -> int:
        """:returns: how many files and sockets it holds open"""
        return descriptors(self.process.pid)

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()


def at_hand(name: str) -> bool:
    """:returns: whether the original's program can be started"""
    return peer(name) is not None


def program_path(name: str, family: str = "portal") -> Path:
    """:returns: where the original's program is; skips the test when it is not there"""
    path = peer(name, family)
    if path is None:
        pytest.skip(f"did not run: {PEERS_VARIABLE} names no folder with {family}/{name}")
    return path


class Programs:
    """Starts the original's programs for one test.

    :param family: the dialect that they speak
    """

    def __init__(self, folder: Path, family: str = "portal") -> None:
        self._folder = folder
        self._family = family
        self._running: list[Program] = []

    def start(self, name: str, *arguments: str, **environment: str) -> Program:
        """Start ``name``; it is ended with the test."""
        program = Program(name, arguments, self._folder, environment, self._family)
        self._running.append(program)
        return program

    def stop(self) -> None:
        """End them all, the last one first."""
        for program in reversed(self._running):
            program.stop()
