"""``relay connect`` carries standard input and output, whatever they are."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import signal
import socket
import subprocess
import threading
import tty
from pathlib import Path

import pytest_twisted
import trustme
from twisted.internet.threads import deferToThread

from relay.settings.model import Door
from tests.integration.connect_lab import Lab, Serve, comes, complaint, exited
from tests.integration.portal_ours import RouterMaker
from tests.rawpeer import noise, the_reactor, until
from tests.relay_command import PROCESS_S, answer_at_the_end, echo, read_all, relay_beside, started

pytest_plugins = ["tests.integration.portal_fixtures", "tests.integration.connect_fixtures"]

MiB = 1024 * 1024
STALLED_BYTES = 80 * MiB
"""What sockets, pipes and buffers on the way may hold together before a sender has to wait; kernels
give a busy socket several MiB, and there are eight on the way.
"""

OFFERED_BYTES = 160 * MiB
MEMORY_KIB = 100 * 1024


@pytest_twisted.ensureDeferred
async def test_both_ways(lab: Lab, serve: Serve) -> None:
    """Bytes of every value go both ways through pipes, and nothing else is said."""
    await lab.offer(echo=serve(echo))
    sent = bytes(range(256)) * 16 + noise(4 * MiB)
    done = await relay_beside(*lab.words("echo"), stdin=sent)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == sent


@pytest_twisted.ensureDeferred
async def test_over_tls(
    start_router: RouterMaker, tls_authority: trustme.CA, lab: Lab, serve: Serve, tmp_path: Path
) -> None:
    """A router behind TLS is verified, with a root of one's own if need be."""
    router, ours = await start_router.start(authority=tls_authority)
    secured = lab._replace(router=router, ours=ours, portal=router.portal(lab.portal.portal_id))
    roots = tmp_path / "ca.pem"
    roots.write_bytes(tls_authority.cert_pem.bytes())
    door = Door("echo", serve(echo))
    await lab.tunnels.host(router.url, secured.portal.host_token, door, ca_file=roots)
    sent = noise(MiB)
    done = await relay_beside(*secured.words("echo", **{"ca-file": roots}), stdin=sent)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == sent
    done = await relay_beside(*secured.words("echo"), stdin=sent)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b": tls-failed: " in done.stderr


@pytest_twisted.ensureDeferred
async def test_nothing_at_all(lab: Lab, serve: Serve) -> None:
    """A call without a byte is a call."""
    await lab.offer(count=serve(answer_at_the_end))
    done = await relay_beside(*lab.words("count"))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"0 bytes came", b"")


@pytest_twisted.ensureDeferred
async def test_end_of_input_is_told(lab: Lab, serve: Serve) -> None:
    """A service that answers at the end of its input hears of it, and its answer comes out."""
    await lab.offer(count=serve(answer_at_the_end))
    done = await relay_beside(*lab.words("count"), stdin=noise(3 * MiB))
    assert (done.returncode, done.stdout) == (0, b"%d bytes came" % (3 * MiB))


@pytest_twisted.ensureDeferred
async def test_service_that_ends_first(lab: Lab, serve: Serve) -> None:
    """All that a service said before it closed comes out, though the input goes on."""
    said = noise(3 * MiB)
    await lab.offer(source=serve(lambda connection: connection.sendall(said)))
    with started(*lab.words("source")) as process:
        await comes(process, said)
        assert await exited(process) == 0
        assert await complaint(process) == ""


@pytest_twisted.ensureDeferred
async def test_files(lab: Lab, serve: Serve, tmp_path: Path) -> None:
    """Input and output may be files, which are read from and written to where they stand."""
    await lab.offer(echo=serve(echo))
    sent = noise(3 * MiB)
    (tmp_path / "in").write_bytes(b"skipped" + sent)
    (tmp_path / "out").write_bytes(b"kept")
    with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "ab") as target:
        source.seek(len(b"skipped"))
        with started(*lab.words("echo"), stdin=source.fileno(), stdout=target) as process:
            assert await exited(process) == 0
            assert await complaint(process) == ""
    assert (tmp_path / "out").read_bytes() == b"kept" + sent


@pytest_twisted.ensureDeferred
async def test_socket(lab: Lab, serve: Serve) -> None:
    """One socket may be both, each direction ends by itself, and it stays as it was."""
    await lab.offer(count=serve(answer_at_the_end))
    ours, theirs = socket.socketpair()
    sent = noise(3 * MiB)

    def talk() -> bytes:
        ours.sendall(sent)
        ours.shutdown(socket.SHUT_WR)
        return read_all(ours)

    with ours, theirs, started(*lab.words("count"), stdin=theirs, stdout=theirs) as process:
        talking = deferToThread(talk)
        assert await exited(process) == 0
        theirs.close()
        assert await talking == b"%d bytes came" % len(sent)


@pytest_twisted.ensureDeferred
async def test_terminal(lab: Lab, serve: Serve) -> None:
    """A terminal works, and does not become non-blocking for those who share it."""
    await lab.offer(echo=serve(echo))
    controller, terminal = pty.openpty()
    tty.setraw(terminal)
    before = fcntl.fcntl(terminal, fcntl.F_GETFL)
    try:
        with started(*lab.words("echo"), stdin=terminal, stdout=terminal) as process:
            os.write(controller, b"hello")
            assert await deferToThread(os.read, controller, 5) == b"hello"
            assert fcntl.fcntl(terminal, fcntl.F_GETFL) == before
            process.send_signal(signal.SIGHUP)
            assert await exited(process) == 128 + signal.SIGHUP
    finally:
        os.close(controller)
        os.close(terminal)


@pytest_twisted.ensureDeferred
async def test_shared_pipes_stay_blocking(lab: Lab, serve: Serve) -> None:
    """Pipes do not become non-blocking for those who share them."""
    await lab.offer(echo=serve(echo))
    read_in, write_in = os.pipe()
    read_out, write_out = os.pipe()
    with started(*lab.words("echo"), stdin=read_in, stdout=write_out) as process:
        os.write(write_in, b"hello")
        assert await deferToThread(os.read, read_out, 5) == b"hello"
        assert os.get_blocking(read_in)
        assert os.get_blocking(write_out)
        os.close(write_in)
        assert await exited(process) == 0
    for fd in (read_in, read_out, write_out):
        os.close(fd)


@pytest_twisted.ensureDeferred
async def test_slow_reader(lab: Lab, serve: Serve) -> None:
    """A reader that does not read stops the service, not the memory; all comes in the end."""
    sent, done = [0], threading.Event()
    chunk = noise(MiB)

    def source(connection: socket.socket) -> None:
        for _ in range(OFFERED_BYTES // MiB):
            connection.sendall(chunk)
            sent[0] += MiB
        done.set()

    await lab.offer(source=serve(source))
    with started(*lab.words("source"), stdin=subprocess.DEVNULL) as process:
        await stalls(sent)
        assert 0 < sent[0] < STALLED_BYTES
        assert memory_kib(process.pid) < MEMORY_KIB
        assert process.stdout is not None
        digest = await deferToThread(digest_of, process.stdout.fileno())
        assert digest == hashlib.sha256(chunk * (OFFERED_BYTES // MiB)).digest()
        assert await exited(process) == 0
    assert done.is_set()


@pytest_twisted.ensureDeferred
async def test_slow_service(lab: Lab, serve: Serve) -> None:
    """A service that does not read stops whoever writes to standard input; all comes in the end."""
    go, sent = threading.Event(), [0]
    chunk = noise(MiB)

    def late(connection: socket.socket) -> None:
        go.wait(PROCESS_S)
        answer_at_the_end(connection)

    await lab.offer(late=serve(late))
    with started(*lab.words("late")) as process:
        stdin = process.stdin
        assert stdin is not None

        def write() -> None:
            for _ in range(OFFERED_BYTES // MiB):
                stdin.write(chunk)
                sent[0] += MiB
            stdin.close()

        writing = deferToThread(write)
        await stalls(sent)
        assert 0 < sent[0] < STALLED_BYTES
        assert memory_kib(process.pid) < MEMORY_KIB
        go.set()
        await writing
        await comes(process, b"%d bytes came" % OFFERED_BYTES)
        assert await exited(process) == 0


async def stalls(sent: list[int], still_s: float = 0.5) -> None:
    """Wait until something was sent, and then no more for a while."""
    seen = [0, the_reactor().seconds()]

    def is_still() -> bool | None:
        now = the_reactor().seconds()
        if sent[0] != seen[0]:
            seen[:] = [sent[0], now]
        return True if sent[0] and now - seen[1] > still_s else None

    await until(is_still, "rest of the sender", PROCESS_S)


def memory_kib(pid: int) -> int:
    """:returns: what a process holds in memory"""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def digest_of(fd: int) -> bytes:
    """:returns: SHA-256 of all that comes"""
    digest = hashlib.sha256()
    while data := os.read(fd, MiB):
        digest.update(data)
    return digest.digest()
