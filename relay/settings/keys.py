"""Every key that all dialects share, and how a dialect's own keys refine them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import NamedTuple

from relay.settings.endpoints import check_server
from relay.settings.kinds import shown
from relay.settings.model import Limits
from relay.settings.schema import Key, Kind, Traits
from relay.vocabulary import Role

DEFAULT_DIALECT = "portal"
DEFAULT_SERVICE = "default"
ROUTER_SCHEMES = ("wss", "ws", "https", "http")
LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warn", "error", "critical")
_LEVEL_ALIASES = (
    ("trace", "debug"),
    ("warning", "warn"),
    ("fatal", "critical"),
    ("panic", "critical"),
)


class DialectKeys(NamedTuple):
    """A dialect's own keys: of ``[dialect:NAME]``, and of its hosts' and clients' sections.

    :ivar traits: what else settings have to know of it
    """

    router: tuple[Key, ...]
    host: tuple[Key, ...]
    client: tuple[Key, ...]
    traits: Traits = Traits()

    def of(self, role: Role) -> tuple[Key, ...]:
        """:returns: the keys of a host's or a client's section."""
        return self.host if role is Role.HOST else self.client


CONFIG_KEY = Key("config", Kind.PATH, "the INI file", example="etc/relay.ini")
"""An option of every program; without it :func:`relay.settings.ini.find_config` looks around."""

_LOG_KEYS = (
    Key(
        "log-format",
        Kind.CHOICE,
        "how the log is written",
        "text",
        environment=("RELAY_LOG_FORMAT",),
        choices=LOG_FORMATS,
    ),
    Key(
        "log-level",
        Kind.CHOICE,
        "the least important events that are logged",
        "info",
        environment=("RELAY_LOG_LEVEL",),
        choices=LOG_LEVELS,
        aliases=_LEVEL_ALIASES,
    ),
)
_ROUTER_KEYS = (
    Key("listen", Kind.SERVER_ENDPOINTS, "where to accept links", repeatable=True,
        example="tcp:8080:interface=127.0.0.1"),
    Key("listen-tls", Kind.SERVER_ENDPOINTS, "where to accept links over TLS", repeatable=True,
        example="tcp:8443"),
    Key("public-url", Kind.URL, "what others call this router", choices=("https", "http"),
        example="https://relay.example.org"),
    Key("dialects", Kind.LIST, "the dialects it speaks: those with a section"),
    Key("state-dir", Kind.PATH, "where secrets and whatever survives a restart are kept"),
    Key("admin", Kind.SERVER_ENDPOINT, "where health, metrics and status are served",
        example="tcp:9100:interface=127.0.0.1"),
    Key("trusted-proxies", Kind.LIST, "networks whose word on a caller's address counts"),
    Key("proxy-protocol", Kind.BOOLEAN, "whether those speak the PROXY protocol", "no"),
    *_LOG_KEYS,
    Key("drain-s", Kind.SECONDS, "how long circuits may go on after SIGTERM", "30"),
)  # fmt: skip
_LIMITS_HELP = {
    "head_bytes": "longest request head",
    "head_s": "longest wait for a request head",
    "handshake_s": "longest wait for a credential that comes after the handshake",
    "handshakes": "handshakes in progress; further ones wait",
    "message_bytes": "longest message; without it what the dialect's original takes",
    "frame_bytes": "longest frame sent on a link that several streams share",
    "window_bytes": "what a stream may send ahead of its reader",
    "pending_calls": "unanswered calls at one host; further ones wait",
    "pending_s": "longest wait for a host's answer",
    "streams": "streams on one link",
    "links_per_offer": "registrations of one offer",
    "links_per_address": "links without a grant from one address",
    "links_per_subject": "links with one grant's subject; 0: any number",
    "buffered_bytes": "what all streams together may hold in memory",
    "failed_logins_per_min": "failed logins from one address before the answers are delayed",
    "idle_s": "silence after which a stream ends; 0: never",
    "ping_s": "how often a peer is asked for a sign of life; 0: never",
    "dead_s": "silence after which a peer is taken for dead; 0: never",
    "cut_through": "whether payload that nobody reads goes from socket to socket",
}
ZERO_LIMITS = frozenset(
    {
        "links-per-address",
        "links-per-subject",
        "failed-logins-per-min",
        "idle-s",
        "ping-s",
        "dead-s",
        "cut-through",
    }
)
"""Limits that may be 0, or no."""


def _limit_key(name: str) -> Key:
    kind = Kind.INTEGER
    if name.endswith("_bytes"):
        kind = Kind.BYTES
    elif name.endswith("_s"):
        kind = Kind.SECONDS
    elif name == "cut_through":
        kind = Kind.BOOLEAN
    default = getattr(Limits(), name)
    return Key(
        name.replace("_", "-"),
        kind,
        _LIMITS_HELP[name],
        None if default is None else shown(default, kind),
        environment=("RELAY_CUT_THROUGH",) if name == "cut_through" else (),
    )


LIMIT_KEYS = tuple(_limit_key(field.name) for field in fields(Limits))
"""The keys of ``[limits]``; their defaults are those of :class:`relay.settings.model.Limits`."""

_LIVENESS_KEYS = tuple(key for key in LIMIT_KEYS if key.name in ("ping-s", "dead-s"))
TLS_KEYS = (
    Key("certificate", Kind.PATH, "the certificate and its chain, a PEM file", required=True),
    Key("key", Kind.PATH, "the certificate's private key, a PEM file", required=True),
)
DIALECT_KEYS = (
    *(key for key in _ROUTER_KEYS if key.name in ("listen", "listen-tls")),
    *(replace(key, default=None) for key in _LIVENESS_KEYS),
)
"""What every ``[dialect:NAME]`` may say besides its own keys."""

PUBLISH_KEYS = (
    Key("from", Kind.TEXT, "the call: DIALECT:NAME[/SERVICE], or tcp:PORT", required=True),
    Key("to", Kind.TEXT, "the offer that answers: DIALECT:NAME[/SERVICE]", required=True),
    Key("clients", Kind.LIST, "who may call, by the names of the call's dialect"),
    Key("public", Kind.BOOLEAN, "whether callers without a name may call", "no"),
)
_FIRST_TUNNEL_KEYS = (
    Key("dialect", Kind.TEXT, "the dialect that the router is spoken to in", DEFAULT_DIALECT),
    Key("router", Kind.URL, "where the router is", environment=("RELAY_ROUTER",),
        choices=ROUTER_SCHEMES, example="wss://relay.example.org", required=True),
    Key("token-file", Kind.SECRET_FILE, "the file that holds the token", required=True,
        environment=("RELAY_TOKEN_FILE",), secret_environment=("RELAY_TOKEN",),
        example="web.token"),
    Key("secret-file", Kind.SECRET_FILE, "the same, where a dialect calls it a secret"),
    Key("service", Kind.TEXT, "the service that a bare endpoint belongs to", DEFAULT_SERVICE,
        example="web"),
)  # fmt: skip
_DOOR_KEYS = {
    Role.HOST: Key("forward", Kind.DOORS, "what to connect calls to: [SERVICE=]ENDPOINT",
                   repeatable=True, required=True, example="tcp:127.0.0.1:8080"),
    Role.CLIENT: Key("listen", Kind.SERVER_DOORS, "where to accept calls: [SERVICE=]ENDPOINT",
                     repeatable=True, required=True, example="tcp:8000:interface=127.0.0.1",
                     check=check_server),
}  # fmt: skip
_TUNNEL_LIMITS = ("window-bytes", "ping-s", "dead-s", "cut-through")
_LAST_TUNNEL_KEYS = (
    Key("ca-file", Kind.PATH, "certificates to trust besides the system's, a PEM file"),
    Key("tls-name", Kind.TEXT, "the name that the router's certificate must have"),
    Key("proxy", Kind.TEXT, "proxy on the way to the router, or none",
        example="http://proxy.example.org:3128"),
    Key("reconnect", Kind.CHOICE, "whether to try again after the link is lost", "yes",
        choices=("yes", "always", "no")),
    *(key for key in LIMIT_KEYS if key.name in _TUNNEL_LIMITS),
)  # fmt: skip


def router_keys() -> tuple[Key, ...]:
    """:returns: the keys of ``[router]``, each of them an option of relay-router too."""
    return _ROUTER_KEYS


def tunnel_keys(role: Role) -> tuple[Key, ...]:
    """:returns: the keys that every host's or client's section may have, whatever its dialect."""
    return (*_FIRST_TUNNEL_KEYS, _DOOR_KEYS[role], *_LAST_TUNNEL_KEYS)


def log_keys() -> tuple[Key, ...]:
    """:returns: the keys of ``[host]`` or ``[client]``, which hold for the whole process."""
    return _LOG_KEYS


def option_keys(role: Role, dialects: Mapping[str, DialectKeys]) -> tuple[Key, ...]:
    """:returns: every option of relay-host or relay-client but ``--config``, of all dialects."""
    keys: Sequence[Key] = (*tunnel_keys(role), *_LOG_KEYS)
    for own in dialects.values():
        keys = merge(keys, (key for key in own.of(role) if not key.absent))
    return tuple(keys)


def merge(common: Iterable[Key], own: Iterable[Key]) -> tuple[Key, ...]:
    """Add a dialect's own keys to the common ones; one of a common name refines that key.

    A refinement adds variables, and replaces default, help and the like where it says something.
    """
    merged = {key.name: key for key in common}
    for key in own:
        base = merged.get(key.name)
        if key.absent:
            merged.pop(key.name, None)
            continue
        merged[key.name] = key if base is None else _refined(base, key)
    return tuple(merged.values())


def _refined(base: Key, own: Key) -> Key:
    def joined(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*first, *second)))

    return replace(
        own,
        help=own.help or base.help,
        default=base.default if own.default is None else own.default,
        environment=joined(base.environment, own.environment),
        fallback_environment=joined(base.fallback_environment, own.fallback_environment),
        secret_environment=joined(base.secret_environment, own.secret_environment),
        choices=own.choices or base.choices,
        repeatable=own.repeatable or base.repeatable,
        example=own.example or base.example,
        aliases=own.aliases or base.aliases,
        characters=own.characters or base.characters,
        required=base.required if own.required is None else own.required,
        unless=own.unless or base.unless,
        check=own.check or base.check,
        initial=own.initial or base.initial,
        foreign=own.foreign or base.foreign,
        least=own.least or base.least,
        most=base.most if own.most is None else own.most,
    )
