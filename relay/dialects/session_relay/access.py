"""The rules of the access API: who may do what, in the original's order, and the doing of it.

Specification: session-relay.md §3 and §5.5. A token's audience is judged before what is wrong with
the request, that before what the token allows, and that before the values of parameters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from relay.dialects.session_relay.bookings import AllowList
from relay.dialects.session_relay.media import check_media
from relay.dialects.session_relay.members import LAST_S
from relay.dialects.session_relay.notions import ADMIN, DIALECT, READ, SESSION, STATUS, WRITE
from relay.dialects.session_relay.paths import ALLOW, DENY, query_values, topic_name
from relay.dialects.session_relay.reports import status, who_is_present
from relay.dialects.session_relay.tokens import (
    SessionClaims,
    check_audience,
    check_booking,
    check_session,
    check_topic,
    parse_claims,
)
from relay.dialects.session_relay.words import BadParameter, PastExpiry, data, done, quoted
from relay.errors import WrongScope
from relay.faces import IServices, Route
from relay.http import Request, Response
from relay.vocabulary import Claims, Grant, Role

CODE_LIFETIME_S = 30.0
REQUIRED = 602
WRONG_TYPE = 601
"""The original's numbers for what is wrong with a parameter."""

_INTEGER = re.compile(r"[+-]?0*([0-9]{1,19})")
_INT64 = range(-(2**63), 2**63)


class Rules(NamedTuple):
    """What a router is told of its tokens and addresses.

    :ivar audience: of tokens, byte for byte
    :ivar target: what the addresses that sessions are given begin with
    :ivar without_booking: whether a token may name no booking
    """

    audience: str
    target: str
    without_booking: bool = False


@dataclass(frozen=True, slots=True)
class SessionGrant(Grant):
    """What a session's token allows, and its claims, of which nothing is secret."""

    token: SessionClaims | None = None


class Booking(NamedTuple):
    """The parameters of a denial or permission.

    :ivar expires: Unix seconds
    """

    name: str
    expires: int


# -- judging ---------------------------------------------------------------------------------------


def judge(rules: Rules, claims: Claims, request: Request, route: Route) -> Grant:
    """Judge a request of the access API whose token is genuine and in date.

    :raises AuthError, BadRequest: in the original's order and words
    """
    token = parse_claims(claims)
    check_audience(token, rules.audience)
    check_media(request)
    if route.name == SESSION:
        check_session(token, route.parameters[0])
        check_booking(token, rules.without_booking)
        return session_grant(token)
    if request.method == "POST":
        read_booking(request)
    check_scope(token, request, route)
    # no booking's: nobody who may cancel bookings is shut out by a cancelled one
    return Grant(DIALECT, Role.CLIENT, "", token_id=token.token_id, scopes=frozenset(token.scopes))


def judge_code(rules: Rules, claims: Claims, route: Route) -> Grant:
    """Judge a handshake whose code is good.

    :param claims: as :func:`open_session` gave them away
    :raises AuthError: when they are not for that topic, or for nothing there
    """
    token = parse_claims(claims)
    check_audience(token, rules.target)
    check_topic(token, route.parameters[0])
    if not {READ, WRITE}.intersection(token.scopes):
        raise WrongScope("the token allows neither to read nor to write")
    return session_grant(token)


def session_grant(token: SessionClaims) -> SessionGrant:
    """:returns: a seat in the token's topic, until it expires or its booking is denied"""
    return SessionGrant(
        DIALECT,
        Role.CLIENT,
        token.booking_id,
        topic_name(token.topic),
        float(min(token.expires, LAST_S)),
        token.token_id,
        scopes=frozenset(token.scopes),
        ends_links=True,
        token=token,
    )


def check_scope(token: SessionClaims, request: Request, route: Route) -> None:
    """:raises WrongScope: in the words of that route's handler"""
    needed = ADMIN if route.name in (ALLOW, DENY) else STATUS
    if needed in token.scopes:
        return
    if route.name == DENY and request.method == "POST":
        why = "missing relay:admin Scope" if token.scopes else "token Missing Required Claims"
        raise WrongScope(f"is token missing relay:admin scope? {why}")
    raise WrongScope(f"token missing {needed} scope")


def read_booking(request: Request) -> Booking:
    """Read the parameters; of one that comes several times the last.

    :raises BadParameter: for the first that is missing, or no integer of 64 bits
    """
    said = {key: query_values(request.query, key)[-1:] for key in ("bid", "exp")}
    for key, values in said.items():
        if not any(values):
            raise BadParameter(REQUIRED, f"{key} in query is required")
    name, text = said["bid"][0], said["exp"][0]
    if not _INTEGER.fullmatch(text) or int(text) not in _INT64:
        raise BadParameter(WRONG_TYPE, f"exp in query must be of type int64: {quoted(text)}")
    return Booking(name, int(text))


# -- doing -----------------------------------------------------------------------------------------


def open_session(
    rules: Rules, allowed: AllowList, grant: SessionGrant, services: IServices
) -> Response:
    """Note the booking, and give a code away.

    :raises LimitReached: when too many codes wait to be used
    """
    token = grant.token
    assert token is not None, "every session has a token"
    now = services.now()
    allowed.put(token.booking_id, token.expires, now)
    lifetime_s = min(CODE_LIFETIME_S, token.expires - now)
    code = services.codes.issue(grant, code_claims(token, rules.target), lifetime_s)
    return data({"uri": f"{rules.target}/{token.prefix}/{token.topic}?code={code}"})


def code_claims(token: SessionClaims, target: str) -> Claims:
    """:returns: the token's claims as the relay socket is to judge them"""
    return {
        "booking_id": token.booking_id,
        "topic": token.topic,
        "prefix": token.prefix,
        "scopes": list(token.scopes),
        "aud": [target],
        "exp": token.expires,
        "nbf": token.begins,
        "iat": token.issued,
        "jti": token.token_id,
    }


def change_booking(
    request: Request, route: Route, allowed: AllowList, services: IServices
) -> Response:
    """Deny a booking, which ends its links, or permit it again.

    :raises PastExpiry: when it would be over already
    """
    booking, now = read_booking(request), services.now()
    late = booking.expires < int(now)
    if route.name == DENY:
        if late:
            raise PastExpiry(
                f"booking expiry time (exp) of [{booking.expires}] missing or in the past"
            )
        allowed.remove(booking.name)
        until = float(min(booking.expires, LAST_S))
        services.broker.revoke(DIALECT, subject=booking.name, until=until)
    else:
        if late:
            raise PastExpiry("exp (booking expiry time) missing or in the past")
        services.broker.permit(DIALECT, booking.name)
        allowed.put(booking.name, booking.expires, now)
    return done()


def list_bookings(route: Route, allowed: AllowList, services: IServices) -> Response:
    """Tell which bookings are denied, or allowed."""
    if route.name == DENY:
        names = list(services.broker.revoked(DIALECT))
    else:
        names = allowed.names(services.now())
    return data({"booking_ids": names})


def show_status(started: float, services: IServices) -> Response:
    """Tell who is connected.

    :param started: when the router's own reporter was, Unix seconds
    """
    return data(status(who_is_present(services.broker, started)))
