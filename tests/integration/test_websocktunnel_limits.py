"""The websocktunnel router and its limits, what it counts, and whom it believes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from relay.vocabulary import Reason
from tests.integration.websocktunnel_ours import RouterMaker
from tests.integration.websocktunnel_peers import (
    HELLO,
    KiB,
    MiB,
    Router,
)
from tests.rawpeer import (
    Ended,
    RawPeer,
    Response,
    connect,
    read_head,
    read_response,
    request,
    together,
    until,
)

HEARTBEAT = request("GET", "/__heartbeat__")
SOON_S = 2.0
SHORT_S = 0.5
DIALECT = "websocktunnel"

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


def what_is_wrong(answer: Response) -> tuple[int, str | None]:
    """:returns: status and reason"""
    return answer.status, answer.header("X-Relay-Reason")


# -- limits --------------------------------------------------------------------------------------


def refused(maker: RouterMaker) -> dict[Reason, int]:
    """:returns: what was refused, by reason"""
    total = maker.services[0].broker._around.metrics.refused_total
    return {reason: count for (dialect, reason), count in total.items() if dialect == DIALECT}


def ended(maker: RouterMaker) -> dict[Reason, int]:
    """:returns: what circuits ended by"""
    total = maker.services[0].broker._around.metrics.circuits_total
    return {reason: count for (dialect, reason), count in total.items() if dialect == DIALECT}


@pytest_twisted.ensureDeferred
async def test_a_host_that_does_not_accept(start_wst: RouterMaker) -> None:
    """After ``pending-s`` its viewers get 504; those behind ``pending-calls`` 503."""
    wst = await start_wst.start(limits={"pending-s": SHORT_S, "pending-calls": 2})
    host = await wst.host(window=None)
    viewers = [await host.view(f"/{number}") for number in range(4)]
    answers = await together(*map(read_response, viewers))
    assert sorted(map(what_is_wrong, answers)) == [
        (503, "limit"),
        (503, "limit"),
        (504, "host-silent"),
        (504, "host-silent"),
    ]
    assert refused(start_wst) == {Reason.LIMIT: 2, Reason.HOST_SILENT: 2}
    assert ended(start_wst) == {}


@pytest_twisted.ensureDeferred
async def test_no_more_is_begun_when_memory_is_short(start_wst: RouterMaker) -> None:
    """Above ``buffered-bytes`` viewers get 503 ``limit`` with when to come again."""
    wst = await start_wst.start(limits={"buffered-bytes": MiB})
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    viewer.pause()
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MiB))
    sending = together(stream.send_all(bytes(64 * MiB)))
    ledger = start_wst.services[0].around.ledger
    await until(lambda: ledger.total >= MiB or None, "bytes that wait")
    answer = await wst.fetch(f"/{host.tunnel}/")
    assert what_is_wrong(answer) == (503, "limit")
    assert answer.header("Retry-After") == "5"
    assert ledger.total <= 5 * MiB
    sending.addErrback(lambda failure: failure.trap(AssertionError) and None)
    viewer.reset()
    await until(lambda: ledger.total == 0 or None, "end of what waits")
    await host.serves()


@pytest_twisted.ensureDeferred
async def test_heads_have_their_size_and_their_time(start_wst: RouterMaker) -> None:
    """``head-bytes`` and ``head-s`` hold for each request of a connection, not just the first."""
    wst = await start_wst.start(limits={"head-bytes": KiB, "head-s": SHORT_S})
    host = await wst.host()
    assert (await wst.fetch(f"/{host.tunnel}/", "X-Own: " + "x" * KiB)).status == 431
    slow = await wst.dial()
    slow.write(b"GET /")
    assert (await read_response(slow)).status == 408
    viewer, stream, _ = await host.exchange()
    stream.respond(HELLO)
    await read_response(viewer)
    viewer.write(b"GET /")
    assert (await read_response(viewer, deadline_s=SOON_S)).status == 408
    await host.serves()


@pytest_twisted.ensureDeferred
async def test_idle_exchanges(start_wst: RouterMaker) -> None:
    """After ``idle-s`` a viewer without a head is told, one in mid-body broken off."""
    wst = await start_wst.start(limits={"idle-s": 1})
    host = await wst.host()
    waiting, _, _ = await host.exchange()
    reading, stream, _ = await host.exchange()
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart")
    await read_head(reading)
    assert what_is_wrong(await read_response(waiting)) == (502, "idle")
    await reading.gone()
    assert ended(start_wst) == {Reason.IDLE: 2}
    await host.serves()


@pytest_twisted.ensureDeferred
async def test_registrations_of_one_id_are_one(start_wst: RouterMaker) -> None:
    """``links-per-offer`` is about names that several may have; here the newest has it."""
    wst = await start_wst.start(limits={"links-per-offer": 1})
    old = await wst.host()
    new = await wst.host(old.tunnel)
    await new.serves()


# -- counts --------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_each_failure_is_counted_once(start_wst: RouterMaker) -> None:
    """Either as a request that was refused, or as the end of a circuit."""
    wst = await start_wst.start()

    async def adds(
        act: Callable[[], Any], refusals: dict[Reason, int], ends: dict[Reason, int]
    ) -> None:
        before = refused(start_wst), ended(start_wst)
        await act()
        after = refused(start_wst), ended(start_wst)
        added = [
            {
                reason: new[reason] - old.get(reason, 0)
                for reason in new
                if new[reason] != old.get(reason, 0)
            }
            for old, new in zip(before, after, strict=True)
        ]
        assert added == [refusals, ends]

    host = await wst.host()

    async def absent() -> None:
        assert (await wst.fetch("/nobody/")).status == 504

    async def unspoken() -> None:
        assert (await host.answer(b"nonsense\r\n\r\n")).status == 502

    async def misspoken() -> None:
        viewer, _, _ = await host.exchange("/", "Transfer-Encoding: chunked", method="PUT")
        viewer.write(b"nonsense\r\n")
        assert (await read_response(viewer)).status == 400

    async def bad_head() -> None:
        answer = await wst.fetch(f"/{host.tunnel}/", "Expect: miracles")
        assert answer.status == 417

    async def cut() -> None:
        viewer, stream, _ = await host.exchange()
        stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart")
        await read_head(viewer)
        stream.fin()
        await viewer.gone()

    async def lost() -> None:
        brief = await wst.host(window=None)
        viewer = await brief.view()
        await brief.link.accept()
        brief.link.peer.reset()
        assert (await read_response(viewer)).status == 502

    async def served() -> None:
        await host.serves()

    await adds(absent, {Reason.HOST_ABSENT: 1}, {})
    await adds(unspoken, {}, {Reason.PROTOCOL_ERROR: 1})
    await adds(misspoken, {}, {Reason.PROTOCOL_ERROR: 1})
    await adds(bad_head, {Reason.PROTOCOL_ERROR: 1}, {})
    await adds(cut, {}, {Reason.PROTOCOL_ERROR: 1})
    await adds(lost, {Reason.TARGET_REFUSED: 1}, {})
    await adds(served, {}, {Reason.FINISHED: 1})


@pytest_twisted.ensureDeferred
async def test_bytes_are_counted(start_wst: RouterMaker) -> None:
    """Those of requests as the host gets them, and those of answers as it gives them."""
    wst = await start_wst.start()
    host = await wst.host()
    viewer, stream, _ = await host.exchange("/", "Content-Length: 4", method="PUT", body=b"body")
    await stream.exactly(4)
    stream.respond(HELLO)
    await read_response(viewer)
    total = start_wst.services[0].broker._around.metrics.bytes_total
    assert total[DIALECT, "up"] == stream.arrived
    assert total[DIALECT, "down"] == len(HELLO)


# -- who it is -----------------------------------------------------------------------------------


async def logged_peer(wst: Router, *headers: str) -> str:
    """:returns: whom the log says a refusal was told"""
    events: list[LogEvent] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        events.append(event)

    globalLogPublisher.addObserver(observe)
    try:
        await wst.fetch("/nobody/", *headers)
    finally:
        globalLogPublisher.removeObserver(observe)
    (peer,) = [str(event["peer"]) for event in events if event.get("event") == "refused"]
    return peer


@pytest.mark.parametrize(
    ("trusted", "told", "peer"),
    [
        ("", "192.0.2.1", "127.0.0.1"),
        ("127.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "192.0.2.9, 192.0.2.1", "192.0.2.1"),
        ("127.0.0.1, 192.0.2.0/30", "198.51.100.1, 192.0.2.1", "198.51.100.1"),
        ("127.0.0.1", "no address", "127.0.0.1"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_forwarded_for(start_wst: RouterMaker, trusted: str, told: str, peer: str) -> None:
    """``X-Forwarded-For`` counts from listed proxies alone; hosts see it in any case."""
    wst = await start_wst.start(router={"trusted-proxies": trusted} if trusted else {})
    assert await logged_peer(wst, f"X-Forwarded-For: {told}") == peer
    _, _, head = await (await wst.host()).exchange("/", f"X-Forwarded-For: {told}")
    assert head.header("X-Forwarded-For") == told


@pytest_twisted.ensureDeferred
async def test_viewers_behind_the_proxy_protocol(start_wst: RouterMaker) -> None:
    """A viewer is who the header says; its request may come along with it."""
    wst = await start_wst.start(router={"proxy-protocol": "yes", "trusted-proxies": "127.0.0.1"})
    line = b"PROXY TCP4 192.0.2.1 198.51.100.1 51234 443\r\n"

    async def dial() -> RawPeer:
        peer = await connect(wst.port)
        peer.write(line)
        return peer

    wst.dial = dial  # type: ignore[method-assign]
    assert await logged_peer(wst) == "192.0.2.1"
    host = await wst.host()
    for _ in range(2):
        await host.serves()
    viewer = await dial()
    viewer.write(request("PUT", f"/{host.tunnel}/", "Content-Length: 4") + b"body")
    stream = await host.link.accept()
    await stream.head()
    assert await stream.exactly(4) == b"body"
    viewer.reset()
    await stream.finished(SOON_S)


@pytest_twisted.ensureDeferred
async def test_who_leaves_behind_the_proxy_protocol(start_wst: RouterMaker) -> None:
    """Without the header nobody gets in."""
    wst = await start_wst.start(router={"proxy-protocol": "yes", "trusted-proxies": "127.0.0.1"})
    peer = await wst.dial()
    peer.write(HEARTBEAT)
    with pytest.raises(Ended):
        await peer.response()
