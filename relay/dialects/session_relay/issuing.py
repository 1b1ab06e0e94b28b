"""``relay token session-relay``: which claims a command line and the original's variables ask for.

Specification: session-relay.md §10. Options outweigh variables, and those the router's INI. The
variables alone give what the original's command gives for them, byte for byte.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping

from relay.dialects.session_relay.keys import audience_of
from relay.dialects.session_relay.notions import ADMIN, READ, SESSION, STATUS, WRITE
from relay.dialects.session_relay.originals import truth

PREFIX = "RELAY_TOKEN_"
TOKEN_SECRET = f"{PREFIX}SECRET"
"""The variable that holds the secret itself."""
DEFAULT_BOOKING_ID = "relay-token-cli"
"""As the original's command has it."""
BACKDATED_S = 1
"""So much before now a token begins, so that it is good at once."""
LIFETIME_DIGITS = 12

_OPTIONS = ("audience", "topic", "connection-type", "booking-id")


def add_arguments(parser: argparse.ArgumentParser, host_name: str) -> None:
    """Declare what ``relay token session-relay`` takes beside what all dialects do.

    :param host_name: of no use here
    """
    for name, letter, described in (
        ("topic", "T", "the topic"),
        ("booking-id", "B", f"the booking by which it can be cancelled ({DEFAULT_BOOKING_ID})"),
        ("audience", "A", "for routers with this audience (that of the configured router)"),
        ("connection-type", "C", f"the claim prefix ({SESSION}); routers know no other"),
    ):
        help_ = f"{described}; environment {_variable(name)}"
        parser.add_argument(f"--{name}", type=_text, metavar=letter, help=help_)
    parser.add_argument(
        "--scope",
        type=_scopes,
        action="extend",
        metavar="S,S",
        help=f"{READ} and {WRITE} open the topic, {STATUS} /status; any other word is put in "
        f"as it is (write,read; environment {PREFIX}SCOPE_READ, _WRITE, _ADMIN and _OTHER)",
    )
    parser.add_argument(
        "--admin",
        action="store_true",
        help=f"the scope {ADMIN}: to cancel bookings; alone, unless --scope adds to it",
    )


def fill(arguments: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Add to a command line what the original's variables say and it does not.

    ``lifetime`` among them, in seconds; ``scope`` is all scopes then, in their order.

    :raises ValueError: with a sentence, when a variable's text is of no use
    """
    # only what the command line asks for by scope has no topic, where none is named
    arguments.bare = arguments.admin or arguments.scope is not None
    for name in _OPTIONS:
        attribute = name.replace("-", "_")
        if getattr(arguments, attribute) is None:
            setattr(arguments, attribute, environ.get(_variable(name)) or None)
    if arguments.lifetime is None:
        arguments.lifetime = _lifetime(environ.get(f"{PREFIX}LIFETIME", "").strip())
    if arguments.scope is None:
        arguments.scope = [] if arguments.admin else _scopes_of(environ)
    if arguments.admin:
        arguments.scope = [ADMIN, *arguments.scope]
    arguments.scope = list(dict.fromkeys(arguments.scope))


def claims(
    arguments: argparse.Namespace, now: int, values: Mapping[str, object] | None
) -> dict[str, object]:
    """Make the claims that a command line asks for.

    :param arguments: those of :func:`add_arguments`, filled, and ``lifetime`` in seconds
    :param now: Unix seconds
    :param values: of the router's section, and ``public-url``; None: nobody knows them
    :raises ValueError: with all that is missing, in one line
    """
    scopes: list[str] = arguments.scope
    audience = arguments.audience or audience_of(values or {})
    topic = arguments.topic or ""
    if not {ADMIN, READ, WRITE, STATUS} & set(scopes):
        raise ValueError(
            f"none of these scopes allows anything; ask for {READ}, {WRITE}, {STATUS} or --admin"
        )
    missing = []
    if not topic and ADMIN not in scopes and {READ, WRITE} & set(scopes):
        missing.append(f"--topic T (or {_variable('topic')})")
    if not audience:
        missing.append(
            f"--audience A (or {_variable('audience')}, or --config with the router's INI)"
        )
    if missing:
        raise ValueError(f"missing {' and '.join(missing)}")
    idle = arguments.bare and not topic
    return session_claims(
        topic,
        scopes,
        audience,
        "" if idle and arguments.booking_id is None else arguments.booking_id or DEFAULT_BOOKING_ID,
        now - BACKDATED_S,
        arguments.lifetime,
        "" if idle and arguments.connection_type is None else arguments.connection_type or SESSION,
    )


def session_claims(
    topic: str,
    scopes: list[str],
    audience: str,
    booking_id: str,
    begins: int,
    lifetime_s: int,
    prefix: str = SESSION,
) -> dict[str, object]:
    """Make the claims of a token, in the order in which the originals write them.

    :param begins: Unix seconds, of ``iat`` and ``nbf``
    """
    return {
        "booking_id": booking_id,
        "topic": topic,
        "prefix": prefix,
        "scopes": scopes,
        "aud": [audience],
        "exp": begins + lifetime_s,
        "nbf": begins,
        "iat": begins,
    }


def _variable(option: str) -> str:
    return PREFIX + option.upper().replace("-", "_")


def _lifetime(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(f"[0-9]{{1,{LIFETIME_DIGITS}}}", text) or not int(text):
        raise ValueError(f"{PREFIX}LIFETIME is no number of seconds from 1 on")
    return int(text)


def _scopes_of(environ: Mapping[str, str]) -> list[str]:
    """:returns: what the original's command makes of its variables"""
    wanted = (("ADMIN", ADMIN, False), ("WRITE", WRITE, True), ("READ", READ, True))
    found = [
        scope
        for word, scope, default in wanted
        if (truth(said) if (said := environ.get(f"{PREFIX}SCOPE_{word}")) else default)
    ]
    if not found:
        raise ValueError(
            f"no scope is asked for; use --scope, or set {PREFIX}SCOPE_ADMIN, _READ or _WRITE"
        )
    other = environ.get(f"{PREFIX}SCOPE_OTHER")
    return [*found, other] if other else found


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("is not UTF-8 text") from None
    return text


def _scopes(text: str) -> list[str]:
    found = [word for part in _text(text).split(",") if (word := part.strip())]
    if not found:
        raise argparse.ArgumentTypeError("names no scope")
    return found
