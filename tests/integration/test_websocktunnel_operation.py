"""The websocktunnel router in operation: drain, revocation, reload."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectError

from relay.links.cutthrough.channel import PlainChannel
from relay.vocabulary import Reason
from tests.integration.websocktunnel_ours import RouterMaker, write
from tests.integration.websocktunnel_peers import (
    HELLO,
    SECRET_A,
    SECRET_B,
    Router,
    claims,
    mint,
)
from tests.rawpeer import (
    Response,
    connect,
    read_head,
    read_response,
    request,
    together,
    until,
)

HEARTBEAT = request("GET", "/__heartbeat__")
NEW_SECRET = "charlie-secret-charlie-secret-32-"
DRAIN_S = 20
SOON_S = 2.0
SHORT_S = 0.5
DIALECT = "websocktunnel"

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


def what_is_wrong(answer: Response) -> tuple[int, str | None]:
    """:returns: status and reason"""
    return answer.status, answer.header("X-Relay-Reason")


def stop(service: Any) -> Deferred[None]:
    """Begin to stop a router."""
    return maybeDeferred(service.stopService)


# -- drain ---------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_drain_lets_downloads_end(start_wst: RouterMaker) -> None:
    """A running download comes to its end; a kept connection hears 503 ``going-away`` and when to
    come again; nobody new is let in.
    """
    wst = await start_wst.start(router={"drain-s": DRAIN_S})
    host = await wst.host()
    kept = await wst.dial()
    kept.write(HEARTBEAT)
    assert (await read_response(kept)).status == 200
    viewer, stream, _ = await host.exchange()
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
    await read_head(viewer)
    stopped = stop(start_wst.services[0])
    kept.write(request("GET", f"/{host.tunnel}/"))
    answer = await read_response(kept)
    assert what_is_wrong(answer) == (503, "going-away")
    assert answer.header("Retry-After") == "1"
    await wst_is_closed(wst)
    assert not stopped.called
    stream.respond(b"lf")
    assert await viewer.exactly(4) == b"half"
    viewer.drop()
    await stopped
    assert (await host.link.ended()).reason == "going-away"  # type: ignore[union-attr]


@pytest_twisted.ensureDeferred
async def test_a_drain_does_not_wait_for_kept_connections(start_wst: RouterMaker) -> None:
    """Viewers without a request hold nothing up, and are closed in order at the end."""
    wst = await start_wst.start(router={"drain-s": DRAIN_S})
    host = await wst.host()
    viewers = []
    for _ in range(3):
        viewer, stream, _ = await host.exchange()
        stream.respond(HELLO)
        assert (await read_response(viewer)).body == b"hello"
        viewers.append(viewer)
    silent = await wst.dial()
    await together(
        *(viewer.everything(SOON_S) for viewer in (*viewers, silent)), stopping(start_wst)
    )


async def stopping(maker: RouterMaker) -> bytes:
    """Stop the router, which takes no time."""
    stopped = stop(maker.services[0])
    await until(lambda: stopped.called or None, "end of the router", SOON_S)
    return b""


@pytest.mark.cut_through
@pytest_twisted.ensureDeferred
async def test_a_drain_waits_for_the_tail(
    start_wst: RouterMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that the host has given and a slow viewer has yet to take is not cut."""
    wst = await start_wst.start(router={"drain-s": DRAIN_S})
    service = start_wst.services[0]
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    (door,) = [door for door in service._hall.doors if door.is_answering()]
    channel, send, stuck = door.transport.channel, PlainChannel.send, [True]

    def takes(self: PlainChannel, parts: Any, size: int) -> int:
        return 0 if self is channel and stuck else send(self, parts, size)

    monkeypatch.setattr(PlainChannel, "send", takes)
    stream.respond(HELLO)
    await stream.finished()
    assert not service.broker.circuits
    stopped = stop(service)
    await wst_is_closed(wst)
    assert not stopped.called
    assert viewer.nothing_came()
    stuck.clear()
    answer = await read_response(viewer)
    assert (answer.body, answer.whole) == (b"hello", True)
    await viewer.everything(SOON_S)
    await stopped


async def wst_is_closed(wst: Router) -> None:
    """Wait until it listens no more."""
    while True:
        try:
            (await connect(wst.port)).reset()
        except ConnectError:
            return


@pytest_twisted.ensureDeferred
async def test_a_drain_has_an_end(start_wst: RouterMaker) -> None:
    """At its deadline downloads are broken off, and viewers that wait are told."""
    wst = await start_wst.start(router={"drain-s": 1})
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")
    await read_head(viewer)
    waiting, _, _ = await host.exchange()
    await stop(start_wst.services[0])
    assert what_is_wrong(await read_response(waiting)) == (503, "going-away")
    await viewer.gone(SOON_S)
    assert not viewer.left().endswith(b"0\r\n\r\n")


@pytest_twisted.ensureDeferred
async def test_a_drain_turns_unanswered_calls_away(start_wst: RouterMaker) -> None:
    """Viewers whose host has not accepted are told at once, with when to come again."""
    wst = await start_wst.start(router={"drain-s": DRAIN_S})
    host = await wst.host(window=None)
    viewer = await host.view()
    await host.link.accept()
    stopped = stop(start_wst.services[0])
    answer = await read_response(viewer, deadline_s=SOON_S)
    assert what_is_wrong(answer) == (503, "going-away")
    assert answer.header("Retry-After") == "1"
    await stopped
    total = start_wst.services[0].around.metrics.refused_total
    assert total[DIALECT, Reason.GOING_AWAY] == 1


# -- revocation and reload -----------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_revoked_offer(start_wst: RouterMaker) -> None:
    """Its link ends, viewers in mid-body are broken off, new ones refused; no login has failed."""
    wst = await start_wst.start(limits={"failed-logins-per-min": 1})
    host, other = await wst.host(), await wst.host()
    viewer, stream, _ = await host.exchange()
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart")
    await read_head(viewer)
    broker = start_wst.services[0].broker
    assert broker.revoke(offer=f"{DIALECT}:{host.tunnel}") == 1
    close = await host.link.ended()
    assert close is not None
    assert close.reason == "revoked"
    await viewer.gone(SOON_S)
    assert viewer.left() == b"part"
    for _ in range(3):
        answer = await wst.fetch(f"/{host.tunnel}/")
        assert what_is_wrong(answer) == (502, "revoked")
    assert await wst.status(host.tunnel) == 401
    assert broker._around.metrics.failed_logins_total[DIALECT] == 1
    await other.serves()


@pytest_twisted.ensureDeferred
async def test_a_reload_with_another_secret(start_wst: RouterMaker) -> None:
    """What runs goes on; the old secret's tokens register nobody any more, the new one's do."""
    wst = await start_wst.start()
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
    for name in ("a", "b"):
        write(start_wst.folders[0] / f"{name}.secret", NEW_SECRET)
    start_wst.services[0].reload()
    assert await wst.status("later") == 401
    assert await wst.status("later", mint(claims("later"), SECRET_B)) == 401
    assert await wst.status("later", mint(claims("later"), NEW_SECRET)) == 101
    stream.respond(b"lf")
    assert (await read_response(viewer)).body == b"half"
    await host.serves()
    assert NEW_SECRET not in (SECRET_A, SECRET_B)
