"""A real browser in front of the tunnel: a page, fetch, EventSource, WebSocket, a download."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from relay.measuring.processes import LOOPBACK
from tests.integration.chromium import browsing
from tests.integration.websocktunnel_app_tunnels import TIMEOUT_S, Tunnel
from tests.webapp.payload import digest_of

pytest_plugins = ["tests.integration.websocktunnel_app_fixtures"]

DOWNLOAD_BYTES = 50_000_000
OURS = ("direct", "ours-ours", "ours-go")


@pytest.fixture(scope="module")
def seen(
    tunnel: Tunnel, app: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """What the page's script found through the tunnel; it tells the application."""
    room = f"browser-{tunnel.name}"
    url = f"http://{LOOPBACK}:{tunnel.port}{tunnel.prefix}/?bytes={DOWNLOAD_BYTES}&room={room}"
    with browsing(url, tmp_path_factory.mktemp("browser") / "own") as said:
        direct = http.client.HTTPConnection(LOOPBACK, app, timeout=TIMEOUT_S)
        direct.request("GET", f"/board?name={room}")
        try:
            found = json.loads(direct.getresponse().read())
        except TimeoutError:
            pytest.fail(f"the page did not finish; the browser said: {said.read_text()}")
        finally:
            direct.close()
        yield found


@pytest.mark.parametrize("tunnel", OURS, indirect=True, scope="module")
class TestPage:
    """Each test looks at one thing of the same visit."""

    def test_relative_links(self, tunnel: Tunnel, seen: dict[str, Any]) -> None:
        """The page's own links lead to the application, below the tunnel's id."""
        assert seen["place"] == f"{tunnel.prefix}/"
        assert seen["style"] == "rgb(1, 2, 3)"
        assert seen["picture"] == 17
        note = [200, f"{tunnel.prefix}/static/note.txt", "behind the tunnel, whichever way\n"]
        assert seen["link"] == note

    def test_fetch(self, tunnel: Tunnel, seen: dict[str, Any]) -> None:
        """Method, query, headers and body of a fetch arrive; a redirect is followed."""
        assert seen["json"] == ["PUT", "/json?a=b%2Fc", ["kept"], 26]
        assert seen["redirect"] == [True, f"{tunnel.prefix}/static/note.txt", 200]
        (cookies,) = seen["cookie"]
        assert sorted(cookies.split("; ")) == ["first=1", "second=2"]

    def test_events(self, seen: dict[str, Any]) -> None:
        """An EventSource hears each event before the next one is said."""
        assert seen["events"] == ["hello", "event 1", "event 2", "event 3"]

    def test_websocket(self, seen: dict[str, Any]) -> None:
        """Text, binary, the application's choice of subprotocol, its code and its reason come."""
        assert seen["socket"] == {
            "protocol": "echo.v2",
            "text": "grüß Gott",
            "binary": 1024 * 1024,
            "code": 4321,
            "reason": "enough of it",
        }

    def test_websocket_that_the_page_closes(self, seen: dict[str, Any]) -> None:
        """The page's own code and reason go to the application and come back."""
        assert seen["socketClosedHere"] == [4002, "closed by the browser", True]

    def test_bulk(self, seen: dict[str, Any]) -> None:
        """50 MB come down, and 1 MiB goes up, bit by bit as they are."""
        assert seen["upload"] == [1024 * 1024, True]
        assert seen["download"] == [DOWNLOAD_BYTES, digest_of(DOWNLOAD_BYTES)]
