"""One connection at a router's door: its turn, its timers, and its end.

What is said on it is another matter: :mod:`relay.links.front`.
"""

from __future__ import annotations

from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import implementer

from relay.addresses import unmapped
from relay.core.liveness import Entry
from relay.errors import LimitReached, RelayError, TlsFailed
from relay.http import Response
from relay.links.hall import Hall
from relay.links.linger import Linger
from relay.links.request_reader import RequestReader
from relay.links.responses import LATE
from relay.links.sockets import tune
from relay.links.turns import Turn
from relay.tls import explain_visitor_failure

LINGER_REPLY_S = 1.0


@implementer(IHalfCloseableProtocol)
class Visitor(Protocol):
    """A connection, from its first byte to its last.

    :ivar address: of the other end, as the connection has it
    :ivar port: likewise
    :ivar secure: whether it is TLS
    """

    log = Logger()

    def __init__(self, hall: Hall) -> None:
        self._hall = hall
        self._reader = RequestReader(hall.limits.head_bytes)
        self._timer: Entry | None = None
        self._linger: Linger | None = None
        self._turn: Turn | None = None
        self._closing = False
        self._read_over = False
        self.address = ""
        self.port = 0
        self.secure = False

    # -- what a subclass makes of it -------------------------------------------------------------

    def read(self) -> None:
        """Bytes, or a turn of its own for those that had come already."""
        raise NotImplementedError

    def send(self, response: Response) -> None:
        """Answer."""
        raise NotImplementedError

    def refuse(self, error: RelayError) -> None:
        """Refuse what never got as far as a dialect."""
        raise NotImplementedError

    def is_answering(self) -> bool:
        """:returns: whether a host is answering a request of it"""
        raise NotImplementedError

    # -- the beginning ---------------------------------------------------------------------------

    @override
    def connectionMade(self) -> None:
        """A connection was accepted: it waits unread while too many handshakes are in progress."""
        tune(self.transport)
        self._hall.doors.add(self)
        self.secure = hasattr(self.transport, "getPeerCertificate")
        peer: IAddress = self.transport.getPeer()  # type: ignore[union-attr]
        self.address = address_of(peer)
        self.port = getattr(peer, "port", 0)
        try:
            self._turn = self._hall.turns.arrive(self, self.address)
        except LimitReached as error:
            return self.refuse(error)
        if self._hall.turns.may_begin():
            self._begin(self._turn)
        else:
            self.transport.pauseProducing()  # type: ignore[union-attr]
            self._turn.wait()

    def begin(self) -> None:
        """Its turn has come."""
        assert self._turn is not None
        self.transport.resumeProducing()  # type: ignore[union-attr]
        self._begin(self._turn)

    def turned_away(self, error: LimitReached) -> None:
        """Its turn has not come in time."""
        self.refuse(error)

    def _begin(self, turn: Turn) -> None:
        """Give it time for one head."""
        turn.shake()
        self._wait_for_head(self._hall.limits.head_s)
        if self._reader.has_begun():
            self._hall.reactor.callLater(0, self.read)

    # -- waiting ---------------------------------------------------------------------------------

    def _is_waiting(self) -> bool:
        """:returns: whether nothing is to be read yet"""
        return self._turn is not None and self._turn.waits

    def _wait_for_head(self, seconds: float) -> None:
        self._stop_timer()
        if seconds:
            # nearly every one of these is cancelled at once, which a wheel does at less cost
            self._timer = self._hall.around.wheel.after(seconds, self._head_late)

    def _head_late(self) -> None:
        self._timer = None
        if self._is_asking():
            self.send(LATE)
        else:
            self._close()

    def _is_asking(self) -> bool:
        """:returns: whether a request, or a part of one, has come"""
        return self._reader.has_begun()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _shaken(self) -> None:
        """The handshake was judged."""
        if self._turn is not None:
            self._turn.shaken()

    # -- the end ---------------------------------------------------------------------------------

    def readConnectionLost(self) -> None:
        """The peer sends no more."""
        raise NotImplementedError

    def writeConnectionLost(self) -> None:
        """Our own half-close is out."""

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The peer gave up, or we closed."""
        if not self._is_asking():
            why = explain_visitor_failure(reason)
            if why:
                self._count_refusal(TlsFailed(why))
        self._closing = True
        self._hall.doors.discard(self)
        self._stop_timer()
        if self._turn is not None:
            self._turn.forget()
        if self._linger is not None:
            self._linger.stop()

    def leave(self) -> None:
        """The router stops."""
        self._close()

    def _close(self) -> None:
        """Close behind what was sent; what still arrives is dropped, so that no reset eats it."""
        if self._closing or self.transport is None:
            return
        self._closing = True
        self._stop_timer()
        self._shaken()
        if self._read_over or self.secure:
            self.transport.loseConnection()  # TLS says its own goodbye
            return
        self.transport.loseWriteConnection()  # type: ignore[attr-defined]
        self.transport.resumeProducing()  # type: ignore[attr-defined]
        hard = self.transport.abortConnection  # type: ignore[attr-defined]
        lose = self.transport.loseConnection
        self._linger = Linger(self.transport, self._hall.reactor, LINGER_REPLY_S, lose, hard)

    def _count_refusal(self, error: RelayError) -> None:
        self._hall.around.metrics.refused("http", error.reason)
        self.log.info(
            "refused {peer}: {reason}: {text}",
            event="refused",
            peer=self.address,
            reason=error.reason.value,
            text=error.text,
        )


def address_of(peer: IAddress) -> str:
    """:returns: the host, or what else there is to tell a connection's other end by"""
    return unmapped(str(getattr(peer, "host", None) or getattr(peer, "name", None) or "local"))
