"""``relay token``: mint tokens of each dialect, and explain one."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import socket
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from relay.auth import TOKEN_BYTES, in_words, inspect, mint, verify
from relay.commands.output import WrongUsage, add_json, event, hint, result
from relay.commands.signers import TokenDialect, Told, find_signer, readable
from relay.errors import AuthError, ConfigurationError, RelayError, TokenInvalid
from relay.settings.secrets import MadeSecretFile, SecretFile
from relay.vocabulary import Claims

DIALECTS = {
    "portal": "relay.dialects.portal.tokens",
    "websocktunnel": "relay.dialects.websocktunnel.tokens",
    "session-relay": "relay.dialects.session_relay.tokens",
}
"""Dialects with tokens, and the module of each that knows them: a :class:`TokenDialect`."""
STORED = {"network-relay": "relay.commands.credentials"}
"""Dialects with secrets in a file of names, and the module that writes it: :class:`Stored`."""
ADMINISTERED = {"taas": "relay.commands.taas"}
"""Dialects whose IDs and secrets are in the router's store: :class:`Administered`."""
TOKEN_ENVIRONMENT = ("RELAY_TOKEN", "PORTAL_TOKEN")
UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

_LIFETIME = re.compile(r"([0-9]{1,9})([smhdw])")


class Stored(Protocol):
    """What a module offers that keeps secrets."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare what ``relay token NAME`` takes, but for where the file is, and ``--json``."""

    def run(self, arguments: argparse.Namespace, environ: Mapping[str, str]) -> None:
        """:raises ConfigurationError, RelayError, WrongUsage: for what the user can put right"""

    def explain(
        self, arguments: argparse.Namespace, environ: Mapping[str, str], secret: str
    ) -> str | None:
        """:returns: whose secret that is; None when nobody here knows"""


class Administered(Protocol):
    """What a module offers that works on a router's store."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare what ``relay token NAME`` takes: actions, each with ``--config``, ``--json``."""

    def run(self, arguments: argparse.Namespace, environ: Mapping[str, str]) -> None:
        """:raises ConfigurationError, RelayError, WrongUsage: for what the user can put right"""


class Verdict(NamedTuple):
    """What a router says to a token.

    :ivar accepted: None: nobody could be asked
    :ivar why: why not
    :ivar secrets: where the router's secrets come from
    """

    accepted: bool | None
    why: str = ""
    secrets: str = ""

    def __str__(self) -> str:
        if self.accepted is None:
            return f"not checked: {self.why}"
        said = "accepted" if self.accepted else f"refused: {self.why}"
        return f"{said} (judged with {self.secrets})"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare one subcommand per dialect, and ``show``."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="DIALECT|show")
    for name in DIALECTS:
        dialect = _dialect(name)
        kind = kinds.add_parser(name, help=f"mint a {name} token", allow_abbrev=False)
        dialect.add_arguments(kind, socket.gethostname())
        kind.add_argument(
            "--lifetime",
            type=lifetime,
            metavar="L",
            help="how long it is valid: 90s, 15m, 12h, 30d or 4w "
            f"(default: {dialect.DEFAULT_LIFETIME_S // 86400}d)",
        )
        _add_secret(kind)
    for name in STORED:
        kind = kinds.add_parser(name, help=f"make a {name} secret", allow_abbrev=False)
        _stored(name).add_arguments(kind)
        _add_secret(kind, "the credentials file itself")
    for name in ADMINISTERED:
        kind = kinds.add_parser(name, help=f"IDs, labels and secrets of {name}", allow_abbrev=False)
        _administered(name).add_arguments(kind)
    show = kinds.add_parser(
        "show",
        help="explain a token: its claims, its times in words, whether a router takes it",
        epilog="A token among the arguments can be seen by everybody on this machine: prefer "
        '"relay token show - < FILE".',
        allow_abbrev=False,
    )
    show.add_argument(
        "token",
        nargs="?",
        metavar="TOKEN|-",
        help="a token, or a file that holds one; - reads standard input; without it: environment "
        + " or ".join(TOKEN_ENVIRONMENT),
    )
    _add_secret(show)


def run(arguments: argparse.Namespace) -> int:
    """:raises RelayError, ConfigurationError, WrongUsage: for what the user can put right"""
    if arguments.kind == "show":
        _show(arguments, os.environ, time.time())
    elif arguments.kind in STORED:
        _stored(arguments.kind).run(arguments, os.environ)
    elif arguments.kind in ADMINISTERED:
        _administered(arguments.kind).run(arguments, os.environ)
    else:
        _mint(arguments, os.environ, int(time.time()))
    return 0


def lifetime(text: str) -> int:
    """Read ``90s``, ``15m``, ``12h``, ``30d`` or ``4w``.

    :returns: seconds, at least 1
    :raises argparse.ArgumentTypeError: saying what it should look like
    """
    parts = _LIFETIME.fullmatch(text)
    seconds = int(parts[1]) * UNITS_S[parts[2]] if parts else 0
    if not seconds:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no lifetime; write a number and its unit: 90s, 15m, 12h, 30d or 4w"
        )
    return seconds


def _mint(arguments: argparse.Namespace, environ: Mapping[str, str], now: int) -> None:
    dialect = _dialect(arguments.kind)
    try:
        if isinstance(dialect, Told):
            dialect.fill(arguments, environ)
        arguments.lifetime = arguments.lifetime or dialect.DEFAULT_LIFETIME_S
        router = find_signer(arguments, environ, arguments.kind, dialect)
        claims = dialect.claims(arguments, now, router.values)
    except ValueError as error:
        raise WrongUsage(str(error)) from None
    source = router.sources[0]
    if isinstance(source, MadeSecretFile) and source.ensure():
        event(f"made the secret {source.origin}; the router will use it when it starts")
    token = mint(claims, source.read().key())
    for warning in source.warnings:
        event(f"warning: {warning}")
    hint(f"valid for {in_words(arguments.lifetime)}; signed with the secret of {source.origin}")
    result(arguments.json, {"token": token, "dialect": arguments.kind, "claims": claims}, token)


def _show(arguments: argparse.Namespace, environ: Mapping[str, str], now: float) -> None:
    token = _token(arguments.token, environ)
    try:
        header, claims = inspect(token)
    except TokenInvalid as error:
        _show_secret(arguments, environ, token, error)
        return
    name = next((name for name in DIALECTS if _dialect(name).MARKS & claims.keys()), None)
    meaning = _meaning(name, claims)
    times = {
        claim: _time_in_words(claim, value, now)
        for claim, value in claims.items()
        if claim in ("exp", "iat", "nbf")
        and isinstance(value, int | float)
        and not isinstance(value, bool)
    }
    verdict = _verdict(arguments, environ, name, token, now)
    # Names and values as JSON: nothing in a stranger's token may steer the terminal.
    rows = [("dialect", name or "none that is known here")]
    rows += [("meaning", line) for line in meaning]
    rows += [("header", json.dumps(header)), ("", "")]
    for claim, value in claims.items():
        words = f"   {times[claim]}" if claim in times else ""
        rows.append((json.dumps(claim)[1:-1], json.dumps(value) + words))
    rows += [("", ""), ("router", str(verdict))]
    width = max(len(label) for label, _ in rows)
    result(
        arguments.json,
        {
            "dialect": name,
            "meaning": meaning,
            "header": header,
            "claims": claims,
            "times": times,
            "router": verdict._asdict(),
        },
        "\n".join(f"{label:<{width}}  {text}".rstrip() for label, text in rows),
    )


def _show_secret(
    arguments: argparse.Namespace, environ: Mapping[str, str], text: str, error: TokenInvalid
) -> None:
    """Explain what is no JWT. :raises TokenInvalid: when it is no secret that is known here"""
    for name in STORED:
        meaning = _stored(name).explain(arguments, environ, text)
        if meaning is not None:
            value = {"dialect": name, "meaning": [meaning], "header": None, "claims": None}
            result(arguments.json, value, f"{meaning}; it is no JWT, and holds until it is changed")
            return
    named = arguments.config is not None or arguments.secret_file is not None
    where = "it is none of this router's" if named else "name its --config"
    raise TokenInvalid(error.text, f"if it is a secret, {where}")


def _verdict(
    arguments: argparse.Namespace,
    environ: Mapping[str, str],
    name: str | None,
    token: str,
    now: float,
) -> Verdict:
    """Ask the router that the options name, or the one whose configuration is found without."""
    if name is None:
        return Verdict(None, "no dialect here has such tokens")
    dialect = _dialect(name)
    try:
        router = find_signer(arguments, environ, name, dialect)
        sources = readable(router.sources)
        keys = tuple([source.read().key() for source in sources])
    except (ConfigurationError, RelayError):
        if arguments.config or arguments.secret_file:
            raise
        return Verdict(None, "name the router's configuration with --config")
    secrets = " or ".join(f"the secret of {source.origin}" for source in sources)
    try:
        dialect.judge(verify(dialect.credential(token, keys), now), router.values)
    except AuthError as error:
        return Verdict(False, error.text, secrets)
    return Verdict(True, "", secrets)


def _meaning(name: str | None, claims: Claims) -> list[str]:
    if name is None:
        return []
    try:
        return _dialect(name).explain(claims)
    except TokenInvalid as error:
        return [f"nothing: {error.text}"]


def _time_in_words(claim: str, value: int | float, now: float) -> str:
    past, future = {
        "exp": ("expired {} ago", "expires in {}"),
        "iat": ("issued {} ago", "issued in the future, in {}"),
        "nbf": ("valid since {}", "not valid before {} from now"),
    }[claim]
    words = (past if value <= now else future).format(in_words(abs(value - int(now))))
    try:
        at = datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        # beyond the calendar
        return words
    return f"{words} ({at:%Y-%m-%d %H:%M:%S} UTC)"


def _token(word: str | None, environ: Mapping[str, str]) -> str:
    if word == "-":
        word = sys.stdin.buffer.readline(2 * TOKEN_BYTES).decode("ascii", "replace")
        if not word.strip():
            raise RelayError("no token came on standard input")
    elif word is not None and os.path.isfile(word):
        word = SecretFile(Path(word)).read().reveal()
    elif word is None:
        word = next((environ[name] for name in TOKEN_ENVIRONMENT if environ.get(name)), None)
        if word is None:
            raise WrongUsage("no token is given; write it to standard input of relay token show -")
    # As the original's token maker prints it, and as a request shows it.
    return word.strip().removeprefix("PORTAL_TOKEN=").removeprefix("Bearer ")


def _dialect(name: str) -> TokenDialect:
    return cast(TokenDialect, importlib.import_module(DIALECTS[name]))


def _stored(name: str) -> Stored:
    return cast(Stored, importlib.import_module(STORED[name]))


def _administered(name: str) -> Administered:
    return cast(Administered, importlib.import_module(ADMINISTERED[name]))


def _add_secret(parser: argparse.ArgumentParser, what: str = "the secret itself") -> None:
    secret = parser.add_mutually_exclusive_group()
    secret.add_argument("--config", metavar="FILE", help="the router's INI, whose secret it is")
    secret.add_argument("--secret-file", metavar="FILE", help=what)
    add_json(parser)
