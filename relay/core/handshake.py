"""The headers of a WebSocket handshake."""

from __future__ import annotations

import re

from relay.errors import BadHandshake, BadRequest, MethodNotAllowed, UpgradeRequired
from relay.http import Request

SUPPORTED_VERSION = "13"
KEY_BYTES = 16
KEY = re.compile("[A-Za-z0-9+/]{22}==")
"""The base64 of so many bytes."""
ONCE = ("sec-websocket-key", "sec-websocket-version")
"""Headers of a handshake that must not be repeated (RFC 6455, sections 11.3.1 and 11.3.5)."""


def check_upgrade(request: Request) -> None:
    """Judge the headers of a WebSocket handshake (RFC 6455, section 4.2.1).

    :raises UpgradeRequired: for HTTP/1.0
    :raises MethodNotAllowed: for anything but GET
    :raises BadRequest: naming the header that is missing or wrong
    """
    if request.http_version != "1.1":
        raise UpgradeRequired("only a WebSocket handshake over HTTP/1.1 is served here")
    for name, token in (("connection", "upgrade"), ("upgrade", "websocket")):
        if not request.has_token(name, token):
            raise BadRequest(
                f"only a WebSocket handshake is served here: header {name.title()} lacks {token!r}"
            )
    if request.method != "GET":
        wrong = MethodNotAllowed("a WebSocket handshake is made by GET", "GET")
        wrong.headers = BadHandshake.headers
        raise wrong
    names = [name for name, _ in request.headers]
    for name in ONCE:
        if names.count(name) > 1:
            raise BadHandshake(f"header {name.title()} came more than once")
    first = dict(reversed(request.headers))
    if first.get("content-length") not in (None, "0") or first.get("transfer-encoding"):
        raise BadRequest("a WebSocket handshake has no body")
    if first.get("sec-websocket-version") != SUPPORTED_VERSION:
        raise BadHandshake(f"only WebSocket version {SUPPORTED_VERSION} is served here")
    if KEY.fullmatch(first.get("sec-websocket-key", "").strip()) is None:
        raise BadHandshake(f"Sec-WebSocket-Key is not the base64 of {KEY_BYTES} bytes")
