"""``relay demo``: a router, a host, a client and a small web page in one process, on loopback."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import ConnectError
from twisted.logger import Logger, globalLogBeginner
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseFailed, readBody
from twisted.web.http import OK

from relay.announcements import as_url
from relay.commands.demo_page import STATUS_PATH, Page, Urls
from relay.commands.output import add_json, hint, result
from relay.commands.shows import SHOWS, router_ini, tunnel_ini
from relay.dialects import dialect_keys
from relay.errors import RelayError
from relay.logs import make_observer
from relay.nvx import check_nvx
from relay.router import RouterService
from relay.settings import read_router, read_tunnels
from relay.tunnels import TunnelsService
from relay.vocabulary import Role

if TYPE_CHECKING:
    from relay.daemon import IReactor

T = TypeVar("T")

NAME = "web"
LOOPBACK = "127.0.0.1"
START_S = 10.0
"""How long anything of the start may take."""

STOP_S = 5.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Fetched(NamedTuple):
    """What came through the tunnel, and how long that took."""

    status: int
    bytes: int
    ms: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``relay demo`` takes."""
    parser.add_argument(
        "--dialect", choices=sorted(SHOWS), default="portal", help="what is spoken to the router"
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=0,
        metavar="P",
        help="the router's port; default: any free one",
    )
    parser.add_argument("--once", action="store_true", help="end after the page was fetched")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show it.

    :returns: the exit status: 0 when the page was fetched, or somebody asked for the end
    :raises RelayError, ConfigurationError: when it cannot be shown
    """
    check_nvx()
    globalLogBeginner.beginLoggingTo(
        [make_observer("text", "warn", sys.stderr)], redirectStandardIO=False
    )
    from twisted.internet import reactor

    demo = _Demo(arguments, cast("IReactor", reactor))
    for number in SIGNALS:
        signal.signal(number, demo.signalled)
    with tempfile.TemporaryDirectory(prefix="relay-demo-") as folder:
        return demo.run(Path(folder))


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is no port; it is a number from 0 to 65535")
    return int(text)


class _Demo:
    """All parts, from their start to their end."""

    log = Logger()

    def __init__(self, arguments: argparse.Namespace, reactor: IReactor) -> None:
        self._arguments = arguments
        self._reactor = reactor
        self._started: list[Any] = []  # services, whose types Twisted does not know
        self._showing: Deferred[Any] = Deferred()
        self._failure: Failure | None = None
        self._stopping = False
        self._status = 0

    def run(self, folder: Path) -> int:
        """Run the reactor until the end.

        :param folder: an empty one
        """
        self._reactor.callWhenRunning(self._start, folder)
        self._reactor.run(installSignalHandlers=False)  # type: ignore[call-arg]  # not in IReactorCore
        if self._failure is not None:
            self._failure.raiseException()
        return self._status

    def signalled(self, number: int, frame: object) -> None:
        """Somebody asks for the end."""
        self._reactor.callFromThread(self._stop)

    def _start(self, folder: Path) -> None:
        self._showing = Deferred.fromCoroutine(self._show(folder))
        self._showing.addCallbacks(self._shown, self._failed)

    def _shown(self, works: bool) -> None:
        if not works:
            self._status = 1  # the router has said why
        if self._arguments.once or not works:
            self._stop()
        else:
            hint("it all runs until Ctrl-C")

    def _failed(self, failure: Failure) -> None:
        if not self._stopping:
            self._failure = failure
            self._stop()

    def _stop(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        self._showing.cancel()
        self._reactor.callLater(STOP_S, self._reactor.stop)
        stops = []
        for service in reversed(self._started):
            stops.append(service.stopService())
            service.hurry()
        DeferredList(stops).addCallback(lambda _: self._reactor.stop())

    # -- the show --------------------------------------------------------------------------------

    async def _show(self, folder: Path) -> bool:
        """:returns: whether it could be shown."""
        router = await self._start_router(folder)
        if router is None:
            return False
        page = Page(self._arguments.dialect, router)
        endpoint = serverFromString(self._reactor, f"tcp:0:interface={LOOPBACK}")
        listening = await endpoint.listen(page.site())
        (_, at), (_, admin) = router.addresses
        direct = as_url("http", listening.getHost()) + "/"
        router_url = as_url("ws", at)
        show = SHOWS[self._arguments.dialect]
        tokens = show.tokens(router.settings)
        for role, token in tokens.items():
            _write(folder / f"{role.value}.token", token)
        target = f"{LOOPBACK}:{listening.getHost().port}"
        host = self._start_tunnel(folder, Role.HOST, router_url, f"forward = tcp:{target}", target)
        await self._soon(host.when_connected(NAME), "the host reaches the router")
        tunnelled = as_url("http", at) + show.path
        if Role.CLIENT in tokens:
            listen = f"listen = tcp:0:interface={LOOPBACK}"
            client = self._start_tunnel(folder, Role.CLIENT, router_url, listen, target)
            await self._soon(client.when_ready(), "the client listens")
            tunnelled = as_url("http", client.addresses[0][1]) + "/"
        page.urls = Urls(tunnelled, direct, router_url, as_url("http", admin))
        page.folder = folder
        self._report(page.urls, await self._fetch(page))
        return True

    async def _start_router(self, folder: Path) -> RouterService | None:
        text = router_ini(self._arguments.dialect, self._arguments.port)
        options = {"config": _write(folder / "relay.ini", text)}
        router = RouterService(read_router(options, {}, folder, dialect_keys()), self._reactor)
        self._started.append(router)
        router.startService()
        either: list[Deferred[Any]] = [router.when_ready(), router.when_over()]
        await self._soon(DeferredList(either, fireOnOneCallback=True), "the router listens")
        return router if router.addresses[1:] else None

    def _start_tunnel(
        self, folder: Path, role: Role, router: str, door: str, target: str
    ) -> TunnelsService:
        text = tunnel_ini(role, self._arguments.dialect, router, door, target)
        options = {"config": _write(folder / f"{role.value}.ini", text)}
        settings = read_tunnels(role, options, {}, folder, dialect_keys())
        service = TunnelsService(settings, self._reactor)
        self._started.append(service)
        service.startService()
        return service

    async def _fetch(self, page: Page) -> Fetched:
        """Fetch the page through the tunnel, and compare it with what was served."""
        url = page.urls.page.encode()
        started = time.perf_counter()
        try:
            answer = await self._soon(
                Agent(self._reactor, connectTimeout=START_S).request(b"GET", url), "the page comes"
            )
            body = await self._soon(readBody(answer), "the page comes")
        except (ConnectError, ResponseFailed) as error:
            raise RelayError(f"{page.urls.page} cannot be fetched: {error}") from error
        if answer.code != OK or body != page.html():
            raise RelayError(
                f"{page.urls.page}: {answer.code} and {len(body)} bytes came through the tunnel, "
                f"which are not the page at {page.urls.direct}"
            )
        return Fetched(answer.code, len(body), round((time.perf_counter() - started) * 1000, 1))

    async def _soon(self, awaited: Deferred[T], what: str) -> T:
        try:
            return await awaited.addTimeout(START_S, self._reactor)
        except TookTooLong as error:
            raise RelayError(f"waited {START_S:g} s in vain until {what}") from error

    def _report(self, urls: Urls, fetched: Fetched) -> None:
        dialect = self._arguments.dialect
        rows = [
            ("the page through the tunnel", urls.page),
            ("the page directly", urls.direct),
            (f"the router, for {dialect}", urls.router),
            ("the admin status", f"{urls.admin}{STATUS_PATH}"),
        ]
        width = max(len(what) for what, _ in rows)
        lines = [f"{what:<{width}}  {url}" for what, url in rows]
        lines.append(
            f"fetched {urls.page} through the tunnel: "
            f"{fetched.status}, {fetched.bytes} bytes, {fetched.ms:.0f} ms"
        )
        value = {"dialect": dialect, "urls": urls._asdict(), "fetched": fetched._asdict()}
        result(self._arguments.json, value, "\n".join(lines))
        sys.stdout.flush()


def _write(path: Path, text: str) -> str:
    """Write a file that nobody else may read. :returns: its name"""
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)
