"""What ``relay monitor`` is told: options, or variables with the original's names.

Specification: session-relay.md §12.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from relay.auth import mint
from relay.commands.output import WrongUsage
from relay.commands.session_options import told
from relay.dialects.session_relay.durations import duration_s
from relay.dialects.session_relay.monitoring import claims
from relay.errors import ConfigurationError
from relay.settings import EnvironmentSecret, SecretFile
from relay.settings.model import Secret, SecretSource

PREFIX = "RELAY_MONITOR_"
SHORTEST_SECRET = 4
"""Characters; an original with less does not start."""

MOST_MISSES = 1_000_000
LEVELS = {
    "trace": "debug",
    "debug": "debug",
    "info": "info",
    "warn": "warn",
    "warning": "warn",
    "error": "error",
    "fatal": "critical",
    "panic": "critical",
}
EXAMPLE = (
    '"relay monitor --audience https://relay.example/access --secret-file session-relay.secret"'
)
FORMATS = ("json", "text")


class Option(NamedTuple):
    """An option; its variable is ``RELAY_MONITOR_`` and the same in capitals."""

    name: str
    default: str | None
    help: str

    @property
    def variable(self) -> str:
        """:returns: its name"""
        return PREFIX + self.name.upper().replace("-", "_")


OPTIONS = (
    Option("audience", None, "base URL of the access API"),
    Option("topic", "canary-st-data", "that nobody else writes to"),
    Option("threshold", "200ms", "a message that takes longer is a miss"),
    Option("interval", "1s", "half the time between two messages"),
    Option("trigger-after-misses", "3", "so many in a row run the command"),
    Option("no-retrigger-within", "60s", "silence that is a miss, and a pause behind a trigger"),
    Option("reconnect-every", "24h", "how long a token lasts"),
    Option("command", None, "what to run: no shell, no quoting; $NAME is expanded"),
    Option("log-level", "warn", "debug, info, warn, error or critical"),
    Option("log-format", "json", "json or text"),
    Option("log-file", None, "written at its end; without it standard error"),
)


class Plan(NamedTuple):
    """What a monitor is to do; times in seconds.

    :ivar command: as it was written; empty: none
    """

    audience: str
    topic: str
    secret: SecretSource
    threshold_s: float
    interval_s: float
    trigger_after: int
    silence_s: float
    renew_s: int
    command: str
    log: tuple[str, str, str | None]

    @property
    def session(self) -> str:
        """:returns: the session URL"""
        return f"{self.audience}/session/{quote(self.topic, safe='')}"


def read_plan(arguments: argparse.Namespace, environ: Mapping[str, str], directory: Path) -> Plan:
    """Find out what to do.

    :raises WrongUsage, ConfigurationError: when that is not clear, or wrong
    """
    said = {
        option.name: told(
            getattr(arguments, option.name.replace("-", "_")), environ, option.variable
        )
        or option.default
        for option in OPTIONS
    }
    audience = said["audience"]
    if not audience:
        raise WrongUsage(
            f"name the access API with --audience, or with {PREFIX}AUDIENCE, as in {EXAMPLE}"
        )
    secret: SecretSource
    if arguments.secret_file:
        secret = SecretFile(directory / arguments.secret_file)
    elif environ.get(f"{PREFIX}SECRET"):
        secret = EnvironmentSecret(f"{PREFIX}SECRET", environ[f"{PREFIX}SECRET"])
    else:
        raise WrongUsage(
            f"name the secret with --secret-file, or put it into {PREFIX}SECRET, as in {EXAMPLE}"
        )
    if len(secret.read().reveal()) < SHORTEST_SECRET:
        raise ConfigurationError(
            [f"{secret.origin}: the secret has fewer than {SHORTEST_SECRET} characters"]
        )
    level = LEVELS.get((said["log-level"] or "").lower(), said["log-level"] or "")
    log_format = (said["log-format"] or "").lower()
    if level not in LEVELS.values():
        raise WrongUsage(f"there is no log level {level!r}")
    if log_format not in FORMATS:
        raise WrongUsage(f"the log's format is json or text, not {log_format!r}")
    misses = said["trigger-after-misses"] or ""
    if not (misses.isascii() and misses.isdigit() and 0 < int(misses[:8]) <= MOST_MISSES):
        raise WrongUsage(f"--trigger-after-misses is a number from 1 to {MOST_MISSES}")
    return Plan(
        audience.rstrip("/"),
        said["topic"] or "",
        secret,
        _duration_s(said, "threshold"),
        _duration_s(said, "interval"),
        int(misses),
        _duration_s(said, "no-retrigger-within"),
        max(1, int(_duration_s(said, "reconnect-every"))),
        said["command"] or "",
        (level, log_format, said["log-file"]),
    )


def _duration_s(said: Mapping[str, str | None], name: str) -> float:
    """:raises WrongUsage: when it is no duration above 0"""
    try:
        seconds = duration_s(said[name] or "")
    except ValueError as error:
        raise WrongUsage(f"--{name}: {error}") from None
    if seconds <= 0:
        raise WrongUsage(f"--{name} must be greater than 0")
    return seconds


class Minted:
    """A token of our own, made at each use."""

    warnings: Sequence[str] = ()

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    @property
    def origin(self) -> str:
        """:returns: whose secret signs it"""
        return self._plan.secret.origin

    def read(self) -> Secret:
        """:raises ConfigurationError, RelayError: when the secret cannot be read, or is none"""
        plan = self._plan
        made = claims(plan.audience, plan.topic, int(time.time()), plan.renew_s)
        return Secret(mint(made, plan.secret.read().key()), self.origin)
