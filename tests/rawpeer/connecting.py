"""How peers come to be: one dials, the others are handed out by a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IOpenSSLClientConnectionCreator,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory

from tests.rawpeer.peer import RawPeer
from tests.rawpeer.waiting import DEADLINE_S, Late, the_reactor
from tests.rawpeer.wire import Head

BACKLOG = 1024
"""Connections that may come at once; a kernel that runs out of room makes some of them twice."""


class _PeerFactory(Factory):
    noisy = False

    def __init__(self, build: Callable[[], RawPeer]) -> None:
        self._build = build

    def buildProtocol(self, addr: IAddress | None) -> RawPeer:
        return self._build()


async def connect(
    port: int,
    *,
    host: str = "127.0.0.1",
    tls: IOpenSSLClientConnectionCreator | None = None,
    source: str = "",
) -> RawPeer:
    """Open a connection.

    :param tls: how to verify; None: plain TCP
    :param source: the address that it comes from; empty: as the system likes
    """
    reactor = the_reactor()
    bound = (source, 0) if source else None
    endpoint: IStreamClientEndpoint = TCP4ClientEndpoint(reactor, host, port, bindAddress=bound)
    if tls is not None:
        endpoint = wrapClientTLS(tls, endpoint)
    peer = RawPeer(reactor, masks=True)
    await endpoint.connect(_PeerFactory(lambda: peer))
    return peer


class RawServer:
    """Listens on a port of its own and hands out its connections in order of arrival."""

    def __init__(self) -> None:
        self._reactor = the_reactor()
        self._arrived: list[RawPeer] = []
        self._waiting: list[Deferred[None]] = []
        self._listening: IListeningPort | None = None
        self.peers: list[RawPeer] = []

    async def listen(self, port: int = 0) -> int:
        """:returns: the port that really listens"""
        endpoint = TCP4ServerEndpoint(self._reactor, port, BACKLOG, "127.0.0.1")
        factory = _PeerFactory(lambda: RawPeer(self._reactor, False, self._arrives))
        self._listening = await endpoint.listen(factory)
        return cast(IPv4Address, self._listening.getHost()).port

    def _arrives(self, peer: RawPeer) -> None:
        self.peers.append(peer)
        self._arrived.append(peer)
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    @property
    def arrivals(self) -> int:
        """:returns: how many connections have come so far"""
        return len(self.peers)

    async def accept(self, deadline_s: float = DEADLINE_S) -> RawPeer:
        """:returns: the next connection. :raises Late: when none comes"""
        expiry = self._reactor.seconds() + deadline_s
        while not self._arrived:
            arrival: Deferred[None] = Deferred()
            self._waiting.append(arrival)
            timer = self._reactor.callLater(
                max(0.0, expiry - self._reactor.seconds()),
                arrival.errback,
                Late("no connection in time"),
            )
            try:
                await arrival
            except Late:
                self._waiting.remove(arrival)
                raise
            finally:
                if timer.active():
                    timer.cancel()
        return self._arrived.pop(0)

    async def accept_request(self, deadline_s: float = DEADLINE_S) -> tuple[RawPeer, Head]:
        """:returns: the next connection and its request head"""
        peer = await self.accept(deadline_s)
        return peer, await peer.head(deadline_s)

    async def accept_upgrade(self, deadline_s: float = DEADLINE_S) -> tuple[RawPeer, Head]:
        """:returns: the next connection, already answered with a 101, and its request head"""
        peer, request = await self.accept_request(deadline_s)
        peer.answer_upgrade(request)
        return peer, request

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._listening is not None:
            stopped = self._listening.stopListening()
            if stopped is not None:
                await stopped
            self._listening = None
        for peer in self.peers:
            peer.reset()
