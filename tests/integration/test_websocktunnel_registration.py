"""The websocktunnel router, seen from the wire: checks 1-5, 13, 28 and 29, who may register.

Each runs against our router, and against the original's server where that is at hand; what the
latter is known to fail is marked with the reason.
"""

from __future__ import annotations

import base64
import secrets
import string
import time
from typing import Any

import pytest
import pytest_twisted

from tests.integration.websocktunnel_peers import (
    BOTH,
    HELLO,
    OURS,
    PREFIX,
    Router,
    claims,
    go_differs,
    mint,
)
from tests.integration.websocktunnel_routers import KINDS, Maker
from tests.rawpeer import SAMPLE_KEY, MuxLink, Op, accept_key, read_response, request, until

GONE_S = 4.0
"""How soon an id whose host is gone must be free (check 29)."""

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


@KINDS
@pytest.mark.parametrize(
    ("prefix", "shown"),
    [
        ("http://localhost", "http://localhost/myclient"),
        ("https://localhost/", "https://localhost/myclient"),
        ("http://somehost:1234/", "http://somehost:1234/myclient"),
        ("https://h/base", "https://h/base/myclient"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_check_01_registration(wst_routers: Maker, prefix: str, shown: str) -> None:
    """A good token gets a 101 and its URL: the prefix less one slash, a slash, the id."""
    wst = await wst_routers.start(prefix=prefix)
    offers = {"Sec-WebSocket-Extensions": "permessage-deflate"}
    _, head = await wst.ask("myclient", headers=offers)
    assert head.first_line.startswith("HTTP/1.1 101 ")
    assert (head.header("Upgrade") or "").lower() == "websocket"
    assert (head.header("Connection") or "").lower() == "upgrade"
    assert head.header("Sec-WebSocket-Accept") == accept_key(SAMPLE_KEY)
    assert head.header("Sec-WebSocket-Extensions") is None
    assert head.header("X-Websocktunnel-Client-Url") == shown


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_02_the_newcomer_wins(wst: Router) -> None:
    """Who registers an id again has it: the older link is closed, viewers reach the newer."""
    old = await wst.host()
    viewer = await old.view()
    await old.link.accept()
    new = await wst.host(old.tunnel)
    await old.link.ended()
    assert (await read_response(viewer)).status == wst.says(502)
    await new.serves()


@OURS
@pytest_twisted.ensureDeferred
async def test_check_02_the_replaced_is_told(wst: Router) -> None:
    """Our router tells a host that another took its place: Close 1001 with the word."""
    old = await wst.host()
    await wst.host(old.tunnel)
    close = await old.link.ended()
    assert close is not None
    assert (close.code, close.reason) == (1001, "replaced")


@go_differs("kills the older session before the handshake is judged")
@pytest.mark.parametrize(
    "fault",
    [
        {"method": "POST"},
        {"headers": {"Sec-WebSocket-Version": "8"}},
        {"headers": {"Sec-WebSocket-Key": base64.b64encode(b"x" * 15).decode()}},
    ],
    ids=["method", "version", "key"],
)
@pytest_twisted.ensureDeferred
async def test_check_02_a_failed_handshake_displaces_nobody(
    wst: Router, fault: dict[str, Any]
) -> None:
    """A registration that is refused leaves the older one alone."""
    host = await wst.host()
    assert await wst.status(host.tunnel, **fault) in (400, 405)
    await host.serves()


@BOTH
@pytest.mark.parametrize(
    "tunnel", ["a/b", "a b", "a:b", "a+b", "a,b", "a@b", "a\xe9b", "a\\b", "/"]
)
@pytest_twisted.ensureDeferred
async def test_check_03_bad_ids(wst: Router, tunnel: str) -> None:
    """An id with any other byte is 400, before the token is looked at."""
    assert await wst.status(tunnel) == 400
    assert await wst.status(tunnel, "wrong") == 400


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_03_good_ids(wst: Router) -> None:
    """Every allowed byte makes an id, of any length, and the URL shows it as it is."""
    every = string.ascii_letters + string.digits + "_~.%-"
    for tunnel in (every, "a", ".", "..", "~", "100%", "x" * 2000):
        peer, head = await wst.ask(tunnel)
        assert head.status == 101, tunnel
        assert head.header("X-Websocktunnel-Client-Url") == f"{PREFIX}/{tunnel}"
        peer.drop()


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_03_ids_are_opaque(wst: Router) -> None:
    """``%41``, ``A`` and ``a`` are three ids."""
    salt = secrets.token_hex(4)
    for tunnel in (f"%41{salt}", f"A{salt}", f"a{salt}"):
        await wst.host(tunnel)
    assert (await wst.fetch(f"/B{salt}/")).status == 504
    host = await wst.host(f"%42{salt}")
    assert (await wst.fetch(f"/B{salt}/")).status == 504
    await host.serves()


@BOTH
@pytest.mark.parametrize(
    "shown",
    [None, "bearer {}", "BEARER {}", "Bearer  {}", "Bearer {}=", "Bearer", "{}", "Basic {}"],
)
@pytest_twisted.ensureDeferred
async def test_check_04_authorization(wst: Router, shown: str | None) -> None:
    """Anything but ``Bearer``, one space and a token's alphabet is 400, not 401."""
    token = mint(claims("demo"))
    peer = await wst.dial()
    headers = {"x-websocktunnel-id": "demo"}
    if shown is not None:
        headers["Authorization"] = shown.format(token)
    assert (await peer.upgrade("/", headers)).status == 400


@BOTH
@pytest.mark.parametrize("token", ["good", "wrong"])
@pytest.mark.parametrize(
    "links",
    [
        (),
        ("Connection: Upgrade",),
        ("Upgrade: websocket",),
        ("Connection: x", "Upgrade: websocket"),
    ],
    ids=["neither", "connection", "upgrade", "other"],
)
@pytest_twisted.ensureDeferred
async def test_check_05_no_upgrade(wst: Router, token: str, links: tuple[str, ...]) -> None:
    """Without both upgrade headers a registration is 404, whatever the token is worth."""
    shown = mint(claims("demo")) if token == "good" else "a.b.c"
    fields = (f"Authorization: Bearer {shown}", "x-websocktunnel-id: demo", *links)
    assert (await wst.fetch("/", *fields)).status == 404


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_05_upgrade_headers_may_be_lists(wst: Router) -> None:
    """The tokens may stand in lists and in any case."""
    lists = {"Connection": "keep-alive, UPGRADE", "Upgrade": "h2c, WebSocket"}
    assert await wst.status(f"t{secrets.token_hex(4)}", headers=lists) == 101


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_13_handshake(wst: Router) -> None:
    """A method, a version and a key that no WebSocket has: 405, 400 and 400."""
    short = base64.b64encode(b"x" * 15).decode()
    for status, options in [
        (405, {"method": "POST"}),
        (400, {"headers": {"Sec-WebSocket-Version": "8"}}),
        (400, {"headers": {"Sec-WebSocket-Key": short}}),
        (400, {"headers": {"Sec-WebSocket-Key": ""}}),
    ]:
        _, head = await wst.ask("demo", **options)  # type: ignore[arg-type]  # of a table
        assert head.status == status, options
        assert head.header("Sec-WebSocket-Version") == "13", options
        # the token is judged before
        assert await wst.status("demo", "a.b.c", **options) == 401, options  # type: ignore[arg-type]  # likewise


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_13_the_first_of_two_headers_counts(wst: Router) -> None:
    """Of a repeated id header the first value counts, and an empty one is no registration."""
    tunnel = f"t{secrets.token_hex(4)}"
    peer = await wst.dial()
    good = f"Authorization: Bearer {mint(claims(tunnel))}"
    handshake = (
        "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {SAMPLE_KEY}", good,
    )  # fmt: skip
    ids = (f"x-websocktunnel-id: {tunnel}", "x-websocktunnel-id: other")
    peer.write(request("GET", "/?any=query", *handshake, *ids))
    assert (await peer.response()).status == 101
    nobody = await wst.dial()
    nobody.write(request("GET", "/", *handshake, "x-websocktunnel-id: "))
    assert (await nobody.response()).status == 404


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_28_registration_elsewhere(wst: Router) -> None:
    """Registration headers on a viewer's path are the viewer's: they go through."""
    host = await wst.host()
    handshake = {
        "x-websocktunnel-id": "stolen",
        "Authorization": f"Bearer {mint(claims('stolen'))}",
    }
    fields = tuple(f"{name}: {value}" for name, value in handshake.items())
    viewer, stream, head = await host.exchange("/", *fields)
    assert head.header("x-websocktunnel-id") == "stolen"
    assert head.header("Authorization") == handshake["Authorization"]
    stream.respond(HELLO)
    assert (await read_response(viewer)).status == 200
    assert (await wst.fetch("/stolen/")).status == 504


@BOTH
@pytest.mark.parametrize("how", ["fin", "reset", "close"])
@pytest_twisted.ensureDeferred
async def test_check_29_the_id_is_free(wst: Router, how: str) -> None:
    """An id whose host closes TCP, resets it or sends a Close is free again soon."""
    host = await wst.host()
    await host.serves()
    if how == "close":
        host.link.peer.send_close(1000)
    else:
        (host.link.peer.drop if how == "fin" else host.link.peer.reset)()
    statuses: list[int] = []
    start = time.monotonic()
    while not statuses or statuses[-1] != 504:
        viewer = await host.view()
        statuses.append((await read_response(viewer, deadline_s=GONE_S)).status)
        assert time.monotonic() < start + GONE_S, statuses
    again = await wst.host(host.tunnel)
    await again.serves()


@BOTH
@pytest_twisted.ensureDeferred
async def test_the_end_of_the_older_spares_the_newer(wst: Router) -> None:
    """An older link that ends late takes nothing of the newer one with it."""
    old = await wst.host()
    new = await wst.host(old.tunnel)
    old.link.peer.reset()
    await old.link.ended()
    await new.serves()
    await new.serves()


@BOTH
@pytest_twisted.ensureDeferred
async def test_expiry_ends_no_link(wst: Router) -> None:
    """A token is judged at registration; a link outlives it."""
    tunnel = f"t{secrets.token_hex(4)}"
    exp = int(time.time()) + 2
    peer, head = await wst.ask(tunnel, mint(claims(tunnel, exp=exp)))
    assert head.status == 101
    link = MuxLink(peer)
    await until(lambda: True if time.time() > exp + 0.2 else None, "expiry of the token")
    peer.send(Op.PING, b"still here")
    await link.until(lambda: b"still here" in link.pongs_seen or None, "Pong")
    viewer = await wst.dial()
    viewer.write(request("GET", f"/{tunnel}/"))
    (await link.accept()).respond(HELLO)
    assert (await read_response(viewer)).body == b"hello"


@BOTH
@pytest_twisted.ensureDeferred
async def test_errors_are_one_line_of_text(wst: Router) -> None:
    """A refusal of a registration is plain text."""
    peer = await wst.dial()
    head = await peer.upgrade("/", {"x-websocktunnel-id": "a/b"})
    assert head.status == 400
    assert (head.header("Content-Type") or "").startswith("text/plain")
    assert head.body.rstrip().count(b"\n") == 0
