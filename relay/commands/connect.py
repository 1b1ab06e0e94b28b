"""``relay connect``: standard input and output become one call, as ssh's ProxyCommand wants it."""

from __future__ import annotations

import argparse
import os
import re
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from relay.commands.output import WrongUsage
from relay.dialects import dialect_keys, find_dialects
from relay.errors import ConfigurationError, RelayError
from relay.settings import DialectKeys, Faults, StdinSecret, find_config, option_keys, read_ini, read_tunnels
from relay.settings.faults import listed
from relay.settings.ini import Section
from relay.settings.model import TunnelSettings
from relay.vocabulary import CLEAN_REASONS, Reason, Role

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from relay.daemon import IReactor
    from relay.links.outward import Outward

DOOR = "stdio:"
DEFAULT_SERVICE = "default"
NAME_KEYS = ("agent", "id", "label", "session", "service")
"""What NAME is, where it is no section: the first of these that the dialect has."""

OWN_KEYS = frozenset({"listen", "reconnect", "log-format", "log-level"})
"""Keys of a client that mean nothing to one call."""

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
HURRY_S = 1.0
"""How long the last bytes may take to get out, once a signal has come."""

REMEDIES = {
    Reason.TOKEN_MISSING: "name a token with --token-file",
    Reason.TOKEN_INVALID: 'is it the token of this router? see "relay token show"',
    Reason.TOKEN_EXPIRED: 'mint a new one with "relay token"',
    Reason.WRONG_ROLE: 'a client\'s token is needed; see "relay token show"',
    Reason.WRONG_SCOPE: 'the token does not allow this; see "relay token show"',
    Reason.WRONG_NAME: 'the token is for another name; see "relay token show"',
    Reason.REVOKED: "ask the operator of the router",
    Reason.EXPIRED: 'mint a new token with "relay token"',
    Reason.NO_SUCH_OFFER: "check the name; the host's log lists what it offers",
    Reason.HOST_ABSENT: "is relay-host running there, and connected to this router?",
    Reason.HOST_SILENT: "look at the host's log",
    Reason.TARGET_REFUSED: "is the service behind the host running? its log says why",
    Reason.TARGET_FORBIDDEN: "the host's own list must allow it",
    Reason.LIMIT: "try again later, or raise the router's limits",
    Reason.GOING_AWAY: "try again in a moment",
    Reason.LOST: "try again",
    Reason.INTERNAL: "the logs of router and host say more",
}

_SERVICE_OF_DOOR = re.compile(r"([A-Za-z0-9_-]+)\s*=")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare NAME, and each key of a client as an option."""
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="a section [client:NAME] of the INI, else a service or agent; "
        "without it the INI's only section, or --service",
    )
    parser.add_argument("address", nargs="?", metavar="ADDRESS", help="what the agent connects to")
    parser.add_argument("port", nargs="?", metavar="PORT", type=_port)
    parser.add_argument("--config", metavar="FILE", help="the client's INI")
    for key in option_keys(Role.CLIENT, dialect_keys()):
        if key.name in OWN_KEYS:
            continue
        parser.add_argument(
            f"--{key.name}",
            metavar=key.name.rpartition("-")[2].upper(),
            action="append" if key.repeatable else "store",
            help=key.help.replace("%", "%%"),
        )


def run(arguments: argparse.Namespace) -> int:
    """Make the call, and carry it to its end.

    :returns: the exit status: 0 when it ended in order, 128 and the signal's number after a signal
    :raises RelayError: when there was no call, or it was cut
    :raises ConfigurationError, WrongUsage, OSError: when it cannot be tried, or carried on
    """
    for fd, name in ((0, "input"), (1, "output")):
        try:
            os.fstat(fd)
        except OSError:
            # The reactor's own descriptors would take its place.
            raise WrongUsage(f"standard {name} is closed") from None
    settings = read_call(arguments, os.environ, Path.cwd(), dialect_keys())
    from twisted.internet import reactor

    return _Connection(settings, cast("IReactor", reactor)).run()


def read_call(
    arguments: argparse.Namespace,
    environ: Mapping[str, str],
    directory: Path,
    dialects: Mapping[str, DialectKeys],
) -> TunnelSettings:
    """Find out what is to be called, where and how.

    :raises ConfigurationError, RelayError, WrongUsage: when that is not clear, or wrong
    """
    names = [key.name for key in option_keys(Role.CLIENT, dialects)]
    options: dict[str, str | list[str] | None] = {
        name: getattr(arguments, name.replace("-", "_"), None) for name in ("config", *names)
    }
    options["listen"] = [DOOR]
    sections, shown = _sections(arguments.config, environ, directory)
    section = _choose(arguments.name, sections, options, environ, shown)
    dialect = _dialect(section, options)
    own = [key.name for key in dialects[dialect].client] if dialect in dialects else []
    if arguments.name is not None and (section is None or arguments.name != _short(section)):
        options[next((key for key in NAME_KEYS if key in own), "service")] = arguments.name
    if arguments.address is not None:
        if "target" not in own:
            raise WrongUsage(f"the host decides where calls in dialect {dialect} go; leave out ADDRESS")
        if arguments.port is None:
            raise WrongUsage("ADDRESS needs a PORT")
        host = arguments.address
        options["target"] = f"[{host}]:{arguments.port}" if ":" in host else f"{host}:{arguments.port}"
    if section is not None and options["service"] is None:
        options["service"] = _only_service(section)
    try:
        name = None if section is None else _short(section)
        read = read_tunnels(Role.CLIENT, options, environ, directory, dialects, name)
    except ConfigurationError as error:
        raise ConfigurationError([_in_our_words(fault) for fault in error.faults]) from None
    tunnel = read.tunnels[0]
    if isinstance(tunnel.token, StdinSecret):
        raise WrongUsage("standard input is what the call carries; a token cannot come from there")
    return replace(tunnel, reconnect="no")


def _sections(
    config: str | None, environ: Mapping[str, str], directory: Path
) -> tuple[list[Section], str]:
    """:returns: the client sections of the INI, and the file's name for messages"""
    found = find_config({"config": [config]} if config else {}, environ, directory, "client.ini")
    if found is None:
        return [], ""
    faults = Faults()
    ini = read_ini(*found, faults)
    if ini is None:
        faults.raise_any()
    sections = ini.sections.values() if ini else ()
    return [section for section in sections if section.name.startswith("client:")], found[1]


def _choose(
    name: str | None,
    sections: list[Section],
    options: Mapping[str, object],
    environ: Mapping[str, str],
    shown: str,
) -> Section | None:
    """:returns: the section that is meant: of that name, the only one for that service, the only one"""
    for section in sections:
        if _short(section) == name:
            return section
    if options["router"] or environ.get("RELAY_ROUTER"):
        return None
    wanted = name or cast("str | None", options["service"])
    leading = [section for section in sections if wanted in _services(section)]
    if len(leading) == 1:
        return leading[0]
    if len(sections) < 2:
        return sections[0] if sections else None
    known = listed(map(_short, sections), "or")
    what = f"{shown} has no section [client:{wanted}]" if wanted else f"{shown} has several sections"
    raise RelayError(what, f"name {known}, or another router with --router")


def _services(section: Section) -> list[str]:
    """:returns: the services that a section leads to"""
    said = section.entries.get("service")
    usual = said.pieces[0].text if said is not None and said.pieces else None
    doors = section.entries.get("listen")
    matches = [_SERVICE_OF_DOOR.match(piece.text) for piece in doors.pieces] if doors else []
    services = [match[1] if match else usual or DEFAULT_SERVICE for match in matches]
    return list(dict.fromkeys(services)) or [usual or DEFAULT_SERVICE]


def _only_service(section: Section) -> str:
    services = _services(section)
    if len(services) > 1:
        raise WrongUsage(
            f"[{section.name}] leads to {listed(services)}; name one of them with --service"
        )
    return services[0]


def _short(section: Section) -> str:
    return section.name.partition(":")[2].strip()


def _dialect(section: Section | None, options: Mapping[str, object]) -> str:
    said = section.entries.get("dialect") if section is not None else None
    written = said.pieces[0].text if said is not None and said.pieces else "portal"
    return cast("str | None", options["dialect"]) or written


def _in_our_words(fault: str) -> str:
    """:returns: a fault that tells of relay-client, as it concerns this command"""
    fault = fault.removeprefix("relay-client: ").replace(f" --listen {DOOR}", "")
    return fault.replace("twistd -n relay-client", "relay connect")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is no port; it is a number from 1 to 65535")
    return int(text)


class _Connection:
    """One call, from the start of the process to its end."""

    def __init__(self, settings: TunnelSettings, reactor: IReactor) -> None:
        self._settings = settings
        self._reactor = reactor
        self._signal = 0
        self._failure: RelayError | None = None
        self._bug: BaseException | None = None
        self._outward = self._make_outward()
        self._running: Deferred[None] | None = None

    def run(self) -> int:
        """Run the reactor until the call is over."""
        for name in SIGNALS:
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._signalled)
        self._reactor.callWhenRunning(self._start)
        self._reactor.run(installSignalHandlers=False)
        stdio = self._outward.stdio
        if stdio is not None:
            stdio.close()
        if self._signal:
            return 128 + self._signal
        if self._bug is not None:
            raise self._bug
        if self._failure is not None:
            raise self._failure
        if stdio is not None and stdio.fault is not None:
            raise self._explain(stdio.fault)
        reason = self._outward.stdio_reason
        if reason is not None and reason not in CLEAN_REASONS:
            raise self._complaint("the call was cut", reason, "", "")
        return 0

    def _make_outward(self) -> Outward:
        from relay.core.ledger import Ledger
        from relay.core.liveness import Wheel
        from relay.core.session import Surroundings
        from relay.links.outward import Outward
        from relay.metrics import Metrics
        from relay.settings.model import Limits

        settings, failed = self._settings, self._failed

        class Once(Outward):
            """What fails is kept, for the only line that is to be said."""

            def fault(
                self, what: str, error: RelayError, next_try_s: float | None = None
            ) -> None:
                failed(what, error)

        wheel = Wheel(self._reactor)
        ledger = Ledger(Limits().buffered_bytes, wheel)
        around = Surroundings(wheel, ledger, window_bytes=settings.window_bytes)
        return Once(settings, self._reactor, around, Metrics(), lambda: None)
