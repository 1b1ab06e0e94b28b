"""Slow viewers and slow hosts: what waits for them is bounded, and nobody else waits."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.task import LoopingCall

from relay.core import ledger
from relay.vocabulary import Reason
from tests.integration.websocktunnel_ours import RouterMaker
from tests.integration.websocktunnel_peers import HELLO, Host, KiB, MiB
from tests.rawpeer import (
    MUX_WINDOW_BYTES,
    Ended,
    Late,
    MuxStream,
    RawPeer,
    read_head,
    read_response,
    request,
    the_reactor,
    together,
    until,
)

KEPT = 1000
KEPT_BYTES = 64 * KiB
"""A kept connection may cost so much here, where the test has its other end."""

PIPELINED = 20_000
PIPED_AT_ONCE = 200
SLOW = 6
BODY_BYTES = 64 * MiB
OVERHEAD_BYTES = 48 * MiB
"""What the test's own ends may hold."""

LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (16 * KiB) + bytes(16 * KiB)
BUSY_S = 20.0
STALL_S = 0.5

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


def resident_bytes() -> int:
    """:returns: this process's memory"""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


async def stalled_download(host: Host) -> tuple[RawPeer, MuxStream]:
    """:returns: a viewer that takes nothing of an answer, and the stream that is full of it"""
    viewer, stream, _ = await host.exchange()
    return await stall(viewer, stream)


async def stall(viewer: RawPeer, stream: MuxStream) -> tuple[RawPeer, MuxStream]:
    """Answer more than a viewer takes, which takes nothing."""
    viewer.shrink()
    viewer.pause()
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES)
    sending = together(stream.send_all(bytes(BODY_BYTES), BUSY_S))
    sending.addErrback(lambda failure: failure.trap(Ended, Late) and None)
    await stream.link.until(lambda: True if stream.credit == 0 else None, "full window", BUSY_S)
    return viewer, stream


# -- slow viewers --------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_slow_viewers(start_wst: RouterMaker) -> None:
    """Each holds a window and no more, all of it on the account; others go on meanwhile."""
    wst = await start_wst.start()
    around = start_wst.services[0].around
    host = await wst.host()
    await host.serves()
    before = resident_bytes()
    viewers = [await stalled_download(host) for _ in range(SLOW)]
    for _ in range(3):
        await host.serves()
    assert around.ledger.total <= SLOW * (MUX_WINDOW_BYTES + MiB)
    assert resident_bytes() - before < around.ledger.total + OVERHEAD_BYTES
    for viewer, stream in viewers:
        viewer.reset()
        await stream.finished()
    await until(lambda: around.ledger.total == 0 or None, "end of what waits")
    await host.serves()


@pytest_twisted.ensureDeferred
async def test_slow_viewers_under_pressure(
    start_wst: RouterMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where memory gets short, viewers that take nothing are broken off; then there is room."""
    monkeypatch.setattr(ledger, "PRESSURE_STALL_S", STALL_S)
    wst = await start_wst.start(limits={"buffered-bytes": MUX_WINDOW_BYTES})
    around = start_wst.services[0].around
    ends = around.metrics.circuits_total
    host = await wst.host()
    # both begin while there is room for both
    exchanges = [await host.exchange() for _ in range(2)]
    viewers = [(await stall(*exchange[:2]))[0] for exchange in exchanges]
    await until(lambda: ends["websocktunnel", Reason.OVERRUN] or None, "an end", BUSY_S)
    await until(lambda: around.ledger.total < MUX_WINDOW_BYTES or None, "room", BUSY_S)
    await host.serves()
    for viewer in viewers:
        viewer.reset()
    await until(lambda: around.ledger.total == 0 or None, "end of what waits")


@pytest_twisted.ensureDeferred
async def test_a_tail_that_is_taken_late(start_wst: RouterMaker) -> None:
    """A viewer that pauses again and again gets all of its answer, and its next one."""
    wst = await start_wst.start()
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    size = 16 * MiB
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    sending = together(stream.send_all(bytes(size), BUSY_S))
    await read_head(viewer)
    for _ in range(16):
        viewer.pause()
        await host.serves()
        viewer.resume()
        assert await viewer.exactly(MiB, BUSY_S) == bytes(MiB)
    await sending
    viewer.write(request("GET", f"/{host.tunnel}/"))
    stream = await host.link.accept()
    stream.respond(HELLO)
    assert (await read_response(viewer)).body == b"hello"


async def is_full(stream: MuxStream) -> None:
    """Wait until a stream has all that it may."""
    await stream.link.until(lambda: stream.arrived == stream.granted or None, "full window")


# -- slow hosts ----------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_slow_hosts(start_wst: RouterMaker) -> None:
    """Uploads that a host does not take stay with their viewers."""
    wst = await start_wst.start()
    around = start_wst.services[0].around
    host = await wst.host(window=64 * KiB, refunds=False)
    before = resident_bytes()
    viewers = []
    for _ in range(SLOW):
        viewer = await host.view("/", f"Content-Length: {BODY_BYTES}", method="PUT")
        stream = await host.link.accept()
        writing = together(viewer.write_all(bytes(16 * MiB)))
        writing.addErrback(lambda failure: failure.trap(Ended, Late) and None)
        viewers.append((viewer, stream))
    for _, stream in viewers:
        await is_full(stream)
    await host.serves()
    assert around.ledger.total <= SLOW * 2 * MiB
    assert resident_bytes() - before < SLOW * 16 * MiB + OVERHEAD_BYTES
    for viewer, _ in viewers:
        viewer.reset()
    for _, stream in viewers:
        stream.ack(MiB)
        await stream.finished()
    await until(lambda: around.ledger.total == 0 or None, "end of what waits")


@pytest.mark.parametrize("how", ["drop", "reset"])
@pytest_twisted.ensureDeferred
async def test_a_viewer_leaves_a_host_that_takes_nothing(start_wst: RouterMaker, how: str) -> None:
    """Its stream is freed within seconds, although nobody reads from the viewer."""
    wst = await start_wst.start()
    host = await wst.host(window=KiB, refunds=False)
    viewer = await host.view("/", f"Content-Length: {MiB}", method="PUT", body=bytes(64 * KiB))
    stream = await host.link.accept()
    broker = start_wst.services[0].broker
    await until(lambda: broker.circuits or None, "circuit")
    getattr(viewer, how)()
    await stream.finished()
    assert not broker.circuits


# -- many, and pipelines -------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_kept_connections(start_wst: RouterMaker) -> None:
    """A thousand idle ones cost little, hold no handshake, and let newcomers in at once."""
    wst = await start_wst.start(limits={"handshakes": 10})
    service = start_wst.services[0]
    host = await wst.host()
    before = resident_bytes()
    for number in range(KEPT):
        if number % 2:
            viewer = await wst.dial()
            viewer.write(request("GET", "/__heartbeat__"))
            assert (await read_response(viewer)).status == 200
        else:
            viewer, stream, _ = await host.exchange()
            stream.respond(HELLO)
            assert (await read_response(viewer)).body == b"hello"
    assert len(service._hall.doors) == KEPT
    assert service._hall.turns.handshakes == 0
    assert resident_bytes() - before < KEPT * KEPT_BYTES
    await host.serves()
    await wst.works()


@pytest.mark.parametrize("target", ["/__heartbeat__", "/{}/"])
@pytest_twisted.ensureDeferred
async def test_a_pipeline_without_a_reader(start_wst: RouterMaker, target: str) -> None:
    """Thousands of requests whose answers nobody reads cost no memory; others go on."""
    wst = await start_wst.start()
    host = await wst.host()
    served = together(serve_all(host))
    served.addErrback(lambda failure: failure.trap(Ended, Late) and None)
    viewer = await wst.dial()
    viewer.shrink()
    viewer.pause()
    one = request("GET", target.format(host.tunnel), "X-Pad: " + "x" * 400)
    before = resident_bytes()
    try:
        for _ in range(PIPELINED // 100):
            await viewer.writable(STALL_S)
            viewer.write(one * 100)
    except (Late, Ended):
        pass  # it is read no more, or let go
    assert resident_bytes() - before < 24 * MiB
    assert sum(unsent(door) for door in start_wst.services[0]._hall.doors) < MiB
    await wst.works()
    viewer.reset()
    host.link.peer.reset()
    await served


def unsent(door: Any) -> int:
    """:returns: bytes that the router keeps for a viewer"""
    transport = door.transport
    queued: int = transport.queued_bytes() if hasattr(transport, "queued_bytes") else 0
    unread: int = door._reader.unread_bytes()
    return queued + len(getattr(transport, "dataBuffer", b"")) + unread


async def serve_all(host: Host) -> None:
    """Answer every request at once."""
    while True:
        stream = await host.link.accept(BUSY_S)
        await stream.head()
        stream.respond(LARGE)


@pytest_twisted.ensureDeferred
async def test_a_pipeline_with_a_reader(start_wst: RouterMaker) -> None:
    """Requests behind each other are answered in order, also those that came with a FIN."""
    wst = await start_wst.start()
    host = await wst.host()
    viewer = await wst.dial()
    viewer.stays_half_open = True
    heartbeat = request("GET", "/__heartbeat__")
    viewer.write(heartbeat + request("GET", f"/{host.tunnel}/") + heartbeat * 2)
    viewer.half_close()
    assert (await read_response(viewer)).status == 200
    stream = await host.link.accept()
    stream.respond(HELLO)
    assert (await read_response(viewer)).body == b"hello"
    for _ in range(2):
        assert (await read_response(viewer)).status == 200
    await viewer.half_ended()


@pytest_twisted.ensureDeferred
async def test_a_pipeline_leaves_others_their_turns(start_wst: RouterMaker) -> None:
    """However many requests come at once, there is a turn of the reactor for each."""
    wst = await start_wst.start()
    reactor = the_reactor()
    turns = itertools.count()
    each_turn = LoopingCall(lambda: next(turns))
    each_turn.clock = reactor
    viewer = await wst.dial()
    each_turn.start(0)
    viewer.write(request("GET", "/__heartbeat__") * PIPED_AT_ONCE)
    for _ in range(PIPED_AT_ONCE):
        assert (await read_response(viewer)).status == 200
    each_turn.stop()
    assert next(turns) >= PIPED_AT_ONCE


@pytest_twisted.ensureDeferred
async def test_what_comes_behind_a_long_poll(start_wst: RouterMaker) -> None:
    """A viewer that sends on and on behind its request is read so far and no further."""
    wst = await start_wst.start()
    host = await wst.host()
    viewer, _, _ = await host.exchange()
    (door,) = [door for door in start_wst.services[0]._hall.doors if door.is_answering()]
    writing = together(viewer.write_all(bytes(16 * MiB)))
    writing.addErrback(lambda failure: failure.trap(Ended, Late) and None)
    for _ in range(50):
        # the host's link is full now and then, and the stream's partner paused and resumed
        (session,) = start_wst.services[0].broker.offers().values()
        session.pauseProducing()
        session.resumeProducing()
        await host.serves()
    assert door._reader.unread_bytes() < MiB
    viewer.reset()
