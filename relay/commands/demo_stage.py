"""What every demo stands on: a router, our daemons and small servers in one process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, DeferredList, ensureDeferred, maybeDeferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.endpoints import serverFromString
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site

from relay.announcements import as_url
from relay.commands.output import hint
from relay.commands.shows import router_ini
from relay.dialects import dialect_keys
from relay.dialects.taas.keys import database_url
from relay.errors import RelayError
from relay.lifecycle import MainService
from relay.router import RouterService
from relay.settings import read_router, read_tunnels
from relay.settings.model import RouterSettings
from relay.store.opening import open_records
from relay.tunnels import TunnelsService
from relay.vocabulary import Role

if TYPE_CHECKING:
    from relay.daemon import IReactor

T = TypeVar("T")

LOOPBACK = "127.0.0.1"
ANY_PORT = f"tcp:0:interface={LOOPBACK}"
START_S = 10.0
"""How long anything of the start may take."""

STOP_S = 5.0


class Stage:
    """All parts of a demo, from their start to their end.

    :param folder: an empty one, for configurations and tokens
    :param once: whether it ends when it has been shown
    """

    log = Logger()

    def __init__(self, reactor: IReactor, folder: Path, once: bool) -> None:
        self.reactor = reactor
        self.folder = folder
        self.once = once
        self._ends: list[Callable[[], Deferred[Any] | None]] = []
        self._showing: Deferred[Any] = Deferred()
        self._failure: Failure | None = None
        self._stopping = False
        self._status = 0

    def run(self, show: Callable[[Stage], Awaitable[bool]]) -> int:
        """Run the reactor until the end.

        :param show: sets it all up on this stage; false: it could not, and why has been said
        :returns: the exit status
        """
        self.reactor.callWhenRunning(self._start, show)
        self.reactor.run(installSignalHandlers=False)  # type: ignore[call-arg]  # not in IReactorCore
        if self._failure is not None:
            self._failure.raiseException()
        return self._status

    def signalled(self, number: int, frame: object) -> None:
        """Somebody asks for the end."""
        self.reactor.callFromThread(self._stop)

    def fail(self, failure: Failure) -> None:
        """Something that the demo needs has ended: so does the demo."""
        if not self._stopping:
            self._failure = failure
            self._stop()

    def _start(self, show: Callable[[Stage], Awaitable[bool]]) -> None:
        self._showing = ensureDeferred(show(self))  # type: ignore[arg-type]  # an Awaitable is enough
        self._showing.addCallbacks(self._shown, self.fail)

    def _shown(self, works: bool) -> None:
        if not works:
            self._status = 1
        if self.once or not works:
            self._stop()
        else:
            hint("it all runs until Ctrl-C")

    def _stop(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        self._showing.cancel()
        self.reactor.callLater(STOP_S, self.reactor.stop)
        stops = [maybeDeferred(end) for end in reversed(self._ends)]
        DeferredList(stops, consumeErrors=True).addCallback(lambda _: self.reactor.stop())

    # -- parts -----------------------------------------------------------------------------------

    def at_end(self, end: Callable[[], Deferred[Any] | None]) -> None:
        """Remember what ends a part; the last that began ends first."""
        self._ends.append(end)

    def begin(self, service: MainService) -> None:
        """Start a daemon's service, until the end."""

        def end() -> Deferred[None]:
            stopping = service.stopService()
            service.hurry()
            return stopping

        self.at_end(end)
        service.startService()

    async def router(self, dialect: str, port: int) -> RouterService | None:
        """:returns: a router that listens; None when it cannot, which it has said itself"""
        options = {"config": self.write("relay.ini", router_ini(dialect, port))}
        settings = read_router(options, {}, self.folder, dialect_keys())
        router = RouterService(settings, self.reactor)
        self.begin(router)
        either: list[Deferred[Any]] = [router.when_ready(), router.when_over()]
        await self.soon(DeferredList(either, fireOnOneCallback=True), "the router listens")
        return router if router.addresses[1:] else None

    def tunnel(self, role: Role, text: str) -> TunnelsService:
        """:param text: its configuration. :returns: a host or client that has begun to connect"""
        options = {"config": self.write(f"{role.value}.ini", text)}
        settings = read_tunnels(role, options, {}, self.folder, dialect_keys())
        service = TunnelsService(settings, self.reactor)
        self.begin(service)
        return service

    async def serve(self, resource: Resource) -> str:
        """Serve pages. :returns: their URL, without a slash at its end"""
        site = Site(resource)
        site.noisy = False
        site.displayTracebacks = False
        listening = await serverFromString(self.reactor, ANY_PORT).listen(site)
        return as_url("http", listening.getHost())

    def write(self, name: str, text: str) -> str:
        """Write a file that nobody else may read. :returns: its path"""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        return str(path)

    async def keep(self, settings: RouterSettings, records: Mapping[str, str]) -> None:
        """Write records into the store of a router's only dialect, as an operator does.

        :param records: by key; none: there need not be a store
        """
        if not records:
            return
        (section,) = settings.dialects
        database = database_url(section.values)
        store = open_records(database, settings.state_dir, section.name, self.reactor)
        try:
            await self.soon(Deferred.fromCoroutine(store.put_all(records)), "a record is kept")
        finally:
            await store.close()

    async def soon(self, awaited: Deferred[T], what: str) -> T:
        """Wait for no longer than everything may take.

        :param what: in words, for who waited in vain
        :raises RelayError: when it does not come
        """
        try:
            return await awaited.addTimeout(START_S, self.reactor)
        except TookTooLong as error:
            raise RelayError(f"waited {START_S:g} s in vain until {what}") from error
