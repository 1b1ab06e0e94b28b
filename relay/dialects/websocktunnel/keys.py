"""What a router and a host of websocktunnel are told: keys, and the original's variables.

Specification: websocktunnel.md §3.3 and §9. The plugin hands these to ``settings``.
"""

from __future__ import annotations

from pathlib import Path

from relay.dialects.websocktunnel.tokens import (
    AUDIENCE_KEY,
    ID_CHARACTERS,
    SECRET_ENVIRONMENT,
    SECRET_KEYS,
    parse_id,
)
from relay.errors import ConfigurationError, Misconfigured
from relay.settings.model import DialectSettings, TunnelSettings
from relay.settings.schema import Key, Kind, Naming, Traits
from relay.settings.urls import callers_url

URL_PREFIX_KEY = "url-prefix"
ORIGINAL_STATUSES_KEY = "original-statuses"
VERSION_FILE_KEY = "version-file"
VERSION_BYTES = 64 * 1024
"""Longest file that ``/__version__`` serves."""
ID_KEY = "id"
URL_FILE_KEY = "url-file"
TOKEN_COMMAND_KEY = "token-command"
INITIAL_CREDIT_KEY = "initial-credit-bytes"

_LIVENESS = (
    Key("ping-s", Kind.SECONDS, "how often a peer is asked for a sign of life; 0: never", "20"),
    Key("dead-s", Kind.SECONDS, "silence after which a peer is taken for dead; 0: never", "40"),
)
"""As the original's peers have it; they count answers to Pings alone."""

ROUTER_KEYS = (
    *(
        Key(
            key,
            Kind.SECRET_FILE,
            f"{word} HS256 secret that may sign tokens ({variable} of the original)",
            secret_environment=(variable,),
            example=f"{key.split('-')[1]}.secret",
        )
        for key, word, variable in zip(
            SECRET_KEYS, ("the first", "another"), SECRET_ENVIRONMENT, strict=True
        )
    ),
    Key(
        AUDIENCE_KEY,
        Kind.TEXT,
        "what a token's audience must be, where it has one",
        fallback_environment=("AUDIENCE",),
        example="tunnel.example.org",
    ),
    Key(
        URL_PREFIX_KEY,
        Kind.URL,
        "what viewers' URLs begin with; without it public-url",
        fallback_environment=("URL_PREFIX",),
        choices=("https", "http"),
        example="https://tunnel.example.org",
    ),
    Key(
        ORIGINAL_STATUSES_KEY,
        Kind.BOOLEAN,
        "whether viewers get 500 for each failure, as from the original, rather than 502 and 503",
        "no",
    ),
    Key(
        VERSION_FILE_KEY,
        Kind.PATH,
        "what /__version__ serves, read at start and reload; missing: 404",
        example="version.json",
    ),
    *_LIVENESS,
)

HOST_KEYS = (
    Key(
        ID_KEY,
        Kind.TEXT,
        "the tunnel's id, the first part of its viewers' paths",
        characters=ID_CHARACTERS,
        required=True,
        example="my-tunnel",
    ),
    Key("token-file", Kind.SECRET_FILE, "the token; '-' reads standard input"),
    Key(
        TOKEN_COMMAND_KEY,
        Kind.SECRET_COMMAND,
        "a command, run without a shell, whose first line of output is the token; "
        "run again when that is over or refused",
        example="/usr/local/bin/fetch-token my-tunnel",
    ),
    Key("forward", Kind.DOOR, "the HTTP service that viewers reach"),
    Key(URL_FILE_KEY, Kind.PATH, "a file to write the viewers' URL to", example="url.txt"),
    Key(
        INITIAL_CREDIT_KEY,
        Kind.BYTES,
        "what the router takes of an answer before it has granted anything; "
        "4096 for original servers before v93.1.5",
        "4 MiB",
    ),
    *_LIVENESS,
)

CLIENT_KEYS = (
    Key(ID_KEY, Kind.TEXT, "the tunnel's id", characters=ID_CHARACTERS),
    Key("token-file", Kind.SECRET_FILE, "", required=False),
)
"""There is no client; what is said all the same makes the URL that its user is told."""

TRAITS = Traits(
    services=False,
    opens="anybody who reaches this listener can reach every registered tunnel, without a login; "
    "registering one takes a token",
    exposes="anybody who reaches the router can reach it, without a login",
    host_token="websocktunnel --id my-tunnel",
    no_client="its viewers need none; open {url} in a browser",
    general_environment=True,
    naming=Naming(parse_id, nameless=True, http=True),
)


async def no_client(settings: TunnelSettings) -> None:
    """:raises Misconfigured: there is no client; whoever reads settings has said so before"""
    tunnel_id = str(settings.values.get(ID_KEY) or "ID")
    raise Misconfigured(TRAITS.no_client.format(url=callers_url(settings.router, tunnel_id)))


def read_version(settings: DialectSettings) -> bytes | None:
    """:returns: what ``/__version__`` serves, None: nothing

    :raises ConfigurationError: when there is a file that cannot be served
    """
    path = settings.values.get(VERSION_FILE_KEY)
    if not isinstance(path, Path):
        return None
    try:
        with open(path, "rb") as file:
            content = file.read(VERSION_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError([f"{VERSION_FILE_KEY} {path}: {error.strerror}"]) from None
    if len(content) > VERSION_BYTES:
        raise ConfigurationError(
            [f"{VERSION_FILE_KEY} {path}: is longer than {VERSION_BYTES} bytes"]
        )
    return content


def url_prefix(settings: DialectSettings, url: str) -> str:
    """Say what viewers' URLs begin with (§3.3).

    :param url: the router's public URL, empty when nobody knows
    :returns: without one slash at its end; empty when nobody knows
    """
    return (str(settings.values.get(URL_PREFIX_KEY) or "") or url).removesuffix("/")


def viewer_url(prefix: str, tunnel_id: str) -> str:
    """:returns: where viewers reach the tunnel; the id stands there as it is"""
    return f"{prefix}/{tunnel_id}"
