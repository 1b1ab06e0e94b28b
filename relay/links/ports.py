"""TCP ports that a router opens when a dialect asks for one, and what connects to them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IReactorTCP
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from typing_extensions import override
from zope.interface import implementer

from relay.addresses import with_port
from relay.errors import CannotListen, GoingAway, LimitReached, RelayError
from relay.faces import IPort, IPorts, Welcome
from relay.links.hall import Hall
from relay.links.listening import explain
from relay.links.raw_link import RawLink
from relay.links.visitor import address_of

FOREIGN_PORTS = 256
"""So many numbers that other programs use are passed over at once, then there is none free."""

PORTS_RETRY_S = 5
ANY_PORT = 0
"""The number that stands for one of the system's choice."""

NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@implementer(IPorts)
class Ports:
    """The ports of one router; those of one range of numbers are used in turn.

    :param hall: where links begin
    """

    log = Logger()

    def __init__(self, hall: Hall) -> None:
        self.hall = hall
        self._reactor = cast(IReactorTCP, hall.reactor)
        self._open: set[Port] = set()
        # open or closing, by interface and number
        self._held: set[tuple[str, int]] = set()
        # what comes next, by first and last number and how many there are
        self._next: dict[tuple[int, int, int], int] = {}
        self._stopped = False

    def open(
        self,
        numbers: Sequence[int],
        interface: str,
        dialect: str,
        welcome: Callable[[str, int], Welcome],
    ) -> IPort:
        """Listen at one of ``numbers``.

        :raises LimitReached: when none of them is free, or no descriptor
        :raises CannotListen: when nobody can listen there
        :raises GoingAway: when the router accepts nothing any more
        """
        if self._stopped:
            raise GoingAway("this router is going away", "connect again", retry_after_s=1)
        foreign = 0
        for number in self._in_turn(numbers):
            if number != ANY_PORT and (interface, number) in self._held:
                continue
            port = Port(self, interface, dialect, welcome)
            try:
                port.listen(self._reactor, number)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise _cannot_listen(interface, number, error) from error
                foreign += 1
                if foreign >= FOREIGN_PORTS:
                    break
            else:
                self._open.add(port)
                self._held.add((interface, port.number))
                return port
        raise LimitReached(
            f"none of {len(numbers)} ports is free",
            "give it more of them",
            retry_after_s=PORTS_RETRY_S,
        )

    def stop(self) -> None:
        """Close them all, and open none any more."""
        self._stopped = True
        for port in tuple(self._open):
            port.close()

    def closing(self, port: Port) -> None:
        """A port accepts nothing more."""
        self._open.discard(port)

    def closed(self, interface: str, number: int) -> None:
        """A port's number is free again."""
        self._held.discard((interface, number))

    def _in_turn(self, numbers: Sequence[int]) -> Iterator[int]:
        """:returns: the numbers, that which was used longest ago first"""
        count = len(numbers)
        if count == 1:
            yield numbers[0]
            return
        if not count:
            return
        key = (numbers[0], numbers[-1], count)
        first = self._next.get(key, 0)
        for index in range(first, first + count):
            self._next[key] = (index + 1) % count
            yield numbers[index % count]


class Entrance(ServerFactory):
    """Makes a raw link of each connection to a port, or refuses it.

    :param dialect: what refusals are counted for
    :param where: the port, for the log
    :param welcome: called with address and port of each that connects
    """

    log = Logger()
    noisy = False

    def __init__(
        self, hall: Hall, dialect: str, where: str, welcome: Callable[[str, int], Welcome]
    ) -> None:
        self.where = where
        self._hall = hall
        self._dialect = dialect
        self._welcome = welcome

    @override
    def buildProtocol(self, addr: IAddress | None) -> RawLink | None:
        """A connection was accepted."""
        hall = self._hall
        return RawLink(hall.reactor, hall.hub if hall.limits.cut_through else None, self._entered)

    def _entered(self, link: RawLink) -> None:
        peer: IAddress = link.transport.getPeer()
        address, port = address_of(peer), getattr(peer, "port", 0)
        hall = self._hall
        try:
            hall.enter_raw(link, self._welcome(address, port), address, port)
        except RelayError as error:
            hall.reception.turned_away(self._dialect, address, self.where, error)
            link.abort()
        except Exception:
            self.log.failure("a connection could not be welcomed")
            link.abort()


@implementer(IPort)
class Port(Entrance):
    """One port, while it is open and after.

    :param welcome: called with address and port of each that connects
    """

    number: int = 0

    def __init__(
        self,
        ports: Ports,
        interface: str,
        dialect: str,
        welcome: Callable[[str, int], Welcome],
    ) -> None:
        super().__init__(ports.hall, dialect, "", welcome)
        self._ports = ports
        self._interface = interface
        self._listening: IListeningPort | None = None
        self._over = False

    def listen(self, reactor: IReactorTCP, number: int) -> None:
        """Open it. :raises OSError: when that cannot be"""
        try:
            self._listening = reactor.listenTCP(number, self, interface=self._interface)
        except CannotListenError as error:
            cause = error.socketError
            raise cause if isinstance(cause, OSError) else OSError(str(cause)) from error
        self.number = self._listening.getHost().port  # type: ignore[attr-defined]  # of TCP
        self.where = f"port {self.number}"

    def close(self) -> None:
        """Accept nothing more."""
        listening, self._listening = self._listening, None
        self._over = True
        if listening is None:
            return
        self._ports.closing(self)
        closing = maybeDeferred(listening.stopListening)
        closing.addErrback(lambda failure: Ports.log.failure("a port did not close", failure))
        closing.addCallback(lambda _: self._ports.closed(self._interface, self.number))

    @override
    def buildProtocol(self, addr: IAddress | None) -> RawLink | None:
        """A connection was accepted: of those that were waiting, too, when the port closed."""
        return None if self._over else super().buildProtocol(addr)


def _cannot_listen(interface: str, number: int, error: OSError) -> RelayError:
    """:returns: why nobody can listen there"""
    if error.errno in NO_ROOM:
        why = os.strerror(error.errno)
        return LimitReached(f"no port can be opened: {why}", "", PORTS_RETRY_S)
    why, remedy = explain(error)
    return CannotListen(f"cannot listen at {with_port(interface or '*', number)}: {why}", remedy)
