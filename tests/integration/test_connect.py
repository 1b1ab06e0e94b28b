"""``relay connect`` carries standard input and output, and says what went wrong."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import shlex
import signal
import socket
import struct
import subprocess
import threading
import tty
from pathlib import Path

import pytest
import pytest_twisted
import trustme
from twisted.internet.threads import deferToThread

from relay.settings.model import Door
from tests.integration.connect_lab import Lab, Serve, unused_port
from tests.integration.portal_peers import RouterMaker
from tests.rawpeer import RawServer, noise, the_reactor, until
from tests.relay_command import (
    COMMAND,
    PROCESS_S,
    answer_at_the_end,
    echo,
    environment,
    read_all,
    relay,
    relay_beside,
    started,
)

pytest_plugins = ["tests.integration.portal_fixtures", "tests.integration.connect_fixtures"]

MiB = 1024 * 1024
STALLED_BYTES = 48 * MiB
"""What sockets, pipes and buffers on the way may hold together before a sender has to wait."""

OFFERED_BYTES = 160 * MiB
MEMORY_KIB = 100 * 1024


def until_set(event: threading.Event) -> None:
    """Wait for ``event``; as a service: say nothing until then."""
    event.wait(PROCESS_S)


async def exited(process: subprocess.Popen[bytes]) -> int:
    """:returns: its exit status. :raises Late:"""
    return await until(process.poll, "exit", PROCESS_S)


async def complaint(process: subprocess.Popen[bytes]) -> str:
    """:returns: all that it said on standard error"""
    assert process.stderr is not None
    return (await deferToThread(process.stderr.read)).decode()


async def comes(process: subprocess.Popen[bytes], data: bytes) -> None:
    """Check what standard output says next."""
    assert process.stdout is not None
    assert await deferToThread(process.stdout.read, len(data)) == data


def put(process: subprocess.Popen[bytes], data: bytes) -> None:
    """Write to standard input at once."""
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.flush()


# -- payload -------------------------------------------------------------------------------------


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


# -- the end -------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_reader_that_leaves(lab: Lab, serve: Serve) -> None:
    """An output that nobody reads any more ends the call, quietly and not as a success."""
    await lab.offer(source=serve(lambda connection: connection.sendall(noise(8 * MiB))))
    with started(*lab.words("source"), stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        await deferToThread(process.stdout.read, 1000)
        process.stdout.close()
        assert await exited(process) == 1
        assert await complaint(process) == ""


@pytest_twisted.ensureDeferred
async def test_reader_that_leaves_a_silent_service(lab: Lab, serve: Serve) -> None:
    """It is noticed while nothing is to be written, and the service is let go too."""
    over = threading.Event()
    await lab.offer(mute=serve(lambda _: until_set(over)))
    circuits = lab.ours.service.broker.circuits
    with started(*lab.words("mute"), stdin=subprocess.DEVNULL) as process:
        await until(lambda: circuits or None, "circuit", PROCESS_S)
        assert process.stdout is not None
        process.stdout.close()
        assert await exited(process) == 1
        assert await complaint(process) == ""
    await until(lambda: True if not circuits else None, "end of the circuit")
    over.set()


@pytest_twisted.ensureDeferred
async def test_reset_by_the_service(lab: Lab, serve: Serve) -> None:
    """A service that resets is not taken for one that has finished; what it said comes out."""
    go = threading.Event()

    def rude(connection: socket.socket) -> None:
        connection.sendall(b"hello")
        go.wait(PROCESS_S)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    await lab.offer(rude=serve(rude))
    with started(*lab.words("rude")) as process:
        await comes(process, b"hello")
        go.set()
        assert await exited(process) == 1
        said = await complaint(process)
    assert said.startswith("relay connect: the call was cut for rude at ")
    assert said.count("\n") == 1


@pytest.mark.usefixtures("complaining_host")
@pytest_twisted.ensureDeferred
async def test_router_that_goes(lab: Lab, serve: Serve) -> None:
    """A router that goes away is not taken for an end in order."""
    await lab.offer(echo=serve(echo))
    with started(*lab.words("echo")) as process:
        put(process, b"hello")
        await comes(process, b"hello")
        await lab.ours.stop()
        assert await exited(process) == 1
        said = await complaint(process)
    assert said.endswith(": going-away; try again in a moment\n")
    assert said.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest_twisted.ensureDeferred
async def test_signals(lab: Lab, serve: Serve, number: signal.Signals) -> None:
    """A signal ends it soon and quietly; to the service it looks like a call that was cut."""
    ends: list[str] = []

    def note(connection: socket.socket) -> None:
        connection.sendall(b"ready")
        try:
            read_all(connection)
            ends.append("in order")
        except OSError:
            ends.append("reset")

    await lab.offer(note=serve(note))
    with started(*lab.words("note")) as process:
        await comes(process, b"ready")
        process.send_signal(number)
        assert await exited(process) == 128 + number
        assert await complaint(process) == ""
    assert await until(lambda: ends or None, "end of the call") == ["reset"]


@pytest_twisted.ensureDeferred
async def test_last_words_before_a_signal(lab: Lab, serve: Serve) -> None:
    """What was written before the input ended still arrives, in order, when a signal comes too."""
    came: list[bytes] = []

    def note(connection: socket.socket) -> None:
        connection.sendall(b"ready")
        came.append(read_all(connection))

    await lab.offer(note=serve(note))
    with started(*lab.words("note")) as process:
        await comes(process, b"ready")
        process.send_signal(signal.SIGSTOP)
        put(process, b"goodbye")
        assert process.stdin is not None
        process.stdin.close()
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGCONT)
        assert await exited(process) in (0, 128 + signal.SIGHUP)
    assert await until(lambda: came or None, "last words") == [b"goodbye"]


@pytest_twisted.ensureDeferred
async def test_signal_while_it_calls(lab: Lab) -> None:
    """A signal ends a call that nobody has answered yet."""
    server = RawServer()
    url = f"ws://127.0.0.1:{await server.listen()}"
    with started(*lab.words("ssh", router=url)) as process:
        peer = await server.accept(PROCESS_S)
        await peer.head()
        process.send_signal(signal.SIGTERM)
        assert await exited(process) == 128 + signal.SIGTERM
        assert await complaint(process) == ""
    await server.close()


# -- calls that fail -----------------------------------------------------------------------------


@pytest.mark.usefixtures("complaining_host")
@pytest_twisted.ensureDeferred
async def test_what_went_wrong(lab: Lab, serve: Serve, tmp_path: Path) -> None:
    """Each failure is one line: what, where, why, and what to try."""
    await lab.offer(echo=serve(echo), dead=f"tcp:127.0.0.1:{unused_port()}")
    wrong, absent = tmp_path / "wrong.token", tmp_path / "absent.token"
    wrong.write_text(lab.portal.host_token)
    absent.write_text(lab.router.portal().client_token)
    nowhere = f"ws://127.0.0.1:{unused_port()}"
    cases: list[tuple[list[str | Path], str]] = [
        (lab.words("dead"), "target-refused: "),
        (lab.words("nope"), "no-such-offer: "),
        (lab.words("echo", **{"token-file": wrong}), "wrong-role: "),
        (lab.words("echo", **{"token-file": absent}), "host-absent: "),
        (lab.words("echo", router=nowhere), "lost: nothing listens at "),
    ]
    for words, why in cases:
        done = await relay_beside(*words, stdin=b"ignored")
        assert (done.returncode, done.stdout) == (1, b"")
        (line,) = done.stderr.decode().splitlines()
        router = words[words.index("--router") + 1]
        assert line.startswith(f"relay connect: no call for {words[-1]} at {router}: {why}")
        assert "; " in line


@pytest_twisted.ensureDeferred
async def test_no_router(lab: Lab) -> None:
    """What answers but is no router is named as such."""
    server = RawServer()
    url = f"ws://127.0.0.1:{await server.listen()}"
    running = relay_beside(*lab.words("ssh", router=url))
    peer = await server.accept(PROCESS_S)
    peer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    done = await running
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"something else answers there: 'SSH-2.0-OpenSSH_9.2'" in done.stderr
    await server.close()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--nope"], 2, "unrecognized arguments: --nope"),
        (["a", "b", "99999"], 2, "no port"),
        (["a", "b", "7", "d"], 2, "unrecognized arguments: d"),
        (["a"], 1, "missing router (where the router is) and a token: try: relay connect "),
        (["--router", "ws://h", "a"], 1, "missing a token"),
    ],
)
def test_said_too_little_or_too_much(
    words: list[str], status: int, said: str, tmp_path: Path
) -> None:
    """What is missing or too much is told, with a command that would do."""
    done = relay("connect", *words, folder=tmp_path)
    assert (done.returncode, done.stdout) == (status, b"")
    last = done.stderr.decode().splitlines()[-1]
    assert said in last
    assert "twistd" not in last
    assert "--listen" not in last


def test_closed_descriptor(tmp_path: Path) -> None:
    """Without standard input there is nothing to carry."""
    done = subprocess.run(
        ["sh", "-c", f"{shlex.join(COMMAND)} connect a <&-"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        timeout=PROCESS_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"standard input is closed" in done.stderr
