"""``relay token network-relay``: agents and clients in a router's credentials file.

Its secrets are no tokens: they hold until they are taken out of the file. The router reads that
anew when somebody logs in, so what is written here counts at once.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, cast

from relay.commands.output import WrongUsage, event, hint, result
from relay.dialects import dialect_keys
from relay.dialects.network_relay.credentials import (
    AGENTS,
    CLIENTS,
    RIGHTS,
    SECRET,
    Credentials,
    parse_json,
    read_credentials,
)
from relay.dialects.network_relay.keys import CREDENTIALS_KEY, check_allowed
from relay.errors import ConfigurationError, RelayError
from relay.settings import read_router
from relay.settings.credentials import CredentialsFile, rewrite
from relay.settings.faults import Wrong, quoted
from relay.settings.secrets import MadeSecretFile, make_secret

DIALECT = "network-relay"
AGENT = "agent"
CLIENT = "client"

Entry = dict[str, object]
"""A client's entry in the file: ``secret``, perhaps ``agents`` and ``targets``."""


class Wanted(NamedTuple):
    """Whose secret is asked for.

    :ivar kind: ``agent`` or ``client``
    :ivar agents: whom a client may call; None: nobody said, likewise targets
    :ivar renew: whether an older secret is to be replaced
    """

    kind: str
    name: str
    agents: list[str] | None = None
    targets: list[str] | None = None
    renew: bool = False


class Minted(NamedTuple):
    """What the file says now.

    :ivar text: the whole file
    :ivar entry: the agent's or client's own
    :ivar existed: whether the secret was there before
    """

    text: str
    entry: Entry
    existed: bool

    @property
    def secret(self) -> str:
        """:returns: the agent's or client's own."""
        return cast(str, self.entry[SECRET])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``agent NAME`` and ``client NAME``; the caller adds where the credentials are."""
    parser.add_argument("role", choices=(AGENT, CLIENT), help="what the secret is for")
    parser.add_argument("name", metavar="NAME", type=_name, help="the agent's or client's name")
    parser.add_argument(
        "--agent",
        action="append",
        type=_name,
        metavar="A",
        help="an agent that this client may call; may be repeated (default: every agent)",
    )
    parser.add_argument(
        "--target",
        action="append",
        type=_target,
        metavar="IP:PORT",
        help="what this client may reach there, as in a host's allow; may be repeated "
        "(default: everything that the agent allows)",
    )
    parser.add_argument("--renew", action="store_true", help="replace the secret that it has")


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Write the entry, unless it is there, and print its secret.

    :raises ConfigurationError, RelayError: when that cannot be
    """
    wanted = Wanted(
        arguments.role, arguments.name, arguments.agent, arguments.target, arguments.renew
    )
    if wanted.kind == AGENT and (wanted.agents or wanted.targets):
        raise WrongUsage("--agent and --target limit a client; a host's own INI limits an agent")
    source = find(arguments, environ)
    if isinstance(source, MadeSecretFile) and source.ensure():
        event(f"made the credentials {source.origin}; the router will use them when it starts")
    minted = mint(source, wanted)
    if minted.existed:
        event(
            f"{wanted.kind} {quoted(wanted.name)} is in {source.origin} already, "
            "and this is its secret; --renew replaces it"
        )
    else:
        hint(f"written into {source.origin}; a router that runs knows it from now on")
    rights = {name: value for name, value in minted.entry.items() if name != SECRET}
    value = {
        "token": minted.secret,
        "dialect": DIALECT,
        "role": wanted.kind,
        "name": wanted.name,
        **rights,
    }
    result(arguments.json, value, minted.secret)


def mint(source: CredentialsFile, wanted: Wanted) -> Minted:
    """Make sure that a file has an entry.

    :returns: the entry, with its secret
    :raises ConfigurationError, RelayError: when the file is not valid, cannot be written, or has
        an entry of that name with other rights
    """
    done: list[Minted] = []

    def change(text: str) -> str:
        done.append(with_entry(text, source.origin, wanted))
        return done[-1].text

    rewrite(source.path, change)
    return done[-1]


def with_entry(text: str, origin: str, wanted: Wanted) -> Minted:
    """Put an entry into the text of a credentials file; all else in it stays.

    :raises ConfigurationError: when the text is not valid
    :raises RelayError: when there is an entry of that name with other rights
    """
    Credentials.parse(text, origin)
    members = parse_json(text, origin)
    section = AGENTS if wanted.kind == AGENT else CLIENTS
    entries = cast(Entry, members.setdefault(section, {}))
    old = entries.get(wanted.name)
    entry: Entry = {SECRET: old} if isinstance(old, str) else dict(cast(Entry, old or {}))
    said = {
        right: given
        for right, given in zip(RIGHTS, (wanted.agents, wanted.targets), strict=True)
        if given is not None
    }
    if old is not None and not wanted.renew:
        if any(entry.get(right) != given for right, given in said.items()):
            raise RelayError(
                f"client {quoted(wanted.name)} is in {origin} already, with other rights",
                "add --renew to give it these and a new secret, or edit the file",
            )
        return Minted(text, entry, existed=True)
    entry = {**entry, **said, SECRET: make_secret()}
    entries[wanted.name] = entry[SECRET] if wanted.kind == AGENT else entry
    return Minted(_as_text(members), entry, existed=False)


def explain(arguments: argparse.Namespace, environ: Mapping[str, str], secret: str) -> str | None:
    """Say whose secret it is.

    :returns: None when no credentials are found, or it is not among them
    """
    try:
        source = find(arguments, environ)
        credentials = read_credentials(source)
    except (ConfigurationError, RelayError):
        return None
    for name, known in credentials.agents.items():
        if known == secret:
            return f"a secret of {DIALECT}: agent {quoted(name)} in {source.origin} logs in with it"
    client = credentials.client(secret)
    if client is None:
        return None
    who = f"client {quoted(client.name)}" if client.name else "a client without a name"
    return f"a secret of {DIALECT}: {who} in {source.origin} logs in with it"


def find(arguments: argparse.Namespace, environ: Mapping[str, str]) -> CredentialsFile:
    """Find the credentials of the router that is named, or found.

    :raises ConfigurationError, RelayError: when there are none
    """
    if arguments.secret_file:
        return CredentialsFile(Path(arguments.secret_file))
    options = {"config": arguments.config}
    settings = read_router(options, environ, Path.cwd(), dialect_keys())
    for section in settings.dialects:
        if section.name == DIALECT:
            return cast(CredentialsFile, section.values[CREDENTIALS_KEY])
    where = settings.config_file or "the router's configuration"
    raise RelayError(
        f"{where} has no section [dialect:{DIALECT}]",
        "add it, or name the credentials with --secret-file",
    )


def _as_text(members: Mapping[str, object]) -> str:
    text = json.dumps(members, indent=2, ensure_ascii=False) + "\n"
    try:
        text.encode()
    except UnicodeEncodeError:
        # half a surrogate pair, which only an escape can hold
        return json.dumps(members, indent=2) + "\n"
    return text


def _name(text: str) -> str:
    if not text or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is no name; it is any text that can be printed")
    return text


def _target(text: str) -> str:
    try:
        return check_allowed(text)
    except Wrong as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None
