"""A page in a real browser as a reader and writer of session-relay, from another origin."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import pytest
import pytest_twisted

from tests.integration.chromium import browsing
from tests.integration.session_relay_company import Company, joined, session_url
from tests.integration.session_relay_wire import fresh
from tests.rawpeer import noise, until

PAGE = b"""<!doctype html><title>session</title><script>
const query = new URLSearchParams(location.search), seen = {kinds: []};
const tell = () => fetch("/told", {method: "POST", body: JSON.stringify(seen)});
async function refusal() {
  const answer = await fetch(query.get("url"), {method: "POST", headers: {Authorization: "no"}});
  return [answer.status, await answer.json()];
}
async function main() {
  seen.refusal = await refusal();
  const answer = await fetch(query.get("url"), {
    method: "POST",
    headers: {Authorization: query.get("token"), "Content-Type": "application/json"},
    body: "{}",
  });
  const socket = new WebSocket((await answer.json()).uri, ["null"]);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { seen.protocol = socket.protocol; };
  socket.onmessage = (event) => {
    const text = typeof event.data === "string";
    seen.kinds.push(text ? "text" : "binary");
    if (event.data === "enough") socket.close(4001, "enough");
    else socket.send(event.data);
  };
  socket.onclose = (event) => { seen.close = [event.code, event.wasClean]; tell(); };
}
main().catch((error) => { seen.error = String(error); tell(); });
</script>"""
PAGE_S, ECHO_S = 30.0, 10.0
PAYLOADS = ("hello", b"\x00\xff", "gr\u00fc\u00df Gott", noise(300_000), "")

pytest_plugins = ["tests.integration.session_relay_fixtures"]


class Site(ThreadingHTTPServer):
    """Serves the page, and takes what it tells.

    :ivar told: what it has told, once it has
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Pages)
        self.told: list[dict[str, Any]] = []


class Pages(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        """Give the page."""
        self._answer(PAGE)

    def do_POST(self) -> None:
        """Take what the page tells."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        cast(Site, self.server).told.append(json.loads(body))
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Nobody asks."""


@pytest.fixture
def site() -> Iterator[Site]:
    """The page's own server."""
    with Site() as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield server
        server.shutdown()
        serving.join()


def page(site: Site, url: str, token: str) -> str:
    """:returns: the page's address, for a session"""
    query = urlencode({"url": url, "token": token})
    return f"http://127.0.0.1:{site.server_address[1]}/?{query}"


@pytest_twisted.ensureDeferred
async def test_page_reads_and_writes(sr_company: Company, site: Site, tmp_path: Path) -> None:
    """A page of another origin reads answers and refusals, and hears and says messages."""
    router = await sr_company.router("ours")
    topic = fresh("topic")
    member = await router.member(topic)
    address = page(site, session_url(router, topic), router.token(topic))
    with browsing(address, tmp_path / "browser") as said:
        try:
            await joined(router, topic, 2, PAGE_S)
        except AssertionError:
            pytest.fail(f"no page on the topic; it told {site.told}, {said.read_text()}")
        for payload in PAYLOADS:
            member.say(payload)
            await member.hears(payload, ECHO_S)
        member.say("enough")
        (told,) = await until(lambda: site.told or None, "the page's words", ECHO_S)
    assert told["protocol"] == "null"
    assert told["refusal"] == [500, {"code": 500, "message": "token invalid"}]
    assert told["kinds"] == ["text", "binary", "text", "binary", "text", "text"]
    assert told["close"] == [4001, True]


@pytest_twisted.ensureDeferred
async def test_page_that_is_cancelled(sr_company: Company, site: Site, tmp_path: Path) -> None:
    """A page whose booking is cancelled is told by a Close."""
    router = await sr_company.router("ours")
    topic, booking = fresh("topic"), fresh("bk")
    token = router.token(topic, booking=booking)
    with browsing(page(site, session_url(router, topic), token), tmp_path / "browser"):
        await joined(router, topic, 1, PAGE_S)
        admin = router.token("", ("relay:admin",))
        await router.deny(booking, admin)
        (told,) = await until(lambda: site.told or None, "the page's words", ECHO_S)
    code, clean = told["close"]
    assert clean
    assert code == 1000 or 3000 <= code < 5000 or code == 1008


@pytest_twisted.ensureDeferred
async def test_original_and_pages(sr_company: Company, site: Site, tmp_path: Path) -> None:
    """The original says nothing that lets a page of another origin read its answers."""
    router = await sr_company.router("go")
    topic = fresh("topic")
    address = page(site, session_url(router, topic), router.token(topic))
    with browsing(address, tmp_path / "browser"):
        (told,) = await until(lambda: site.told or None, "the page's words", PAGE_S)
    assert "Failed to fetch" in told["error"]
