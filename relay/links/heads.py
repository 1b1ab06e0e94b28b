"""Request heads at the front door: what h11 lets through and we do not, and what dialects see.

Behind us stands a second parser. A head that two parsers may understand differently is refused
here, before any dialect sees it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus

import h11

from relay.errors import (
    BadRequest,
    MethodNotAllowed,
    RelayError,
    TooLarge,
    UnknownCoding,
    UnknownVersion,
)
from relay.http import Request
from relay.wire.http_bodies import CHUNKED, MAX_LENGTH_BYTES, NO_BODY, Delimiter, Framing

LINE_END = b"\r\n"
TLS_HANDSHAKE = b"\x16"
TAB, SPACE, DELETE = 0x09, 0x20, 0x7F
VERSIONS = ("1.1", "1.0")

NO_CONTROLS = bytes(
    [byte for byte in range(256) if (byte >= SPACE and byte != DELETE) or byte == TAB]
)
"""What may stand in a line; without it only the ends of the lines are left of a good head."""

LENGTH_DIGITS = len(str(MAX_LENGTH_BYTES))

_HEAD_END = re.compile(rb"\n\r?\n")
_OVERLAP_BYTES = 2
_FRAMING = re.compile(rb"\n(content-length|transfer-encoding):([^\r\n]*)", re.IGNORECASE)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_URL = re.compile(r"(?:https?|wss?)://([^/?#]*)(.*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9!$%&'()*+,;=._~-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")


def find_head_end(received: bytearray, searched: int) -> int:
    """:param searched: how many bytes were searched before, in vain

    :returns: the length of the head, its empty line included; -1 while that has not come
    """
    match = _HEAD_END.search(received, max(0, searched - _OVERLAP_BYTES))
    return -1 if match is None else match.end()


def check_head(head: bytes, limit_bytes: int) -> None:
    """:param head: a whole head as it came

    :raises TooLarge, BadRequest: for what h11 would take
    """
    if len(head) > limit_bytes:
        raise TooLarge(f"the request head is over {limit_bytes} bytes")
    controls = head.translate(None, NO_CONTROLS)
    line_ends = head.count(LINE_END)
    if len(controls) != 2 * line_ends:
        if head.count(b"\n") != line_ends:
            raise BadRequest("a line of the request head ends without CR")
        raise BadRequest("a control character is in the request head")
    if b"\n " in head or b"\n\t" in head:
        raise BadRequest("a line of the request head is folded")
    fields = _FRAMING.findall(head)
    if fields:
        # h11 would merge equal lengths, and has one status for all that is wrong with codings
        values: dict[bytes, list[str]] = {b"content-length": [], b"transfer-encoding": []}
        for name, value in fields:
            values[name.lower()].append(value.decode("latin-1").strip(" \t"))
        request_line = head[: head.find(LINE_END)]
        version = request_line[-len(VERSIONS[0]) :].decode("latin-1")
        request_framing(values[b"content-length"], values[b"transfer-encoding"], version)


def request_framing(lengths: Sequence[str], codings: Sequence[str], version: str) -> Framing:
    """Decide how the body of a request is framed.

    :param lengths: the values of all ``Content-Length`` lines
    :param codings: the values of all ``Transfer-Encoding`` lines
    :param version: ``1.0`` or ``1.1``
    :raises UnknownCoding: for a coding other than chunked
    :raises BadRequest: for what could be understood in two ways
    """
    if codings:
        if lengths:
            raise BadRequest("Content-Length stands beside Transfer-Encoding")
        if len(codings) > 1 or codings[0].lower().count("chunked") > 1:
            raise BadRequest("Transfer-Encoding is repeated")
        if version != VERSIONS[0]:
            raise BadRequest("HTTP/1.0 has no Transfer-Encoding")
        if codings[0].lower() != "chunked":
            raise UnknownCoding("chunked is the only Transfer-Encoding that is known here")
        return CHUNKED
    if not lengths:
        return NO_BODY
    if len(lengths) > 1:
        raise BadRequest("Content-Length is repeated")
    digits = lengths[0]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= LENGTH_DIGITS):
        raise BadRequest("Content-Length is no number, or too large")
    length = int(digits)
    if length > MAX_LENGTH_BYTES:
        raise BadRequest("Content-Length is too large")
    return Framing(Delimiter.LENGTH, length)


def with_ascii_target(head: bytes) -> bytes:
    """:param head: a whole head

    :returns: the head with other bytes in its first line percent-encoded, as browsers do it
        and as Go repairs it; h11 would refuse them
    """
    if head.isascii():
        return head
    end = head.find(LINE_END)
    return _NOT_ASCII.sub(lambda byte: b"%%%02X" % ord(byte[0]), head[:end]) + head[end:]


def as_request(head: h11.Request, secure: bool) -> Request:
    """Make what dialects see of a head: the target in origin form, whatever form it came in.

    :param secure: whether the last hop was TLS
    :returns: the request, without peer and body
    :raises BadRequest: when its target is neither a path nor a URL, or its Host no host
    :raises MethodNotAllowed: for CONNECT
    :raises UnknownVersion: for anything but HTTP/1.0 and 1.1
    """
    version = head.http_version.decode("ascii")
    if version not in VERSIONS:
        raise UnknownVersion(f"HTTP/{version} is not spoken here")
    method = head.method.decode("ascii")
    headers = [
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, value in head.headers.raw_items()
    ]
    for name, value in headers:
        if name == "host" and _AUTHORITY.fullmatch(value) is None:
            raise BadRequest("Host is no host")
    target = head.target.decode("latin-1")
    sent_host = next((value for name, value in headers if name == "host"), None)
    in_url = not target.startswith("/")
    if in_url:
        target, headers = _in_origin_form(method, target, headers)
    path, _, query = target.partition("?")
    return Request(
        method=method,
        target=target,
        path=path,
        query=query,
        headers=tuple(headers),
        peer="",
        http_version=version,
        secure=secure,
        sent_host=(sent_host or "") if in_url else None,
    )


def check_beginning(received: bytearray, limit_bytes: int) -> None:
    """:param received: the beginning of a head, or more

    :raises TooLarge, BadRequest: for what cannot become a head any more
    """
    if received and received[0] <= SPACE:
        raise _no_http(received, "illegal request line")
    if len(received) > limit_bytes:
        raise TooLarge(f"the request head is over {limit_bytes} bytes")


def in_words(error: h11.RemoteProtocolError, received: bytes, limit_bytes: int) -> RelayError:
    """:param received: what h11 was given
    :returns: what to tell a peer about whom h11 complains
    """
    if error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
        return TooLarge(f"the request head is over {limit_bytes} bytes")
    # h11 quotes the line, which may hold a token
    return _no_http(received, str(error).partition(":")[0])


def _no_http(received: bytes | bytearray, why: object) -> BadRequest:
    if received.startswith(TLS_HANDSHAKE):
        return BadRequest("plain HTTP is spoken here, and TLS arrived: use ws:// or http://")
    return BadRequest(f"this is not HTTP/1.1: {why}")


def _in_origin_form(
    method: str, target: str, headers: list[tuple[str, str]]
) -> tuple[str, list[tuple[str, str]]]:
    """:returns: target and headers of a request whose target is no path (RFC 9112, section 3.2)"""
    if method == "CONNECT":
        raise MethodNotAllowed("this is no proxy for CONNECT")
    if target == "*" and method == "OPTIONS":
        return target, headers
    url = _URL.fullmatch(target)
    if url is None or not url[1] or _AUTHORITY.fullmatch(url[1]) is None:
        raise BadRequest("the request target is neither a path nor a URL")
    # the URL's own authority stands above Host
    others = [(name, value) for name, value in headers if name != "host"]
    path = url[2] if url[2].startswith("/") else "/" + url[2]
    return path, [("host", url[1]), *others]
