"""What a dialect's host or client may do to the world: the daemons' side of the core."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.core.patience import Repetition
from relay.core.session import Session
from relay.core.stream import Circuit, join
from relay.core.surroundings import Surroundings
from relay.errors import (
    GoingAway,
    NoSuchOffer,
    Refused,
    RelayError,
    TargetForbidden,
    TargetRefused,
)
from relay.interfaces import IConversation, IStream
from relay.links.cutthrough import Hub
from relay.links.dialer import Dialer
from relay.links.doors import Doors, connect_service
from relay.links.keeper import Keeper
from relay.links.outgoing import CallAttempt, OutgoingLinks, Registration
from relay.links.resolving import Resolver
from relay.links.token_command import Tokens
from relay.outside import FINAL_STATUSES, IOutward, ITunnelSession
from relay.settings.model import TunnelSettings
from relay.vocabulary import Event, Reason

DRAIN_CHECK_S = 0.1
FAILED_CALLS: dict[Reason, RelayError] = {
    Reason.TARGET_REFUSED: TargetRefused(
        "the host could not connect to its service", "look at the host's log"
    ),
    Reason.NO_SUCH_OFFER: NoSuchOffer("the host does not offer that service"),
    Reason.TARGET_FORBIDDEN: TargetForbidden("the host does not allow that target"),
}
"""A host that cannot serve a call accepts it and ends it at once; the user is told as of a
refusal.
"""


@implementer(IOutward)
class Outward:
    """One tunnel's outside.

    :param around: of the process
    :param hub: of the cut-through gear
    :param connected: called whenever the tunnel's offer stands
    :ivar doors: what it listens on
    :ivar asked_at: when the router last asked for something
    """

    log = Logger()

    def __init__(
        self,
        settings: TunnelSettings,
        reactor: IReactorTime,
        around: Surroundings,
        hub: Hub,
        connected: Callable[[], None],
    ) -> None:
        self.settings = settings
        self._local_hub = hub if settings.cut_through else None
        self.doors = Doors(reactor, self._local_hub, self._end_serving)
        self.circuits: set[Circuit] = set()
        self.asked_at = -math.inf
        self._reactor = reactor
        limits = replace(around.limits, window_bytes=settings.window_bytes)
        self._around = replace(around, limits=limits)
        self._connected = connected
        self._dialer = Dialer(settings, reactor)
        self._resolver = Resolver(cast(IReactorFromThreads, reactor))
        self._tokens = Tokens(settings.token, reactor, self.report)
        self._links = OutgoingLinks(settings, self._around, hub, self._asked)
        self._errands: set[Deferred[None]] = set()
        self._repetition = Repetition()
        self._silence = Repetition()
        self._stood_once = False
        self._stopping = False
        self._keeper: Keeper | None = None
        self._served: list[Deferred[None]] = []
        self._hurried = False

    # -- time ------------------------------------------------------------------------------------

    def now(self) -> float:
        """:returns: Unix seconds."""
        return self._reactor.seconds()

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait."""
        return deferLater(self._reactor, seconds)

    def spawn(self, errand: Awaitable[None]) -> None:
        """Run on the side."""
        running = ensureDeferred(cast("Deferred[None]", errand))
        self._errands.add(running)

        def over(result: object) -> None:
            self._errands.discard(running)
            if isinstance(result, Failure) and not self._stopping:
                if isinstance(result.value, RelayError):
                    self.fault("an errand", result.value)
                else:
                    self.log.failure("{name}: an errand failed", result, name=self.settings.name)

        running.addBoth(over)

    async def token(self) -> str:
        """Read the tunnel's token afresh."""
        return await self._tokens.read()

    # -- the router ------------------------------------------------------------------------------

    async def websocket(
        self,
        path: str,
        headers: Mapping[str, str],
        conversation: Callable[[Mapping[str, str]], IConversation],
        handle: Callable[[Event], None],
    ) -> ITunnelSession:
        """Open a WebSocket below the router's URL."""
        if self._stopping:
            raise GoingAway("this program is stopping")
        silent: Deferred[None] = Deferred()
        silent.addCallback(lambda _: self._report_silence())
        try:
            link, answer = await self._dialer.open(path, headers, silent)
        except Refused as error:
            self._tokens.refused(error)
            raise
        if self._stopping:
            link.abort()
            raise GoingAway("this program is stopping")
        return self._links.begin(link, conversation(answer), handle)

    async def call(
        self,
        path: str,
        headers: Mapping[str, str],
        conversation: Callable[[Mapping[str, str]], IConversation],
        caller: IStream,
        timeout_s: float,
    ) -> ITunnelSession:
        """Open a WebSocket and wait until the call that it makes is accepted."""
        attempt = CallAttempt(self._reactor, caller, timeout_s)
        session = cast(Session, await self.websocket(path, headers, conversation, attempt.handle))
        await attempt.succeeds(session)
        return session

    async def register(
        self,
        path: str,
        headers: Mapping[str, str],
        conversation: Callable[[Mapping[str, str]], IConversation],
        handle: Callable[[Event], None],
        opened: Callable[[ITunnelSession], None],
        silence_s: float,
    ) -> ITunnelSession:
        """Open a WebSocket and wait until its router takes us, by an Accept or by silence."""
        attempt = Registration(self._reactor, handle)
        session = cast(Session, await self.websocket(path, headers, conversation, attempt.handle))
        opened(session)
        await attempt.succeeds(session, silence_s)
        return session

    # -- local services --------------------------------------------------------------------------

    async def resolve(self, host: str) -> Sequence[str]:
        """Look a name up."""
        return await self._resolver.addresses_of(host)

    async def connect(self, endpoint: str) -> IStream:
        """Connect to a local service."""
        if self._stopping:
            raise GoingAway("this program is stopping")
        return await connect_service(self._reactor, self._local_hub, endpoint)

    async def listen(self, endpoint: str, accepted: Callable[[IStream], None]) -> str:
        """Accept local connections."""
        return await self.doors.listen(endpoint, accepted)

    def join(self, caller: IStream, callee: IStream, name: str) -> Deferred[Reason]:
        """Make a circuit of two streams."""
        over: Deferred[Reason] = Deferred()

        def closed(circuit: Circuit) -> None:
            self.circuits.discard(circuit)
            self._circuit_closed(circuit)
            over.callback(circuit.reason or Reason.INTERNAL)

        circuit = join(name, caller, callee, self._around.wheel, closed)
        if circuit.reason is None:
            self.circuits.add(circuit)
        self._repetition.forget()
        return over

    def _circuit_closed(self, circuit: Circuit) -> None:
        up, down = circuit.bytes()
        reason = circuit.reason or Reason.INTERNAL
        self._around.metrics.circuit_closed(self.settings.dialect, reason, up, down)
        if reason in FAILED_CALLS:
            self.fault(f"call for {circuit.name}", FAILED_CALLS[reason])
        self.log.info(
            "{name}: circuit closed: {offer}, {bytes_in} bytes up, {bytes_out} down, "
            "{seconds:.1f} s: {reason}",
            event="circuit-closed",
            name=self.settings.name,
            offer=circuit.name,
            bytes_in=up,
            bytes_out=down,
            seconds=self._around.wheel.now() - circuit.started,
            reason=reason.value,
        )

    # -- staying -------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Wait until the tunnel is told to stop, or standard input and output have ended."""
        if not self._stopping:
            waiting: Deferred[None] = Deferred()
            self._served.append(waiting)
            await waiting

    async def keep(
        self,
        errand: Callable[[], Awaitable[ITunnelSession]],
        final: Collection[int] = FINAL_STATUSES,
    ) -> None:
        """Do ``errand`` for ever."""
        self._keeper = Keeper(self, errand, self._reactor, final)
        await self._keeper.run()

    def stood(self) -> None:
        """The tunnel's offer stands."""
        self._repetition.forget()
        self._silence.forget()
        self._stood_once = True
        self._connected()

    def write(self, path: Path, text: str) -> None:
        """Write a file, at once or not at all: somebody may wait for it to appear."""
        beside = path.with_name(f"{path.name}.new")
        try:
            beside.write_text(text)
            beside.replace(path)
        except OSError as error:
            self.log.error(
                "{name}: cannot write {path}: {why}",
                name=self.settings.name,
                path=str(path),
                why=error.strerror,
            )

    def report(self, text: str) -> None:
        """Log one line, with the tunnel's name in front."""
        self.log.info("{name}: {text}", name=self.settings.name, text=text)

    def lost(self, text: str) -> None:
        """Log that the link to the router ended, unless it was we who ended it."""
        if not self._stopping:
            self.report(text)

    def fault(self, what: str, error: RelayError, next_try_s: float | None = None) -> None:
        """Log one line: what failed, why, and what to try."""
        text = f"{what} ({error.reason.value}: {error.text})"
        if self._stopping or not self._repetition.says(text):
            return
        self.log.error(
            "{name}: {what} ({reason}: {text}{remedy}){next_try}",
            name=self.settings.name,
            what=what,
            reason=error.reason.value,
            text=error.text,
            remedy=f"; {error.remedy}" if error.remedy else "",
            next_try=f"; next try in {next_try_s:.1f} s" if next_try_s is not None else "",
        )

    async def stop(self, drain_s: float) -> None:
        """Close what listens, let circuits end within ``drain_s``, then end the rest."""
        self._stopping = True
        await self.doors.close()
        if self._keeper is not None:
            await self._keeper.stop()
        self._links.end_unused()
        await self._drained(drain_s)
        self._links.end_all()
        for running in tuple(self._errands):
            running.cancel()
        self._end_serving()
        if not self._hurried:
            await self._links.when_gone()

    def hurry(self) -> None:
        """Stop waiting for circuits to end, and for what was sent last to get out."""
        self._hurried = True
        self._links.wait_no_more()

    async def _drained(self, drain_s: float) -> None:
        waited_s = 0.0
        while self.circuits and waited_s < drain_s and not self._hurried:
            await self.sleep(DRAIN_CHECK_S)
            waited_s += DRAIN_CHECK_S

    def _end_serving(self) -> None:
        served, self._served = self._served, []
        for waiting in served:
            waiting.callback(None)

    def _asked(self) -> None:
        self.asked_at = self.now()

    def _report_silence(self) -> None:
        text = f"{self._dialer.address} accepts connections but has said nothing for 5 s"
        if self._silence.says(text):
            question = "" if self._stood_once else " (is this the port of a relay router?)"
            self.report(f"{text}{question}; waiting on")
