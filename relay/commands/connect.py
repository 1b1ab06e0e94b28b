"""``relay connect``: standard input and output become one call, as ssh's ProxyCommand wants it."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger, globalLogBeginner
from twisted.python.failure import Failure

from relay.addresses import with_port
from relay.commands.output import WrongUsage
from relay.core.patience import Repetition
from relay.core.surroundings import Surroundings
from relay.dialects import dialect_keys, find_dialects
from relay.errors import ConfigurationError, Refused, RelayError
from relay.links.cutthrough import Hub
from relay.links.outward import Outward
from relay.logs import make_observer
from relay.settings import (
    DialectKeys,
    Faults,
    StdinSecret,
    find_config,
    option_keys,
    read_ini,
    read_tunnels,
)
from relay.settings.describe import call_in_words
from relay.settings.faults import UNSAFE, listed, quoted
from relay.settings.ini import Section
from relay.settings.keys import DEFAULT_DIALECT, DEFAULT_SERVICE
from relay.settings.model import Limits, TunnelSettings, TunnelsSettings
from relay.vocabulary import CLEAN_REASONS, Reason, Role

if TYPE_CHECKING:
    from relay.daemon import IReactor

DOOR = "stdio:"
NETWORK_RELAY = "network-relay"
"""The only dialect in which callers say where their calls go."""

LOG_LEVEL = "warn"
NAME_KEYS = ("agent", "id", "label", "session", "service")
"""What NAME is, where it is no section: the first of these that the dialect has."""

SPELLINGS = {"router": ("--relay-url",)}
"""Options as the access client of network-relay's original has them."""

MEANINGLESS_KEYS = frozenset({"listen", "reconnect"})
"""Keys of a client that are no options here."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIGNAL_STATUS = 128
HURRY_S = 1.0
"""How long the last bytes may take to get out, once a signal has come."""

REMEDIES = {
    Reason.TOKEN_MISSING: "name a token with --token-file",
    Reason.TOKEN_INVALID: 'is it the token of this router? see "relay token show"',
    Reason.TOKEN_EXPIRED: 'mint a new one with "relay token"',
    Reason.WRONG_ROLE: 'a client\'s token is needed; see "relay token show"',
    Reason.WRONG_SCOPE: 'see what a token allows with "relay token show", and what a secret allows '
    'with "relay check" at the router',
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

_ROUTER_VARIABLES = {NETWORK_RELAY: ("HTTP_NETWORK_RELAY_URL",)}
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
    parser.add_argument("protocol", nargs="?", metavar="PROTOCOL", help="tcp and no other")
    parser.add_argument("--config", metavar="FILE", help="the client's INI")
    for key in option_keys(Role.CLIENT, dialect_keys()):
        if key.name in MEANINGLESS_KEYS:
            continue
        parser.add_argument(
            f"--{key.name}",
            *SPELLINGS.get(key.name, ()),
            metavar=key.name.rpartition("-")[2].upper(),
            action="append" if key.repeatable else "store",
            help=key.help.replace("%", "%%"),
        )
    parser.add_argument("--secret", nargs="?", action=_Unsafe, help=argparse.SUPPRESS)


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
    log_level = settings.log_level if arguments.log_level else LOG_LEVEL
    globalLogBeginner.beginLoggingTo(
        [make_observer(settings.log_format, log_level, sys.stderr)], redirectStandardIO=False
    )
    from twisted.internet import reactor

    return _Call(settings.tunnels[0], cast("IReactor", reactor)).run()


def read_call(
    arguments: argparse.Namespace,
    environ: Mapping[str, str],
    directory: Path,
    dialects: Mapping[str, DialectKeys],
) -> TunnelsSettings:
    """Find out what is to be called, where and how; the only tunnel is that call.

    :raises ConfigurationError, RelayError, WrongUsage: when that is not clear, or wrong
    """
    names = [key.name for key in option_keys(Role.CLIENT, dialects)]
    options: dict[str, str | list[str] | None] = {
        name: getattr(arguments, name.replace("-", "_"), None) for name in ("config", *names)
    }
    options["listen"] = [DOOR]
    if arguments.protocol not in (None, "tcp"):
        raise WrongUsage(f"protocol {quoted(arguments.protocol)} is not carried; write tcp")
    sections, shown = _sections(arguments.config, environ, directory)
    if _says_where_to(arguments, sections):
        options["dialect"] = NETWORK_RELAY
        # what others say is not for this router
        sections = [section for section in sections if _said(section, "dialect") == NETWORK_RELAY]
    section = _choose(arguments.name, sections, options, environ, shown)
    dialect = _dialect(section, options)
    own = [key.name for key in dialects[dialect].client] if dialect in dialects else []
    if arguments.name is not None and (section is None or arguments.name != section.tunnel):
        options[next((key for key in NAME_KEYS if key in own), "service")] = arguments.name
    if arguments.address is not None:
        if "target" not in own:
            raise WrongUsage(
                f"the host decides where calls in dialect {dialect} go; leave out ADDRESS"
            )
        if arguments.port is None:
            raise WrongUsage("ADDRESS needs a PORT")
        options["target"] = with_port(arguments.address, arguments.port)
    if section is not None and options["service"] is None:
        options["service"] = _only_service(section)
    try:
        name = None if section is None else section.tunnel
        read = read_tunnels(Role.CLIENT, options, environ, directory, dialects, name)
    except ConfigurationError as error:
        raise ConfigurationError([_in_our_words(fault) for fault in error.faults]) from None
    tunnel = read.tunnels[0]
    if isinstance(tunnel.token, StdinSecret):
        raise WrongUsage("standard input is what the call carries; a token cannot come from there")
    return replace(read, tunnels=(replace(tunnel, reconnect="no"),))


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
    """:returns: the section of that name, else the only one for that service, else the only one"""
    for section in sections:
        if section.tunnel == name:
            return section
    variables = ("RELAY_ROUTER", *_ROUTER_VARIABLES.get(cast(str, options["dialect"]), ()))
    if options["router"] or any(map(environ.get, variables)):
        return None
    wanted = name or cast("str | None", options["service"])
    leading = [
        section
        for section in sections
        if wanted in _services(section) or (wanted and wanted == _said(section, "agent"))
    ]
    if len(leading) == 1:
        return leading[0]
    if len(sections) < 2:
        return sections[0] if sections else None
    known = listed((section.tunnel for section in sections), "or")
    what = (
        f"{shown} has no section [client:{wanted}]" if wanted else f"{shown} has several sections"
    )
    raise RelayError(what, f"name {known}, or another router with --router")


def _services(section: Section) -> list[str]:
    """:returns: the services that a section leads to"""
    usual = _said(section, "service")
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


def _dialect(section: Section | None, options: Mapping[str, object]) -> str:
    written = None if section is None else _said(section, "dialect")
    return cast("str | None", options["dialect"]) or written or DEFAULT_DIALECT


def _said(section: Section, key: str) -> str | None:
    """:returns: what a section says for a key of one text"""
    said = section.entries.get(key)
    return said.pieces[0].text if said is not None and said.pieces else None


def _says_where_to(arguments: argparse.Namespace, sections: list[Section]) -> bool:
    """:returns: whether the words make sense in one dialect alone, and nothing names another"""
    if arguments.dialect or any(section.tunnel == arguments.name for section in sections):
        return False
    return any((arguments.address, arguments.agent, arguments.target))


def _in_our_words(fault: str) -> str:
    """:returns: a fault that tells of relay-client, as it concerns this command"""
    fault = re.sub(r" --listen \S+", "", fault.removeprefix("relay-client: "))
    return fault.replace("twistd -n relay-client", "relay connect")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is no port; it is a number from 1 to 65535")
    return int(text)


class _Unsafe(argparse.Action):
    """An option that would show a secret to everybody on this machine."""

    def __call__(self, *_: object) -> None:
        """:raises WrongUsage: without repeating what was said"""
        raise WrongUsage(UNSAFE)


class _Once(Outward):
    """The outside of one call: what fails is kept, for the only line that is said of it."""

    failure: RelayError | None = None

    def fault(
        self,
        what: str,
        error: RelayError,
        next_try_s: float | None = None,
        repetition: Repetition | None = None,
    ) -> None:
        """Keep the error rather than log it."""
        self.failure = error


class _Call:
    """One call, from the start of the reactor to its end."""

    log = Logger()

    def __init__(self, settings: TunnelSettings, reactor: IReactor) -> None:
        self._settings = settings
        self._reactor = reactor
        around = Surroundings.of_process(reactor, Limits())
        self._outward = _Once(settings, reactor, around, Hub(reactor), lambda: None)
        self._running: Deferred[None] = Deferred()
        self._signal = 0

    def run(self) -> int:
        """Run the reactor until the call is over.

        :returns: the exit status
        :raises RelayError: when there was no call, or it was cut
        :raises BrokenPipeError: when nobody reads standard output any more
        """
        for name in SIGNALS:
            signal.signal(name, self._signalled)
        self._reactor.callWhenRunning(self._start)
        self._reactor.run(installSignalHandlers=False)  # type: ignore[call-arg]  # not in IReactorCore
        if self._signal:
            return SIGNAL_STATUS + self._signal
        stdio, reason = self._outward.doors.stdio, self._outward.doors.stdio_reason
        if self._outward.failure is not None:
            raise self._complaint("no call", self._outward.failure)
        if stdio is not None and stdio.fault is not None:
            if isinstance(stdio.fault, BrokenPipeError):
                raise stdio.fault
            raise RelayError(f"{stdio.fault.filename}: {stdio.fault.strerror}")
        if reason not in CLEAN_REASONS:
            reason = reason or Reason.INTERNAL
            raise self._complaint("the call was cut", Refused(0, reason.value, reason))
        return 0

    def _start(self) -> None:
        self._running = Deferred.fromCoroutine(self._serve())
        self._running.addErrback(self._failed).addCallback(self._stop)

    async def _serve(self) -> None:
        name = self._settings.dialect
        await find_dialects([name])[name].run(self._settings, self._outward)

    def _failed(self, failure: Failure) -> None:
        if failure.check(RelayError):
            self._outward.failure = self._outward.failure or cast(RelayError, failure.value)
        elif not failure.check(CancelledError):
            self.log.failure("the call failed", failure)

    def _stop(self, _: object) -> None:
        stopped = Deferred.fromCoroutine(self._outward.stop(0))
        stopped.addErrback(lambda failure: self.log.failure("cannot stop", failure))
        stopped.addBoth(lambda _: self._reactor.stop())

    def _signalled(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._hang_up, number)

    def _hang_up(self, number: int) -> None:
        """End; a second signal does so at once."""
        if self._signal:
            self._outward.hurry()
            return
        self._signal = number
        self._reactor.callLater(HURRY_S, self._outward.hurry)
        if self._outward.doors.stdio is not None:
            self._outward.doors.stdio.hang_up()
        self._running.cancel()

    def _complaint(self, what: str, error: RelayError) -> RelayError:
        settings = self._settings
        called = settings.doors[0].service
        if dialect_keys()[settings.dialect].traits.call:
            called = call_in_words(settings, settings.doors[0], dialect_keys())
        at = f" at {settings.router}" if settings.router else ""
        said = [f"{what} for {called}{at}", error.reason.value]
        if error.text != error.reason.value:
            said.append(error.text)
        return RelayError(": ".join(said), error.remedy or REMEDIES.get(error.reason, ""))
