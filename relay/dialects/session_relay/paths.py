"""Where a request goes: the routes of the access API, the relay socket, and what a query says.

Specification: session-relay.md §3.1, §3.4 and §5.1. The access API is told apart by the path as it
was sent, the relay socket by the path decoded.
"""

from __future__ import annotations

import posixpath
import re
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from relay.dialects.session_relay.notions import DIALECT, SESSION, STATS_TOPIC
from relay.errors import BadRequest, MethodNotAllowed, NotFound
from relay.vocabulary import TopicName

ALLOW = "bids/allow"
DENY = "bids/deny"
STATUS = "status"
SOCKET = "socket"
PREFLIGHT = "preflight"
METHODS: dict[str, tuple[str, ...]] = {
    SESSION: ("POST",),
    ALLOW: ("GET", "POST"),
    DENY: ("GET", "POST"),
    STATUS: ("GET",),
}
"""The routes of the access API, and what each is asked by; besides OPTIONS."""

ACCESS_WORDS = frozenset({"session", "bids", "status"})
SOCKET_WORDS = frozenset({"session"})
"""What paths begin with where a listener with other dialects has no prefix for ours."""

SHOWN_PATH = 1000
"""Most characters of a path that a refusal repeats."""

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LITERAL = "/%!$&'()*+,;=:@[]~"
"""What Go shows of a path as it came, besides letters, digits and ``-._``."""
_TYPE = re.compile(r"/([A-Za-z0-9_%-]*)")
_TOPIC = re.compile(r"/([A-Za-z0-9_%&'()*+,\-./]*)")


class Place(NamedTuple):
    """A route of the access API.

    :ivar name: one of :data:`METHODS`
    :ivar topic: of a session: decoded, with surrogates for bytes that are no UTF-8
    """

    name: str
    topic: str = ""


def topic_name(topic: str) -> TopicName:
    """:returns: what a topic is called in the core"""
    return TopicName(f"{DIALECT}:{topic}")


def is_below(path: str, prefix: str, words: frozenset[str]) -> bool:
    """Say whether a path of a listener with several dialects is ours.

    :param prefix: without a slash at its end; empty: there is none, and ``words`` tell
    """
    if prefix:
        return path == prefix or path.startswith(f"{prefix}/")
    return path.startswith("/") and path.lstrip("/").partition("/")[0] in words


def access_place(path: str) -> Place:
    """Find the route of the access API.

    :param path: as it was sent, without a prefix
    :raises BadRequest: for an escape that is none
    :raises NotFound: in the original's words
    """
    check_escapes(path)
    cleaned = clean(path)
    first, _, rest = cleaned[1:].partition("/")
    if first == SESSION and rest and "/" not in rest:
        return Place(SESSION, decode(rest))
    if cleaned[1:] in METHODS and cleaned[1:] != SESSION:
        return Place(cleaned[1:])
    shown = quote(path or "/", safe=_LITERAL, errors="replace")[:SHOWN_PATH]
    raise NotFound(f"path {shown} was not found")


def check_method(name: str, method: str) -> None:
    """:raises MethodNotAllowed: in the original's words"""
    allowed = ",".join(METHODS[name])
    if method not in METHODS[name]:
        raise MethodNotAllowed(f"method {method} is not allowed, but [{allowed}] are", allowed)


def socket_topic(path: str) -> str:
    """Find the topic that a handshake is for.

    The path is cleaned first, where the original sends the same address in other words, since
    no WebSocket client follows that.

    :param path: as it was sent, without a prefix
    :returns: the topic, which ends before the first character that none may have; perhaps empty
    :raises BadRequest: for an escape that is none
    :raises NotFound: for any other kind of connection than a session
    """
    check_escapes(path)
    cleaned = clean(decode(path))
    kind = _TYPE.match(cleaned)
    if kind is None or kind.group(1) != SESSION:
        raise NotFound("Not Found")
    topic = _TOPIC.match(cleaned, kind.end())
    return topic.group(1) if topic else ""


def check_published(topic: str) -> str:
    """:returns: a topic that others than its members may have to do with

    :raises ValueError: for one that no handshake is for, and for that of the router itself
    """
    path = f"/{topic}"
    if not topic or _TOPIC.fullmatch(path) is None or clean(path) != path:
        raise ValueError("a topic is made of A-Z a-z 0-9 _ . - and /, with something between two /")
    if topic == STATS_TOPIC:
        raise ValueError(f"on the topic {STATS_TOPIC} the router alone speaks")
    return topic


def query_values(query: str, key: str) -> list[str]:
    """:returns: each value of ``key``, in order; a pair that cannot be decoded does not count"""
    values = []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if ";" in pair or _BAD_ESCAPE.search(pair):
            continue
        if decode(name.replace("+", " ")) == key:
            values.append(unquote_to_bytes(value.replace("+", " ")).decode("utf-8", "replace"))
    return values


def check_escapes(path: str) -> None:
    """:raises BadRequest: for an escape that is none"""
    if _BAD_ESCAPE.search(path):
        raise BadRequest("a percent sign in the path is not followed by two hex digits")


def clean(path: str) -> str:
    """:returns: the path without empty parts, ``.``, ``..`` and a slash at its end"""
    return posixpath.normpath("/" + path.lstrip("/"))


def decode(text: str) -> str:
    """:returns: the text with its escapes replaced; what is no UTF-8 equals no claim of a token"""
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")
