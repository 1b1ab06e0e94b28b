"""A viewer's request on its way to a host: what is refused before, and what is written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from relay.errors import BadRequest, ExpectationFailed
from relay.http import Request
from relay.links.heads import LINE_END, NO_CONTROLS, request_framing
from relay.wire.http_bodies import NO_BODY, Delimiter, Framing, encode_fields

CONTINUE = "100-continue"
HTTP_11 = "1.1"
ASK_FOR_LENGTH = ("POST", "PUT", "PATCH")
"""Methods whose request says that it has no body."""

MADE_ANEW = ("host", "content-length", "transfer-encoding")
BLANKS = bytes([byte if byte in NO_CONTROLS else 0x20 for byte in range(256)])
"""A table for ``translate``: control characters become blanks."""


class Terms(NamedTuple):
    """What the head of a viewer's request settles about the exchange.

    :ivar framing: of the request's body
    :ivar expects_continue: the viewer sends the body once it has heard 100
    :ivar upgrade: the viewer asks for another protocol: 101 is a valid answer
    :ivar trailers: the viewer understands trailers
    :ivar keep: the viewer would keep the connection for another request
    """

    method: str
    http_version: str
    framing: Framing
    expects_continue: bool = False
    upgrade: bool = False
    trailers: bool = False
    keep: bool = True


def judge(request: Request) -> Terms:
    """Decide whether a request may be forwarded.

    :returns: how the exchange goes on
    :raises ExpectationFailed: when it expects anything but 100-continue
    :raises UnknownCoding: when its body is neither plain nor chunked
    :raises BadRequest: for a body or a host that could be understood in two ways
    """
    # one walk over the headers; all that matters is rare but for Host and Connection
    found: dict[str, list[str]] = {}
    for name, value in request.headers:
        if name in _DECISIVE:
            found.setdefault(name, []).append(value)
    modern = request.http_version == HTTP_11
    hosts = len(found.get("host", ()))
    if hosts > 1 or (modern and not hosts):
        raise BadRequest("Host is missing or repeated")
    framing = request_framing(
        found.get("content-length", ()), found.get("transfer-encoding", ()), request.http_version
    )
    expected = _tokens(found, "expect")
    if expected and expected != {CONTINUE}:
        raise ExpectationFailed(f"{CONTINUE} is the only expectation that is known here")
    connection = _tokens(found, "connection")
    return Terms(
        request.method,
        request.http_version,
        framing,
        modern and bool(expected) and framing != NO_BODY,
        modern and "upgrade" in connection and bool(_tokens(found, "upgrade")),
        modern and "trailers" in _tokens(found, "te"),
        "close" not in connection and (modern or "keep-alive" in connection),
    )


def encode_request(
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]],
    framing: Framing,
    keep: bool = True,
) -> bytes:
    """Write the head for the host's application, always as HTTP/1.1.

    :param target: in origin form, as it stands on the wire
    :param headers: names in lower case and values, in latin-1; control characters in them, which
        a decoded path may have, become blanks
    :param keep: False: ``Connection: close`` is among the headers, whatever came
    :raises BadRequest: when the target is not one word
    """
    if _TARGET.fullmatch(target) is None:
        raise BadRequest("a blank or a control character is in the request target")
    hosts, others = [], []
    closes = False
    for name, value in headers:
        if name == "host":
            hosts.append((b"host", value.encode("latin-1")))
        elif name not in MADE_ANEW:
            others.append((name.encode("latin-1"), value.encode("latin-1")))
            closes = closes or (name == "connection" and "close" in _split(value))
    if not hosts:
        hosts.append((b"host", b""))  # from HTTP/1.0; HTTP/1.1 asks for the line all the same
    if not (keep or closes):
        others.append((b"connection", b"close"))
    if framing.delimiter is Delimiter.CHUNKS:
        hosts.append((b"transfer-encoding", b"chunked"))
    elif framing.delimiter is Delimiter.LENGTH or method in ASK_FOR_LENGTH:
        hosts.append((b"content-length", b"%d" % framing.length))
    line = f"{method} {target} HTTP/1.1".encode("latin-1")
    fields = hosts + others
    head = line + LINE_END + encode_fields(fields) + LINE_END
    if len(head.translate(None, NO_CONTROLS)) == len(LINE_END) * (len(fields) + 2):
        return head
    clean = [(name, value.translate(BLANKS)) for name, value in fields]
    return line + LINE_END + encode_fields(clean) + LINE_END


def _tokens(found: dict[str, list[str]], name: str) -> frozenset[str]:
    """:returns: the members of a list, in lower case and without parameters"""
    values = found.get(name)
    if not values:
        return frozenset()
    parts = [part.partition(";")[0].strip(" \t") for value in values for part in _split(value)]
    return frozenset(filter(None, parts))


def _split(value: str) -> list[str]:
    return [part.strip(" \t") for part in value.lower().split(",")]


_TARGET = re.compile(r"[\x21-\x7e\x80-\xff]+")
_DECISIVE = frozenset(
    ("host", "content-length", "transfer-encoding", "expect", "connection", "upgrade", "te")
)
