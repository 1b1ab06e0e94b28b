"""What one setting is: its name, kind, default and where else it may come from.

Programs and dialects declare their settings as tuples of :class:`Key`; everything that reads,
checks, prints or explains settings is driven by these declarations.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from relay.settings.model import DialectSettings, TunnelSettings
from relay.vocabulary import Role


class Kind(enum.Enum):
    """How a key's text becomes a value (the Python type in brackets)."""

    TEXT = "text"  # str
    LIST = "list"  # tuple[str, ...]: one a line, or separated by commas
    INTEGER = "integer"  # int >= 0
    SECONDS = "seconds"  # float >= 0
    BYTES = "bytes"  # int; accepts the suffixes KiB, MiB and GiB
    PORTS = "ports"  # range: FIRST-LAST, both included; the router opens them when it needs one
    BOOLEAN = "boolean"  # bool: yes/no, true/false, on/off, 1/0
    CHOICE = "choice"  # str, one of ``choices``
    PATH = "path"  # pathlib.Path; relative to the INI file, or to the working directory
    URL = "url"  # str with one of the schemes in ``choices``
    DATABASE = "database"  # str: a URL with one of the schemes in ``choices``, or a file's path
    SERVER_ENDPOINT = "server endpoint"  # str: a Twisted server endpoint string
    SERVER_ENDPOINTS = "server endpoints"  # tuple[str, ...]: one a line (commas do not separate)
    CLIENT_ENDPOINT = "client endpoint"  # str: a Twisted client endpoint string
    DOOR = "door"  # tuple[Door]: one [SERVICE=]CLIENT ENDPOINT and no other
    DOORS = "doors"  # tuple[Door, ...]: one [SERVICE=]CLIENT ENDPOINT a line
    SERVER_DOORS = "server doors"  # tuple[Door, ...]: one [SERVICE=]SERVER ENDPOINT a line
    SECRET_FILE = "secret file"  # SecretSource
    CREDENTIALS_FILE = "credentials file"  # CredentialsFile: names, secrets, and their rights
    SECRET_COMMAND = "secret command"  # SecretSource: program and arguments, quoted as for a shell


class Foreign(NamedTuple):
    """A variable of an original that says a value in a notation of its own.

    :ivar translate: from its text to ours; raises :class:`relay.settings.faults.Wrong`
    """

    variable: str
    translate: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Key:
    """One setting.

    :ivar name: as in the INI; ``--NAME`` is the option
    :ivar environment: variables that override the INI
    :ivar fallback_environment: variables with general names, read only where the INI is silent
    :ivar secret_environment: variables that hold the secret itself (``SECRET_FILE`` only)
    :ivar default: the text that stands in when nobody says anything; None: no value
    :ivar repeatable: the option may be given several times
    :ivar aliases: other spellings of a choice: (spelling, choice)
    :ivar characters: of which a text is made, as between the brackets of a regular expression
    :ivar required: whether there must be a value; None: no, or as the key that this one refines
    :ivar unless: keys any of which makes up for the value of a required one
    :ivar check: what the dialect makes of each text that is right for its kind; raises
        :class:`relay.settings.faults.Wrong`
    :ivar initial: what stands in a ``CREDENTIALS_FILE`` that a router makes
    :ivar foreign: variables that override the INI, in another notation than its
    :ivar least: the smallest number that is taken; of ``PORTS``, how many there must be
    :ivar most: the largest; None: any
    :ivar absent: in a dialect's refinement of a common key: it has no such key
    :ivar made: whether a router makes the file of a ``SECRET_FILE`` that nobody names
    """

    name: str
    kind: Kind
    help: str
    default: str | None = None
    environment: tuple[str, ...] = ()
    fallback_environment: tuple[str, ...] = ()
    secret_environment: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    repeatable: bool = False
    example: str = ""
    aliases: tuple[tuple[str, str], ...] = ()
    characters: str = ""
    required: bool | None = None
    unless: tuple[str, ...] = ()
    check: Callable[[str], str] | None = None
    initial: str = ""
    foreign: tuple[Foreign, ...] = ()
    least: float = 0
    most: float | None = None
    made: bool = True
    absent: bool = False


class Remarks(NamedTuple):
    """What a dialect says of one section's values; for ``relay check``.

    :ivar lines: what is opened, to whom
    :ivar warnings: what is allowed and yet hardly meant
    """

    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Naming:
    """How ``[publish]`` writes a dialect's calls and offers: ``DIALECT:OFFER/SERVICE``.

    Each function takes a text of the INI to the form that names have in the core, or raises
    ValueError or ProtocolError with a sentence on what is wrong with it.

    :ivar offer: what stands before the first ``/``
    :ivar service: what stands behind it; None: what is called has no such part
    :ivar nameless: whether none of its callers has a name
    :ivar topics: whether what is named are topics, whose names go to the end, slashes and all
    :ivar http: whether its callers send requests of HTTP, so that only a host can answer
    :ivar refill_s: how long a call from elsewhere waits where all links that were to answer are
        taken, and more are most likely on their way
    """

    offer: Callable[[str], str]
    service: Callable[[str], str] | None = None
    nameless: bool = False
    topics: bool = False
    http: bool = False
    refill_s: float = 0.0


class AddressVariables(NamedTuple):
    """By which an original server is told where to listen.

    :ivar host: variable of the address
    :ivar port: variable of the port
    :ivar default_host: its address where only the port is said
    :ivar default_port: its port where only the address is said
    """

    host: str
    port: str
    default_host: str
    default_port: str


class UsualListeners(NamedTuple):
    """Where an original listens that is told nothing of it.

    :ivar variables: which all are there, where this is its environment; without an INI a router
        speaks that dialect alone then
    :ivar endpoints: key and endpoint of each
    """

    variables: tuple[str, ...]
    endpoints: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Traits:
    """What settings have to know of a dialect as a whole, or to say of it.

    :ivar services: whether one tunnel has several, each with a name of its own
    :ivar opens: to whom a router that speaks it is open; for ``relay check``
    :ivar exposes: to whom a host makes its service open; for ``relay check``
    :ivar host_token: what follows "relay token" to mint a host's token; empty: it has none
    :ivar client_token: the same for a client's
    :ivar token_files: the files that those are written to in examples: a host's, a client's
    :ivar call: what a client's call is for, its section's keys in braces; empty: a service
    :ivar remarks: on the values of a router's section, with its ``listen`` and ``listen-tls`` and,
        where somebody said it, ``public-url``; raises ConfigurationError when what they name is
        wrong. None: there are none
    :ivar tunnel_remarks: on a host's or client's section
    :ivar faults: what does not fit together in a router's section: keys, and a sentence on each
    :ivar no_client: what callers do, since they need no client of ours; ``{url}`` stands for the
        URL that they open. Empty: there is a client
    :ivar general_environment: whether its original server is told what to do by variables with
        general names: PORT, TLS_CERTIFICATE, TLS_KEY, ENV
    :ivar address: variables of its own by which its original server is told where to listen
    :ivar naming: how ``[publish]`` names what is called; None: nothing of it can be published
    :ivar sockets: whether its links come as WebSockets, so that URLs of its listeners say so
    :ivar apart: whether it has all of a listener to itself, since it answers every path there: it
        is spoken only where a section or ``dialects`` names it
    :ivar certified: whether its keys ``certificate`` and ``key`` are those of its own listeners,
        all of which are TLS then
    :ivar dials: the key of what a host or client dials, where nobody says ``router``
    :ivar dialled: the URL that is dialled where nobody says it by such a key, made of the section's
        own values; empty: nobody knows
    :ivar tunnel_faults: what does not fit together in a host's or client's section: keys, and a
        sentence on each
    :ivar host_log_level: the variable of its original host that is ``log-level``
    :ivar usual_listeners: of its original server, where neither variables nor the INI say any
    :ivar tunnel_variables: of its original host and client: any of them says that this dialect is
        meant, where neither a router nor an INI is named
    """

    services: bool = True
    opens: str = ""
    exposes: str = ""
    host_token: str = ""
    client_token: str = ""
    token_files: tuple[str, str] = ("web.token", "me.token")
    call: str = ""
    remarks: Callable[[Mapping[str, object]], Remarks] | None = None
    tunnel_remarks: Callable[[TunnelSettings], Remarks] | None = None
    no_client: str = ""
    general_environment: bool = False
    address: AddressVariables | None = None
    faults: Callable[[DialectSettings], Iterable[tuple[str, str]]] | None = None
    naming: Naming | None = None
    sockets: bool = True
    apart: bool = False
    certified: bool = False
    dials: str = "router"
    dialled: Callable[[Mapping[str, object]], str] | None = None
    tunnel_faults: Callable[[TunnelSettings], Iterable[tuple[str, str]]] | None = None
    host_log_level: Foreign | None = None
    usual_listeners: UsualListeners | None = None
    tunnel_variables: Mapping[Role, Sequence[str]] = field(default_factory=dict)
