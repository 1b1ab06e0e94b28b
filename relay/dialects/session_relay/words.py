"""What the access API and the relay socket say, byte by byte; and the refusals that are our own.

Specification: session-relay.md §3.1 to §3.4. There are four forms of a body; the original's
framework escapes what HTML would take for its own, its handlers do not.
"""

from __future__ import annotations

import enum
import json
from http import HTTPStatus

from relay.dialects.session_relay.tokens import (
    BookingMissing,
    ClaimsMissing,
    TimeMissing,
    WrongAudience,
)
from relay.errors import (
    AuthError,
    BadRequest,
    GoingAway,
    LimitReached,
    MethodNotAllowed,
    NotFound,
    RelayError,
    Revoked,
    TokenMissing,
    TooLarge,
    Unreachable,
    UpgradeRequired,
    WrongName,
    WrongScope,
)
from relay.http import Response

JSON = "application/json"
PLAIN = "text/plain; charset=utf-8"
REASON_HEADER = "X-Relay-Reason"
RETRY_AFTER_S = 5
"""For those who are turned away for a while, where nobody knows better."""

_ALSO_ESCAPED = str.maketrans({"\u2028": r"\u2028", "\u2029": r"\u2029"})
_HTML_ESCAPED = str.maketrans({"<": r"\u003c", ">": r"\u003e", "&": r"\u0026"})


class Form(enum.Enum):
    """How a refusal of the access API is written."""

    FRAMEWORK = "framework"
    HANDLER = "handler"
    SENTENCE = "sentence"


class BadBody(BadRequest):
    """A body is of another kind than JSON, or no answer of that kind is wanted.

    :param status: HTTP status
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class BadParameter(BadRequest):
    """A parameter is missing, or of the wrong type.

    :param code: the original's number for it
    """

    status = 422

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class PastExpiry(BadRequest):
    """A booking would have ended before it was denied or allowed."""


class WrongOrigin(BadRequest):
    """A page of that origin may not connect."""

    status = 403


MISSING = "Token Missing Required Claims"
DENIED = "bookingID has been deny-listed, probably because the session was cancelled"

_ACCESS: tuple[tuple[type[RelayError], int, Form, str], ...] = (
    (TokenMissing, 401, Form.FRAMEWORK, "unauthenticated for invalid credentials"),
    (TimeMissing, 401, Form.SENTENCE, MISSING),
    (ClaimsMissing, 401, Form.SENTENCE, MISSING),
    (WrongName, 401, Form.SENTENCE, "Token Wrong Topic"),
    (WrongScope, 401, Form.HANDLER, ""),
    (WrongAudience, 500, Form.FRAMEWORK, ""),
    (BookingMissing, 400, Form.HANDLER, ""),
    (Revoked, 400, Form.HANDLER, DENIED),
    (AuthError, 500, Form.FRAMEWORK, "token invalid"),
    (PastExpiry, 400, Form.HANDLER, ""),
    (NotFound, 404, Form.FRAMEWORK, ""),
    (MethodNotAllowed, 405, Form.FRAMEWORK, ""),
    (TooLarge, 413, Form.FRAMEWORK, ""),
    (UpgradeRequired, 426, Form.FRAMEWORK, ""),
    (Unreachable, 502, Form.FRAMEWORK, ""),
    (LimitReached, 503, Form.FRAMEWORK, ""),
    (GoingAway, 503, Form.FRAMEWORK, ""),
)
"""Status, form and text of each refusal, the first that fits; without a text it is the error's."""

_SOCKET_STATUSES: tuple[tuple[type[RelayError], int], ...] = (
    (AuthError, 401),
    (NotFound, 404),
    (MethodNotAllowed, 405),
    (TooLarge, 413),
    (UpgradeRequired, 400),
    (Unreachable, 502),
    (LimitReached, 503),
    (GoingAway, 503),
)
_BARE = (400, 404, 405)
"""Statuses to which the original's relay socket says no more than their name."""


def compact(value: object) -> str:
    """:returns: JSON as Go's handlers write it"""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.translate(_ALSO_ESCAPED)


def quoted(text: str) -> str:
    """:returns: the text in quotes, as Go's framework shows what it was sent"""
    return json.dumps(text, ensure_ascii=False)


def for_html(text: str) -> str:
    """:returns: JSON as Go writes it where it may come to stand in a page"""
    return text.translate(_HTML_ESCAPED)


def encode(text: str) -> bytes:
    """:returns: UTF-8, with a question mark for what is no character"""
    return text.encode("utf-8", "replace")


def body_of(form: Form, code: int, text: str) -> bytes:
    """Write the body of a refusal.

    :param code: a number in the framework's form, a text in the handlers'
    """
    if form is Form.FRAMEWORK:
        return encode(for_html(compact({"code": code, "message": text})))
    if form is Form.HANDLER:
        return encode(compact({"code": str(code), "message": text}) + "\n")
    return encode(compact(text) + "\n")


def data(value: object) -> Response:
    """:returns: the answer with that JSON"""
    return Response(200, encode(compact(value) + "\n"), content_type=JSON, keep=False)


def done() -> Response:
    """:returns: the answer without a body, which has no type either"""
    return Response(204, content_type=None, keep=False)


def access_refusal(error: RelayError) -> Response:
    """:returns: what the access API answers instead"""
    otherwise = error.status if isinstance(error, BadRequest) else 500
    fitting = (row for row in _ACCESS if isinstance(error, row[0]))
    _, status, form, text = next(fitting, (RelayError, otherwise, Form.FRAMEWORK, ""))
    code = error.code if isinstance(error, BadParameter) else status
    body = body_of(form, code, text or error.text)
    return Response(status, body, _headers(error), JSON, keep=False)


def socket_refusal(error: RelayError) -> Response:
    """:returns: what the relay socket answers to a handshake that fails"""
    status = socket_status(error)
    text = HTTPStatus(status).phrase if status in _BARE else error.text
    headers = _headers(error)
    if status in (400, 405):
        headers = (("Sec-Websocket-Version", "13"), *headers)
    headers = (("X-Content-Type-Options", "nosniff"), *headers)
    return Response(status, encode(text + "\n"), headers, PLAIN, keep=False)


def socket_status(error: RelayError) -> int:
    """:returns: the HTTP status for a handshake that fails"""
    if isinstance(error, BadRequest):
        return error.status
    return next((status for kind, status in _SOCKET_STATUSES if isinstance(error, kind)), 500)


def _headers(error: RelayError) -> tuple[tuple[str, str], ...]:
    headers = [(REASON_HEADER, error.reason.value)]
    if isinstance(error, MethodNotAllowed) and error.allow:
        headers.append(("Allow", error.allow))
    wait_s = error.retry_after_s
    if wait_s is None and isinstance(error, LimitReached | GoingAway):
        wait_s = RETRY_AFTER_S
    if wait_s is not None:
        headers.append(("Retry-After", str(wait_s)))
    return tuple(headers)
