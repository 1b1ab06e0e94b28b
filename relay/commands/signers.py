"""Whose tokens ``relay token`` makes and judges: the secrets of a router, and what it says."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, cast, runtime_checkable

from relay.dialects import dialect_keys
from relay.errors import ConfigurationError, RelayError
from relay.settings import read_router
from relay.settings.model import SecretSource
from relay.settings.public_url import public_url
from relay.settings.secrets import EnvironmentSecret, MadeSecretFile, SecretFile
from relay.vocabulary import Claims, Jwt

PUBLIC_URL = "public-url"
"""Beside a section's values: at what URL the dialect is reached, empty when nobody knows."""


class TokenDialect(Protocol):
    """What a dialect's ``tokens`` module offers; all of it pure."""

    SECRET_KEYS: tuple[str, ...]
    SECRET_ENVIRONMENT: tuple[str, ...]
    DEFAULT_LIFETIME_S: int
    MARKS: frozenset[str]

    def add_arguments(self, parser: argparse.ArgumentParser, host_name: str) -> None:
        """Declare what ``relay token NAME`` takes beside lifetime and secret."""

    def claims(
        self, arguments: argparse.Namespace, now: int, values: Mapping[str, object] | None
    ) -> dict[str, object]:
        """:raises ValueError: saying what is out of range"""

    def credential(self, token: str, keys: tuple[bytes, ...]) -> Jwt:
        """:returns: the terms on which this dialect's router takes the token"""

    def judge(self, claims: Claims, values: Mapping[str, object] | None) -> None:
        """:raises TokenInvalid: when a router of this dialect with such values does not take them

        :param values: of its section, and ``public-url``; None: nobody knows them
        """

    def explain(self, claims: Claims) -> list[str]:
        """:raises TokenInvalid: when no router of this dialect takes such claims"""


@runtime_checkable
class Told(Protocol):
    """What a dialect's ``tokens`` module offers besides, whose original reads variables.

    :ivar TOKEN_SECRET: the variable that holds the secret; it outweighs the INI
    """

    TOKEN_SECRET: str

    def fill(self, arguments: argparse.Namespace, environ: Mapping[str, str]) -> None:
        """Add to a command line what the environment says and it does not.

        :raises ValueError: saying what is wrong
        """


class Signer(NamedTuple):
    """A router, as far as its tokens are concerned.

    :ivar sources: of its secrets, at least one; the first one signs
    :ivar values: of the dialect's section, and ``public-url``; None: nobody knows them
    :ivar from_file: whether a configuration file says so
    """

    sources: list[SecretSource]
    values: Mapping[str, object] | None = None
    from_file: bool = False


def find_signer(
    arguments: argparse.Namespace, environ: Mapping[str, str], name: str, dialect: TokenDialect
) -> Signer:
    """Find the router that is named, or the one whose configuration is found without.

    :param arguments: with ``config`` and ``secret_file``
    :param name: the dialect's
    :raises ConfigurationError, RelayError: when there is none
    """
    if arguments.secret_file:
        return Signer([SecretFile(Path(arguments.secret_file))])
    if isinstance(dialect, Told) and environ.get(dialect.TOKEN_SECRET):
        return _told(arguments.config, environ, name, dialect.SECRET_KEYS, dialect.TOKEN_SECRET)
    variables: list[SecretSource] = [
        EnvironmentSecret(variable, environ[variable])
        for variable in dialect.SECRET_ENVIRONMENT
        if environ.get(variable)
    ]
    try:
        return _configured(arguments.config, environ, name, dialect.SECRET_KEYS)
    except (ConfigurationError, RelayError):
        if arguments.config or not variables:
            raise
        # whatever configuration was found is not this secret's
        return Signer(variables)


def _told(
    config: str | None,
    environ: Mapping[str, str],
    name: str,
    secret_keys: tuple[str, ...],
    variable: str,
) -> Signer:
    """:returns: a router whose secret is in a variable, and of which a file may say more"""
    source = EnvironmentSecret(variable, environ[variable])
    try:
        found = _configured(config, environ, name, secret_keys)
    except (ConfigurationError, RelayError):
        if config:
            raise
        return Signer([source])
    return Signer([source], found.values if found.from_file else None)


def _configured(
    config: str | None, environ: Mapping[str, str], name: str, keys: tuple[str, ...]
) -> Signer:
    dialects = dialect_keys()
    settings = read_router({"config": config}, environ, Path.cwd(), dialects)
    for section in settings.dialects:
        if section.name == name:
            found = [section.values.get(key) for key in keys]
            sources = [cast(SecretSource, source) for source in found if source is not None]
            url = public_url(settings, dialects, name, {}, socket.gethostname())
            values = {**section.values, PUBLIC_URL: url}
            return Signer(sources, values, settings.config_file is not None)
    where = settings.config_file or "the router's configuration"
    raise RelayError(
        f"{where} has no secret for [dialect:{name}]",
        "add that section, or name the secret with --secret-file",
    )


def readable(sources: list[SecretSource]) -> list[SecretSource]:
    """:returns: those that can be read, where the router has yet to make the others"""
    return [
        source
        for source in sources
        if not isinstance(source, MadeSecretFile) or source.path.exists()
    ] or sources
