"""What a dialect's host or client may do to the world: the daemons' side of the core."""

from __future__ import annotations

import math
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import (
    IDelayedCall,
    IListeningPort,
    IReactorTime,
)
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.core.patience import Repetition
from relay.core.session import Session, Surroundings
from relay.core.stream import Circuit, join
from relay.errors import (
    CannotConnect,
    GoingAway,
    HostSilent,
    NoSuchOffer,
    Refused,
    RelayError,
    TargetForbidden,
    TargetRefused,
)
from relay.interfaces import IConversation, IOutward, IStream, ITunnelSession
from relay.links.dialer import Dialer
from relay.links.keeper import Keeper
from relay.links.listening import listen
from relay.links.stdio import IReactor, StdioStream
from relay.links.tcp import LocalFactory, LocalStream
from relay.links.websocket import ClientLink
from relay.metrics import Metrics
from relay.settings.model import TunnelSettings
from relay.vocabulary import (
    CLEAN_REASONS,
    Accept,
    Call,
    Close,
    Enter,
    Event,
    Hello,
    Join,
    Offer,
    Reason,
)

TARGET_TIMEOUT_S = 8.0
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

    :param metrics: of the process
    :param connected: called whenever the tunnel's offer stands
    :ivar asked_at: when the router last asked for something
    """

    log = Logger()

    def __init__(
        self,
        settings: TunnelSettings,
        reactor: IReactorTime,
        around: Surroundings,
        metrics: Metrics,
        connected: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.addresses: list[tuple[str, object]] = []
        self.circuits: set[Circuit] = set()
        self.asked_at = -math.inf
        self._reactor = reactor
        self._around = around
        self._metrics = metrics
        self._connected = connected
        self._dialer = Dialer(settings, reactor)
        self._sessions: set[Session] = set()
        self._errands: set[Deferred[None]] = set()
        self._ports: list[IListeningPort] = []
        self._repetition = Repetition()
        self._silence = Repetition()
        self._stood_once = False
        self._stopping = False
        self._keeper: Keeper | None = None
        self._served: list[Deferred[None]] = []
        self.stdio: StdioStream | None = None
        self.stdio_reason: Reason | None = None
        self._listening_wanted = -1
        self._doors = 0
        self._listening: Deferred[None] = Deferred()
        self._hurried = False
        self._links = 0
        self._open_links: set[ClientLink] = set()
        self._links_gone: Deferred[None] | None = None

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
        link, answer = await self._dialer.open(path, headers, silent)
        if self._stopping:
            link.abort()
            raise GoingAway("this program is stopping")
        return self._begin(link, conversation(answer), handle)

    async def call(
        self,
        path: str,
        headers: Mapping[str, str],
        conversation: Callable[[Mapping[str, str]], IConversation],
        timeout_s: float,
    ) -> ITunnelSession:
        """Open a WebSocket and wait until the call that it makes is accepted."""
        accepted: Deferred[None] = Deferred()

        def handle(event: Event) -> None:
            if isinstance(event, Accept) and not accepted.called:
                accepted.callback(None)

        session = cast(Session, await self.websocket(path, headers, conversation, handle))

        def closed(ending: tuple[Reason, Close | None]) -> None:
            reason, close = ending
            reason = Reason.LOST if reason in CLEAN_REASONS else reason
            if not accepted.called:
                told = f" (close code {close.code})" if close and close.code else ""
                accepted.errback(
                    Refused(
                        close.code or 0 if close else 0, f"the router ended the call{told}", reason
                    )
                )

        session.when_closed().addCallback(closed)

        def late() -> None:
            if not accepted.called:
                accepted.errback(
                    HostSilent(f"the host did not answer within {timeout_s:g} s", "look at its log")
                )

        timer = self._reactor.callLater(timeout_s, late)
        try:
            await accepted
        except RelayError:
            session.close(Reason.HOST_SILENT)
            raise
        finally:
            if timer.active():
                timer.cancel()
        return session

    def _begin(
        self,
        link: ClientLink,
        conversation: IConversation,
        handle: Callable[[Event], None],
    ) -> Session:
        self._links += 1
        self._open_links.add(link)
        link.gone = self._link_gone
        link.limit(
            conversation.frame_bytes, conversation.message_bytes, conversation.whole_messages
        )
        session = Session(
            link,
            conversation,
            _Tunnel(self, handle),
            self._around,
            f"{self.settings.name}/{self._links}",
            None,
            self.settings.ping_s,
            self.settings.dead_s,
        )
        self._sessions.add(session)
        session.opened()
        return session

    # -- local services --------------------------------------------------------------------------

    async def connect(self, endpoint: str) -> IStream:
        """Connect to a local service."""
        ready: list[LocalStream] = []
        timer: IDelayedCall | None = None
        try:
            attempt = clientFromString(self._reactor, endpoint).connect(
                LocalFactory(self._reactor, ready.append, lambda _: None)
            )
            timer = self._reactor.callLater(TARGET_TIMEOUT_S, attempt.cancel)
            await attempt
        except Exception as error:
            raise TargetRefused(
                f"{endpoint}: {_plain(error)}", "is the service running, and is the address right?"
            ) from error
        finally:
            if timer is not None and timer.active():
                timer.cancel()
        return ready[0]

    async def listen(self, endpoint: str, accepted: Callable[[IStream], None]) -> str:
        """Accept local connections."""
        if endpoint.partition(":")[0] == "stdio":
            try:
                self.stdio = StdioStream(cast(IReactor, self._reactor), self._stdio_gone)
            except OSError as error:
                raise CannotConnect(
                    f"standard input or output is of no use: {error.strerror}"
                ) from error
            self._count_listening()
            accepted(self.stdio)
            return "standard input"
        factory = LocalFactory(self._reactor, accepted, lambda _: None)
        port = await listen(self._reactor, endpoint, factory)
        self._ports.append(port)
        address = port.getHost()
        self.addresses.append((endpoint, address))
        self._count_listening()
        number = getattr(address, "port", None)
        return endpoint if number is None else f"{getattr(address, 'host', '')}:{number}"

    def when_listening(self, doors: int) -> Deferred[None]:
        """:returns: fires when so many doors listen, or the tunnel is over."""
        self._listening_wanted = doors
        self._count_listening(0)
        return self._listening

    def no_longer_listening(self) -> None:
        """The tunnel is over: nobody needs to wait for its doors."""
        if not self._listening.called:
            self._listening.callback(None)

    def _count_listening(self, more: int = 1) -> None:
        self._doors += more
        if self._doors >= self._listening_wanted >= 0 and not self._listening.called:
            self._listening.callback(None)

    def _stdio_gone(self, reason: Reason) -> None:
        """Standard input and output were all that was wanted."""
        self.stdio_reason = reason
        self._end_serving()

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
        self._metrics.circuit_closed(self.settings.dialect, reason, up, down)
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

    async def keep(self, errand: Callable[[], Awaitable[ITunnelSession]]) -> None:
        """Do ``errand`` for ever."""
        self._keeper = Keeper(self, errand, self._reactor)
        await self._keeper.run()

    def stood(self) -> None:
        """The tunnel's offer stands."""
        self._repetition.forget()
        self._silence.forget()
        self._stood_once = True
        self._connected()

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
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        if self._keeper is not None:
            await self._keeper.stop()
        for session in tuple(self._sessions):
            if not session.streams():
                session.end(Reason.GOING_AWAY)
        await self._drained(drain_s)
        for session in tuple(self._sessions):
            session.end(Reason.GOING_AWAY)
        for running in tuple(self._errands):
            running.cancel()
        self._end_serving()
        if self._open_links and not self._hurried:
            # What was sent last, and our Close, still have to get out.
            self._links_gone = Deferred()
            await self._links_gone

    def hurry(self) -> None:
        """Stop waiting for circuits to end, and for what was sent last to get out."""
        self._hurried = True
        self._no_more_links()

    def _link_gone(self, link: ClientLink) -> None:
        self._open_links.discard(link)
        if not self._open_links:
            self._no_more_links()

    def _no_more_links(self) -> None:
        if self._links_gone is not None and not self._links_gone.called:
            self._links_gone.callback(None)

    async def _drained(self, drain_s: float) -> None:
        waited_s = 0.0
        while self.circuits and waited_s < drain_s and not self._hurried:
            await self.sleep(DRAIN_CHECK_S)
            waited_s += DRAIN_CHECK_S

    def _end_serving(self) -> None:
        served, self._served = self._served, []
        for waiting in served:
            waiting.callback(None)

    def _session_over(self, session: Session, reason: Reason, detail: str) -> None:
        self._sessions.discard(session)
        self.log.debug(
            "{link}: link down: {reason} {detail}",
            event="link-down",
            link=session.label,
            reason=reason.value,
            detail=detail,
        )

    def _report_silence(self) -> None:
        text = f"{self._dialer.address} accepts connections but has said nothing for 5 s"
        if self._silence.says(text):
            question = "" if self._stood_once else " (is this the port of a relay router?)"
            self.report(f"{text}{question}; waiting on")


DRAIN_CHECK_S = 0.1


class _Tunnel:
    """The switch of a daemon's session: hands the peer's requests to the dialect."""

    __slots__ = ("_handle", "_outward")

    def __init__(self, outward: Outward, handle: Callable[[Event], None]) -> None:
        self._outward = outward
        self._handle = handle

    def requested(self, session: Session, event: Hello | Offer | Call | Join | Enter) -> None:
        """The router asks for something."""
        self._outward.asked_at = self._outward.now()
        self._handle(event)

    def accepted(self, session: Session, event: Accept) -> None:
        """The router says that our call was answered."""
        self._handle(event)

    def lost(self, session: Session, reason: Reason, close: Close | None, detail: str) -> None:
        """The session is over."""
        self._outward._session_over(session, reason, detail)


def _plain(error: object) -> str:
    """:returns: an error's own words, without Twisted's."""
    number = getattr(error, "osError", None) or getattr(error, "errno", None)
    if isinstance(number, int):
        return os.strerror(number)
    return str(error).rstrip(".") or type(error).__name__
