"""Bytes from one socket to another that never come to us (splice(2) of Linux).

A pipe lies between the two, and what is in it when the reader takes no more is the tail. It costs
two descriptors, so only flows that would keep a large buffer filled have one, and only as long.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket

PIPE_BYTES = 1024 * 1024

_FLAGS = getattr(os, "SPLICE_F_MOVE", 0) | getattr(os, "SPLICE_F_NONBLOCK", 0)


class Pipe:
    """A pipe between two sockets.

    :ivar waiting_bytes: what is in it
    """

    __slots__ = ("_read_fd", "_write_fd", "waiting_bytes")

    def __init__(self) -> None:
        self._read_fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.waiting_bytes = 0
        # one user may have 64 MiB of them; a smaller one does as well, if slower
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._write_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def fill(self, source: socket.socket, size: int) -> int:
        """:returns: how many bytes came out of ``source``; 0: no more will

        :raises BlockingIOError: when there are none now
        :raises OSError: when ``source`` is lost
        """
        count = os.splice(source.fileno(), self._write_fd, size, flags=_FLAGS)
        self.waiting_bytes += count
        return count

    def drain(self, target: socket.socket) -> None:
        """Move on what is in it until ``target`` takes no more. :raises OSError:"""
        try:
            while self.waiting_bytes:
                self.waiting_bytes -= os.splice(
                    self._read_fd, target.fileno(), self.waiting_bytes, flags=_FLAGS
                )
        except BlockingIOError:
            return

    def close(self) -> None:
        """Give it back to the system, with what is in it."""
        os.close(self._read_fd)
        os.close(self._write_fd)


def make_pipe() -> Pipe | None:
    """:returns: an empty pipe; None: there are none here, or no descriptors"""
    try:
        return Pipe() if hasattr(os, "splice") else None
    except OSError:
        return None
