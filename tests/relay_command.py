"""The ``relay`` command as a process of its own, and services for it to reach."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests import gears

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-m", "relay.commands.main"]
END_S = 5.0
PROCESS_S = 30.0
"""How long a process may take; all are done within a fraction of that."""

Handler = Callable[[socket.socket], None]


def environment(**more: str) -> dict[str, str]:
    """:returns: this process's environment, without what would configure relay but the gear."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    return {**kept, "PYTHONPATH": str(ROOT), **gears.variables(), **more}


def relay(
    *words: str | Path,
    stdin: bytes = b"",
    folder: Path = ROOT,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end, in ``folder``."""
    return subprocess.run(
        [*COMMAND, *words],
        input=stdin,
        capture_output=True,
        timeout=PROCESS_S,
        check=False,
        cwd=folder,
        env=environment(**(env or {})),
    )


def relay_beside(
    *words: str | Path, stdin: bytes = b"", folder: Path = ROOT
) -> Deferred[subprocess.CompletedProcess[bytes]]:
    """Run the command to its end while the reactor turns."""
    return deferToThread(relay, *words, stdin=stdin, folder=folder)


@contextmanager
def started(*words: str | Path, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """Start the command; end it at the end if it still runs, in order if it can.

    :param options: of :class:`subprocess.Popen`; pipes where nothing else is said
    """
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    settings = {"cwd": ROOT, "env": environment(), **pipes, **options}
    process: subprocess.Popen[bytes]
    with subprocess.Popen([*COMMAND, *words], **settings) as process:  # type: ignore[call-overload]  # any option
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)  # what it has started is its own to end
                with suppress(subprocess.TimeoutExpired):
                    process.wait(END_S)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            if process.stdin is not None:
                with suppress(BrokenPipeError):
                    process.stdin.close()


class Service:
    """A TCP service on loopback; each connection is handled in a thread of its own.

    :param handler: gets each connection, which is closed behind it
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def endpoint(self) -> str:
        """:returns: what a host forwards to."""
        return f"tcp:127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        """Stop listening, and end all connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(PROCESS_S)
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PROCESS_S)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._handle, args=(connection,), daemon=True)
            self._connections.append(connection)
            self._threads.append(thread)
            thread.start()

    def _handle(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self._handler(connection)


def echo(connection: socket.socket) -> None:
    """Send back what comes, as it comes, and close behind its end."""
    while data := connection.recv(1 << 18):
        connection.sendall(data)


def answer_at_the_end(connection: socket.socket) -> None:
    """Answer with the number of bytes that came, once no more come."""
    connection.sendall(b"%d bytes came" % len(read_all(connection)))


def read_all(connection: socket.socket) -> bytes:
    """:returns: everything up to the end"""
    parts = []
    while data := connection.recv(1 << 18):
        parts.append(data)
    return b"".join(parts)
