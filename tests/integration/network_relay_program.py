"""A network-relay access client as a process, ours or the original's, against a scripted router."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.threads import deferToThread

from tests.integration.ini_services import write
from tests.integration.network_relay_wire import CLIENT_PATH, Talk
from tests.integration.portal_programs import program_path
from tests.rawpeer import DEADLINE_S, Head, RawServer, until
from tests.relay_command import COMMAND, environment

BOTH_CLIENTS = pytest.mark.parametrize("client_kind", ["ours", "original"])
OUR_CLIENT = pytest.mark.parametrize("client_kind", ["ours"])
AGENT = "attic-pi"
SECRET = "s3cr3t-client"


class ClientProgram:
    """Starts an access client that calls port 22 of an agent.

    :ivar router: whom it calls, as the test says
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self.is_ours = kind == "ours"
        self.router = RawServer()
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """:returns: the one that was started last"""
        return self._running[-1]

    async def start(self, port: int | None = None, **options: Any) -> None:
        """:param port: the router's; None: it listens
        :param options: of :class:`subprocess.Popen`; pipes where nothing else is said
        """
        port = await self.router.listen() if port is None else port
        url = f"ws://127.0.0.1:{port}{CLIENT_PATH}"
        secret = write(self._folder / "client.secret", SECRET)
        words = [AGENT, "127.0.0.1", "22", "tcp", "--relay-url", url]
        if self.is_ours:
            command = [*COMMAND, "connect", *words, "--secret-file", str(secret)]
        else:
            command = [str(program_path("access-client", "network-relay")), *words]
            command += ["--secret", SECRET]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        settings = {"cwd": self._folder, "env": environment(), **pipes, **options}
        self._running.append(subprocess.Popen(command, **settings))

    async def login(self, deadline_s: float = DEADLINE_S) -> tuple[Talk, Head, bytes]:
        """:returns: its link, its request, and the first that it said"""
        peer, request = await self.router.accept_upgrade(deadline_s)
        talk = Talk(peer)
        return talk, request, await talk.text()

    async def begin(self) -> Talk:
        """:returns: the link of a client that was started for it and has been told ``start_ok``"""
        await self.start()
        talk, _, _ = await self.login()
        talk.say("start_ok")
        return talk

    def type(self, data: bytes) -> None:
        """Write to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    async def prints(self, data: bytes) -> None:
        """Check what standard output says next."""
        assert self.process.stdout is not None
        assert await deferToThread(self.process.stdout.read, len(data)) == data

    async def exited(self, deadline_s: float = DEADLINE_S) -> tuple[int, bytes, str]:
        """:returns: its status, the rest of standard output, and all of standard error"""
        process = self.process
        await until(process.poll, "exit", deadline_s)
        assert process.stdout is not None
        assert process.stderr is not None
        return process.returncode, process.stdout.read(), process.stderr.read().decode()

    async def stop(self) -> None:
        """End all."""
        for process in self._running:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        await self.router.close()
