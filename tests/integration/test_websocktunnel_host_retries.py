"""When a websocktunnel host connects again: checks 39 and 40.

The waits of the original's own client are replaced by those that all our hosts keep; that a 4xx is
final at the very first connect is common to both. The original's program dies with a lost session.
"""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.integration.websocktunnel_daemon import (
    BOTH_HOSTS,
    OUR_HOST,
    PUBLIC_URL,
    URL_FIELD,
    HostDaemon,
)
from tests.integration.websocktunnel_ours import write
from tests.integration.websocktunnel_peers import SECRET_B, claims, mint
from tests.rawpeer import Mux, MuxLink, Op, close_body, encode_mux, until

SOON_S = 1.5
"""How soon a host is back after a loss: a second at most, and a little."""

REFUSED_S = (0.7, 1.6)
"""The first wait after a refusal: 1 s, a quarter more or less, and a little."""

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


@BOTH_HOSTS
@pytest_twisted.ensureDeferred
async def test_check_39_a_500_is_not_final(wst_daemon: HostDaemon) -> None:
    """A router that says 500 is asked again, until it says 101."""
    await wst_daemon.start()
    for _ in range(1 if wst_daemon.is_ours else 3):
        peer, _ = await wst_daemon.request()
        peer.refuse(500)
    link = await wst_daemon.link()
    stream = link.open()
    await stream.opened()
    path = wst_daemon.url_file
    text = await until(lambda: (path.exists() and path.read_text()) or None, "URL")
    assert text == PUBLIC_URL


@OUR_HOST
@pytest_twisted.ensureDeferred
async def test_check_39_our_waits(wst_daemon: HostDaemon) -> None:
    """After a refusal ours waits for 1 s, or for as long as the router says."""
    await wst_daemon.start()
    peer, _ = await wst_daemon.request()
    clock = peer.clock
    peer.refuse(503)
    start = clock.seconds()
    peer, _ = await wst_daemon.request()
    assert REFUSED_S[0] <= clock.seconds() - start <= REFUSED_S[1]
    peer.refuse(503, {"Retry-After": "3"})
    start = clock.seconds()
    await wst_daemon.request()
    assert 2.9 <= clock.seconds() - start <= 4.5


@BOTH_HOSTS
@pytest.mark.parametrize("status", [400, 401, 403, 404])
@pytest_twisted.ensureDeferred
async def test_check_39_refusals_are_final(wst_daemon: HostDaemon, status: int) -> None:
    """A 4xx at the very first connect ends the host with status 1, after that one try."""
    await wst_daemon.start()
    peer, _ = await wst_daemon.request()
    peer.refuse(status)
    await wst_daemon.gives_up()
    assert wst_daemon.router.arrivals == 1


@BOTH_HOSTS
@pytest_twisted.ensureDeferred
async def test_check_39_500_then_400(wst_daemon: HostDaemon) -> None:
    """A 400 behind a 500 is final, too: two tries in all."""
    await wst_daemon.start()
    for status in (500, 400):
        peer, _ = await wst_daemon.request()
        peer.refuse(status)
    await wst_daemon.gives_up()
    assert wst_daemon.router.arrivals == 2


@BOTH_HOSTS
@pytest_twisted.ensureDeferred
async def test_redirects_are_not_followed(wst_daemon: HostDaemon) -> None:
    """A redirect leads nowhere, and does not end a host."""
    await wst_daemon.start()
    peer, _ = await wst_daemon.request()
    peer.refuse(302, {"Location": "/elsewhere"})
    _, head = await wst_daemon.request()
    assert head.target == "/"


@OUR_HOST
@pytest.mark.parametrize("how", ["fin", "reset", "close", "going-away"])
@pytest_twisted.ensureDeferred
async def test_check_40_back_after_a_loss(wst_daemon: HostDaemon, how: str) -> None:
    """A host whose link is lost is back at once, and serves; its streams end with the link."""
    link = await wst_daemon.begin()
    stream, service = await wst_daemon.call(link)
    if how == "close":
        link.peer.send_close(1000)
    elif how == "going-away":
        link.peer.send(Op.CLOSE, close_body(1012, "going-away"))
    else:
        (link.peer.drop if how == "fin" else link.peer.reset)()
    again = await wst_daemon.link(SOON_S)
    await service.gone()
    assert stream.fins <= 1
    stream, service = await wst_daemon.call(again)
    service.write(b"back")
    assert await stream.exactly(4) == b"back"


@OUR_HOST
@pytest_twisted.ensureDeferred
async def test_check_40_reads_its_token_again(wst_daemon: HostDaemon) -> None:
    """Each connect shows the token that its file holds then; the url file follows the router."""
    await wst_daemon.start()
    peer, request = await wst_daemon.request()
    first = request.header("Authorization")
    peer.answer_upgrade(request, URL_FIELD)
    token = mint(claims("demo"), SECRET_B)
    write(wst_daemon.hosts.folder / "demo.token", token)
    peer.drop()
    peer, request = await wst_daemon.request()
    assert request.header("Authorization") == f"Bearer {token}" != first
    peer.answer_upgrade(request, {"X-Websocktunnel-Client-Url": "https://moved.example/demo"})
    path = wst_daemon.url_file
    moved = "https://moved.example/demo"
    await until(lambda: True if path.read_text() == moved else None, "the new URL")


@OUR_HOST
@pytest_twisted.ensureDeferred
async def test_a_refusal_later_is_not_final(wst_daemon: HostDaemon) -> None:
    """A host that stood once goes on after a 4xx, for the router may be mistaken."""
    link = await wst_daemon.begin()
    link.peer.drop()
    peer, _ = await wst_daemon.request()
    peer.refuse(401)
    await wst_daemon.link()


@OUR_HOST
@pytest_twisted.ensureDeferred
async def test_a_replaced_host_waits(wst_daemon: HostDaemon) -> None:
    """A host that another took the place of waits for 1 s before it takes it back."""
    link = await wst_daemon.begin()
    clock = link.peer.clock
    start = clock.seconds()
    link.peer.send(Op.CLOSE, close_body(1001, "replaced"))
    await wst_daemon.link()
    assert REFUSED_S[0] <= clock.seconds() - start <= REFUSED_S[1]


@OUR_HOST
@pytest_twisted.ensureDeferred
async def test_a_silent_router_is_dead(wst_daemon: HostDaemon) -> None:
    """A router that answers no Ping is left for a new link; any frame of it counts as life."""
    await wst_daemon.start(ping_s=0.5, dead_s=1.5)
    silent = await wst_daemon.link(pongs=False)
    start = silent.peer.clock.seconds()
    while silent.peer.clock.seconds() - start < 2.0:
        count = len(silent.pings)
        await silent.until(lambda count=count: len(silent.pings) > count or None, "Ping")  # type: ignore[misc]  # a default argument
        silent.send(Mux.FIN, 99)
    await silent.ended()
    alive = await wst_daemon.link()
    await alive.until(lambda: len(alive.pings) >= 4 or None, "Pings")
    stream, _ = await wst_daemon.call(alive)
    assert stream.acks


@OUR_HOST
@pytest_twisted.ensureDeferred
async def test_frames_behind_the_101(wst_daemon: HostDaemon) -> None:
    """A SYN in one segment with the 101 is accepted."""
    await wst_daemon.start()
    peer, request = await wst_daemon.request()
    peer.answer_upgrade(request, URL_FIELD)
    peer.send(Op.BINARY, encode_mux(Mux.SYN, 0))
    link = MuxLink(peer)
    await link.until(lambda: link.of(Mux.ACK, 0) or None, "ACK")
