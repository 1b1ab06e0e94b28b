"""The settings as the rest of the program sees them: frozen, typed, complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from relay.vocabulary import OfferName, Role

TCP = "tcp"
"""What stands in a dialect's place where whoever connects to a port of the router is a caller."""

KiB = 1024
MiB = 1024 * KiB


class Secret:
    """A secret text that prints masked."""

    __slots__ = ("_value", "origin")

    def __init__(self, value: str, origin: str) -> None:
        self._value = value
        self.origin = origin

    def reveal(self) -> str:
        """:returns: the secret itself; for the one place that needs it."""
        return self._value

    def key(self) -> bytes:
        """:returns: the bytes of it, as they stand in its file; they sign and verify tokens"""
        return self._value.encode("utf-8", "surrogateescape")

    def __repr__(self) -> str:
        return f"Secret(*** from {self.origin})"

    def __str__(self) -> str:
        return self.origin


class MaskedUrl(str):
    """A URL that may hold a password, and prints without it."""

    __slots__ = ()

    def __repr__(self) -> str:
        scheme, separator, rest = self.partition("://")
        return repr(f"{scheme}{separator}{rest.rpartition('@')[2]}")


class SecretSource(Protocol):
    """Where a secret comes from; read afresh at each use."""

    @property
    def origin(self) -> str:
        """:returns: the file or variable, for messages."""

    @property
    def warnings(self) -> Sequence[str]:
        """:returns: what :meth:`read` found questionable so far, each once."""

    def read(self) -> Secret:
        """:raises ConfigurationError: when it cannot be read, saying why and what to do."""


@dataclass(frozen=True, slots=True)
class Door:
    """One ``[SERVICE=]ENDPOINT`` of ``forward`` or ``listen``."""

    service: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class Limits:
    """``[limits]``; sizes in bytes, times in seconds, 0 = never or none.

    :ivar message_bytes: None: what the dialect's original takes
    :ivar links_per_subject: links with one grant's subject; 0 = no limit
    """

    head_bytes: int = 32 * KiB
    head_s: float = 10
    handshake_s: float = 10
    handshakes: int = 1000
    message_bytes: int | None = None
    frame_bytes: int = 64 * KiB
    window_bytes: int = MiB
    pending_calls: int = 100
    pending_s: float = 30
    streams: int = 1024
    links_per_offer: int = 16
    links_per_address: int = 4096
    links_per_subject: int = 0
    buffered_bytes: int = 256 * MiB
    failed_logins_per_min: int = 10
    idle_s: float = 0
    ping_s: float = 20
    dead_s: float = 45
    cut_through: bool = True


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """``[tls]``: a PEM certificate chain and its key, in files or as they are."""

    certificate: Path | Secret
    key: Path | Secret


@dataclass(frozen=True, slots=True)
class DialectSettings:
    """One ``[dialect:NAME]`` section.

    :ivar values: by key name, those of the dialect's ``router_keys`` alone, parsed
    :ivar ping_s: the section's own value, or that of ``[limits]``; likewise dead_s
    :ivar tls: the certificate of its own listeners, where it has one: all of them are TLS then;
        None: ``listen_tls`` has that of ``[tls]``
    """

    name: str
    listen: tuple[str, ...]
    listen_tls: tuple[str, ...]
    values: Mapping[str, object]
    ping_s: float
    dead_s: float
    tls: TlsFiles | None = None


class Callee(NamedTuple):
    """What is called: ``DIALECT:OFFER`` or ``DIALECT:OFFER/SERVICE``, in the core's own spelling.

    :ivar offer: in ``from`` it may be an endpoint, of :data:`TCP`
    :ivar service: the service or target; empty: none, or each
    :ivar topic: whether the name is that of a topic
    """

    offer: OfferName
    service: str = ""
    topic: bool = False

    @property
    def dialect(self) -> str:
        """:returns: whose name it is"""
        return self.offer.partition(":")[0]

    def __str__(self) -> str:
        return f"{self.offer}/{self.service}" if self.service else self.offer


@dataclass(frozen=True, slots=True)
class Publication:
    """One ``[publish NAME]`` section.

    :ivar source: what is called; without a service each of that name
    :ivar target: what answers; without a service the one that was called
    :ivar clients: subjects that may call; empty: all that have one
    :ivar public: whether callers without a subject may, too
    :ivar refill_s: how long a call waits for a host whose links are all taken; 0: not at all
    """

    name: str
    source: Callee
    target: Callee
    clients: tuple[str, ...] = ()
    public: bool = False
    refill_s: float = 0.0

    @property
    def endpoint(self) -> str:
        """:returns: where the router itself listens for it; empty: nowhere"""
        return self.source.offer if self.source.dialect == TCP else ""


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """Everything ``relay-router`` is told.

    :ivar host_name: what this machine is called by its environment, where that counts
    :ivar log_file: what the log is appended to; None: standard output
    """

    listen: tuple[str, ...]
    listen_tls: tuple[str, ...]
    public_url: str | None
    dialects: tuple[DialectSettings, ...]
    state_dir: Path
    admin: str | None
    trusted_proxies: tuple[str, ...]
    proxy_protocol: bool
    log_format: str
    log_level: str
    drain_s: float
    limits: Limits
    tls: TlsFiles | None
    publications: tuple[Publication, ...] = ()
    config_file: Path | None = None
    host_name: str = ""
    log_file: Path | None = None


@dataclass(frozen=True, slots=True)
class TunnelSettings:
    """One ``[host:NAME]`` or ``[client:NAME]`` section.

    :ivar router: base URL, ``ws``, ``wss``, ``http`` or ``https``; the URL that is dialled where
        its dialect has another key for that; empty: none yet
    :ivar token: None where the dialect needs none
    :ivar doors: a host's ``forward``, a client's ``listen``
    :ivar proxy: its URL, which may hold a password
    :ivar reconnect: ``yes``, ``always`` or ``no``
    :ivar values: by key name, those of the dialect's own keys, parsed
    """

    role: Role
    name: str
    dialect: str
    router: str
    token: SecretSource | None
    doors: tuple[Door, ...]
    ca_file: Path | None
    tls_name: str | None
    proxy: str | None = field(repr=False)
    reconnect: str
    window_bytes: int
    ping_s: float
    dead_s: float
    values: Mapping[str, object] = field(default_factory=dict)
    cut_through: bool = True


@dataclass(frozen=True, slots=True)
class TunnelsSettings:
    """Everything ``relay-host`` or ``relay-client`` is told."""

    role: Role
    tunnels: tuple[TunnelSettings, ...]
    log_format: str
    log_level: str
    config_file: Path | None = None
