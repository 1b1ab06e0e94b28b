"""Session-relay for pages of other origins, and at listeners of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytest_twisted

from tests.integration.ini_services import Services, section, write
from tests.integration.session_relay_ours import RouterMaker
from tests.integration.session_relay_peers import OURS, Router
from tests.integration.session_relay_vectors import SECRET, TOPIC, V1, V2, V4, V6, V7, V8
from tests.integration.session_relay_wire import fresh

ROUTES = ("/session/x", "/bids/allow", "/bids/deny", "/status")
LAB, ELSEWHERE = "https://lab.example.test", "https://elsewhere.example"

pytest_plugins = ["tests.integration.session_relay_fixtures"]


@OURS
@pytest.mark.parametrize("path", ROUTES)
@pytest_twisted.ensureDeferred
async def test_preflight(sr: Router, path: str) -> None:
    """Every route tells browsers what they may send, without a token."""
    asked = {
        "Origin": "https://lab.example.test",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = await sr.ask("OPTIONS", path, headers=asked)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.header("Access-Control-Allow-Origin") == "*"
    methods = {
        one.strip() for one in (answer.header("Access-Control-Allow-Methods") or "").split(",")
    }
    assert methods >= ({"POST"} if path.startswith("/session") else {"GET"})
    names = (answer.header("Access-Control-Allow-Headers") or "").lower()
    assert {one.strip() for one in names.split(",")} >= {"authorization", "content-type"}


@OURS
@pytest_twisted.ensureDeferred
async def test_pages_may_read_every_answer(sr: Router) -> None:
    """Refusals may be read by a page as well as what it asked for."""
    origin = {"Origin": "https://lab.example.test", "Content-Length": "0"}
    for token in (V2, V6, V7, V1, V8, None):
        answer = await sr.ask("POST", f"/session/{TOPIC}", token, headers=origin)
        assert answer.header("Access-Control-Allow-Origin") == "*"
    for method, path in (("GET", "/x"), ("GET", "/session/x"), ("POST", "/bids/deny")):
        answer = await sr.ask(method, path, V4, headers=origin)
        assert answer.header("Access-Control-Allow-Origin") == "*"


@pytest_twisted.ensureDeferred
async def test_origins_that_may_come(start_sr: RouterMaker) -> None:
    """Where origins are listed, pages of others get neither answers to read nor connections."""
    sr = await start_sr.start(dialect={"origins": LAB})
    for origin, allowed in ((LAB, LAB), (ELSEWHERE, None)):
        headers = {"Origin": origin, "Content-Length": "0"}
        answer = await sr.ask("POST", f"/session/{TOPIC}", V2, headers=headers)
        assert answer.header("Access-Control-Allow-Origin") == allowed
    topic = fresh("topic")
    code = await sr.code(topic)
    _, head = await sr.enter(topic, code, {"Origin": ELSEWHERE})
    assert head.status == 403
    _, head = await sr.enter(topic, code, {"Origin": LAB})
    assert head.status == 101
    await sr.works()


@pytest_twisted.ensureDeferred
async def test_listeners_of_its_own(start_sr: RouterMaker) -> None:
    """At a port of its own each half is served without a prefix, and the other half is not."""
    sr = await start_sr.start(own_ports=True)
    await sr.works()
    answer = await sr.session(TOPIC, V1)
    assert answer.data()["uri"].startswith(sr.target)
    topic = fresh("topic")
    sr.access, sr.door = sr.door, sr.access
    answer = await sr.session(topic)
    assert answer.status in (400, 404, 405)
    sr.access, sr.door = sr.door, sr.access
    code = await sr.code(topic)
    sr.access, sr.door = sr.door, sr.access
    _, head = await sr.enter(topic, code)
    assert head.status in (401, 404, 405)


@pytest_twisted.ensureDeferred
async def test_one_prefix_for_both(start_sr: RouterMaker) -> None:
    """With the same path in both URLs a handshake is for the relay socket, all else for access."""
    url = "relay.example.test/r0"
    sr = await start_sr.start(audience=f"https://{url}", target=f"wss://{url}")
    await sr.works()


@pytest_twisted.ensureDeferred
async def test_any_port(tmp_path: Path) -> None:
    """A router that was told neither its URLs nor a port names those that it has got."""
    secret = write(tmp_path / "session.secret", SECRET)
    running = Services()
    service = await running.start_router(
        tmp_path,
        section("router", {"listen": "tcp:0:interface=127.0.0.1", "state-dir": tmp_path}),
        section("dialect:session-relay", {"secret-file": secret}),
    )
    port = service.addresses[0][1].port
    url = f"127.0.0.1:{port}"
    sr = Router("ours", (port, "/access"), (port, "/ws"), f"http://{url}/access", f"ws://{url}/ws")
    try:
        await sr.works()
    finally:
        sr.hang_up()
        await running.stop()
