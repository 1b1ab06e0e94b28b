"""The daemons as processes of their own, as twistd starts them."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.relay_command import PROCESS_S, ROOT, environment

SCRIPT = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]


class Daemon:
    """One daemon; what it says is read line by line, and a deadline ends it.

    :ivar lines: what it has said so far
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._late = threading.Timer(PROCESS_S, process.kill)
        self._late.start()

    def says(self, text: str) -> str:
        """Read on until a line holds ``text``; :returns: that line"""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if text in line:
                return self.lines[-1]
        raise AssertionError(f"{text!r} was not said, but {self.lines}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def ends(self) -> int:
        """Read on to its end. :returns: its exit status"""
        assert self.process.stdout is not None
        self.lines += self.process.stdout.read().splitlines()
        return self.process.wait()

    def stop(self) -> None:
        """End it, whatever it does."""
        self._late.cancel()
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def daemon(
    *words: str | Path,
    folder: Path = ROOT,
    env: Mapping[str, str] | None = None,
    launcher: list[str] | None = None,
    pass_fds: tuple[int, ...] = (),
) -> Iterator[Daemon]:
    """Start ``twistd -n --pidfile= WORDS``, killed at the end if it still runs.

    :param launcher: the words in front of all, for what has to be done first
    """
    command = [*(launcher or []), *SCRIPT, "-n", "--pidfile=", *map(str, words)]
    started = Daemon(
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment(**(env or {})),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=pass_fds,
        )
    )
    try:
        yield started
    finally:
        started.stop()


def run(*words: str | Path, folder: Path = ROOT) -> tuple[int, list[str]]:
    """Run a daemon that ends by itself. :returns: exit status, and what it said"""
    with daemon(*words, folder=folder) as started:
        return started.ends(), started.lines
