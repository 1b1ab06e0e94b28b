"""Answers over plain HTTP, as bytes."""

from __future__ import annotations

from http import HTTPStatus

from relay.errors import LimitReached, MethodNotAllowed, NotFound, RelayError, TooLarge
from relay.interfaces import IRouterFace
from relay.vocabulary import Reason, Response

REASON_HEADER = "X-Relay-Reason"
HEAD_TIMEOUT_STATUS = 408
LATE = Response(
    HEAD_TIMEOUT_STATUS,
    b"the request took too long to arrive\n",
    ((REASON_HEADER, Reason.PROTOCOL_ERROR.value),),
    keep=False,
)
BROKEN = Response(500, b"internal error\n", ((REASON_HEADER, Reason.INTERNAL.value),), keep=False)


def encode_response(response: Response, keep: bool, head_only: bool) -> bytes:
    """:returns: a whole HTTP/1.1 answer.

    :param keep: whether the connection stays open for another request
    :param head_only: for HEAD
    """
    lines = [f"HTTP/1.1 {response.status} {_phrase(response.status)}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    lines += [f"Content-Type: {response.content_type}", f"Content-Length: {len(response.body)}"]
    if not keep:
        lines.append("Connection: close")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if head_only else head + response.body


def refusal(error: RelayError, face: IRouterFace | None) -> Response:
    """:returns: the answer to a request that is refused, by the dialect's codes where it has one"""
    headers = [(REASON_HEADER, error.reason.value)]
    if isinstance(error, MethodNotAllowed) and error.allow:
        headers.append(("Allow", error.allow))
    if error.retry_after_s is not None:
        headers.append(("Retry-After", str(error.retry_after_s)))
    status = plain_status(error) if face is None else face.wire_code(error)
    return Response(status, f"{error.text}\n".encode(), tuple(headers), keep=False)


def plain_status(error: RelayError) -> int:
    """:returns: the HTTP status for an error that no dialect has a code for."""
    if isinstance(error, TooLarge):
        return 431
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, LimitReached):
        return 503
    return 400


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
