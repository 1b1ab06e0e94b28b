"""The paths of a host's local HTTP API.

Specification: session-relay.md §9.2. As in the original, paths are decoded and then cleaned; one
that was not clean is a redirection.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from urllib.parse import quote, unquote

from relay.errors import MethodNotAllowed, NotFound

HEALTH = "health"
API = "api"
DESTINATIONS = "destinations"
DESTINATION = "destination"
STREAMS = "streams"
STREAM = "stream"
BYTES = "ts"
SOCKET = "ws"

_ADD = frozenset({"PUT", "POST", "UPDATE"})
_ONE = frozenset({"GET", "DELETE"})
_ANY: frozenset[str] = frozenset()

NAME = r"([A-Za-z0-9/_.-]+)"
"""Of ids, streams and feeds; the original knows neither ``_`` nor ``.`` here."""

_PATHS: tuple[tuple[Callable[[str], re.Match[str] | None], str, frozenset[str]], ...] = tuple(
    (re.compile(pattern).fullmatch, name, methods)
    for pattern, name, methods in (
        ("/healthcheck", HEALTH, frozenset({"GET"})),
        ("/api", API, _ANY),
        ("/api/destinations", DESTINATIONS, _ADD),
        (f"/api/destinations/{NAME}", DESTINATION, _ONE),
        ("/api/streams", STREAMS, _ADD),
        (f"/api/streams/{NAME}", STREAM, _ONE),
        (f"/ts/{NAME}", BYTES, _ANY),
        (f"/ws/{NAME}", SOCKET, _ANY),
    )
)


def find(method: str, path: str) -> tuple[str, str]:
    """Say what a request is for.

    :param path: clean and decoded
    :returns: one of the names above, and the feed, stream or id, empty where there is none
    :raises NotFound: for any other path
    :raises MethodNotAllowed: for a path that has not this method
    """
    for match_path, name, methods in _PATHS:
        match = match_path(path)
        if match is not None:
            if methods and method not in methods:
                raise MethodNotAllowed(f"{method[:20]} is not served at {path[:200]}")
            return name, match[1] if match.groups() else ""
    raise NotFound("404 page not found")


def decoded(path: str) -> str:
    """:param path: percent-encoded. :returns: its text, what is no UTF-8 replaced"""
    return unquote(path)


def cleaned(path: str) -> str:
    """:param path: decoded. :returns: the same without ``//``, ``.`` and ``..``"""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return f"{clean}/" if path.endswith("/") and clean != "/" else clean


def location(path: str, query: str) -> str:
    """:returns: a clean path as a request target"""
    target = quote(path, safe="/~!$&'()*+,;=:@")
    return f"{target}?{query}" if query else target
