"""HTTP requests and answers, as far as dialects see them."""

from __future__ import annotations

from typing import NamedTuple


class Request(NamedTuple):
    """An HTTP request head, after the front door has parsed it.

    :ivar target: path and query as sent, still percent-encoded: of a URL without scheme and host,
        with other bytes than ASCII encoded; ``*`` of OPTIONS
    :ivar path: the target's path, still percent-encoded
    :ivar query: what follows the first ``?``, without it
    :ivar headers: names in lower case and values, in order, both latin-1
    :ivar peer: the believed address of the sender, ``HOST`` without port
    :ivar secure: whether the last hop was TLS
    :ivar sent_host: the Host header as it was sent, where an absolute target stands above it; None:
        it is among the headers, if anywhere
    :ivar body: the whole body; only for routes that ask for one
    :ivar port: the other end's port, as far as it is known
    """

    method: str
    target: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    peer: str
    http_version: str = "1.1"
    secure: bool = False
    body: bytes = b""
    sent_host: str | None = None
    port: int = 0

    def header(self, name: str) -> str | None:
        """:returns: the first header of that (lower case) name, or None."""
        return next((value for key, value in self.headers if key == name), None)

    def has_token(self, name: str, token: str) -> bool:
        """:returns: whether a comma-separated header holds ``token``, whatever the case."""
        for key, value in self.headers:
            if key == name and token in [part.strip().lower() for part in value.split(",")]:
                return True
        return False

    def asks_for_websocket(self) -> bool:
        """:returns: whether it has the two tokens of a WebSocket handshake (RFC 6455, 4.2.1)"""
        return self.has_token("connection", "upgrade") and self.has_token("upgrade", "websocket")


class Response(NamedTuple):
    """A complete answer over plain HTTP.

    :ivar content_type: None: nothing is said of it
    :ivar keep: whether the connection may stay open for another request
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str | None = "text/plain; charset=utf-8"
    keep: bool = True
