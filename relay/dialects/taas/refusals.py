"""What refusals say over HTTP; taas.md §3, §7, §12 and §15."""

from __future__ import annotations

from email.utils import formatdate

from relay.dialects.taas.registrar import NoPort
from relay.dialects.taas.uses import TooManyUses
from relay.errors import (
    AuthError,
    BadRequest,
    GoingAway,
    LimitReached,
    MethodNotAllowed,
    NotFound,
    RelayError,
    Revoked,
    StoreFailed,
    TokenMissing,
    TooLarge,
    Unreachable,
    UpgradeRequired,
    WrongName,
    WrongRole,
    WrongScope,
)
from relay.http import Response

REASON_HEADER = "X-Relay-Reason"
PLAIN = "text/plain; charset=utf-8"
RETRY_AFTER_S = 5
"""For those who are turned away for a while, where nobody knows better."""
TEXT_CHARACTERS = 500

_STATUSES: tuple[tuple[type[RelayError], int], ...] = (
    (TokenMissing, 401),
    (Revoked, 403),
    (WrongName, 403),
    (WrongRole, 403),
    (WrongScope, 403),
    (AuthError, 400),  # a wrong code above all, of which the original says no more either
    (NotFound, 404),
    (MethodNotAllowed, 405),
    (TooLarge, 413),
    (UpgradeRequired, 426),
    (NoPort, 500),
    (TooManyUses, 429),
    (LimitReached, 503),
    (GoingAway, 503),
    (StoreFailed, 503),
    (Unreachable, 503),
)
"""The first that fits counts."""


def status_of(error: RelayError) -> int:
    """:returns: the HTTP status of a refusal"""
    if isinstance(error, BadRequest):
        return error.status
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def refused(error: RelayError, headers: tuple[tuple[str, str], ...]) -> Response:
    """Write a refusal.

    :param headers: besides those that follow from the error
    """
    status = status_of(error)
    named = [(REASON_HEADER, error.reason.value), *error.headers]
    if isinstance(error, MethodNotAllowed) and error.allow:
        named.append(("Allow", error.allow))
    wait_s = error.retry_after_s
    if wait_s is None and isinstance(error, LimitReached | GoingAway | StoreFailed):
        wait_s = RETRY_AFTER_S
    if wait_s is not None:
        named.append(("Retry-After", str(wait_s)))
    body = f"{error.text[:TEXT_CHARACTERS]}\n".encode("utf-8", "replace")
    # clients that keep a connection may do so: the original's do, and try again on it
    return Response(status, body, (*named, *headers), PLAIN)


def date_of(now: float) -> tuple[str, str]:
    """:returns: the header by which a host whose codes are wrong sees that its clock is"""
    return "Date", formatdate(now, usegmt=True)
