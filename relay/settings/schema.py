"""What one setting is: its name, kind, default and where else it may come from.

Programs and dialects declare their settings as tuples of :class:`Key`; everything that reads,
checks, prints or explains settings is driven by these declarations.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """How a key's text becomes a value (the Python type in brackets)."""

    TEXT = "text"  # str
    LIST = "list"  # tuple[str, ...]: one a line, or separated by commas
    INTEGER = "integer"  # int >= 0
    SECONDS = "seconds"  # float >= 0
    BYTES = "bytes"  # int; accepts the suffixes KiB, MiB and GiB
    BOOLEAN = "boolean"  # bool: yes/no, true/false, on/off, 1/0
    CHOICE = "choice"  # str, one of ``choices``
    PATH = "path"  # pathlib.Path; relative to the INI file, or to the working directory
    URL = "url"  # str with one of the schemes in ``choices``
    SERVER_ENDPOINT = "server endpoint"  # str: a Twisted server endpoint string
    SERVER_ENDPOINTS = "server endpoints"  # tuple[str, ...]: one a line (commas do not separate)
    CLIENT_ENDPOINT = "client endpoint"  # str: a Twisted client endpoint string
    DOOR = "door"  # tuple[Door]: one [SERVICE=]CLIENT ENDPOINT and no other
    DOORS = "doors"  # tuple[Door, ...]: one [SERVICE=]CLIENT ENDPOINT a line
    SERVER_DOORS = "server doors"  # tuple[Door, ...]: one [SERVICE=]SERVER ENDPOINT a line
    SECRET_FILE = "secret file"  # SecretSource
    SECRET_COMMAND = "secret command"  # SecretSource: program and arguments, quoted as for a shell


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


@dataclass(frozen=True, slots=True)
class Traits:
    """What settings have to know of a dialect as a whole, or to say of it.

    :ivar services: whether one tunnel has several, each with a name of its own
    :ivar opens: to whom a router that speaks it is open; for ``relay check``
    :ivar exposes: to whom a host makes its service open; for ``relay check``
    :ivar host_token: what follows "relay token" to mint a host's token; empty: it has none
    :ivar client_token: the same for a client's
    :ivar no_client: what callers do, since they need no client of ours; ``{url}`` stands for the
        URL that they open. Empty: there is a client
    :ivar general_environment: whether its original server is told what to do by variables with
        general names: PORT, TLS_CERTIFICATE, TLS_KEY, ENV
    """

    services: bool = True
    opens: str = ""
    exposes: str = ""
    host_token: str = ""
    client_token: str = ""
    no_client: str = ""
    general_environment: bool = False
