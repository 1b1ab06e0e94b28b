"""A private OpenSSH server on loopback, and its clients, behind any ProxyCommand."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from twisted.internet.threads import deferToThread

from tests.integration.connect_lab import unused_port
from tests.rawpeer import until
from tests.relay_command import PROCESS_S, environment

PROGRAMS = ("ssh", "scp", "sftp", "sshd", "ssh-keygen")
SSHD_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"))
SSHD_SEPARATION = Path("/run/sshd")
"""Where sshd, run by root, locks its unprivileged half in."""


class OpenSsh:
    """A private sshd on loopback, and clients that reach it by a ProxyCommand, whatever its name.

    :param programs: absolute paths of :data:`PROGRAMS`
    """

    def __init__(self, folder: Path, programs: dict[str, str]) -> None:
        self._folder = folder
        self._programs = programs
        self.port = unused_port()
        for key in ("host_key", "user_key"):
            keygen: list[str | Path] = [
                programs["ssh-keygen"],
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-f",
                folder / key,
            ]
            subprocess.run(keygen, check=True, timeout=PROCESS_S)
        self._config(
            "sshd_config",
            {
                "ListenAddress": f"127.0.0.1:{self.port}",
                "HostKey": folder / "host_key",
                "AuthorizedKeysFile": folder / "user_key.pub",
                "PidFile": "none",
                "StrictModes": "no",
                "PasswordAuthentication": "no",
                "KbdInteractiveAuthentication": "no",
                "UsePAM": "no",
                "Subsystem": "sftp internal-sftp",
            },
        )
        self.log = folder / "sshd.log"
        self._sshd = subprocess.Popen(
            [programs["sshd"], "-D", "-f", folder / "sshd_config", "-E", self.log],
            stdin=subprocess.DEVNULL,
        )

    def _config(self, name: str, settings: Mapping[str, object]) -> None:
        lines = [f"{key} {value}\n" for key, value in settings.items()]
        (self._folder / name).write_text("".join(lines))

    async def listens(self) -> None:
        """Wait until sshd takes connections. :raises Late:"""

        def connects() -> bool | None:
            assert self._sshd.poll() is None, self.log.read_text()
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return True
            return None

        await until(connects, "sshd", PROCESS_S)

    async def run(
        self, program: str, proxy_command: str, *words: str | Path, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ssh, scp or sftp through the tunnel."""
        return await deferToThread(
            subprocess.run,
            self.command(program, proxy_command, *words),
            input=stdin,
            capture_output=True,
            timeout=PROCESS_S,
            check=False,
            env=environment(),
        )

    def command(self, program: str, proxy_command: str, *words: str | Path) -> list[str]:
        """:returns: the words that run a program so"""
        self._config(
            "ssh_config",
            {
                "ProxyCommand": proxy_command,
                "Port": self.port,
                "User": getpass.getuser(),
                "IdentityFile": self._folder / "user_key",
                "IdentitiesOnly": "yes",
                "UserKnownHostsFile": self._folder / "known_hosts",
                "StrictHostKeyChecking": "accept-new",
                "BatchMode": "yes",
                "LogLevel": "ERROR",
            },
        )
        config = str(self._folder / "ssh_config")
        return [self._programs[program], "-F", config, *map(str, words)]

    @contextmanager
    def started(self, proxy_command: str, *words: str | Path) -> Iterator[subprocess.Popen[bytes]]:
        """Let ssh run in the background."""
        command = self.command("ssh", proxy_command, *words)
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment()
        ) as process:
            try:
                yield process
            finally:
                process.terminate()

    def stop(self) -> None:
        """End sshd."""
        self._sshd.terminate()
        self._sshd.wait(PROCESS_S)
