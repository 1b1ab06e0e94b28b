"""The tokens of websocktunnel: who may register a tunnel, as websocktunnel.md §3 and §4 have it.

Specification: Taskcluster v106.0.0. A token is for one tunnel id (``tid``), names its beginning and
its end (``nbf``, ``exp``), at most 31 days apart, and perhaps an audience (``aud``); nothing else
counts. ``auth`` finds signature and times to be right, this module that they are there at all.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from relay.errors import BadRequest, TokenInvalid, WrongName
from relay.vocabulary import Claims, Jwt

LONGEST_S = 31 * 86400
"""Most seconds from ``nbf`` to ``exp``: the documented rule, which the original never applies."""
BACKDATED_S = 15 * 60
"""So much before now a token begins, since no clock is exact and there is no leeway."""
ID_CHARACTERS = "A-Za-z0-9_~.%-"

SECRET_KEYS = ("secret-a-file", "secret-b-file")
"""Keys of ``[dialect:websocktunnel]`` that name secrets; tokens are signed with the first."""
SECRET_ENVIRONMENT = ("TASKCLUSTER_PROXY_SECRET_A", "TASKCLUSTER_PROXY_SECRET_B")
"""The original server's variables with the secrets themselves."""
DEFAULT_LIFETIME_S = 4 * 86400
"""As the original's own issuer."""
MARKS = frozenset({"tid"})
"""Claims that no other dialect's tokens have; one of them tells a websocktunnel token."""
AUDIENCE_KEY = "audience"

_ID = re.compile(f"[{ID_CHARACTERS}]+")
_AUTHORIZATION = re.compile(r"Bearer ([A-Za-z0-9_.-]+)")


class TunnelClaims(NamedTuple):
    """The claims that count.

    :ivar tunnel_id: for which tunnel the token is
    :ivar expires: Unix seconds
    :ivar token_id: ``jti``, by which we can revoke one token; None: it has none
    """

    tunnel_id: str
    expires: int
    token_id: str | None


# -- what a request shows --------------------------------------------------------------------------


def is_tunnel_id(text: str) -> bool:
    """:returns: whether this can be a tunnel's id (§3.1); only a head's limit says how long"""
    return _ID.fullmatch(text) is not None


def parse_id(text: str) -> str:
    """Judge the header ``x-websocktunnel-id`` (§3.2 row 1).

    :returns: the id, which is opaque: ``%41`` and ``A`` are two
    :raises BadRequest: when it has other characters, or none
    """
    if not is_tunnel_id(text):
        raise BadRequest(
            f"the tunnel's id has other characters than {ID_CHARACTERS}, or none",
            "choose an id of letters, digits and _ ~ . % -",
        )
    return text


def parse_authorization(header: str | None) -> str:
    """Judge the header ``Authorization`` (§3.2 row 2).

    :returns: the token
    :raises BadRequest: unless it is ``Bearer``, one blank and a token; no matter of a login, so
        that it is answered with 400 as by the original
    """
    match = _AUTHORIZATION.fullmatch(header or "")
    if match is None:
        what = "missing" if header is None else 'not "Bearer", one blank and a token'
        raise BadRequest(f"the header Authorization is {what}")
    return match[1]


def credential(token: str, keys: tuple[bytes, ...]) -> Jwt:
    """:returns: the terms on which a router takes a token: HS256, no leeway, ``nbf`` counts

    :param keys: secret A, then B
    """
    return Jwt(token, keys, ("HS256",), leeway_s=0, check_nbf=True)


# -- claims ----------------------------------------------------------------------------------------


def read_claims(claims: Claims, tunnel_id: str, audience: str | None) -> TunnelClaims:
    """Read claims whose signature and times ``auth`` has verified.

    :param tunnel_id: for which the bearer wants to register
    :param audience: the router's, empty or None: it has none
    :raises TokenInvalid: when a claim is missing or of another type, the token valid for too long,
        or for another audience
    :raises WrongName: when it is for another tunnel
    """
    _check_times(claims)
    if _tid(claims) != tunnel_id:
        raise WrongName(
            "the token is for another tunnel than the id that was asked for",
            'mint one with "relay token websocktunnel --id ID"',
        )
    _check_audience(claims, audience or "")
    jti = claims.get("jti")
    return TunnelClaims(
        tunnel_id, _whole(claims, "exp"), jti if isinstance(jti, str) and jti else None
    )


def judge(claims: Claims, values: Mapping[str, object] | None) -> None:
    """Say what a router makes of verified claims, with the id that they are for.

    :param values: of its ``[dialect:websocktunnel]``; None: nobody knows them
    :raises TokenInvalid: why it does not take them
    """
    if values is None:
        audience: object = next(filter(None, _audiences(claims)), None)
    else:
        audience = values.get(AUDIENCE_KEY)
    read_claims(claims, _tid(claims), audience if isinstance(audience, str) else None)


def explain(claims: Claims) -> list[str]:
    """Say what a token allows, and which routers take it, one sentence a line.

    :raises TokenInvalid: when none of ours does
    """
    tunnel_id = _tid(claims)
    if not is_tunnel_id(tunnel_id):
        raise TokenInvalid("the token's claim tid can be no tunnel's id")
    _check_times(claims)
    # As JSON, so that nothing in a stranger's token can steer the terminal.
    lines = [f"lets its bearer register the tunnel {json.dumps(tunnel_id)}"]
    audiences = [json.dumps(name) for name in dict.fromkeys(_audiences(claims))]
    if any(_audiences(claims)):
        lines.append(
            f"for routers whose audience is {' or '.join(audiences)}; "
            "one that has another or none refuses it"
        )
    else:
        lines.append("for routers of any audience, and for those that have none")
    return lines


def _check_times(claims: Claims) -> None:
    begins, ends = _whole(claims, "nbf"), _whole(claims, "exp")
    if ends - begins > LONGEST_S:
        raise TokenInvalid(
            f"the token is valid for more than {LONGEST_S // 86400} days from nbf to exp, "
            "which is the most"
        )


def _whole(claims: Claims, name: str) -> int:
    """:returns: a time in whole seconds, the fraction dropped; never 0"""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.trunc(value):
        raise TokenInvalid(f"the token's claim {name} is missing, zero or not a number")
    return math.trunc(value)


def _tid(claims: Claims) -> str:
    tid = claims.get("tid")
    if not isinstance(tid, str):
        raise TokenInvalid("the token's claim tid is missing or no string")
    return tid


def _audiences(claims: Claims) -> list[str]:
    """:returns: those that the token names; what is neither string nor list names none

    :raises TokenInvalid: for a list with anything else than strings in it
    """
    value = claims.get("aud")
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        return []
    names = [name for name in value if isinstance(name, str)]
    if len(names) != len(value):
        raise TokenInvalid("the token's claim aud is a list with something else than strings")
    return names


def _check_audience(claims: Claims, audience: str) -> None:
    """The table of §4: an empty audience is none, on either side."""
    names = _audiences(claims)
    if not any(names) or (audience and audience in names):
        return
    if audience:
        raise TokenInvalid(
            "the token is for another audience than this router's",
            'see "relay token show"',
        )
    raise TokenInvalid(
        "the token has an audience, and this router has none",
        "mint a token without one, or set audience at the router",
    )


def tunnel_claims(
    tunnel_id: str, now: int, lifetime_s: int, audience: str = ""
) -> dict[str, object]:
    """Make the claims of a token that the original takes, too.

    :param now: Unix seconds
    :param audience: empty: for routers of any
    :raises ValueError: saying what is out of range
    """
    if lifetime_s > LONGEST_S:
        raise ValueError(f"a websocktunnel token lives {LONGEST_S // 86400} days at most")
    expires = now + lifetime_s
    made: dict[str, object] = {
        "tid": tunnel_id,
        "iat": now,
        "nbf": max(now - BACKDATED_S, expires - LONGEST_S),
        "exp": expires,
    }
    if audience:
        try:
            audience.encode()
        except UnicodeEncodeError:
            raise ValueError("the audience is not UTF-8 text") from None
        made["aud"] = audience
    return made


# -- the command line ------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser, host_name: str) -> None:
    """Declare what ``relay token websocktunnel`` takes beside what all dialects do.

    :param host_name: of no use here
    """
    parser.add_argument(
        "--id", type=_tunnel_id, required=True, metavar="ID", help="the tunnel's id"
    )
    parser.add_argument(
        "--audience",
        metavar="A",
        help="for routers with this audience alone; empty: for all "
        "(default: that of the configured router)",
    )


def claims(
    arguments: argparse.Namespace, now: int, values: Mapping[str, object] | None
) -> dict[str, object]:
    """Make the claims that a command line asks for.

    :param arguments: those of :func:`add_arguments`, and ``lifetime`` in seconds
    :param now: Unix seconds
    :param values: of the router's section; None: nobody knows them
    :raises ValueError: saying what is out of range
    """
    audience = arguments.audience
    if audience is None:
        audience = (values or {}).get(AUDIENCE_KEY)
    return tunnel_claims(arguments.id, now, arguments.lifetime, str(audience or ""))


def _tunnel_id(text: str) -> str:
    if not is_tunnel_id(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no tunnel's id; it is made of {ID_CHARACTERS}"
        )
    return text
