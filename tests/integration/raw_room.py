"""A router in miniature whose links are raw, on the real reactor."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from typing import Any, cast

from relay.core.admission import Reception
from relay.core.broker import Broker
from relay.core.services import Services
from relay.core.session import Session
from relay.core.surroundings import Surroundings
from relay.faces import IPort, Welcome
from relay.links.cutthrough import Hub
from relay.links.hall import Hall
from relay.links.ports import Ports
from relay.settings.model import Limits
from relay.vocabulary import Grant, Role
from tests.fakes.raw_talks import RawCaller, RawHost
from tests.rawpeer import RawPeer, connect, the_reactor, until

LOOPBACK = "127.0.0.1"
ANY = (0,)


def host(_address: str = "", _port: int = 0) -> Welcome:
    """:returns: what a host's connection becomes"""
    return Welcome(Grant("raw", Role.HOST, "cam-1"), RawHost())


def caller(_address: str = "", _port: int = 0) -> Welcome:
    """:returns: what a caller's connection becomes"""
    return Welcome(Grant("raw", Role.CLIENT, ""), RawCaller())


class Quay:
    """Ports, and all that is behind them.

    :param gear: whether links leave Twisted
    :param limits: of the router, where the test wants others
    """

    def __init__(self, gear: bool = True, **limits: Any) -> None:
        self.around = Surroundings.of_process(the_reactor(), Limits(cut_through=gear, **limits))
        self.broker = Broker(self.around, secrets.randbits)
        self.hall = Hall(
            Reception(self.broker, self.around),
            self.broker,
            self.around,
            Services(self.broker, the_reactor()),
            the_reactor(),
            lambda peer, _: peer,
            Hub(the_reactor()),
        )
        self.ports = Ports(self.hall)
        self.peers: list[RawPeer] = []
        self._hosts: IPort | None = None
        self._callers: IPort | None = None

    async def run(self, test: Callable[[Quay], Any]) -> None:
        """Do ``test``, and end what it began."""
        try:
            await test(self)
        finally:
            for peer in self.peers:
                peer.reset()
            self.ports.stop()
            self.broker.end_all()
            await self.hall.when_empty()
            for peer in self.peers:
                await peer.gone()
            self.around.wheel.stop()

    def open(self, welcome: Callable[[str, int], Welcome]) -> IPort:
        """:returns: a port of the system's choice"""
        return self.ports.open(ANY, LOOPBACK, "raw", welcome)

    async def dial(self, port: IPort) -> RawPeer:
        """:returns: a connection to it, whose far side is kept open at a FIN"""
        peer = await connect(port.number)
        peer.stays_half_open = True
        self.peers.append(peer)
        return peer

    async def host(self) -> RawPeer:
        """:returns: a host that waits"""
        if self._hosts is None:
            self._hosts = self.open(host)
        before = self.waiting()
        peer = await self.dial(self._hosts)
        await until(lambda: self.waiting() > before or None, "host")
        return peer

    async def caller(self) -> RawPeer:
        """:returns: a caller, who has yet to be noticed"""
        if self._callers is None:
            self._callers = self.open(caller)
        return await self.dial(self._callers)

    async def pair(self) -> tuple[RawPeer, RawPeer]:
        """:returns: a host and a caller that are joined"""
        near = await self.host()
        before = len(self.broker.circuits)
        far = await self.caller()
        await until(lambda: len(self.broker.circuits) > before or None, "circuit")
        return near, far

    def waiting(self) -> int:
        """:returns: how many hosts wait"""
        standing = self.broker.registry._standings.get(RawHost().intent.name)  # type: ignore[union-attr]
        return 0 if standing is None else len(standing.responders)

    def sessions(self) -> list[Session]:
        """:returns: those that live"""
        return list(self.broker.sessions)

    async def over(self) -> None:
        """Wait until nothing is left of links and circuits."""
        await until(
            lambda: None if self.broker.sessions or self.broker.circuits else True, "end of all"
        )


def handle(peer: RawPeer) -> socket.socket:
    """:returns: a peer's socket"""
    return cast(socket.socket, peer._wire.getHandle())
