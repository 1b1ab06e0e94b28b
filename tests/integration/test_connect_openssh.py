"""``relay connect`` as the ProxyCommand of OpenSSH."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from tests.integration.connect_lab import Lab, unused_port
from tests.rawpeer import noise, until
from tests.relay_command import PROCESS_S, environment

pytest_plugins = ["tests.integration.portal_fixtures", "tests.integration.connect_fixtures"]

MiB = 1024 * 1024
SSHD_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"))
SSHD_SEPARATION = Path("/run/sshd")
"""Where sshd, run by root, locks its unprivileged half in."""


class OpenSsh:
    """A private sshd on loopback, and clients that know it by the name ``lab``.

    :param programs: absolute paths of ssh, scp, sshd and ssh-keygen
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
        self, program: str, lab: Lab, *words: str | Path, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ssh or scp through the tunnel."""
        self._config(
            "ssh_config",
            {
                "ProxyCommand": lab.proxy_command("ssh"),
                "User": getpass.getuser(),
                "IdentityFile": self._folder / "user_key",
                "IdentitiesOnly": "yes",
                "UserKnownHostsFile": self._folder / "known_hosts",
                "StrictHostKeyChecking": "accept-new",
                "BatchMode": "yes",
                "LogLevel": "ERROR",
            },
        )
        return await deferToThread(
            subprocess.run,
            [self._programs[program], "-F", self._folder / "ssh_config", *words],
            input=stdin,
            capture_output=True,
            timeout=PROCESS_S,
            check=False,
            env=environment(),
        )

    def stop(self) -> None:
        """End sshd."""
        self._sshd.terminate()
        self._sshd.wait(PROCESS_S)


@pytest.fixture
def openssh(tmp_path: Path) -> Iterator[OpenSsh]:
    """OpenSSH, where it is installed."""
    found = {
        name: shutil.which(name, path=SSHD_PATH) for name in ("ssh", "scp", "sshd", "ssh-keygen")
    }
    missing = [name for name, path in found.items() if path is None]
    if missing:
        pytest.skip(f"did not run: OpenSSH's {', '.join(missing)} is not installed")
    made = os.geteuid() == 0 and not SSHD_SEPARATION.exists()
    if made:
        SSHD_SEPARATION.mkdir(mode=0o755)
    folder = tmp_path / "openssh"
    folder.mkdir()
    server = OpenSsh(folder, {name: path for name, path in found.items() if path})
    yield server
    server.stop()
    if made:
        SSHD_SEPARATION.rmdir()


@pytest_twisted.ensureDeferred
async def test_ssh(lab: Lab, openssh: OpenSsh) -> None:
    """A user of ssh gets a command's output and exit status, and gives it its input."""
    await openssh.listens()
    await lab.offer(ssh=f"tcp:127.0.0.1:{openssh.port}")
    done = await openssh.run("ssh", lab, "lab", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    sent = noise(MiB)
    done = await openssh.run("ssh", lab, "lab", "cat", stdin=sent)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == sent
    assert "disconnected by user" in openssh.log.read_text()


@pytest_twisted.ensureDeferred
async def test_scp(lab: Lab, openssh: OpenSsh, tmp_path: Path) -> None:
    """Files go both ways with scp, right to the last bit."""
    await openssh.listens()
    await lab.offer(ssh=f"tcp:127.0.0.1:{openssh.port}")
    here, there, back = (tmp_path / name for name in ("here", "there", "back"))
    here.write_bytes(noise(5 * MiB + 1))
    for source, target in ((here, f"lab:{there}"), (f"lab:{there}", back)):
        done = await openssh.run("scp", lab, "-q", source, target)
        assert (done.returncode, done.stderr) == (0, b"")
    assert there.read_bytes() == back.read_bytes() == here.read_bytes()


@pytest_twisted.ensureDeferred
async def test_ssh_without_a_host(lab: Lab, openssh: OpenSsh) -> None:
    """When there is nobody to call, ssh's user is told why."""
    await openssh.listens()
    done = await openssh.run("ssh", lab, "lab", "true")
    assert done.returncode == 255
    assert b"relay connect: no call for ssh at " in done.stderr
    assert b": host-absent: " in done.stderr
