"""What a router, a host and a client of taas are told.

Specification: taas.md §2, §11 and §12. The plugin hands these to ``settings``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import cast
from urllib.parse import quote, urlsplit

from relay.addresses import is_address
from relay.dialects.taas.notions import parse_label
from relay.settings.endpoints import LOOPBACK, interface_of, is_loopback, port_of
from relay.settings.faults import Wrong, quoted
from relay.settings.model import DialectSettings, SecretSource
from relay.settings.schema import Key, Kind

LISTEN_KEY = "listen"
ADVERTISE_KEY = "advertise"
PORTS_KEY = "ports"
REGISTRAR_KEY = "registrar"
SERVERS_KEY = "servers"
CERTIFICATE_KEY = "certificate"
KEY_KEY = "key"
DATABASE_KEY = "database"
PASSWORD_KEY = "database-password-file"
USERS_KEY = "users"
SAME_ADDRESS_KEY = "same-address"
USES_KEY = "uses-per-code"

PROVISIONING_KEY = "provisioning-file"
LABEL_KEY = "label"
POOL_KEY = "pool"
FAR_TLS_KEY = "far-tls"

DEFAULT_LISTEN = "tcp:8899:interface=127.0.0.1"
DEFAULT_PORTS = "20000-20999"
DEFAULT_REGISTRAR = "taas-registrar.example.com"
DEFAULT_SERVERS = "taas.example.com"
FEWEST_PORTS = 32
"""One label's pool of 21, and a few redirects."""
FEWEST_USES = 256
"""Of a code: hidden servers of the original use one fifteen times in a second (§16)."""
USUAL_POOL = 15
"""As hidden servers of the original have it (§11)."""
LARGEST_POOL = 20
"""A router keeps 21 waiting for a label; beyond that the pool would push out its own."""
HOST_NAME_CHARACTERS = 253
DATABASE_FILE = "taas.sqlite"
"""In state-dir, where nobody names a database."""
EVERYWHERE = ("0.0.0.0", "::")

_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.ASCII)


# -- texts -----------------------------------------------------------------------------------------


def check_address(text: str) -> str:
    """:returns: an IP address, without brackets. :raises Wrong: when it is none."""
    address = text.removeprefix("[").removesuffix("]")
    if not is_address(address) or "%" in address:
        raise Wrong(f"{quoted(text)} is no IP address: hosts are told it, and do not look it up")
    return address


def check_host_name(text: str) -> str:
    """:returns: the name in lower case, without a dot at its end. :raises Wrong: if it is none."""
    name = text.lower().removesuffix(".")
    if is_address(name):
        raise Wrong(f"{quoted(text)} is an address; requests are told apart by names")
    if len(name) > HOST_NAME_CHARACTERS or not _HOST_NAME.fullmatch(name):
        raise Wrong(f"{quoted(text)} is no host name, like {DEFAULT_SERVERS}")
    return name


def check_full_name(text: str) -> str:
    """:returns: ``LABEL.SERVERS`` in lower case. :raises Wrong: when it cannot be one."""
    name = check_host_name(text)
    if "." not in name:
        raise Wrong(
            f"{quoted(text)} is a label alone; write it in full, like alpha.{DEFAULT_SERVERS}"
        )
    return name


def check_label(text: str) -> str:
    """:returns: the label in lower case. :raises Wrong: when nobody could register it."""
    try:
        label = parse_label(text)
    except ValueError as error:
        raise Wrong(str(error)) from None
    if label.fixed_port:
        raise Wrong(f"{quoted(text)}: leave out the port, which is the record's to say")
    return label.name


def check_users(text: str) -> str:
    """:returns: the endpoint of ``users``. :raises Wrong: when other machines could reach it."""
    if not is_loopback(text):
        raise Wrong(
            f"{quoted(text)} is open to other machines, and the page has no login; "
            f"write it as tcp:8893:interface=127.0.0.1 or unix:/run/relay/users.sock"
        )
    return text


_NO_TOKENS = tuple(
    Key(name, Kind.SECRET_FILE, "", absent=True) for name in ("token-file", "secret-file")
)
"""A host's secret is in its provisioning file, and clients have none."""

ROUTER_KEYS = (
    Key(LISTEN_KEY, Kind.SERVER_ENDPOINTS, "where hosts and clients connect", DEFAULT_LISTEN),
    Key(
        ADVERTISE_KEY,
        Kind.TEXT,
        "the address at which hosts reach the ports that are opened for them; "
        "without it the first listener's",
        example="203.0.113.7",
        check=check_address,
    ),
    Key(
        PORTS_KEY,
        Kind.PORTS,
        "the TCP ports that are opened for hosts and clients",
        DEFAULT_PORTS,
        least=FEWEST_PORTS,
    ),
    Key(
        REGISTRAR_KEY,
        Kind.TEXT,
        "the name at which hosts register (namedRegistrar of the original)",
        DEFAULT_REGISTRAR,
        check=check_host_name,
    ),
    Key(
        SERVERS_KEY,
        Kind.TEXT,
        "what the names of all labels end in (namedServers of the original)",
        DEFAULT_SERVERS,
        check=check_host_name,
    ),
    Key(
        CERTIFICATE_KEY,
        Kind.PATH,
        "the listener's certificate and its chain, a PEM file; without it, it is plain",
        example="registrar.crt",
    ),
    Key(KEY_KEY, Kind.PATH, "the certificate's private key, a PEM file", example="registrar.key"),
    Key(
        DATABASE_KEY,
        Kind.DATABASE,
        "where the records are: a file for SQLite, or redis://HOST:PORT/NUMBER; "
        "without it taas.sqlite in state-dir",
        choices=("redis",),
        example="redis://127.0.0.1:6379/0",
    ),
    Key(
        PASSWORD_KEY,
        Kind.SECRET_FILE,
        "the file that holds the password of a Redis database",
        example="redis.password",
        made=False,
    ),
    Key(
        USERS_KEY,
        Kind.SERVER_ENDPOINT,
        "where the operator's page is served, on loopback or a Unix socket; without it nowhere",
        example="tcp:8893:interface=127.0.0.1",
        check=check_users,
    ),
    Key(
        SAME_ADDRESS_KEY,
        Kind.BOOLEAN,
        "whether a code, and the port that it opened, are good for one source address alone",
        "yes",
    ),
    Key(
        USES_KEY,
        Kind.INTEGER,
        "how often one code may be used; each use that a client came for is given back",
        str(FEWEST_USES),
        least=FEWEST_USES,
    ),
)

HOST_KEYS = (
    Key(
        "router",
        Kind.URL,
        "where the router is; without it where the provisioning file says",
        required=False,
    ),
    *_NO_TOKENS,
    Key(
        PROVISIONING_KEY,
        Kind.PATH,
        'the file that "relay token taas provision" wrote, or the original\'s users page',
        required=True,
        example="alpha.js",
    ),
    Key(
        LABEL_KEY,
        Kind.TEXT,
        "which of the file's labels to register; without it the first",
        check=check_label,
        example="alpha",
    ),
    Key("forward", Kind.DOOR, "the service that clients reach"),
    Key(
        POOL_KEY,
        Kind.INTEGER,
        "how many connections wait at the router for clients",
        str(USUAL_POOL),
        least=1,
        most=LARGEST_POOL,
    ),
    Key(
        CERTIFICATE_KEY,
        Kind.PATH,
        "for clients that expect TLS: the service's certificate and its chain, a PEM file",
        example="alpha.crt",
    ),
    Key(KEY_KEY, Kind.PATH, "the certificate's private key, a PEM file", example="alpha.key"),
)

CLIENT_KEYS = (
    Key(
        "router",
        Kind.URL,
        "where the router is, should the label's name not lead there; "
        "without it port 443 of that name",
        required=False,
    ),
    *_NO_TOKENS,
    Key(
        LABEL_KEY,
        Kind.TEXT,
        "the name to call, in full: LABEL.SERVERS",
        required=True,
        check=check_full_name,
        example=f"alpha.{DEFAULT_SERVERS}",
    ),
    Key(
        FAR_TLS_KEY,
        Kind.BOOLEAN,
        "whether the service at the far end speaks TLS, and local programs do not",
        "no",
    ),
)


# -- what follows from the values ------------------------------------------------------------------


def port_numbers(values: Mapping[str, object]) -> range:
    """:returns: the ports that a router may open, both ends of ``ports`` among them"""
    return cast(range, values[PORTS_KEY])


def advertised(settings: DialectSettings) -> str:
    """:returns: at which IP address, without brackets, hosts are told to connect"""
    return advertise_of(settings.values, (*settings.listen, *settings.listen_tls))


def advertise_of(values: Mapping[str, object], listeners: Sequence[str]) -> str:
    """Say at which address hosts are told to connect.

    :param listeners: the section's, checked server endpoints
    :returns: an IP address, without brackets: ``advertise``, else that of the first listener, else
        (it listens everywhere, or on no TCP port) loopback
    """
    interface = interface_of(listeners[0]) if listeners else ""
    bound = is_address(interface) and interface not in EVERYWHERE
    return str(values.get(ADVERTISE_KEY) or "") or (interface if bound else LOOPBACK)


def ports_interface(settings: DialectSettings) -> str:
    """:returns: the address at which ports are opened, as the first listener; empty: all"""
    for endpoint in (*settings.listen, *settings.listen_tls):
        return interface_of(endpoint)
    return ""


def front_port(settings: DialectSettings) -> int:
    """:returns: the port of the first listener, for provisioning files; 0: none that is fixed"""
    for endpoint in (*settings.listen, *settings.listen_tls):
        return port_of(endpoint)
    return 0


def database_url(values: Mapping[str, object]) -> str:
    """Say where the records are, as ``IServices.records`` takes it.

    :returns: a file's path, a URL with the password in it, or nothing: the usual file. It is not
        to be logged or shown
    :raises ConfigurationError: when the password cannot be read
    """
    database = str(values.get(DATABASE_KEY) or "")
    source = cast("SecretSource | None", values.get(PASSWORD_KEY))
    if source is None or "://" not in database:
        return database
    scheme, _, rest = database.partition("://")
    user = urlsplit(database).username or ""
    server = rest.rpartition("@")[2]
    return f"{scheme}://{user}:{quote(source.read().reveal(), safe='')}@{server}"
