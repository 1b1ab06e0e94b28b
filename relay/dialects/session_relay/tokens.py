"""The tokens of session-relay: who may take part in which topic, as session-relay.md §2 has it.

Specification: the public project practable/relay, v0.9.3. ``auth`` finds signature and times to be
right, this module that they are there, that claims have their types, and what they allow. Each
check of §3.2 and §3.3 is a function of its own, since their order is the access API's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import NamedTuple

from relay.dialects.session_relay.issuing import TOKEN_SECRET, add_arguments, claims, fill
from relay.dialects.session_relay.keys import SECRET_KEY, audience_of
from relay.dialects.session_relay.notions import ADMIN, READ, SESSION, STATUS, WRITE
from relay.errors import TokenInvalid, WrongName
from relay.vocabulary import Claims, Jwt

__all__ = [
    "ALGORITHMS",
    "DEFAULT_LIFETIME_S",
    "MARKS",
    "SECRET_ENVIRONMENT",
    "SECRET_KEYS",
    "TOKEN_SECRET",
    "BookingMissing",
    "ClaimsMissing",
    "SessionClaims",
    "TimeMissing",
    "WrongAudience",
    "add_arguments",
    "check_audience",
    "check_begun",
    "check_booking",
    "check_session",
    "check_topic",
    "claims",
    "credential",
    "explain",
    "fill",
    "judge",
    "parse_claims",
    "read_claims",
]

SECRET_KEYS = (SECRET_KEY,)
"""Keys of ``[dialect:session-relay]`` that name secrets."""
SECRET_ENVIRONMENT = ("RELAY_SECRET",)
"""The original server's variable with the secret itself."""
DEFAULT_LIFETIME_S = 86400
MARKS = frozenset({"booking_id", "prefix"})
"""Claims that no other dialect's tokens have; one of them tells a session-relay token."""
ALGORITHMS = ("HS256", "HS384", "HS512")
IGNORED = ("iss", "sub", "jti")
"""Claims that count for nothing, but must be text where they are."""


class TimeMissing(TokenInvalid):
    """A time that a route needs is not in the token: 401, where the original crashes."""


class WrongAudience(TokenInvalid):
    """The token is for other access APIs; the text is the body's."""


class ClaimsMissing(TokenInvalid):
    """Topic, scopes or prefix is missing or empty; the text is the body's."""


class BookingMissing(TokenInvalid):
    """The token has no booking id, and that is not allowed here; the text is the body's."""


class SessionClaims(NamedTuple):
    """The claims that count; what is missing and may be is empty or None.

    :ivar scopes: in the token's order
    :ivar audiences: in the token's order
    :ivar expires: Unix seconds, as are the next two
    :ivar token_id: ``jti``, by which we can revoke one token
    """

    topic: str
    prefix: str
    booking_id: str
    scopes: tuple[str, ...]
    audiences: tuple[str, ...]
    expires: int
    begins: int | None = None
    issued: int | None = None
    token_id: str | None = None


def credential(token: str, keys: tuple[bytes, ...]) -> Jwt:
    """:returns: the terms on which a router takes a token: no leeway, ``nbf`` and ``iat`` count"""
    return Jwt(token, keys, ALGORITHMS, leeway_s=0, check_nbf=True, check_iat=True)


# -- what the claims say ---------------------------------------------------------------------------


def parse_claims(claims: Claims) -> SessionClaims:
    """Read claims whose signature and times ``auth`` has verified; null is as good as nothing.

    :raises TokenInvalid: when one has another type than it should
    :raises TimeMissing: when there is no ``exp``
    """
    for name in IGNORED:
        _text(claims, name)
    begins, issued = _time(claims, "nbf"), _time(claims, "iat")
    read = SessionClaims(
        topic=_text(claims, "topic"),
        prefix=_text(claims, "prefix"),
        booking_id=_text(claims, "booking_id"),
        scopes=_texts(claims, "scopes"),
        audiences=_audiences(claims),
        expires=_time(claims, "exp") or 0,
        begins=begins,
        issued=issued,
        token_id=_text(claims, "jti") or None,
    )
    if claims.get("exp") is None:
        raise TimeMissing("the token's claim exp is missing")
    return read


def check_audience(read: SessionClaims, audience: str) -> None:
    """Judge for whom a token is, byte for byte.

    :param audience: the access API's own
    :raises WrongAudience: when it is none of the token's
    """
    if not audience or audience not in read.audiences:
        raise WrongAudience(
            f"aud [{' '.join(read.audiences)}] does not match this host {audience}",
            'see "relay token show"',
        )


def read_claims(claims: Claims, audience: str) -> SessionClaims:
    """Judge what §3.2 wants of a token on every route.

    :param audience: the access API's own
    :raises TokenInvalid: when a claim has another type than it should
    :raises TimeMissing: when there is no ``exp``
    :raises WrongAudience: when the token is for another audience
    """
    read = parse_claims(claims)
    check_audience(read, audience)
    return read


def check_session(read: SessionClaims, topic: str) -> None:
    """Judge what ``POST /session/TOPIC`` wants of a token besides, but for its booking.

    :param topic: of the path, decoded
    :raises TimeMissing: when there is no ``iat``, or no ``nbf``
    :raises ClaimsMissing: when topic, scopes or prefix is empty
    :raises WrongName: when it is for another topic
    """
    check_begun(read)
    if not (read.topic and read.scopes and read.prefix):
        raise ClaimsMissing("Token Missing Required Claims")
    check_topic(read, topic)


def check_begun(read: SessionClaims) -> None:
    """:raises TimeMissing: when there is no ``iat``, or no ``nbf``"""
    for name, value in (("iat", read.issued), ("nbf", read.begins)):
        if value is None:
            raise TimeMissing(f"the token's claim {name} is missing")


def check_topic(read: SessionClaims, topic: str) -> None:
    """:raises WrongName: when the token is for another topic"""
    if read.topic != topic:
        raise WrongName("Token Wrong Topic", 'mint one with "relay token session-relay --topic T"')


def check_booking(read: SessionClaims, may_be_empty: bool) -> None:
    """Judge the booking id.

    :param may_be_empty: as ``allow-no-booking-id`` says
    :raises BookingMissing: when there must be one
    """
    if not read.booking_id and not may_be_empty:
        raise BookingMissing(
            "empty bookingID field is not permitted", "mint a token with --booking-id"
        )


def _text(claims: Claims, name: str) -> str:
    value = claims.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TokenInvalid(f"the token's claim {name} is no string")
    return value


def _texts(claims: Claims, name: str) -> tuple[str, ...]:
    value = claims.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise TokenInvalid(f"the token's claim {name} is no list of strings")
    return tuple(value)


def _audiences(claims: Claims) -> tuple[str, ...]:
    value = claims.get("aud")
    return (value,) if isinstance(value, str) else _texts(claims, "aud")


def _time(claims: Claims, name: str) -> int | None:
    """:returns: whole seconds, the fraction dropped"""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenInvalid(f"the token's claim {name} is no number")
    try:
        float(value)
    except OverflowError:
        # no clock could be set to it
        raise TokenInvalid(f"the token's claim {name} is too large a number") from None
    return math.trunc(value)


# -- for people ------------------------------------------------------------------------------------


def judge(claims: Claims, values: Mapping[str, object] | None) -> None:
    """Say what a router makes of verified claims, at the route that they are for.

    :param values: of its ``[dialect:session-relay]``, and ``public-url``; None: nobody knows them
    :raises TokenInvalid: why it does not take them
    """
    read = parse_claims(claims)
    audience = audience_of(values) if values is not None else next(iter(read.audiences), "")
    check_audience(read, audience)
    if _opens_topic(read) or not _privileges(read):
        check_session(read, read.topic)
        check_booking(read, values is None or values.get("allow-no-booking-id") is True)


def explain(claims: Claims) -> list[str]:
    """Say what a token allows, and which routers take it, one sentence a line.

    :raises TokenInvalid: when none of ours does
    """
    read = parse_claims(claims)
    lines = [*_privileges(read)]
    if _opens_topic(read):
        check_session(read, read.topic)
        if read.prefix != SESSION:
            raise TokenInvalid(
                f"the token's connection type is {json.dumps(read.prefix)}; "
                f'only "{SESSION}" is known'
            )
        ways = " and ".join(scope for scope in (READ, WRITE) if scope in read.scopes)
        # As JSON, so that nothing in a stranger's token can steer the terminal.
        lines.insert(0, f"lets its bearer {ways} the topic {json.dumps(read.topic)}")
        lines.append(
            f"until the booking {json.dumps(read.booking_id)} is cancelled"
            if read.booking_id
            else "of no booking, so that only routers with allow-no-booking-id = yes take it"
        )
    if not lines:
        raise TokenInvalid("none of the token's scopes allows anything")
    if not any(read.audiences):
        raise TokenInvalid("the token names no audience")
    audiences = [json.dumps(name) for name in dict.fromkeys(read.audiences)]
    lines.append(f"for routers whose audience is {' or '.join(audiences)}; any other refuses it")
    return lines


def _opens_topic(read: SessionClaims) -> bool:
    """:returns: whether the token is meant for a topic, so that it is to have all such need"""
    wanted = READ in read.scopes or WRITE in read.scopes
    return wanted and bool(read.topic or not _privileges(read))


def _privileges(read: SessionClaims) -> list[str]:
    lines = []
    if ADMIN in read.scopes:
        lines.append("lets its bearer cancel bookings, and allow them again")
    if STATUS in read.scopes:
        lines.append("lets its bearer see who is connected, at /status")
    return lines
