"""A websocktunnel router as a process of its own: what it weighs, and how it is stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests.integration.portal_peers import wait_for
from tests.integration.websocktunnel_ours import write
from tests.integration.websocktunnel_peers import (
    HELLO,
    PREFIX,
    SECRET_A,
    SECRET_B,
    Host,
    KiB,
    MiB,
    Router,
)
from tests.rawpeer import (
    MUX_WINDOW_BYTES,
    Ended,
    Late,
    RawPeer,
    read_head,
    read_response,
    request,
    together,
    until,
)
from tests.twistd_program import Daemon, daemon

INI = f"""\
[router]
listen = tcp:0:interface=127.0.0.1
state-dir = state
drain-s = 20
[dialect:websocktunnel]
url-prefix = {PREFIX}
secret-a-file = a.secret
secret-b-file = b.secret
"""
KEPT = 1000
KEPT_BYTES = 24 * KiB
"""What a kept connection without a request may cost the router."""

SLOW = 8
BODY_BYTES = 32 * MiB
BESIDES_BYTES = 24 * MiB
PIPELINED = 20_000
BUSY_S = 20.0
STALL_S = 0.5


class Process:
    """A running router.

    :ivar over: its exit status, once it has ended
    """

    def __init__(self, started: Daemon) -> None:
        self.daemon = started
        port = int(started.says("listening at ").split()[4].rpartition(":")[2])
        self.router = Router("ours", port)
        # it would stand still once nobody reads what it says
        self.over: Deferred[int] = deferToThread(started.ends)

    def resident_bytes(self) -> int:
        """:returns: its memory"""
        with open(f"/proc/{self.daemon.process.pid}/statm") as file:
            return int(file.read().split()[1]) * 4096

    async def killed(self) -> None:
        """End it."""
        self.daemon.send(signal.SIGKILL)
        await self.over

    async def stalled_download(self, host: Host) -> RawPeer:
        """:returns: a viewer that takes nothing of an answer, whose host has been stopped"""
        viewer, stream, _ = await host.exchange()
        viewer.shrink()
        viewer.pause()
        stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES)
        sending = together(stream.send_all(bytes(BODY_BYTES), BUSY_S))
        sending.addErrback(lambda failure: failure.trap(Ended, Late) and None)
        await host.link.until(lambda: stream.credit == 0 or None, "full window", BUSY_S)
        return viewer


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    """A router, ended with the test."""
    write(tmp_path / "a.secret", SECRET_A)
    write(tmp_path / "b.secret", SECRET_B)
    config = write(tmp_path / "relay.ini", INI)
    with daemon("relay-router", "--config", config, folder=tmp_path) as started:
        running = Process(started)
        yield running
        running.router.hang_up()
        wait_for(running.killed())


@pytest_twisted.ensureDeferred
async def test_what_waits_for_slow_viewers(process: Process) -> None:
    """Each costs a window and a little; others go on, and what was kept is given back to others."""
    host = await process.router.host()
    await host.serves()
    before = process.resident_bytes()
    for _ in range(2):
        viewers = [await process.stalled_download(host) for _ in range(SLOW)]
        await host.serves()
        grown = process.resident_bytes() - before
        assert grown < SLOW * (MUX_WINDOW_BYTES + MiB) + BESIDES_BYTES
        for viewer in viewers:
            viewer.reset()
        await host.serves()


@pytest_twisted.ensureDeferred
async def test_what_kept_connections_cost(process: Process) -> None:
    """A thousand of them, each of which has had an answer from a host."""
    host = await process.router.host()
    await host.serves()
    before = process.resident_bytes()
    for _ in range(KEPT):
        viewer, stream, _ = await host.exchange()
        stream.respond(HELLO)
        assert (await read_response(viewer)).body == b"hello"
    assert process.resident_bytes() - before < KEPT * KEPT_BYTES
    await process.router.works()


@pytest_twisted.ensureDeferred
async def test_what_a_pipeline_costs(process: Process) -> None:
    """Requests of which nobody reads the answers are read no further."""
    host = await process.router.host()
    await host.serves()
    before = process.resident_bytes()
    viewer = await process.router.dial()
    viewer.shrink()
    viewer.pause()
    one = request("GET", "/__heartbeat__", "X-Pad: " + "x" * 400)
    try:
        for _ in range(PIPELINED // 100):
            await viewer.writable(STALL_S)
            viewer.write(one * 100)
    except (Late, Ended):
        pass  # it was let go, or is read no more
    assert process.resident_bytes() - before < 8 * MiB
    await host.serves()


@pytest_twisted.ensureDeferred
async def test_sigterm_lets_a_download_end(process: Process) -> None:
    """The viewer gets all of it, to the last byte, and the process ends with status 0."""
    host = await process.router.host()
    kept, stream, _ = await host.exchange()
    stream.respond(HELLO)
    await read_response(kept)
    viewer, stream, _ = await host.exchange()
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES)
    await read_head(viewer)
    process.daemon.send(signal.SIGTERM)
    kept.write(request("GET", f"/{host.tunnel}/"))
    sending = together(stream.send_all(bytes(BODY_BYTES), BUSY_S))
    # as slowly as the last bytes leave the router behind the host's
    for _ in range(BODY_BYTES // MiB):
        assert await viewer.exactly(MiB, BUSY_S) == bytes(MiB)
        viewer.pause()
        viewer.resume()
    await sending
    viewer.drop()
    await until(lambda: process.over.called or None, "end of the router", BUSY_S)
    assert process.over.result == 0
    assert any("draining: 1 circuit" in line for line in process.daemon.lines)
