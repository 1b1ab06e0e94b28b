"""A real application through real programs, ours and the original's, in every mix.

A mix is named HOST-ROUTER; ``go`` is the original's ``wst-client`` or ``websocktunnel``.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted

from tests.integration.portal_peers import wait_for
from tests.integration.portal_programs import Program, Programs
from tests.integration.websocktunnel_app import Application, pattern
from tests.integration.websocktunnel_ours import HostMaker, RouterMaker
from tests.integration.websocktunnel_peers import PREFIX, MiB, Router, claims, mint
from tests.rawpeer import (
    Op,
    RawPeer,
    Response,
    noise,
    read_chunk,
    read_head,
    read_response,
    request,
    together,
    until,
)

BULK_BYTES = 20 * MiB
BULK_S = 60.0
GONE_S = 4.0
ODD_BYTES = 300_001
MANY = 50

MIXES = ["go-ours", "ours-go", "ours-ours", "go-go"]
EVERY_MIX = pytest.mark.parametrize("wst_tunnel", MIXES, indirect=True)
OUR_ROUTER = pytest.mark.parametrize("wst_tunnel", ["go-ours", "ours-ours"], indirect=True)

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


class Tunnel:
    """An application, a host and a router.

    :ivar mix: HOST-ROUTER
    :ivar tunnel: the id
    """

    def __init__(self, mix: str, router: Router, app: Application) -> None:
        self.mix = mix
        self.router = router
        self.app = app
        self.tunnel = f"t{secrets.token_hex(6)}"

    async def start(self, host: str, hosts: HostMaker, programs: Programs) -> None:
        """Start the host, and wait for its URL."""
        token = mint(claims(self.tunnel))
        path = hosts.folder / f"{self.tunnel}.url"
        if host == "ours":
            await hosts.start(self.router.url, self.tunnel, token, self.app.port)
        else:
            words = (self.router.url, self.tunnel, str(self.app.port), "--token", token)
            programs.start("wst-client", *words, f"--out-file={path}")
        url = await until(lambda: (path.exists() and path.read_text()) or None, "URL")
        assert url == f"{PREFIX}/{self.tunnel}"

    async def fetch(self, path: str, *headers: str, **options: Any) -> Response:
        """:returns: the application's answer to a viewer"""
        return await self.router.fetch(f"/{self.tunnel}{path}", *headers, **options)

    async def view(self, path: str, *headers: str, method: str = "GET") -> RawPeer:
        """:returns: a viewer that has asked"""
        viewer = await self.router.dial()
        viewer.write(request(method, f"/{self.tunnel}{path}", *headers))
        return viewer

    async def socket(self) -> RawPeer:
        """:returns: a viewer's WebSocket at the application"""
        viewer = await self.router.dial()
        head = await viewer.upgrade(f"/{self.tunnel}/ws")
        assert head.status == 101, head
        return viewer


@pytest.fixture
def wst_tunnel(
    request: pytest.FixtureRequest,
    wst_app: Application,
    wst_hosts: HostMaker,
    wst_programs: Programs,
    expected_log_errors: Callable[[], object],
) -> Iterator[Tunnel]:
    """The tunnel whose mix the parameter names."""
    host, kind = request.param.split("-")
    if kind == "go":
        program: Program = request.getfixturevalue("wst_server")
        router = Router("go", wait_for(program.listens()))
    else:
        maker: RouterMaker = request.getfixturevalue("start_wst")
        router = wait_for(maker.start())
    tunnel = Tunnel(request.param, router, wst_app)
    wait_for(tunnel.start(host, wst_hosts, wst_programs))
    yield tunnel
    router.hang_up()
    # before its router goes, for which it would look again
    wait_for(wst_hosts.stop())
    # what our host says of a service that is gone
    expected_log_errors()


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_echo(wst_tunnel: Tunnel) -> None:
    """Method, path, query, headers and body arrive, and the answer comes back."""
    sent = {"Authorization": "Basic dTpw", "Cookie": "a=b", "X-Forwarded-For": "192.0.2.1"}
    fields = [f"{name}: {value}" for name, value in sent.items()]
    answer = await wst_tunnel.fetch(
        "/echo/a%20b?c=d&e=%2F", *fields, "Content-Length: 4", method="PUT", body=b"body"
    )
    assert answer.status == 200
    told = json.loads(answer.body)
    headers = {name.lower(): value for name, value in told["headers"]}
    assert (told["method"], told["path"], told["body"]) == ("PUT", "/echo/a%20b?c=d&e=%2F", "body")
    assert {name: headers[name.lower()] for name in sent} == sent
    assert headers["host"] == "viewer.example"
    assert headers["x-websocktunnel-original-path"] == f"/{wst_tunnel.tunnel}/echo/a b"


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_methods_and_keep_alive(wst_tunnel: Tunnel) -> None:
    """One connection of a viewer serves request after request, with HEAD among them."""
    viewer = await wst_tunnel.router.dial()
    for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "GET"):
        viewer.write(request(method, f"/{wst_tunnel.tunnel}/x", "Content-Length: 0"))
        answer = await read_response(viewer, method=method)
        assert answer.status == 200
        assert bool(answer.body) == (method != "HEAD")


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_check_20_parts(wst_tunnel: Tunnel) -> None:
    """A part that the application has sent is there before it goes on."""
    viewer = await wst_tunnel.view("/parts")
    head, _ = await read_head(viewer)
    assert head.header("Content-Type") == "text/event-stream"
    assert await read_chunk(viewer) == b"first"
    wst_tunnel.app.release.set()
    assert await read_chunk(viewer) == b"second"
    assert await read_chunk(viewer) == b""


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_check_23_close_delimited(wst_tunnel: Tunnel) -> None:
    """A body that the end of the connection ends is delivered whole."""
    answer = await wst_tunnel.fetch(f"/close?bytes={ODD_BYTES}")
    assert answer.body == pattern(ODD_BYTES)
    assert answer.whole


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_chunked_upload(wst_tunnel: Tunnel) -> None:
    """A chunked body reaches the application."""
    viewer = await wst_tunnel.view("/echo", "Transfer-Encoding: chunked", method="POST")
    viewer.write(b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n")
    assert json.loads((await read_response(viewer)).body)["body"] == "hello!"


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_download(wst_tunnel: Tunnel) -> None:
    """20 MiB come down bit by bit, with small requests in between."""
    viewer = await wst_tunnel.view(f"/bulk?bytes={BULK_BYTES}")
    whole = together(read_response(viewer, deadline_s=BULK_S))
    for _ in range(5):
        assert (await wst_tunnel.fetch("/echo", deadline_s=BULK_S)).status == 200
    (answer,) = await whole
    digest = hashlib.sha256(pattern(BULK_BYTES)).digest()
    assert hashlib.sha256(answer.body).digest() == digest


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_upload(wst_tunnel: Tunnel) -> None:
    """20 MiB go up bit by bit."""
    body = noise(BULK_BYTES)
    viewer = await wst_tunnel.view("/upload", f"Content-Length: {len(body)}", method="POST")
    await viewer.write_all(body)
    answer = await read_response(viewer, deadline_s=BULK_S)
    assert answer.body.decode() == hashlib.sha256(body).hexdigest()


@OUR_ROUTER
@pytest_twisted.ensureDeferred
async def test_early_answers(wst_tunnel: Tunnel) -> None:
    """An upload that the application refuses unread is answered, whoever the host is."""
    await see_refused(wst_tunnel, "/early")


@pytest.mark.cut_through
@pytest.mark.parametrize("wst_tunnel", ["ours-ours"], indirect=True)
@pytest_twisted.ensureDeferred
async def test_early_answers_of_the_rude(wst_tunnel: Tunnel) -> None:
    """So it is when the application closes with the upload unread, which resets its connection.

    Twisted's own transport drops what it has not read when a write fails.
    """
    for _ in range(10):
        await see_refused(wst_tunnel, "/early?rude")


async def see_refused(wst_tunnel: Tunnel, path: str) -> None:
    """Upload more than anybody keeps, and see the application's answer."""
    body = bytes(64 * MiB)
    viewer = await wst_tunnel.view(path, f"Content-Length: {len(body)}", method="POST")
    writing = together(viewer.write_all(body))
    writing.addErrback(lambda _: None)  # it may end with the connection
    answer = await read_response(viewer)
    assert (answer.status, answer.body) == (413, b"no")
    wst_tunnel.app.release.set()
    viewer.reset()
    await writing


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_many_viewers(wst_tunnel: Tunnel) -> None:
    """Viewers at once get each their own answer."""
    answers = await together(*(wst_tunnel.fetch(f"/echo/{n}") for n in range(MANY)))
    paths = [json.loads(answer.body)["path"] for answer in answers]
    assert paths == [f"/echo/{n}" for n in range(MANY)]


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_check_25_and_26_websockets(wst_tunnel: Tunnel) -> None:
    """Messages are echoed, whole, in kind; Pings come back once."""
    viewer = await wst_tunnel.socket()
    for opcode, payload in ((Op.TEXT, b"hi"), (Op.BINARY, noise(MiB)), (Op.TEXT, b"")):
        viewer.send(opcode, payload)
        got = await viewer.receive_message()
        assert (got.opcode, got.payload) == (opcode, payload)
    viewer.send(Op.PING, b"ping")
    pong = await viewer.receive()
    assert (pong.opcode, pong.payload) == (Op.PONG, b"ping")


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_check_27_gone_viewers(wst_tunnel: Tunnel) -> None:
    """The application notices that a viewer of a WebSocket has dropped its connection."""
    viewer = await wst_tunnel.socket()
    viewer.send(Op.TEXT, b"hi")
    await viewer.receive_message()
    viewer.drop()
    closes = wst_tunnel.app.closes
    await until(lambda: closes or None, "end of the application's WebSocket", GONE_S)
    assert closes == [1006]


@OUR_ROUTER
@pytest_twisted.ensureDeferred
async def test_close_codes(wst_tunnel: Tunnel) -> None:
    """A Close reaches the application, and its answer the viewer, whoever the host is."""
    viewer = await wst_tunnel.socket()
    viewer.send_close(4321, "own")
    ending = await viewer.ending(reply=False)
    assert ending.close is not None
    assert ending.close.code == 4321
    assert wst_tunnel.app.closes == [4321]


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_check_22_a_refused_target(wst_tunnel: Tunnel) -> None:
    """An application that is not there: 500 if both are the original's, 502 if one is ours."""
    wst_tunnel.app.close()
    answer = await wst_tunnel.fetch("/echo")
    assert answer.status == (500 if wst_tunnel.mix == "go-go" else 502)
    if wst_tunnel.mix != "go-go":
        assert answer.header("X-Relay-Reason")
