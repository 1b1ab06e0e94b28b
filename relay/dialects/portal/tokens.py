"""Portal's tokens: their claims, as portal.md §3 has them.

Specification: MaticianInc/portal, commit 1c75f42. Claims: ``sub`` (str), ``exp`` (int, Unix
seconds), ``role`` (``host`` or ``client``), ``portal_id`` (int of 64 bits); nothing else counts but
``aud``, which must not be there. The tokens made here are taken by both of portal's own routers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass

from relay.errors import TokenInvalid
from relay.vocabulary import Claims, Jwt, Role

LARGEST_PORTAL_ID = 2**64 - 1
LONGEST_PORTAL_ID = 64
"""So many digits, leading zeros among them, are read at most."""
LARGEST_EXP = 2**64 - 1
LARGEST_PORTABLE_EXP = 2**32 - 1
"""The edge router refuses tokens that end later than this (2106-02-07)."""
LEEWAY_S = 60

SECRET_KEYS = ("secret-file",)
"""Keys of ``[dialect:portal]`` that name secrets; tokens are signed with the first."""
SECRET_ENVIRONMENT = ("AUTH_SECRET",)
"""The original router's variable with the secret itself."""
DEFAULT_LIFETIME_S = 30 * 86400
MARKS = frozenset({"portal_id", "role"})
"""Claims that no other dialect's tokens have; one of them tells a portal token."""


@dataclass(frozen=True, slots=True)
class PortalClaims:
    """The claims of a portal token.

    :ivar portal_id: 0 to 2**64 - 1
    :ivar expires: Unix seconds
    """

    role: Role
    portal_id: int
    subject: str
    expires: int


def credential(token: str, keys: tuple[bytes, ...]) -> Jwt:
    """:returns: the terms on which a portal router takes a token: HS256, 60 s leeway, no ``nbf``"""
    return Jwt(token, keys, ("HS256",), LEEWAY_S, check_nbf=False)


def portal_claims(role: Role, portal_id: int, subject: str, expires: int) -> dict[str, object]:
    """Make the claims of a token that both of portal's routers take.

    :param portal_id: 0 to 2**64 - 1
    :param expires: Unix seconds, at most 2**32 - 1
    :returns: the claims in the order of the original's token maker
    :raises ValueError: saying what is out of range
    """
    if not 0 <= portal_id <= LARGEST_PORTAL_ID:
        raise ValueError(f"a portal id is a number from 0 to {LARGEST_PORTAL_ID}")
    try:
        subject.encode()
    except UnicodeEncodeError:
        raise ValueError("the subject is not UTF-8 text") from None
    if not 0 <= expires <= LARGEST_PORTABLE_EXP:
        raise ValueError("a portal token must end before 2106-02-07")
    return {"sub": subject, "exp": expires, "role": role.value, "portal_id": portal_id}


def read_claims(claims: Claims) -> PortalClaims:
    """Read verified claims as strictly as the demo router does.

    :raises TokenInvalid: when a claim is missing or of another type, or ``aud`` is a string or list
    """
    if isinstance(claims.get("aud"), str | list):
        raise TokenInvalid("the token has an audience, which a portal token must not have")
    subject = claims.get("sub")
    if not isinstance(subject, str):
        raise TokenInvalid("the token's claim sub is missing or no string")
    role = claims.get("role")
    if role not in ("host", "client"):
        raise TokenInvalid('the token\'s claim role is neither "host" nor "client"')
    return PortalClaims(
        Role(role),
        _unsigned(claims, "portal_id", LARGEST_PORTAL_ID),
        subject,
        _unsigned(claims, "exp", LARGEST_EXP),
    )


def judge(claims: Claims, values: Mapping[str, object] | None) -> None:
    """Say what a router makes of verified claims; all routers of portal make the same of them.

    :raises TokenInvalid: why it does not take them
    """
    read_claims(claims)


def explain(claims: Claims) -> list[str]:
    """Say what a token allows, and what about it only some routers take, one sentence a line.

    :raises TokenInvalid: as :func:`read_claims`
    """
    portal = read_claims(claims)
    # As JSON, so that nothing in a stranger's token can steer the terminal.
    subject = json.dumps(portal.subject)
    if portal.role is Role.HOST:
        lines = [f"lets {subject} be the host of portal {portal.portal_id}"]
    else:
        lines = [f"lets {subject} call the services of portal {portal.portal_id}"]
    if portal.expires > LARGEST_PORTABLE_EXP:
        lines.append("portal's edge router refuses it: it ends after 2106-02-07")
    if "nbf" in claims:
        lines.append("portal's edge router also judges nbf; this router and the demo router do not")
    return lines


def add_arguments(parser: argparse.ArgumentParser, host_name: str) -> None:
    """Declare what ``relay token portal`` takes beside what all dialects do.

    :param host_name: the default subject
    """
    parser.add_argument("role", choices=("host", "client"), help="what its bearer may be")
    parser.add_argument(
        "--id", type=_portal_id, required=True, metavar="ID", help="portal id, for instance 1234"
    )
    parser.add_argument(
        "--subject",
        metavar="S",
        default=host_name,
        help="whom it is for; a client's is told to the host (default: %(default)s)",
    )


def claims(
    arguments: argparse.Namespace, now: int, values: Mapping[str, object] | None = None
) -> dict[str, object]:
    """Make the claims that a command line asks for.

    :param arguments: those of :func:`add_arguments`, and ``lifetime`` in seconds
    :param now: Unix seconds
    :param values: of the router's section, which make no difference
    :raises ValueError: saying what is out of range
    """
    expires = now + arguments.lifetime
    return portal_claims(Role(arguments.role), arguments.id, arguments.subject, expires)


def parse_portal_id(text: str) -> int:
    """:raises ValueError: for anything but a number from 0 to 2**64 - 1"""
    digits = text.isascii() and text.isdigit() and len(text) <= LONGEST_PORTAL_ID
    if not digits or int(text) > LARGEST_PORTAL_ID:
        raise ValueError(f"a portal id is a number from 0 to {LARGEST_PORTAL_ID}")
    return int(text)


def _portal_id(text: str) -> int:
    try:
        return parse_portal_id(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no portal id; {error}") from None


def _unsigned(claims: Claims, name: str, largest: int) -> int:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise TokenInvalid(f"the token's claim {name} is missing or no unsigned integer of 64 bits")
    return value
