"""A program whose standard input and output are the connection, as ssh's ProxyCommand has it."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence

PR_SET_PDEATHSIG = 1


class Pipes:
    """A running program between two pipes; it ends with this process.

    It has what loads use of a socket. What the program says on standard error goes where ours goes.

    :param environment: what it gets besides this process's own
    :raises OSError: when it cannot be started
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._timeout_ms: float | None = None
        self._program = subprocess.Popen(
            list(command),
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **environment},
            preexec_fn=_end_with_parent,
        )
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._in = self._program.stdin.fileno()
        self._out = self._program.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)

    def fileno(self) -> int:
        """:returns: the descriptor on which output comes"""
        return self._out

    def settimeout(self, timeout_s: float | None) -> None:
        """Let reads wait no longer. :param timeout_s: None: for ever"""
        self._timeout_ms = None if timeout_s is None else timeout_s * 1000

    def setblocking(self, flag: bool) -> None:
        """Let reads wait for ever, or not at all."""
        self.settimeout(None if flag else 0.0)

    def sendall(self, data: bytes) -> None:
        """Give it all as input. :raises OSError: when it has gone"""
        view = memoryview(data)
        while view:
            view = view[os.write(self._in, view) :]

    def recv(self, size: int) -> bytes:
        """:returns: what it has put out, at most ``size`` bytes; empty at the end
        :raises BlockingIOError: when nothing came in time
        """
        self._wait()
        return os.read(self._out, size)

    def recv_into(self, view: memoryview) -> int:
        """:returns: how many bytes of output are now in ``view``; 0 at the end
        :raises BlockingIOError: when nothing came in time
        """
        self._wait()
        return os.readv(self._out, [view])

    def close(self) -> None:
        """End the program."""
        self._program.kill()
        self._program.communicate()

    def _wait(self) -> None:
        if self._timeout_ms is not None and not self._poll.poll(self._timeout_ms):
            raise BlockingIOError


def _end_with_parent() -> None:
    """In the program to be: a load is ended by a signal that it cannot answer."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
