"""Questions to the page that a real browser shows."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from relay.measuring.frames import frame
from relay.measuring.places import Connection, shake_hands
from relay.measuring.processes import wait
from tests.integration.chromium import browsing

START_S = 20.0
TEXT, MASK = 0x81, bytes(4)
LONG, LONGER = 126, 127


class Page:
    """A page that is shown, by way of the browser's debugging port.

    :param connection: a WebSocket of the page's
    """

    def __init__(self, connection: Connection) -> None:
        self._socket = connection.socket
        self._came = connection.rest
        self._number = 0

    def ask(self, expression: str) -> Any:
        """:returns: the value of an expression of JavaScript, once it is there if it is a promise

        :raises AssertionError: when it throws
        """
        self._number += 1
        parameters = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        call = {"id": self._number, "method": "Runtime.evaluate", "params": parameters}
        payload = json.dumps(call).encode()
        self._socket.sendall(bytes([TEXT]) + frame(payload, MASK)[1:])
        while True:
            said = json.loads(self._message())
            if said.get("id") == self._number:
                assert "exceptionDetails" not in said["result"], said
                return said["result"]["result"].get("value")

    def until(self, expression: str, deadline_s: float = START_S) -> Any:
        """:returns: the value of an expression, as soon as it is true. :raises Late:"""
        values = []

        def is_true() -> bool:
            values.append(self.ask(expression))
            return bool(values[-1])

        wait(is_true, expression, deadline_s, 0.05)
        return values[-1]

    def _message(self) -> bytes:
        size = self._take(2)[1]
        if size == LONG:
            size = int.from_bytes(self._take(2), "big")
        elif size == LONGER:
            size = int.from_bytes(self._take(8), "big")
        return self._take(size)

    def _take(self, size: int) -> bytes:
        while len(self._came) < size:
            chunk = self._socket.recv(65536)
            assert chunk, "the browser has gone"
            self._came += chunk
        taken, self._came = self._came[:size], self._came[size:]
        return taken


@contextmanager
def page_at(url: str, folder: Path) -> Iterator[Page]:
    """Show a page until the end of the block."""
    with browsing(url, folder) as said:
        wait(lambda: "DevTools listening" in said.read_text(), "the browser", START_S)
        found = re.search(r"DevTools listening on ws://([\d.]+:\d+)/", said.read_text())
        assert found is not None

        def shown() -> str | None:
            with urllib.request.urlopen(f"http://{found[1]}/json", timeout=START_S) as answer:
                targets = json.loads(answer.read())
            ways = (one["webSocketDebuggerUrl"] for one in targets if one["url"] == url)
            return next(ways, None)

        wait(shown, "the page", START_S)
        way = urlsplit(shown() or "")
        connection = shake_hands({"kind": "ws", "port": way.port}, way.path)
        with connection.socket:
            page = Page(connection)
            # it is an empty one before
            page.until(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")
            yield page
