"""What a dialect's host or client may do to the world: the daemons' side of the core."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from twisted.internet.defer import CancelledError, Deferred, DeferredList, ensureDeferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.auth import time_code
from relay.core.patience import REFUSED_S
from relay.core.session import Session
from relay.core.surroundings import Surroundings
from relay.errors import (
    GoingAway,
    Misconfigured,
    Refused,
    RelayError,
)
from relay.faces import IRouterFace
from relay.interfaces import IConversation, IStream
from relay.links.asking import Asker
from relay.links.bundle import Bundle
from relay.links.cutthrough import Hub
from relay.links.dialer import Dialers
from relay.links.doors import Doors, connect_service
from relay.links.keeper import Keeper, NamedErrand
from relay.links.local_router import LocalRoom, LocalRouter
from relay.links.origin import SOCKET_SCHEMES, Ways, place_of
from relay.links.outgoing import CallAttempt, OutgoingLinks, Registration
from relay.links.raw_dialer import RawDialer
from relay.links.resolving import Resolver
from relay.links.socket_door import SOCKET_DOOR, SocketDoor
from relay.links.telling import Telling
from relay.links.token_command import Tokens
from relay.links.tunnel_circuits import TunnelCircuits
from relay.outside import (
    FINAL_STATUSES,
    USUAL_WAY,
    ExpectsTls,
    HttpAnswer,
    IBundle,
    IErrand,
    ILocalRouter,
    IOutward,
    ITunnelSession,
    ServesTls,
    Way,
)
from relay.settings.model import TunnelSettings
from relay.vocabulary import Event, Reason

DRAIN_CHECK_S = 0.1


@implementer(IOutward)
class Outward(Telling):
    """One tunnel's outside.

    :param around: of the process
    :param hub: of the cut-through gear
    :param connected: called whenever the tunnel's offer stands
    :ivar doors: what it listens on
    :ivar asked_at: when the router last asked for something
    """

    def __init__(
        self,
        settings: TunnelSettings,
        reactor: IReactorTime,
        around: Surroundings,
        hub: Hub,
        connected: Callable[[], None],
    ) -> None:
        super().__init__(settings)
        self._hub = hub
        self._local_hub = hub if settings.cut_through else None
        self.doors = Doors(reactor, self._local_hub, self._end_serving)
        self.asked_at = -math.inf
        self._reactor = reactor
        limits = replace(
            around.limits,
            window_bytes=settings.window_bytes,
            cut_through=settings.cut_through,
        )
        self._around = replace(around, limits=limits)
        self._connected = connected
        self._circuits = TunnelCircuits(settings, self._around, self.fault)
        ways = Ways(settings, reactor)
        self._asker = Asker(ways, reactor, self._report_silence)
        self._dialers = Dialers(settings, reactor, ways)
        self._raw_dialer = RawDialer(ways, reactor, self._local_hub)
        self._resolver = Resolver(cast(IReactorFromThreads, reactor))
        self._tokens = Tokens(settings.token, reactor, self.report)
        self._links = OutgoingLinks(settings, self._around, hub, self._asked)
        self._errands: set[Deferred[None]] = set()
        self._keepers: set[Keeper] = set()
        self._rooms: list[LocalRoom] = []
        self._served: list[Deferred[None]] = []
        self._hurried = False

    # -- time ------------------------------------------------------------------------------------

    def now(self) -> float:
        """:returns: Unix seconds."""
        return self._reactor.seconds()

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait."""
        return deferLater(self._reactor, seconds)

    def spawn(self, errand: Awaitable[None]) -> IErrand:
        """Run on the side."""
        running = ensureDeferred(cast("Deferred[None]", errand))
        self._errands.add(running)

        def over(result: object) -> None:
            self._errands.discard(running)
            if isinstance(result, Failure) and not self._stopping:
                if result.check(CancelledError):
                    return  # it was given up
                if isinstance(result.value, RelayError):
                    self.fault("an errand", result.value)
                else:
                    self.log.failure("{name}: an errand failed", result, name=self.settings.name)

        running.addBoth(over)
        return cast(IErrand, running)

    async def token(self) -> str:
        """Read the tunnel's token afresh."""
        return await self._tokens.read()

    def time_code(self, base32: str, step: int) -> str:
        """Compute a time-based code. :raises Misconfigured: when that is no secret"""
        try:
            return time_code(base32, step)
        except ValueError as error:
            raise Misconfigured(str(error), "make it anew at the router") from None

    # -- the router ------------------------------------------------------------------------------

    async def websocket(
        self,
        path: str,
        headers: Mapping[str, str],
        conversation: Callable[[Mapping[str, str]], IConversation],
        handle: Callable[[Event], None],
    ) -> ITunnelSession:
        """Open a WebSocket below the router's URL."""
        return await self._dial("", path, headers, conversation, handle)

    async def websocket_at(
        self,
        url: str,
        headers: Mapping[str, str],
        conversation: Callable[[Mapping[str, str]], IConversation],
        handle: Callable[[Event], None],
    ) -> ITunnelSession:
        """Open a WebSocket at an absolute URL."""
        origin, target = place_of(url, SOCKET_SCHEMES)
        server = f"{SOCKET_SCHEMES[origin.secure]}://{origin.where}"
        return await self._dial(server, target, headers, conversation, handle)

    async def http(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        limit_bytes: int,
        way: Way = USUAL_WAY,
    ) -> HttpAnswer:
        """Ask an HTTP server."""
        if self._stopping:
            raise GoingAway("this program is stopping")
        return await self._asker.ask(method, url, headers, limit_bytes, way)

    async def tcp(
        self,
        address: str,
        conversation: IConversation,
        handle: Callable[[Event], None],
        tls: ServesTls | ExpectsTls | None = None,
    ) -> ITunnelSession:
        """Open a raw link."""
        if self._stopping:
            raise GoingAway("this program is stopping")
        link = await self._raw_dialer.open(address, tls)
        if self._stopping:
            link.abort()
            raise GoingAway("this program is stopping")
        return self._links.begin_raw(link, conversation, handle)

    async def _dial(
        self,
        server: str,
        path: str,
        headers: Mapping[str, str],
        conversation: Callable[[Mapping[str, str]], IConversation],
        handle: Callable[[Event], None],
    ) -> Session:
        """:param server: its URL without a path; empty: the tunnel's router"""
        if self._stopping:
            raise GoingAway("this program is stopping")
        dialer = self._dialers.of(server)
        silent: Deferred[None] = Deferred()
        silent.addCallback(lambda _: self._report_silence(dialer.address))
        try:
            link, answer = await dialer.open(path, headers, silent)
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
        if endpoint.partition(":")[0] == SOCKET_DOOR:
            door = SocketDoor(self.settings, self._reactor, self._around, self._hub, self.doors)
            self._rooms.append(door)
            return await door.listen(endpoint, accepted)
        return await self.doors.listen(endpoint, accepted)

    def local_router(self, face: IRouterFace) -> ILocalRouter:
        """Make a router of this tunnel's own."""
        router = LocalRouter(
            face, self.settings, self._reactor, self._around, self._hub, self.doors
        )
        self._rooms.append(router)
        return router

    def join(self, caller: IStream, callee: IStream, name: str) -> Deferred[Reason]:
        """Make a circuit of two streams."""
        self._repetition.forget()
        return self._circuits.join(caller, callee, name)

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
        gives_up: bool = True,
        name: str = "",
        longest_s: float = REFUSED_S[1],
        where: Callable[[], str] = str,
    ) -> None:
        """Do ``errand`` for ever."""
        kept = NamedErrand(self) if name else self
        keeper = Keeper(kept, errand, self._reactor, final, gives_up, name, longest_s, where)
        self._keepers.add(keeper)
        try:
            await keeper.run()
        finally:
            self._keepers.discard(keeper)

    def bundle(self, end: Callable[[Reason], None]) -> IBundle:
        """Make what an errand returns that keeps several links."""
        return Bundle(end)

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

    async def stop(self, drain_s: float) -> None:
        """Close what listens, let circuits end within ``drain_s``, then end the rest."""
        self._stopping = True
        await self.doors.close()
        for keeper in tuple(self._keepers):
            await keeper.stop()
        self._links.end_unused()
        await self._drained(drain_s)
        self._links.end_all()
        for room in self._rooms:
            room.end()
        for running in tuple(self._errands):
            running.cancel()
        self._end_serving()
        if not self._hurried:
            await DeferredList([room.when_empty() for room in self._rooms])
        if not self._hurried:
            await self._links.when_gone()

    def hurry(self) -> None:
        """Stop waiting for circuits to end, and for what was sent last to get out."""
        self._hurried = True
        self._links.wait_no_more()
        for room in self._rooms:
            room.wait_no_more()

    async def _drained(self, drain_s: float) -> None:
        waited_s = 0.0
        while self._circuits and waited_s < drain_s and not self._hurried:
            await self.sleep(DRAIN_CHECK_S)
            waited_s += DRAIN_CHECK_S

    def _end_serving(self) -> None:
        served, self._served = self._served, []
        for waiting in served:
            waiting.callback(None)

    def _asked(self) -> None:
        self.asked_at = self.now()
