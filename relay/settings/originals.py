"""What an original server is told by variables with general names, where the INI is silent.

websocktunnel.md §9.2: PORT, TLS_CERTIFICATE and TLS_KEY, ENV, HOSTNAME. They may be meant for
somebody else, so they count only where a dialect is spoken whose original has them
(:class:`relay.settings.schema.Traits`). Variables that name their program, as those of
network-relay.md §10 and session-relay.md §7, outweigh the INI.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path

from relay.settings.endpoints import check_server
from relay.settings.faults import Faults, Wrong
from relay.settings.model import Secret, TlsFiles
from relay.settings.schema import AddressVariables

PORT = "PORT"
TLS = ("TLS_CERTIFICATE", "TLS_KEY")
ENVIRONMENT = "ENV"
PRODUCTION = "production"
HOSTNAME = "HOSTNAME"
LOG_FILE = "RELAY_LOG_FILE"
STANDARD_OUTPUT = "stdout"
TLS_PORT = "443"
"""Where the original listens with a certificate and without PORT."""

_WHITE = re.compile(r"\s+")


def origin(variable: str) -> str:
    """:returns: a variable as the origin of a value."""
    return f"environment {variable}"


def says(environ: Mapping[str, str], variable: str) -> str:
    """:returns: what a variable says, empty for nothing."""
    return environ.get(variable, "").strip()


def is_production(environ: Mapping[str, str]) -> bool:
    """:returns: whether the log is to be JSON."""
    return says(environ, ENVIRONMENT) == PRODUCTION


def listening(environ: Mapping[str, str], faults: Faults) -> tuple[str, str] | None:
    """Say where the original would listen: on all addresses, over TLS where it has a certificate.

    :returns: endpoint and the variable that says so; None: no variable does
    """
    variable = next((name for name in (PORT, *TLS) if says(environ, name)), None)
    if variable is None:
        return None
    try:
        return check_server(f"tcp:{says(environ, PORT) or TLS_PORT}"), variable
    except Wrong as wrong:
        faults.add(origin(PORT), str(wrong))
        return None


def own_listener(
    environ: Mapping[str, str], variables: AddressVariables, faults: Faults
) -> tuple[str, str] | None:
    """Say where an original listens that is told so by variables of its own.

    :returns: endpoint and the variable that says so; None: no variable does
    """
    said = next((name for name in (variables.port, variables.host) if says(environ, name)), None)
    if said is None:
        return None
    host = says(environ, variables.host) or variables.default_host
    port = says(environ, variables.port) or variables.default_port
    interface = host.strip("[]").replace(":", "\\:")
    try:
        return check_server(f"tcp:{port}:interface={interface}"), said
    except Wrong as wrong:
        faults.add(origin(said), str(wrong))
        return None


def log_file(environ: Mapping[str, str], directory: Path) -> Path | None:
    """Say what RELAY_LOG_FILE names, as the original of session-relay has it.

    :param directory: the working directory
    :returns: None: standard output
    """
    name = says(environ, LOG_FILE)
    return None if name in ("", STANDARD_OUTPUT) else directory / name


def has_tls(environ: Mapping[str, str]) -> bool:
    """:returns: whether certificate or key is there."""
    return any(says(environ, variable) for variable in TLS)


def read_tls(environ: Mapping[str, str], faults: Faults) -> TlsFiles | None:
    """Read certificate and key; what is wrong goes to ``faults``, and nothing is served in plain
    instead.
    """
    parts = []
    for variable in TLS:
        text = _WHITE.sub("", environ.get(variable, ""))
        if not text:
            other = next(name for name in TLS if name != variable)
            faults.add(origin(variable), f"is missing, and {other} is there")
            continue
        try:
            parts.append(Secret(base64.b64decode(text, validate=True).decode(), origin(variable)))
        except (binascii.Error, UnicodeDecodeError):
            faults.add(origin(variable), "is not the standard base64 of a PEM text")
    return TlsFiles(parts[0], parts[1]) if len(parts) == len(TLS) else None
