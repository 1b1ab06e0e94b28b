"""Answers over plain HTTP, as bytes."""

from __future__ import annotations

import html
from http import HTTPStatus

from relay.errors import (
    BadRequest,
    LimitReached,
    MethodNotAllowed,
    NotFound,
    RelayError,
    TooLarge,
)
from relay.faces import IRouterFace, IWordedFace
from relay.http import Request, Response
from relay.vocabulary import Reason

REASON_HEADER = "X-Relay-Reason"
HEAD_TIMEOUT_STATUS = 408
LATE = Response(
    HEAD_TIMEOUT_STATUS,
    b"the request took too long to arrive\n",
    ((REASON_HEADER, Reason.PROTOCOL_ERROR.value),),
    keep=False,
)
BROKEN = Response(500, b"internal error\n", ((REASON_HEADER, Reason.INTERNAL.value),), keep=False)

HTML = "text/html"
ACCEPT_RANGES = 64
"""Of one ``Accept``; no browser sends a tenth of that, and the rest is not looked at."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 1.1em/1.5 sans-serif; max-width: 36em; margin: 4em auto; padding: 0 1em }}
h1 {{ font-size: 1.4em }}
small {{ opacity: 0.7 }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{sentence}</p>
<p><small>This answer comes from the relay router; its reason is <code>{reason}</code>.</small></p>
</body>
</html>
"""
PAGE_HEADERS = (
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("X-Content-Type-Options", "nosniff"),
)


def encode_response(response: Response, keep: bool, head_only: bool) -> bytes:
    """:returns: a whole HTTP/1.1 answer.

    :param keep: whether the connection stays open for another request
    :param head_only: for HEAD
    """
    lines = [f"HTTP/1.1 {response.status} {phrase(response.status)}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    if response.content_type is not None:
        lines.append(f"Content-Type: {response.content_type}")
    if response.status != HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Length: {len(response.body)}")
    if not keep:
        lines.append("Connection: close")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if head_only else head + response.body


def refusal(
    error: RelayError, face: IRouterFace | None, request: Request | None = None
) -> Response:
    """Answer a request that is refused.

    :param face: gives the status; None: no dialect was found for the request
    :param request: says which form of a page is wanted; None: its head was not understood
    :returns: a short page with the reason in a header
    """
    if face is not None and request is not None and IWordedFace.providedBy(face):
        return face.refusal(error, request)
    headers = list(error.headers)
    if isinstance(error, MethodNotAllowed) and error.allow:
        headers.append(("Allow", error.allow))
    if error.retry_after_s is not None:
        headers.append(("Retry-After", str(error.retry_after_s)))
    status = plain_status(error) if face is None else face.wire_code(error)
    as_html = request is not None and wants_html(request)
    return page(status, error.reason, error.text, as_html, tuple(headers))


def page(
    status: int,
    reason: Reason,
    sentence: str,
    as_html: bool,
    headers: tuple[tuple[str, str], ...] = (),
) -> Response:
    """Tell a person why there is no answer.

    :param sentence: any text; it is escaped where it has to be
    :param headers: besides the reason
    :returns: one line of text, or a page that needs nothing else
    """
    headers = ((REASON_HEADER, reason.value), *headers, ("Vary", "Accept"))
    if not as_html:
        return Response(status, f"{sentence}\n".encode(), headers, keep=False)
    text = PAGE.format(
        title=f"{status} {html.escape(phrase(status))}",
        sentence=html.escape(sentence[:1].upper() + sentence[1:]),
        reason=html.escape(reason.value),
    )
    return Response(
        status, text.encode(), headers + PAGE_HEADERS, f"{HTML}; charset=utf-8", keep=False
    )


def wants_html(request: Request) -> bool:
    """:returns: whether ``Accept`` names HTML, and does not prefer plain text"""
    weights = {HTML: 0.0, "text/plain": 0.0}
    accepted = ",".join([value for name, value in request.headers if name == "accept"])
    for media_range in accepted.split(",", ACCEPT_RANGES)[:ACCEPT_RANGES]:
        kind, *parameters = media_range.lower().replace(" ", "").split(";")
        if kind in weights:
            weights[kind] = _weight(parameters)
    return weights[HTML] > 0 and weights[HTML] >= weights["text/plain"]


def plain_status(error: RelayError) -> int:
    """:returns: the HTTP status for an error that no dialect has a code for."""
    if isinstance(error, BadRequest):
        return error.status
    if isinstance(error, TooLarge):
        return 431
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, MethodNotAllowed):
        return 405
    if isinstance(error, LimitReached):
        return 503
    return 400


def phrase(status: int) -> str:
    """:returns: the standard reason phrase; of an unknown status what Go writes there"""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"status code {status}"


def _weight(parameters: list[str]) -> float:
    """:returns: the ``q`` of a media range, 0 for one that is none"""
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
