"""``relay status``: what is connected to a router now, from its admin address."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import urlsplit

from typing_extensions import override

from relay.addresses import with_port
from relay.auth import in_words
from relay.commands.output import WrongUsage, add_json, result
from relay.errors import ConfigurationError, RelayError
from relay.settings import SecretFile
from relay.settings.endpoints import split_endpoint
from relay.settings.faults import Wrong, printable
from relay.settings.urls import check_url

if TYPE_CHECKING:
    from relay.settings.model import RouterSettings

PATH = "/api/v1/status"
DEFAULT_ADMIN = "http://127.0.0.1:9100"
"""That of the shipped configuration; asked where there is no configuration at all."""

TIMEOUT_S = 5.0
ANSWER_BYTES = 64 * 1024 * 1024
SCHEMES = ("http", "https")
COLUMNS: Mapping[str, Sequence[str]] = {
    "links": ("link", "dialect", "role", "subject", "seconds"),
    "offers": ("offer", "services", "subject", "link", "seconds"),
    "circuits": ("offer", "caller", "callee", "bytes_up", "bytes_down", "seconds"),
    "topics": ("topic", "members", "readers", "bytes_in", "bytes_out", "lost"),
}
"""The tables, and which members of their rows are shown."""

LATER = frozenset({"topics"})
"""Tables that routers of earlier versions do not have."""

_HEADS = {
    "bytes_up": "UP",
    "bytes_down": "DOWN",
    "bytes_in": "IN",
    "bytes_out": "OUT",
    "seconds": "FOR",
}
_REMEDY = "is it running, and is this its admin address? its log names it"
_TOKEN_REMEDY = "name the router's INI with --config, or STATE-DIR/admin.token with --token-file"
_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))

Record = dict[str, object]


class Answer(NamedTuple):
    """What came back: an HTTP status and a body."""

    status: int
    body: bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``relay status`` takes."""
    parser.add_argument(
        "--admin", metavar="URL", help="the router's admin address, as its log names it"
    )
    parser.add_argument("--config", metavar="FILE", help="the router's INI, which says it too")
    parser.add_argument(
        "--token-file", metavar="FILE", help="the admin token; default: STATE-DIR/admin.token"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask, and print the answer.

    :raises RelayError, ConfigurationError, WrongUsage: when there is none
    """
    url = find_url(arguments, os.environ, Path.cwd())
    answer = fetch(url)
    if answer.status == http.HTTPStatus.UNAUTHORIZED:
        answer = fetch(url, _read(find_token(arguments, os.environ, Path.cwd()), url))
    status = understand(url, answer)
    result(arguments.json, status, describe(status))
    return 0


def find_url(arguments: argparse.Namespace, environ: Mapping[str, str], directory: Path) -> str:
    """Find out whom to ask.

    :returns: ``http://HOST:PORT``, ``https://HOST:PORT`` or ``unix:PATH``
    :raises RelayError, ConfigurationError, WrongUsage: when the configuration does not tell
    """
    if arguments.admin:
        url: str = arguments.admin
        if not url.startswith("unix:"):
            try:
                check_url(url, SCHEMES)
            except Wrong as wrong:
                raise WrongUsage(f"--admin: {wrong}") from None
        return url
    settings = _settings(arguments, environ, directory)
    if settings.admin is not None:
        return admin_url(settings.admin)
    if settings.config_file is None:
        return DEFAULT_ADMIN
    raise RelayError(
        f"{settings.config_file} has no admin address",
        'write "admin = tcp:9100:interface=127.0.0.1" into [router] and restart the router',
    )


def find_token(
    arguments: argparse.Namespace, environ: Mapping[str, str], directory: Path
) -> SecretFile:
    """:returns: where the token is that an admin address asks for on other than loopback."""
    if arguments.token_file:
        return SecretFile(directory / arguments.token_file)
    return SecretFile(_settings(arguments, environ, directory).state_dir / "admin.token")


def admin_url(endpoint: str) -> str:
    """:returns: where a server endpoint of this machine is reached, as :func:`find_url` says it.

    :raises RelayError: when the endpoint does not tell
    """
    parts = split_endpoint(endpoint)
    if parts.kind == "unix":
        return f"unix:{parts.argument('address', 0)}"
    port = parts.argument("port", 0)
    if parts.kind not in ("tcp", "tcp6") or port in ("", "0"):
        raise RelayError(
            f"the admin address {endpoint} does not tell where to ask",
            "name the one in the router's log with --admin http://HOST:PORT",
        )
    host = parts.named.get("interface", "")
    if not host.strip("0.:"):
        host = "::1" if parts.kind == "tcp6" else "127.0.0.1"
    return f"http://{with_port(host, port)}"


def fetch(url: str, token: str | None = None) -> Answer:
    """Ask for the status.

    :raises RelayError: when nobody answers
    """
    connection = _connection(url)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", _path(url), headers=headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(ANSWER_BYTES))
    except TimeoutError:
        why, remedy = f"no answer in {TIMEOUT_S:g} s", "check the address, and firewalls on the way"
    except ssl.SSLError as error:
        why, remedy = (
            f"TLS failed: {error.reason or error}",
            "the router itself speaks http:// here",
        )
    except http.client.HTTPException:
        why, remedy = "it does not answer in HTTP", _REMEDY
    except UnicodeError:
        why, remedy = "that is no name of a host", _REMEDY
    except OSError as error:
        why, remedy = error.strerror or str(error), _REMEDY
    finally:
        connection.close()
    raise RelayError(f"no router at {url}: {why}", remedy)


def understand(url: str, answer: Answer) -> Record:
    """:returns: the status. :raises RelayError: when the answer is none."""
    if answer.status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        raise RelayError(f"{url} does not take the token", _TOKEN_REMEDY)
    try:
        status = json.loads(answer.body) if answer.status == http.HTTPStatus.OK else None
    except (ValueError, RecursionError):
        status = None
    if isinstance(status, dict):
        status = {**{name: [] for name in LATER}, **status}
    if not isinstance(status, dict) or not all(_is_table(status.get(name)) for name in COLUMNS):
        raise RelayError(
            f"no router's status at {url} (it answered with status {answer.status})",
            "is this its admin address, rather than the public one?",
        )
    return status


def describe(status: Record) -> str:
    """:returns: the status as a few lines, then a table each of what there is."""
    tables = {name: cast("list[Record]", status[name]) for name in COLUMNS}
    state = (
        "draining" if status.get("draining") else "ready" if status.get("ready") else "not ready"
    )
    counts = [
        _counted(len(rows), name) for name, rows in tables.items() if rows or name not in LATER
    ]
    waiting = _counted(status.get("pending_calls", 0), "pending calls")
    held = _size(status.get("buffered_bytes", 0))
    paragraphs = [f"{state}: {', '.join((*counts, waiting))}, {held} in buffers"]
    paragraphs += [_table(COLUMNS[name], rows) for name, rows in tables.items() if rows]
    return "\n\n".join(paragraphs)


def _read(source: SecretFile, url: str) -> str:
    try:
        token = source.read().reveal()
    except ConfigurationError as error:
        why = error.faults[0].partition(";")[0]
        raise RelayError(f"{url} asks for a token, and {why}", _TOKEN_REMEDY) from None
    if not (token.isascii() and token.isprintable()):
        raise RelayError(f"what {source.origin} holds is no admin token", _TOKEN_REMEDY)
    return token


def _settings(
    arguments: argparse.Namespace, environ: Mapping[str, str], directory: Path
) -> RouterSettings:
    # The only way that needs all dialects, and with them Twisted.
    from relay.dialects import dialect_keys
    from relay.settings import read_router

    return read_router({"config": arguments.config}, environ, directory, dialect_keys())


class _UnixConnection(http.client.HTTPConnection):
    """HTTP through a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self._path)


def _connection(url: str) -> http.client.HTTPConnection:
    if url.startswith("unix:"):
        return _UnixConnection(url.removeprefix("unix:"))
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)


def _path(url: str) -> str:
    """:returns: the path to ask for; a URL may be that of the status itself"""
    path = "" if url.startswith("unix:") else urlsplit(url).path.rstrip("/")
    return path if path.endswith(PATH) else path + PATH


def _is_table(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


def _table(columns: Sequence[str], rows: Sequence[Record]) -> str:
    cells = [[_HEADS.get(column, column.upper()) for column in columns]]
    cells += [[_cell(column, row.get(column)) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _cell(column: str, value: object) -> str:
    if value is None:
        return "-"
    if column == "seconds" and isinstance(value, int | float):
        return in_words(int(value))
    if column.startswith("bytes_"):
        return _size(value)
    if isinstance(value, list):
        return printable(",".join(map(str, value))) or "-"
    # Names come from strangers' tokens: nothing in them may steer the terminal.
    return printable(str(value)) or "-"


def _size(value: object) -> str:
    if not isinstance(value, int | float):
        return "-"
    for unit, name in _UNITS:
        if value >= unit:
            return f"{value / unit:.1f} {name}"
    return f"{value:g} B"


def _counted(count: object, plural: str) -> str:
    return f"{count} {plural.removesuffix('s') if count == 1 else plural}"
