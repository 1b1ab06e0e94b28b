"""A client of network-relay as the ProxyCommand of OpenSSH: ``ssh attic-pi``."""

from __future__ import annotations

import shlex
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from tests.integration.connect_lab import unused_port
from tests.integration.network_relay_trio import AGENT, Trio
from tests.integration.openssh import OpenSsh
from tests.rawpeer import noise, until
from tests.relay_command import PROCESS_S, Service, echo, environment

pytest_plugins = ["tests.integration.network_relay_fixtures", "tests.integration.openssh_fixtures"]

MiB = 1024 * 1024
MIXES = [
    "ours-ours-ours",
    "ours-ours-original",
    "ours-original-ours",
    "original-ours-ours",
    "original-original-ours",
]
TRIOS = pytest.mark.parametrize("trio", MIXES, indirect=True)
OURS = pytest.mark.parametrize("trio", ["ours-ours-ours"], indirect=True)


@pytest.fixture
def control_path() -> Iterator[Path]:
    """A name for a socket that is short enough to be one."""
    with tempfile.TemporaryDirectory(prefix="ssh-") as folder:
        yield Path(folder) / "control"


def tree(folder: Path) -> dict[str, bytes]:
    """:returns: the files in a folder and below it, by name"""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@TRIOS
@pytest_twisted.ensureDeferred
async def test_command(trio: Trio, openssh: OpenSsh) -> None:
    """A user of ssh gets a command's output and exit status, and gives it its input."""
    await openssh.listens()
    proxy = trio.proxy_command()
    done = await openssh.run("ssh", proxy, AGENT, "echo out; exit 7")
    assert (done.returncode, done.stdout) == (7, b"out\n")
    sent = noise(MiB)
    done = await openssh.run("ssh", proxy, AGENT, "cat", stdin=sent)
    assert done.returncode == 0
    assert done.stdout == sent


@OURS
@pytest_twisted.ensureDeferred
async def test_nothing_but_the_command_is_heard(trio: Trio, openssh: OpenSsh) -> None:
    """Standard error belongs to the command, and sshd hears of ssh's leave before it is gone."""
    await openssh.listens()
    done = await openssh.run("ssh", trio.proxy_command(), AGENT, "echo err >&2")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"err\n")
    assert "disconnected by user" in openssh.log.read_text()


@OURS
@pytest_twisted.ensureDeferred
async def test_shell(trio: Trio, openssh: OpenSsh) -> None:
    """A shell at a terminal takes lines, and ends with its last one."""
    await openssh.listens()
    lines = b"stty -echo\necho $((6 * 7))\nexit 3\n"
    done = await openssh.run("ssh", trio.proxy_command(), "-tt", AGENT, "sh", stdin=lines)
    assert done.returncode == 3
    assert b"42\r\n" in done.stdout


@TRIOS
@pytest_twisted.ensureDeferred
async def test_scp(trio: Trio, openssh: OpenSsh, tmp_path: Path) -> None:
    """Files go both ways with scp, right to the last bit."""
    await openssh.listens()
    here, there, back = (tmp_path / name for name in ("here", "there", "back"))
    here.write_bytes(noise(2 * MiB + 1))
    for source, target in ((here, f"{AGENT}:{there}"), (f"{AGENT}:{there}", back)):
        done = await openssh.run("scp", trio.proxy_command(), "-q", source, target)
        assert done.returncode == 0, done.stderr
    assert there.read_bytes() == back.read_bytes() == here.read_bytes()


@TRIOS
@pytest_twisted.ensureDeferred
async def test_sftp(trio: Trio, openssh: OpenSsh, tmp_path: Path) -> None:
    """Files go both ways in one session of sftp."""
    await openssh.listens()
    here, there, back = (tmp_path / name for name in ("here", "there", "back"))
    here.write_bytes(noise(2 * MiB + 1))
    batch = f"put {here} {there}\nget {there} {back}\n".encode()
    done = await openssh.run("sftp", trio.proxy_command(), "-b", "-", AGENT, stdin=batch)
    assert done.returncode == 0, done.stderr
    assert there.read_bytes() == back.read_bytes() == here.read_bytes()


@OURS
@pytest_twisted.ensureDeferred
async def test_rsync(trio: Trio, openssh: OpenSsh, tmp_path: Path) -> None:
    """A folder goes over with rsync; what has changed since goes over again, and back."""
    rsync = shutil.which("rsync")
    if rsync is None:
        pytest.skip("did not run: rsync is not installed")
    await openssh.listens()
    here, there, back = (tmp_path / name for name in ("here", "there", "back"))
    (here / "deep").mkdir(parents=True)
    (here / "large").write_bytes(noise(3 * MiB))
    (here / "deep" / "small").write_bytes(noise(100))
    shell = shlex.join(openssh.command("ssh", trio.proxy_command()))

    async def sync(source: str, target: str) -> None:
        done = await deferToThread(
            subprocess.run,
            [rsync, "--recursive", "--checksum", "--rsh", shell, source, target],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROCESS_S,
            check=False,
            env=environment(),
        )
        assert done.returncode == 0, done.stderr

    await sync(f"{here}/", f"{AGENT}:{there}/")
    (here / "large").write_bytes(noise(3 * MiB) + b"more")
    await sync(f"{here}/", f"{AGENT}:{there}/")
    await sync(f"{AGENT}:{there}/", f"{back}/")
    assert tree(here) == tree(there) == tree(back)


@OURS
@pytest_twisted.ensureDeferred
async def test_port_forwarding(trio: Trio, openssh: OpenSsh) -> None:
    """A port that ssh forwards carries connections, each to its own end."""
    await openssh.listens()
    service = Service(echo)
    door = unused_port()
    target = service.endpoint.removeprefix("tcp:")
    words = ("-N", "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{door}:{target}", AGENT)

    def connects() -> socket.socket | None:
        with suppress(OSError):
            return socket.create_connection(("127.0.0.1", door), PROCESS_S)
        return None

    with openssh.started(trio.proxy_command(), *words):
        first = await until(connects, "forwarded port", PROCESS_S)
        second = connects()
        assert second is not None
        for connection in (first, second):
            sent = noise(MiB)
            with connection:
                assert await deferToThread(echoed, connection, sent) == sent
    service.close()


def echoed(connection: socket.socket, sent: bytes) -> bytes:
    """:returns: what comes back, up to the end"""
    step, came = 64 * 1024, b""
    for start in range(0, len(sent), step):
        connection.sendall(sent[start : start + step])
        while len(came) < min(start + step, len(sent)):
            came += connection.recv(step)
    connection.shutdown(socket.SHUT_WR)
    while more := connection.recv(step):
        came += more
    return came


@OURS
@pytest_twisted.ensureDeferred
async def test_control_master(trio: Trio, openssh: OpenSsh, control_path: Path) -> None:
    """Commands share one connection, and so one call, with ControlMaster."""
    await openssh.listens()
    proxy = trio.proxy_command()
    with openssh.started(proxy, "-M", "-N", "-S", control_path, AGENT) as master:
        await until(lambda: control_path.exists() or None, "control socket", PROCESS_S)
        for number in range(5):
            words = ("-S", control_path, AGENT, f"echo {number}; exit {number}")
            done = await openssh.run("ssh", "false", *words)
            assert (done.returncode, done.stdout) == (number, b"%d\n" % number)
        done = await openssh.run("ssh", "false", "-S", control_path, "-O", "exit", AGENT)
        assert done.returncode == 0
        await deferToThread(master.wait, PROCESS_S)
    assert openssh.log.read_text().count("Accepted publickey") == 1


@pytest.mark.parametrize("trio", ["ours-ours-ours", "original-ours-ours"], indirect=True)
@pytest_twisted.ensureDeferred
async def test_no_such_agent(trio: Trio, openssh: OpenSsh) -> None:
    """When nobody has that name, ssh's user is told why."""
    await openssh.listens()
    done = await openssh.run("ssh", trio.proxy_command(), "nobody", "true")
    assert done.returncode == 255
    assert b"relay connect: no call for " in done.stderr
    assert b": host-absent: " in done.stderr
