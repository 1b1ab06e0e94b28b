"""``relay connect`` ends as the call did, and says what went wrong."""

from __future__ import annotations

import shlex
import signal
import socket
import struct
import subprocess
import threading
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from tests.integration.connect_lab import Lab, Serve, comes, complaint, exited, unused_port
from tests.rawpeer import RawServer, noise, until
from tests.relay_command import (
    COMMAND,
    PROCESS_S,
    echo,
    environment,
    read_all,
    relay,
    relay_beside,
    started,
)

pytest_plugins = ["tests.integration.portal_fixtures", "tests.integration.connect_fixtures"]

MiB = 1024 * 1024


def until_set(event: threading.Event) -> None:
    """Wait for ``event``; as a service: say nothing until then."""
    event.wait(PROCESS_S)


def put(process: subprocess.Popen[bytes], data: bytes) -> None:
    """Write to standard input at once."""
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.flush()


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


@pytest.mark.parametrize("headers", [{}, {"X-Relay-Reason": "token-invalid"}])
@pytest_twisted.ensureDeferred
async def test_refused_without_a_word(lab: Lab, headers: dict[str, str]) -> None:
    """A refusal without a sentence is told by its status, in our words."""
    server = RawServer()
    url = f"ws://127.0.0.1:{await server.listen()}"
    running = relay_beside(*lab.words("ssh", router=url))
    peer = await server.accept(PROCESS_S)
    await peer.head()
    peer.refuse(401, headers)
    done = await running
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"relay connect: no call for ssh at %b: " % url.encode())
    assert b": token-invalid: status 401; mint one with " in done.stderr
    await server.close()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--nope"], 2, "unrecognized arguments: --nope"),
        (["a", "b", "99999"], 2, "no port"),
        (["a", "b", "7", "d"], 2, 'protocol "d" is not carried; write tcp'),
        (["a", "b", "7", "tcp", "e"], 2, "unrecognized arguments: e"),
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
    (last,) = done.stderr.decode().splitlines()
    assert said in last
    assert "twistd" not in last
    assert "--listen" not in last


@pytest.mark.parametrize(
    ("closed", "status", "said"),
    [
        ("<&-", 2, b"standard input is closed"),
        (">&-", 2, b"standard output is closed"),
        ("2>&-", 1, b""),
        ("<&- 2>&-", 2, b""),
    ],
)
def test_closed_descriptor(closed: str, status: int, said: bytes, tmp_path: Path) -> None:
    """Without input or output there is nothing to carry; without stderr nothing is said."""
    done = subprocess.run(
        ["sh", "-c", f"{shlex.join(COMMAND)} connect a {closed}"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        timeout=PROCESS_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (status, b"")
    assert said in done.stderr
