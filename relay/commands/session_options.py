"""What options and the originals' variables tell ``relay record``, ``play`` and ``monitor``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from twisted.logger import globalLogBeginner

from relay.commands.output import WrongUsage
from relay.errors import ConfigurationError
from relay.logs import make_observer
from relay.settings import EnvironmentSecret, SecretFile, StdinSecret
from relay.settings.faults import Wrong
from relay.settings.model import Limits, SecretSource, TunnelSettings
from relay.settings.urls import check_proxy, check_url, proxy_variable
from relay.vocabulary import Role

PING_S = 54.0
DEAD_S = 60.0
"""What an original does to its members; one that says nothing for so long has refused our code
(§5.1)."""
TRUE_WORDS = ("1", "t", "T", "true", "TRUE", "True")
STDIN = "-"
EXAMPLE = "--session https://relay.example/access/session/TOPIC --token-file me.token"


def add_session(parser: argparse.ArgumentParser) -> None:
    """Declare what leads to a topic."""
    parser.add_argument(
        "--session", metavar="URL", help="AUDIENCE/session/TOPIC; or RELAY_CLIENT_SESSION"
    )
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="the token, read at each connect; -: the first line of standard input; "
        "or RELAY_CLIENT_TOKEN has it",
    )


def add_way(parser: argparse.ArgumentParser) -> None:
    """Declare what concerns the way to the router."""
    parser.add_argument(
        "--ca-file", metavar="FILE", help="certificates to trust besides the system's"
    )
    parser.add_argument(
        "--tls-name", metavar="NAME", help="name that the router's certificate has to be for"
    )
    parser.add_argument("--proxy", metavar="URL", help="proxy on the way to the router, or none")


def told(option: str | None, environ: Mapping[str, str], variable: str) -> str | None:
    """:returns: what an option says, else its variable; an empty one counts as unset"""
    return option if option is not None else environ.get(variable) or None


def flag(option: bool, environ: Mapping[str, str], variable: str) -> bool:
    """:returns: whether an option, or its variable, is on"""
    return option or environ.get(variable) in TRUE_WORDS


def session_settings(
    name: str, arguments: argparse.Namespace, environ: Mapping[str, str], directory: Path
) -> TunnelSettings:
    """Find out which topic a command takes part in.

    :raises WrongUsage, ConfigurationError: when that is not clear, or wrong
    """
    session = told(arguments.session, environ, "RELAY_CLIENT_SESSION")
    if session is None:
        raise WrongUsage(
            "name the topic with --session, or with RELAY_CLIENT_SESSION, as in "
            f'"relay {name} {EXAMPLE}"'
        )
    token: SecretSource | None = None
    if arguments.token_file == STDIN:
        spoken = StdinSecret()
        spoken.feed(sys.stdin.readline())
        token = spoken
    elif arguments.token_file is not None:
        token = SecretFile(directory / arguments.token_file)
    elif environ.get("RELAY_CLIENT_TOKEN"):
        token = EnvironmentSecret("RELAY_CLIENT_TOKEN", environ["RELAY_CLIENT_TOKEN"])
    if token is None and session.startswith(("http:", "https:")):
        raise WrongUsage(
            "name the token with --token-file, or put it into RELAY_CLIENT_TOKEN, as in "
            f'"relay {name} {EXAMPLE}"'
        )
    schemes = ("ws", "wss") if token is None else ("http", "https")
    if token is not None:
        token.read()
    return way_settings(name, session, schemes, token, arguments, environ, directory)


def way_settings(
    name: str,
    url: str,
    schemes: tuple[str, ...],
    token: SecretSource | None,
    arguments: argparse.Namespace,
    environ: Mapping[str, str],
    directory: Path,
) -> TunnelSettings:
    """:returns: what a command's outside is made of

    :raises ConfigurationError: when the URL, the proxy or the certificates are not valid
    """
    try:
        check_url(url, schemes)
        variable = proxy_variable(url, environ)
        proxy = arguments.proxy or (environ[variable].strip() if variable else None)
        if proxy is not None:
            proxy = check_proxy(proxy if "://" in proxy or arguments.proxy else f"http://{proxy}")
    except Wrong as wrong:
        raise ConfigurationError([str(wrong)]) from None
    ca_file = directory / arguments.ca_file if arguments.ca_file else None
    if ca_file is not None and not ca_file.is_file():
        raise ConfigurationError([f"--ca-file: {ca_file} does not exist or is no file"])
    return TunnelSettings(
        Role.CLIENT,
        name,
        "session-relay",
        url,
        token,
        (),
        ca_file,
        arguments.tls_name,
        proxy,
        "yes",
        Limits().window_bytes,
        PING_S,
        DEAD_S,
    )


def begin_logging(log_format: str, level: str, file: str | None = None) -> None:
    """Log to standard error, or to a file's end.

    :raises OSError: when the file cannot be opened
    """
    out = sys.stderr if file is None else open(file, "a", encoding="utf-8")  # noqa: SIM115  # for as long as we live
    globalLogBeginner.beginLoggingTo(
        [make_observer(log_format, level, out)], redirectStandardIO=False
    )
