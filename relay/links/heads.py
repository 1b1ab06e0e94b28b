"""Request heads at the front door: what h11 lets through and we do not, and what dialects see."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

import h11

from relay.errors import BadRequest, RelayError, TooLarge
from relay.vocabulary import Request

LINE_END = b"\r\n"
TLS_HANDSHAKE = b"\x16"


def check_head(head: bytes, limit_bytes: int) -> None:
    """:param head: a whole head as it came
    :raises TooLarge, BadRequest: for what h11 would take
    """
    if len(head) > limit_bytes:
        raise TooLarge(f"the request head is over {limit_bytes} bytes")
    if head.count(b"\n") != head.count(LINE_END):
        raise BadRequest("a line of the request head ends without CR")


def as_request(head: h11.Request, secure: bool) -> Request:
    """:param secure: whether the last hop was TLS
    :returns: the request, without peer and body
    :raises BadRequest: when its target is neither a path nor a URL
    """
    target = head.target.decode("latin-1")
    path, _, query = target.partition("?")
    if "://" in path and not path.startswith("/"):
        path = _path_of(path)
    return Request(
        method=head.method.decode("ascii"),
        target=target,
        path=path,
        query=query,
        headers=tuple(
            [
                (name.decode("latin-1").lower(), value.decode("latin-1"))
                for name, value in head.headers.raw_items()
            ]
        ),
        peer="",
        http_version=head.http_version.decode("ascii"),
        secure=secure,
    )


def in_words(error: h11.RemoteProtocolError, received: bytes, limit_bytes: int) -> RelayError:
    """:param received: what h11 was given
    :returns: what to tell a peer about whom h11 complains
    """
    if error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
        return TooLarge(f"the request head is over {limit_bytes} bytes")
    if received.startswith(TLS_HANDSHAKE):
        return BadRequest("plain HTTP is spoken here, and TLS arrived: use ws:// or http://")
    return BadRequest(f"this is not HTTP/1.1: {error}")


def _path_of(target: str) -> str:
    """:returns: the path of a target in absolute form. :raises BadRequest: when it is no URL."""
    try:
        return urlsplit(target).path or "/"
    except ValueError as error:
        raise BadRequest("the request target is neither a path nor a URL") from error
