"""A real redis-server on loopback, and one that is none."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

PROGRAM = "redis-server"
START_S = 20.0
OK = b"+OK\r\n"


def require_redis() -> str:
    """:returns: the program; skips the test where it is missing"""
    found = shutil.which(PROGRAM)
    if found is None:
        pytest.skip(f"did not run: {PROGRAM} is not installed")
    return found


class RedisServer:
    """A server whose data are in ``folder``; it starts, is killed, and starts again."""

    def __init__(self, folder: Path, password: str = "") -> None:
        self._program = require_redis()
        self._folder = folder
        self._password = password
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """:returns: of database 0, without the password"""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start, and wait until it answers; every write is on disk before its answer."""
        words = [self._program, "--bind", "127.0.0.1", "--port", str(self.port)]
        words += ["--dir", str(self._folder), "--appendonly", "yes", "--appendfsync", "always"]
        words += ["--requirepass", self._password] if self._password else []
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S
        while not self._answers():
            assert time.monotonic() < deadline, f"{PROGRAM} did not start"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a loss of power would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def say(self, *words: bytes) -> bytes:
        """Send one command from outside. :returns: the first part of the answer"""
        with socket.create_connection(("127.0.0.1", self.port), START_S) as connection:
            connection.settimeout(START_S)
            if self._password:
                connection.sendall(command(b"AUTH", self._password.encode()))
                assert connection.recv(1024) == OK
            connection.sendall(command(*words))
            return connection.recv(1 << 16)

    def _answers(self) -> bool:
        try:
            return self.say(b"PING") == b"+PONG\r\n"
        except OSError:
            return False


def command(*words: bytes) -> bytes:
    """:returns: a command as clients send it"""
    parts = [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(parts)
