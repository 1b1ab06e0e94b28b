"""Where a tunnel meets this machine: the doors it opens, and the services it connects to."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorTime
from twisted.internet.protocol import Factory

from relay.addresses import with_port
from relay.errors import CannotConnect, TargetRefused
from relay.interfaces import IStream
from relay.links.cutthrough import Hub, connect_at_once, loopback_of
from relay.links.listening import listen
from relay.links.stdio import IReactor, StdioStream
from relay.links.tcp import LocalFactory, LocalStream
from relay.vocabulary import Reason

TARGET_TIMEOUT_S = 8.0


class Doors:
    """What one tunnel listens on.

    :param hub: of the cut-through gear; None: do without
    :param ended: called once standard input and output have ended: nothing else was wanted
    :ivar addresses: what listens: the endpoint as configured and the real address
    :ivar stdio: standard input and output, once they are a door
    :ivar stdio_reason: why they ended, once they have
    """

    def __init__(self, reactor: IReactorTime, hub: Hub | None, ended: Callable[[], None]) -> None:
        self.addresses: list[tuple[str, object]] = []
        self.stdio: StdioStream | None = None
        self.stdio_reason: Reason | None = None
        self._reactor = reactor
        self._hub = hub
        self._ended = ended
        self._ports: list[IListeningPort] = []
        self._wanted = -1
        self._open = 0
        self._all_open: Deferred[None] = Deferred()

    async def listen(self, endpoint: str, accepted: Callable[[IStream], None]) -> str:
        """Accept local connections.

        :param endpoint: Twisted server endpoint string; ``stdio:`` is standard input and output
        :returns: the address that really listens
        :raises CannotListen, CannotConnect: when it cannot
        """
        if endpoint.partition(":")[0] == "stdio":
            return self._listen_stdio(accepted)
        factory = LocalFactory(self._reactor, self._hub, accepted, lambda _: None)
        return await self.open(endpoint, factory)

    async def open(self, endpoint: str, factory: Factory, shown: str = "") -> str:
        """Accept connections of any kind.

        :param endpoint: Twisted server endpoint string
        :param shown: the endpoint as configured, where that differs
        :returns: the address that really listens
        :raises CannotListen: when it cannot
        """
        port = await listen(self._reactor, endpoint, factory)
        self._ports.append(port)
        address = port.getHost()
        self.addresses.append((shown or endpoint, address))
        self._count()
        number = getattr(address, "port", None)
        return endpoint if number is None else with_port(getattr(address, "host", ""), number)

    def when_open(self, count: int) -> Deferred[None]:
        """:returns: fires when so many doors are open, or nobody needs them any more."""
        self._wanted = count
        self._count(0)
        return self._all_open

    def no_longer_wanted(self) -> None:
        """The tunnel is over: nobody needs to wait for its doors."""
        if not self._all_open.called:
            self._all_open.callback(None)

    async def close(self) -> None:
        """Accept nothing more."""
        for port in self._ports:
            await maybeDeferred(port.stopListening)

    def _listen_stdio(self, accepted: Callable[[IStream], None]) -> str:
        try:
            self.stdio = StdioStream(cast(IReactor, self._reactor), self._stdio_gone, hub=self._hub)
        except OSError as error:
            raise CannotConnect(
                f"standard input or output is of no use: {error.strerror}"
            ) from error
        self._count()
        accepted(self.stdio)
        return "standard input"

    def _count(self, more: int = 1) -> None:
        self._open += more
        if self._open >= self._wanted >= 0 and not self._all_open.called:
            self._all_open.callback(None)

    def _stdio_gone(self, reason: Reason) -> None:
        self.stdio_reason = reason
        self._ended()


async def connect_service(reactor: IReactorTime, hub: Hub | None, endpoint: str) -> IStream:
    """Connect to a local service.

    :param hub: of the cut-through gear; None: do without
    :param endpoint: Twisted client endpoint string
    :raises TargetRefused: with the address and why
    """
    ready: list[LocalStream] = []
    factory = LocalFactory(reactor, hub, ready.append, lambda _: None)
    timer: IDelayedCall | None = None
    try:
        if not _connected_at_once(hub, endpoint, factory):
            attempt = clientFromString(reactor, endpoint).connect(factory)
            timer = reactor.callLater(TARGET_TIMEOUT_S, attempt.cancel)
            await attempt
    except Exception as error:
        raise TargetRefused(
            f"{endpoint}: {_plain(error)}", "is the service running, and is the address right?"
        ) from error
    finally:
        if timer is not None and timer.active():
            timer.cancel()
    return ready[0]


def _connected_at_once(hub: Hub | None, endpoint: str, factory: LocalFactory) -> bool:
    """:returns: whether a connection stands; else it has to be waited for

    :raises OSError: when the service refuses
    """
    address = None if hub is None else loopback_of(endpoint)
    if hub is None or address is None:
        return False
    stream = factory.buildProtocol(None)
    end = connect_at_once(hub, address, stream)
    if end is not None:
        stream.makeConnection(end)
    return end is not None


def _plain(error: object) -> str:
    """:returns: an error's own words, without Twisted's."""
    number = getattr(error, "osError", None) or getattr(error, "errno", None)
    if isinstance(number, int):
        return os.strerror(number)
    return str(error).rstrip(".") or type(error).__name__
