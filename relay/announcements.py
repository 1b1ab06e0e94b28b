"""What a router says when it starts: where it listens, what is to be done next, what went wrong."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.addresses import with_port
from relay.errors import CannotListen
from relay.settings import Listener
from relay.settings.model import Publication, RouterSettings
from relay.settings.schema import Traits


def say_listening(
    log: Logger, listener: Listener, address: IAddress, traits: Iterable[Traits]
) -> None:
    """A listener stands.

    :param address: the real one
    :param traits: of the dialects that are spoken there
    """
    scheme = "ws" if any(one.sockets for one in traits) else "http"
    log.info(
        "listening at {url} for {dialects}",
        url=as_url(f"{scheme}s" if listener.tls else scheme, address),
        dialects=", ".join(listener.dialects) or "nothing",
    )


def say_published(log: Logger, publication: Publication, address: IAddress) -> None:
    """A port stands at which whoever connects is a caller.

    :param address: the real one
    """
    log.info(
        "listening at {url} for [publish {name}]",
        url=as_url("tcp", address),
        name=publication.name,
    )


def say_admin(log: Logger, address: IAddress, token: str) -> None:
    """The admin address stands.

    :param token: where the token is kept that must be shown there, empty: none is asked for
    """
    text = f", token in {token}" if token else ""
    log.info("admin at {url}{token}", url=as_url("http", address), token=text)


def say_next_steps(log: Logger, made: Iterable[Traits], config_file: Path | None) -> None:
    """On the very first start: how to come by tokens.

    :param made: of the dialects for which secrets were made just now
    """
    config = f" --config {config_file}" if config_file else ""
    for traits in made:
        steps = [
            f"{whom}: relay token {command}{config} > {file}"
            for whom, command, file in (
                ("a token for a host", traits.host_token, traits.token_files[0]),
                ("one for a client", traits.client_token, traits.token_files[1]),
            )
            if command
        ]
        if steps:
            log.info("{line}", line=f"next, mint {'; and '.join(steps)}")


def say_warnings(
    log: Logger, settings: RouterSettings, of_tls: Iterable[str], said: set[str]
) -> None:
    """What the operator should look after.

    :param of_tls: warnings about certificates
    :param said: what was said before, and need not be again
    """
    of_secrets = [
        warning
        for dialect in settings.dialects
        for source in dialect.values.values()
        for warning in getattr(source, "warnings", ())
    ]
    for line in (*of_secrets, *of_tls):
        if line not in said:
            said.add(line)
            log.warn("{line}", line=line)


def say_not_started(log: Logger, failure: Failure) -> None:
    """It cannot start."""
    error = failure.value
    if isinstance(error, CannotListen):
        log.critical("{why}; {remedy}", why=error.text, remedy=error.remedy)
    elif isinstance(error, OSError | ValueError):
        log.critical("cannot start: {why}", why=str(error))
    else:
        log.failure("cannot start", failure)


def as_url(scheme: str, address: IAddress) -> str:
    """:returns: ``SCHEME://HOST:PORT``, or ``unix:PATH``."""
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    if host is None or port is None:
        name = getattr(address, "name", address)
        return f"unix:{os.fsdecode(name) if isinstance(name, bytes) else name}"
    return f"{scheme}://{with_port(host, port)}"
