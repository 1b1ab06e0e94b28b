"""Bytes in and out of a socket that Twisted has let go of, with or without TLS.

Nothing here waits: what cannot be done now is said so. Errors of the connection are OSErrors.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Protocol

from OpenSSL import SSL

from relay.links.cutthrough.pipe import Pipe, make_pipe
from relay.outlets import Buffer

MAX_PARTS = 64
"""More pieces are joined before they are sent: a copy is cheaper than so many entries."""

RECORD_BYTES = 16 * 1024
"""The payload of the longest TLS record."""

OPAQUE_BYTES = RECORD_BYTES + 1024
"""What may lie in OpenSSL of a record that is not whole."""

SECURE_CHUNK_BYTES = 128 * 1024
"""How much is encrypted before the socket is asked to take it."""

COLLECT_BYTES = SECURE_CHUNK_BYTES + 4 * 1024
"""That, encrypted."""


class Channel(Protocol):
    """A connection as two flows of bytes."""

    socket: socket.socket
    secure: bool
    over: bool
    """Whether the end has come, which the next read tells and the kernel does not."""

    def recv_into(self, view: memoryview, size: int) -> int:
        """Read ``size`` bytes at most; the view has :data:`OPAQUE_BYTES` more than that.

        :returns: how many bytes came; 0: no more will, in order
        :raises BlockingIOError: when there are none now
        :raises OSError: when the connection is lost
        """

    def send(self, parts: Sequence[Buffer], size: int) -> int:
        """:returns: how many of the ``size`` bytes in ``parts`` were taken; :raises OSError:"""

    def flush(self) -> None:
        """Send what was taken and is still here. :raises OSError:"""

    def waiting_bytes(self) -> int:
        """:returns: bytes that were taken and are still here."""

    def finish(self) -> None:
        """Say that no more follows. :raises OSError:"""

    def close(self) -> None:
        """Close the socket."""


class PlainChannel:
    """A connection without TLS."""

    __slots__ = ("_pipe", "socket")
    secure = False
    over = False

    def __init__(self, handle: socket.socket) -> None:
        self.socket = handle
        self._pipe: Pipe | None = None

    def recv_into(self, view: memoryview, size: int) -> int:
        """Read what came."""
        return self.socket.recv_into(view, size)

    def send(self, parts: Sequence[Buffer], size: int) -> int:
        """Hand to the kernel."""
        try:
            if len(parts) == 1:
                return self.socket.send(parts[0])
            if len(parts) > MAX_PARTS:
                return self.socket.send(b"".join(parts))
            return self.socket.sendmsg(parts)
        except BlockingIOError:
            return 0

    def flush(self) -> None:
        """Send what is in the pipe."""
        if self._pipe is not None:
            self._pipe.drain(self.socket)

    def waiting_bytes(self) -> int:
        """:returns: what is in the pipe"""
        return 0 if self._pipe is None else self._pipe.waiting_bytes

    def finish(self) -> None:
        """Shut our half."""
        self.socket.shutdown(socket.SHUT_WR)

    def pipe(self) -> Pipe | None:
        """:returns: the pipe to this socket; None: there can be none"""
        if self._pipe is None:
            self._pipe = make_pipe()
        return self._pipe

    def release_pipe(self) -> None:
        """Nothing comes through it any more, but for what is in it."""
        if self._pipe is not None and not self._pipe.waiting_bytes:
            self._pipe.close()
            self._pipe = None

    def close(self) -> None:
        """Close the socket."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        self.socket.close()


class SecureChannel:
    """A connection whose handshake is over, through the memory of one OpenSSL connection.

    :param opaque: ciphertext that was not sent yet
    """

    __slots__ = ("_error", "_finished", "_opaque", "_tls", "over", "socket")
    secure = True

    def __init__(self, handle: socket.socket, tls: SSL.Connection, opaque: bytes) -> None:
        self.socket = handle
        self._tls = tls
        self._opaque = memoryview(opaque)
        self._finished = False
        self._error: OSError | None = None
        self.over = False
        self._collect()  # the end of the handshake perhaps

    def recv_into(self, view: memoryview, size: int) -> int:
        """Read and decrypt all that has come as whole records."""
        count = self._decrypt_into(view)
        if count == 0 and not self.over:
            came = self.socket.recv_into(view, size)
            if not came:
                raise ConnectionResetError("TLS ended without a goodbye")
            self._tls.bio_write(view[:came])
            count = self._decrypt_into(view)
            self._collect()  # an answer to a KeyUpdate perhaps
            self.flush()
        if count == 0 and self._error is not None:
            raise self._error
        if count == 0 and not self.over:
            raise BlockingIOError
        return count

    def _decrypt_into(self, view: memoryview) -> int:
        """:returns: how many bytes; 0 with :attr:`over`: the peer has said goodbye, or an error"""
        count = 0
        try:
            while count < len(view) and not self.over:
                count += self._tls.recv_into(view[count:], RECORD_BYTES)
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.over = True
        except SSL.Error as error:
            self.over = True
            self._error = ConnectionResetError(f"TLS failed: {error}")
        return count

    def send(self, parts: Sequence[Buffer], size: int) -> int:
        """Encrypt as much as the kernel takes."""
        if self._finished:
            return size
        whole = memoryview(parts[0] if len(parts) == 1 else b"".join(parts))
        taken = 0
        try:
            while taken < size and not self._opaque:
                end = min(size, taken + SECURE_CHUNK_BYTES)
                while taken < end:
                    taken += self._tls.send(whole[taken : min(end, taken + RECORD_BYTES)])
                self._collect()
                self.flush()
        except SSL.Error as error:
            raise ConnectionResetError(f"TLS failed: {error}") from error
        return taken

    def flush(self) -> None:
        """Send ciphertext until the kernel takes no more."""
        try:
            while self._opaque:
                self._opaque = self._opaque[self.socket.send(self._opaque) :]
        except BlockingIOError:
            return

    def _collect(self) -> None:
        """Take what OpenSSL wants to send, behind what it wanted before."""
        parts: list[Buffer] = [self._opaque] if self._opaque else []
        try:
            while True:
                part = self._tls.bio_read(COLLECT_BYTES)
                parts.append(part)
                if len(part) < COLLECT_BYTES:
                    break
        except SSL.WantReadError:
            pass
        if parts:
            self._opaque = memoryview(parts[0] if len(parts) == 1 else b"".join(parts))

    def waiting_bytes(self) -> int:
        """:returns: ciphertext that the kernel has not taken."""
        return len(self._opaque)

    def finish(self) -> None:
        """Say goodbye; the socket stays open for what the peer still says."""
        if self._finished:
            return
        self._finished = True
        try:
            self._tls.shutdown()
        except SSL.Error:
            return
        self._collect()
        self.flush()

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()
