"""Inherited descriptors, read and written without waiting.

Others hold them too: the shell, or ssh. So their blocking mode is left alone: pipes and terminals
are opened once more, sockets are told with each call. Where neither is allowed it is changed and,
at the end, put back.
"""

from __future__ import annotations

import os
import socket
import stat
from typing import Protocol

PIPE_BYTES = 1024 * 1024
"""What a pipe is asked to hold, where the system allows; 64 KiB is usual."""


class IChannel(Protocol):
    """One direction of one descriptor, never waiting.

    :ivar pollable: whether the kernel can tell that there is something to do; of files it cannot
    """

    fd: int
    pollable: bool

    def read(self, size: int) -> bytes:
        """:returns: what there is, at most ``size`` bytes, empty at the end. :raises OSError:"""

    def write(self, chunks: list[bytes | memoryview]) -> int:
        """:returns: how many bytes were taken. :raises OSError:"""

    def finish(self) -> None:
        """Let the reader of this output see its end."""

    def close(self) -> None:
        """Give the descriptor back as it was."""


class _File:
    """A pipe, terminal or file."""

    def __init__(self, fd: int, access: int) -> None:
        self._inherited = self.fd = fd
        self._was_blocking = False
        mode = os.fstat(fd).st_mode
        self.pollable = stat.S_ISFIFO(mode) or os.isatty(fd)
        # A file opened once more would begin anew; it never makes anybody wait.
        if self.pollable:
            self._open_again(access)
        if stat.S_ISFIFO(mode):
            _widen(fd)

    def _open_again(self, access: int) -> None:
        try:
            self.fd = os.open(
                f"/proc/self/fd/{self._inherited}", access | os.O_NONBLOCK | os.O_NOCTTY
            )
        except OSError:
            self._was_blocking = os.get_blocking(self._inherited)
            os.set_blocking(self._inherited, False)

    def read(self, size: int) -> bytes:
        return os.read(self.fd, size)

    def write(self, chunks: list[bytes | memoryview]) -> int:
        return os.writev(self.fd, chunks)

    def finish(self) -> None:
        self.close()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._inherited)
        os.close(null)

    def close(self) -> None:
        if self.fd != self._inherited:
            os.close(self.fd)
            self.fd = self._inherited
        elif self._was_blocking:
            os.set_blocking(self._inherited, True)
            self._was_blocking = False


class _Socket:
    """A connected socket."""

    pollable = True

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=os.dup(fd))
        self.fd = self._socket.fileno()

    def read(self, size: int) -> bytes:
        return self._socket.recv(size, socket.MSG_DONTWAIT)

    def write(self, chunks: list[bytes | memoryview]) -> int:
        return self._socket.sendmsg(chunks, (), socket.MSG_DONTWAIT)

    def finish(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the peer is gone already

    def close(self) -> None:
        self._socket.close()


def open_channel(fd: int, access: int) -> IChannel:
    """Take over one direction of a descriptor.

    :param access: ``os.O_RDONLY`` or ``os.O_WRONLY``
    :raises OSError: when it is closed
    """
    return _Socket(fd) if stat.S_ISSOCK(os.fstat(fd).st_mode) else _File(fd, access)


def _widen(fd: int) -> None:
    try:
        import fcntl

        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except (ImportError, AttributeError, OSError):
        return
