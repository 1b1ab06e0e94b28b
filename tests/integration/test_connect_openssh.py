"""``relay connect`` as the ProxyCommand of OpenSSH."""

from __future__ import annotations

from pathlib import Path

import pytest_twisted

from tests.integration.connect_lab import Lab
from tests.integration.openssh import OpenSsh
from tests.rawpeer import noise

pytest_plugins = [
    "tests.integration.portal_fixtures",
    "tests.integration.connect_fixtures",
    "tests.integration.openssh_fixtures",
]

MiB = 1024 * 1024


@pytest_twisted.ensureDeferred
async def test_ssh(lab: Lab, openssh: OpenSsh) -> None:
    """A user of ssh gets a command's output and exit status, and gives it its input."""
    await openssh.listens()
    await lab.offer(ssh=f"tcp:127.0.0.1:{openssh.port}")
    done = await openssh.run(
        "ssh", lab.proxy_command("ssh"), "lab", "echo out; echo err >&2; exit 7"
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    sent = noise(MiB)
    done = await openssh.run("ssh", lab.proxy_command("ssh"), "lab", "cat", stdin=sent)
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
        done = await openssh.run("scp", lab.proxy_command("ssh"), "-q", source, target)
        assert (done.returncode, done.stderr) == (0, b"")
    assert there.read_bytes() == back.read_bytes() == here.read_bytes()


@pytest_twisted.ensureDeferred
async def test_ssh_without_a_host(lab: Lab, openssh: OpenSsh) -> None:
    """When there is nobody to call, ssh's user is told why."""
    await openssh.listens()
    done = await openssh.run("ssh", lab.proxy_command("ssh"), "lab", "true")
    assert done.returncode == 255
    assert b"relay connect: no call for ssh at " in done.stderr
    assert b": host-absent: " in done.stderr
