"""Websocktunnel under strain: limits, registration storms, restarts, and who pays for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_twisted

from tests.integration.portal_programs import Program
from tests.integration.websocktunnel_app import Application
from tests.integration.websocktunnel_ours import HostMaker, RouterMaker
from tests.integration.websocktunnel_peers import (
    BOTH,
    HELLO,
    OURS,
    KiB,
    MiB,
    Router,
    claims,
    mint,
)
from tests.integration.websocktunnel_routers import go_server
from tests.rawpeer import (
    MUX_WINDOW_BYTES,
    Mux,
    noise,
    read_head,
    read_response,
    the_reactor,
    together,
    until,
)

STORM = 30
BACK_S = 2.5
HELD_S = 0.9

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


# -- limits --------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_more_streams_than_a_link_may_have(start_wst: RouterMaker) -> None:
    """A viewer beyond the streams of one link is told 503 with a reason; others are not."""
    wst = await start_wst.start(limits={"streams": 2})
    host = await wst.host()
    held = [await host.exchange() for _ in range(2)]
    viewer = await host.view()
    answer = await read_response(viewer)
    assert answer.status == 503
    assert answer.header("X-Relay-Reason") == "limit"
    await wst.works()
    for exchange in held:
        exchange.stream.respond(HELLO)
        assert (await read_response(exchange.viewer)).status == 200
        await exchange.stream.finished()
    await host.serves()


@BOTH
@pytest_twisted.ensureDeferred
async def test_a_host_that_overruns_its_credit(wst: Router) -> None:
    """A host that sends more than it was granted harms nobody but itself."""
    bystander, host = await wst.host(), await wst.host()
    viewer, stream, _ = await host.exchange()
    size = 64 * MiB
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    await read_head(viewer)
    viewer.pause()
    for _ in range(5 * MUX_WINDOW_BYTES // (64 * KiB)):
        if host.link.close is None and host.link.peer.end is None:
            stream.send(bytes(64 * KiB))
            await bystander.router.fetch("/__heartbeat__")
    await bystander.serves()
    if wst.is_ours:
        # the stream has broken the rules, and with it the link or only itself
        await until(lambda: host.link.close or stream.fins or None, "the end of it")


@OURS
@pytest_twisted.ensureDeferred
async def test_fair_shares(wst: Router) -> None:
    """Fifty small requests pass beside a bulk download on the same link."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    body = noise(64 * MiB)
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
    sending = together(stream.send_all(body, 30.0))
    whole = together(read_response(viewer, deadline_s=30.0))
    for _ in range(50):
        await host.serves()
    assert not whole.called
    (answer,) = await whole
    await sending
    assert answer.body == body


# -- the same id again and again -----------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_a_storm_of_registrations(wst: Router) -> None:
    """However many hosts fight for an id, the newest has it and nobody else notices."""
    bystander = await wst.host()
    first = await wst.host()
    asked = 4 if wst.is_ours else STORM
    newest = first
    for _ in range(asked):
        newest = await wst.host(first.tunnel)
        await bystander.serves()
    await newest.serves()
    await first.link.ended()


@OURS
@pytest_twisted.ensureDeferred
async def test_flapping_is_slowed(wst: Router) -> None:
    """From the fourth replacement within 10 s on a newcomer's 101 is held, and it still wins."""
    host = await wst.host()
    clock = host.link.peer.clock
    waits = []
    for _ in range(5):
        start = clock.seconds()
        host = await wst.host(host.tunnel)
        waits.append(clock.seconds() - start)
    assert max(waits[:3]) < HELD_S
    assert waits[3] >= HELD_S
    assert waits[4] >= 2 * HELD_S
    await host.serves()


@BOTH
@pytest_twisted.ensureDeferred
async def test_requests_in_the_moment_of_an_end(wst: Router) -> None:
    """Viewers that come while a host goes get an answer or an end, and the router lives on."""
    for _ in range(10):
        host = await wst.host()
        viewers = [await host.view() for _ in range(5)]
        host.link.peer.reset()
        viewers += [await host.view() for _ in range(5)]
        for viewer in viewers:
            await viewer.until(lambda v=viewer: v.left() or v.end, "answer or end")  # type: ignore[misc]  # a default argument
    await wst.works()


# -- restarts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ours", "go"])
@pytest_twisted.ensureDeferred
async def test_our_host_survives_its_router(
    kind: str,
    start_wst: RouterMaker,
    wst_hosts: HostMaker,
    wst_app: Application,
    tmp_path: Path,
    expected_log_errors: Callable[[], object],
) -> None:
    """A router that dies and returns finds our host within seconds, and its URL works again."""
    servers: list[Program] = []

    async def start(port: int = 0) -> Router:
        if kind == "ours":
            return await start_wst.start(port=port)
        servers.append(go_server(tmp_path, port=port))
        return Router("go", await servers[-1].listens())

    try:
        wst = await start()
        await wst_hosts.start(wst.url, "lasting", mint(claims("lasting")), wst_app.port)
        await until_served(wst)
        wst.hang_up()
        if kind == "ours":
            await start_wst.stop()
        else:
            servers[-1].stop()
        wst = await start(wst.port)
        await until_served(wst)
        wst.hang_up()
    finally:
        await wst_hosts.stop()
        # what it says of a router that is gone
        expected_log_errors()
        for server in servers:
            server.stop()


async def until_served(wst: Router) -> None:
    """Ask again and again until the service answers, for a few seconds at most."""
    expiry = the_reactor().seconds() + BACK_S
    while (answer := await wst.fetch("/lasting/echo")).status != 200:
        assert answer.status == 504
        assert the_reactor().seconds() < expiry


@BOTH
@pytest_twisted.ensureDeferred
async def test_acks_are_not_wasted(wst: Router) -> None:
    """Our router grants what viewers took in few ACKs; the original in many."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    body = bytes(16 * MiB)
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
    sending = together(stream.send_all(body, 30.0))
    await read_response(viewer, deadline_s=30.0)
    await sending
    if wst.is_ours:
        assert len(host.link.of(Mux.ACK)) < 100
