"""The service behind relay-host and relay-client: several tunnels in one process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList, succeed
from twisted.internet.protocol import connectionDone
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from typing_extensions import override

from relay.core.surroundings import Surroundings
from relay.daemon import Daemon, IReactor, here, refuse_to_start
from relay.dialects import dialect_keys, find_dialects
from relay.errors import CannotListen, ConfigurationError, RelayError
from relay.lifecycle import MainService
from relay.links.cutthrough import Hub
from relay.links.outward import Outward
from relay.settings import StdinSecret, read_tunnels
from relay.settings.describe import call_in_words, tunnel_remarks
from relay.settings.model import Limits, TunnelSettings, TunnelsSettings
from relay.vocabulary import CLEAN_REASONS, Role

DRAIN_S = 30.0


def make_tunnels(role: Role, options: Any, reactor: Any = None) -> Daemon:  # Twisted's types
    """Make the service from the command line; exits with status 1 when it cannot be."""
    if reactor is None:
        from twisted.internet import reactor

    def read() -> TunnelsSettings:
        return read_tunnels(role, options.said, os.environ, here(), dialect_keys())

    try:
        settings = read()
        main = TunnelsService(settings, reactor, read)
    except ConfigurationError as error:
        refuse_to_start(error.faults)
    # standard output belongs to payload where a tunnel listens there
    uses_stdio = any(
        door.endpoint.startswith("stdio") for t in settings.tunnels for door in t.doors
    )
    out = sys.stderr if uses_stdio else None
    return Daemon(main, reactor, options, settings.log_format, settings.log_level, out)


class TunnelsService(MainService):
    """All tunnels of one process.

    :param reread: reads the settings anew, for a reload
    :ivar addresses: what listens: the endpoint as configured and the real address
    """

    def __init__(
        self,
        settings: TunnelsSettings,
        reactor: IReactor,
        reread: Callable[[], TunnelsSettings] | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self._reread = reread
        self._reactor = reactor
        self._around = Surroundings.of_process(reactor, Limits())
        self._hub = Hub(reactor)
        self._outwards: dict[str, Outward] = {}
        self._running: dict[str, Deferred[None]] = {}
        self._connected: dict[str, list[Deferred[None]]] = {}
        self._standing: set[str] = set()
        self._failed = False
        self._started = False

    @property
    def addresses(self) -> list[tuple[str, Any]]:  # Twisted's addresses have no common type
        """:returns: what listens."""
        return [
            address for outward in self._outwards.values() for address in outward.doors.addresses
        ]

    @override
    def startService(self) -> None:
        """Start every tunnel; with a token on standard input, once it has come."""
        super().startService()
        stdin = [t.token for t in self.settings.tunnels if isinstance(t.token, StdinSecret)]
        if stdin:
            StandardIO(_Tokens(stdin, self._start), reactor=self._reactor)
        else:
            self._start()

    def when_connected(self, name: str) -> Deferred[None]:
        """:returns: fires when the tunnel's offer stands, at once when it does already."""
        if name in self._standing:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._connected.setdefault(name, []).append(waiting)
        return waiting

    @override
    def hurry(self) -> None:
        """Stop waiting for circuits to end."""
        for outward in self._outwards.values():
            outward.hurry()

    @override
    def reload(self) -> None:
        """Look for what the next start would refuse or do otherwise.

        Tokens need no reload: they are read afresh at each connect.

        :raises ConfigurationError: when something is invalid
        """
        if self._reread is None:
            return
        after = self._reread()
        for name in changed_for_restart(self.settings, after):
            self.log.warn("{name}: changed, which counts from the next start on", name=name)

    # -- inside ----------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._started or not self.running:  # standard input ends with us, too
            return
        self._started = True
        settings = self.settings
        program = f"relay-{settings.role.value}"
        self._say_what_runs(program, settings.config_file, "options")
        dialects = find_dialects(tunnel.dialect for tunnel in settings.tunnels)
        for tunnel in settings.tunnels:
            self._say(tunnel)
            for warning in () if tunnel.token is None else tunnel.token.warnings:
                self.log.warn("{name}: {warning}", name=tunnel.name, warning=warning)
            outward = self._make_outward(tunnel)
            self._outwards[tunnel.name] = outward
            running = Deferred.fromCoroutine(_await(dialects[tunnel.dialect].run(tunnel, outward)))
            self._running[tunnel.name] = running
            running.addBoth(self._tunnel_over, tunnel.name)
        listening = [
            outward.doors.when_open(len(tunnel.doors) if tunnel.role is Role.CLIENT else 0)
            for tunnel, outward in zip(settings.tunnels, self._outwards.values(), strict=True)
        ]
        DeferredList(listening).addCallback(lambda _: self._all_ready())

    def _make_outward(self, tunnel: TunnelSettings) -> Outward:
        def connected() -> None:
            self._standing.add(tunnel.name)
            for waiting in self._connected.pop(tunnel.name, ()):
                waiting.callback(None)

        return Outward(tunnel, self._reactor, self._around, self._hub, connected)

    def _say(self, tunnel: TunnelSettings) -> None:
        traits = dialect_keys()[tunnel.dialect].traits
        verb = "offers" if tunnel.role is Role.HOST else "listens for"
        for door in tunnel.doors:
            what = f"{door.service}: " if traits.services else ""
            if tunnel.role is Role.CLIENT and traits.call:
                what = f"{call_in_words(tunnel, door, dialect_keys())}: "
            self.log.info(
                "{name}: {verb} {service}{endpoint}, {dialect}{at}{router}",
                name=tunnel.name,
                verb=verb,
                service=what,
                endpoint=door.endpoint,
                dialect=tunnel.dialect,
                at=" at " if tunnel.router else "",
                router=tunnel.router,
            )
        # what is opened without a door of its own would be seen nowhere else
        remarks = tunnel_remarks(tunnel, dialect_keys())
        for remark in remarks.lines:
            self.log.info("{name}: {remark}", name=tunnel.name, remark=remark)
        for warning in remarks.warnings:
            self.log.warn("{name}: {warning}", name=tunnel.name, warning=warning)

    def _all_ready(self) -> None:
        if self._failed and not self._running:
            return
        self._now_ready()

    def _tunnel_over(self, result: Failure | None, name: str) -> None:
        self._running.pop(name, None)
        outward = self._outwards[name]
        outward.doors.no_longer_wanted()
        if (
            outward.doors.stdio_reason is not None
            and outward.doors.stdio_reason not in CLEAN_REASONS
        ):
            self._failed = True
        if isinstance(result, Failure) and not result.check(CancelledError):
            self._failed = True
            if isinstance(result.value, RelayError):
                listening = isinstance(result.value, CannotListen)
                router = outward.settings.router
                gave_up = f"gave up on {router}" if router else "gave up"
                what = "cannot start" if listening else gave_up
                outward.fault(what, result.value)
            else:
                self.log.failure("{name}: the tunnel failed", result, name=name)
        if not self._running and not self._over.called and self.running:
            if self._failed:
                self.log.error("no tunnel is left")
            self._now_over(1 if self._failed else 0)

    @override
    async def _stop(self) -> None:
        stops = [
            Deferred.fromCoroutine(outward.stop(DRAIN_S)) for outward in self._outwards.values()
        ]
        await DeferredList(stops)
        for running in tuple(self._running.values()):
            running.cancel()
        self._around.wheel.stop()


def changed_for_restart(before: TunnelsSettings, after: TunnelsSettings) -> list[str]:
    """:returns: what a reload does not take over: the sections that have changed, come or gone."""
    role = before.role.value
    changed = []
    if (before.log_format, before.log_level) != (after.log_format, after.log_level):
        changed.append(f"[{role}]")
    old, new = ({t.name: _comparable(t) for t in s.tunnels} for s in (before, after))
    names = dict.fromkeys((*old, *new))
    return changed + [f"[{role}:{name}]" for name in names if old.get(name) != new.get(name)]


def _comparable(tunnel: TunnelSettings) -> object:
    # where the token comes from, since sources are compared by identity
    token = None if tunnel.token is None else tunnel.token.origin
    values = {key: str(value) for key, value in tunnel.values.items()}
    return replace(tunnel, token=None, values=values), token


async def _await(running: Any) -> None:  # any awaitable
    await running


class _Tokens(LineReceiver):
    """Standard input as a source of tokens: the first line starts us, each further one is the next
    token.
    """

    delimiter = b"\n"
    MAX_LENGTH = 64 * 1024

    def __init__(self, secrets: list[StdinSecret], ready: Callable[[], None]) -> None:
        self._secrets = secrets
        self._ready = ready

    @override
    def lineReceived(self, line: bytes) -> None:
        """A token."""
        for secret in self._secrets:
            secret.feed(line.decode("utf-8", "replace"))
        self._ready()

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Standard input ended; a token without a line's end counts too."""
        rest: bytes = self.clearLineBuffer()
        if rest.strip():
            self.lineReceived(rest)
        else:
            self._ready()
