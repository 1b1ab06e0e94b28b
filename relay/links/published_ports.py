"""Where a router itself listens for published calls: whoever connects is a caller.

Each connection is a raw link. Ports come and go with a reload, and what is connected stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from twisted.internet.defer import DeferredLock, maybeDeferred
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.logger import Logger

from relay.errors import CannotListen
from relay.faces import Welcome
from relay.links.hall import Hall
from relay.links.listening import listen
from relay.links.ports import Entrance
from relay.raw import RawCaller, tcp_origin
from relay.settings.model import TCP, Callee, Publication
from relay.vocabulary import Call, Grant, Role


class PublishedPorts:
    """The ports of one router's publications.

    :param hall: where links begin
    :param wrap: puts what belongs before it in front of a factory of raw links
    :param opened: called with each that stands, and its address
    """

    log = Logger()

    def __init__(
        self,
        hall: Hall,
        wrap: Callable[[Entrance], Any],  # a factory of Twisted's
        opened: Callable[[Publication, IAddress], None],
    ) -> None:
        self._hall = hall
        self._wrap = wrap
        self._opened = opened
        self._open: dict[Callee, IListeningPort] = {}
        self._is_begun = self._is_over = False
        # a port that is still closing cannot be opened anew
        self._lock = DeferredLock()

    def addresses(self) -> dict[Callee, IAddress]:
        """:returns: where calls are taken, by their source"""
        return {source: port.getHost() for source, port in self._open.items()}

    async def begin(self, publications: Iterable[Publication]) -> None:
        """Listen. :raises CannotListen: where that cannot be"""
        self._is_begun = True
        await self._exchange(publications, _refuse)

    async def adopt(self, publications: Iterable[Publication]) -> None:
        """Listen for these instead, once it has begun; what cannot be is in the log."""
        if self._is_begun:
            await self._exchange(publications, self._complain)

    async def close(self) -> None:
        """Listen no more."""
        self._is_over = True
        await self._exchange((), _refuse)

    async def _exchange(
        self,
        publications: Iterable[Publication],
        failed: Callable[[Publication, CannotListen], None],
    ) -> None:
        """:param failed: called with what cannot be had"""
        await self._lock.acquire()
        try:
            wanted = {one.source: one for one in publications if one.endpoint}
            for source in [source for source in self._open if source not in wanted]:
                await maybeDeferred(self._open.pop(source).stopListening)
            for source, publication in wanted.items():
                if source not in self._open and not self._is_over:
                    try:
                        await self._listen(publication)
                    except CannotListen as error:
                        failed(publication, error)
        finally:
            self._lock.release()

    def _complain(self, publication: Publication, error: CannotListen) -> None:
        self.log.error(
            "[publish {name}]: {why}; {remedy}",
            name=publication.name,
            why=error.text,
            remedy=error.remedy,
        )

    async def _listen(self, publication: Publication) -> None:
        """:raises CannotListen: when that cannot be"""
        source = publication.source
        entrance = Entrance(self._hall, TCP, str(source), partial(_welcome, source))
        port = await listen(self._hall.reactor, publication.endpoint, self._wrap(entrance))
        self._open[source] = port
        self._opened(publication, port.getHost())


def _refuse(publication: Publication, error: CannotListen) -> None:
    """:raises CannotListen: always"""
    raise error


def _welcome(source: Callee, address: str, port: int) -> Welcome:
    """:returns: what a connection becomes: a call of the name that is published"""
    call = Call(source.offer, source.service, origin=tcp_origin(address, port))
    return Welcome(Grant(TCP, Role.CLIENT, "", source.offer), RawCaller(call))
