"""Local sockets of host and client, and standard input and output, as streams.

They need no conversation: a chunk is a chunk. Half-close is kept; an end with nothing missing
closes in order, any other end shows as a reset, so that no application takes a cut transfer for a
whole one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import implementer

from relay.core.stream import Stream
from relay.interfaces import IStream
from relay.links.byte_socket import ByteSocket
from relay.links.cutthrough import Hub, RawEnd
from relay.links.local_peer import far_end_has_closed
from relay.links.sockets import has_ended, tune, unread_bytes, was_reset
from relay.outlets import IOutlet
from relay.vocabulary import CLEAN_REASONS, Carries, Close, Data, Reason

LOCAL_CARRIES = Carries(half_close=True)
GOODBYE_S = 2.0
"""How long an application may keep its side open once it has taken everything and nobody reads it.
"""

_numbers = itertools.count(1)


@implementer(IHalfCloseableProtocol, IPushProducer)
class LocalStream(Stream, ByteSocket):
    """One local connection.

    :param clock: for the bounded wait at the end
    :param hub: of the cut-through gear; None: do without
    :param ready: called once connected
    :param gone: called with the reason once the connection is gone
    """

    def __init__(
        self,
        clock: IReactorTime,
        hub: Hub | None,
        ready: Callable[[LocalStream], None],
        gone: Callable[[Reason], None],
    ) -> None:
        Stream.__init__(self, LOCAL_CARRIES, f"local/{next(_numbers)}")
        ByteSocket.__init__(self, clock, hub)
        self._ready = ready
        self._gone = gone
        self._reason: Reason | None = None
        self._paused = False
        self._lost: Reason | None = None

    # -- Twisted ---------------------------------------------------------------------------------

    @override
    def connectionMade(self) -> None:
        """Connected: nothing is read before there is a partner."""
        tune(self.transport)
        self.pause()
        self._ready(self)

    @override
    def dataReceived(self, data: bytes) -> None:
        """A chunk from the application."""
        if not self.closed:
            self.deliver(Data(data))

    def readConnectionLost(self) -> None:
        """The application sends no more."""
        self._read_over = True
        if self.closed:
            self.transport.loseConnection()
        elif self.circuit is not None:
            self.circuit.finished(self)

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self._linger_no_more()
        if self.closed:
            return self._gone(self._reason or Reason.FINISHED)
        self.closed = True
        self._lost = Reason.PEER_CLOSED if reason.check(ConnectionDone) else Reason.LOST
        if self.circuit is not None:
            self.circuit.broken(self, self._lost)
        self._gone(self._lost)

    def pauseProducing(self) -> None:
        """The application does not read: the other side is to wait."""
        if self.partner is not None:
            self.partner.pause()

    def resumeProducing(self) -> None:
        """The application reads again."""
        if self.partner is not None:
            self.partner.resume()

    # -- IStream ---------------------------------------------------------------------------------

    @override
    def attach(self, partner: IStream) -> None:
        """Begin to read."""
        super().attach(partner)
        self._shift()
        if self._lost is not None:
            assert self.circuit is not None
            self._clock.callLater(0, self.circuit.broken, self, self._lost)
            return
        self.transport.registerProducer(self, True)
        self.resume()

    @override
    def send(self, data: Data) -> None:
        """A chunk for the application."""
        if not self.closed:
            self.transport.write(data.payload)

    @override
    def finish(self) -> None:
        """Half-close towards the application, behind all that was sent."""
        if not self.closed:
            self._stop_producing()
            self._half_close()

    @override
    def reset(self, reason: Reason, close: Close | None) -> None:
        """End: in order when nothing is missing, else as a reset that the application sees."""
        if self.closed:
            return
        self.closed = True
        self._reason = reason
        self._stop_producing()
        if reason not in CLEAN_REASONS:
            self._abort()
        else:
            self._paused = False
            self._end_in_order(GOODBYE_S)

    @override
    def pause(self) -> None:
        """Read no more from the application."""
        self._paused = True
        if not self._read_over:
            self.transport.pauseProducing()

    @override
    def resume(self) -> None:
        """Read on."""
        self._paused = False
        if isinstance(self.transport, RawEnd) and self.partner is not None and not self.closed:
            self.transport.forward(self, self.partner.outlet())
        if not self._read_over:
            self.transport.resumeProducing()

    @override
    def detach(self) -> None:
        """The circuit is over."""
        super().detach()
        if isinstance(self.transport, RawEnd):
            self.transport.forward(None, None)

    @override
    def outlet(self) -> IOutlet | None:
        """:returns: our socket, in the cut-through gear."""
        self._shift()
        return self.transport if isinstance(self.transport, RawEnd) else None

    @override
    def is_paused(self) -> bool:
        """:returns: whether the partner has asked for a pause, or does not take what was read."""
        blocked = isinstance(self.transport, RawEnd) and self.transport.is_blocked()
        return self._paused or blocked

    @override
    def has_left(self) -> bool | None:
        """:returns: whether the application has closed for good rather than half-closed; None:
        unknown.
        """
        return far_end_has_closed(self.transport)

    @override
    def has_given_up(self) -> bool | None:
        """:returns: whether the application has left without a word that we have yet to read."""
        if was_reset(self.transport):
            return True
        # in this order: behind a FIN nothing comes, so what is not there now never will be
        if not has_ended(self.transport) or unread_bytes(self.transport):
            return False
        return self.has_left()

    # -- inside ----------------------------------------------------------------------------------

    @override
    def _shift(self) -> None:
        """Leave Twisted's transport, of which nothing was read yet."""
        if self._lost is None and not self.closed:
            super()._shift()
            self._hub = None


class LocalFactory(Factory):
    """Makes local streams, for either direction.

    :param hub: of the cut-through gear; None: do without
    :param ready: called with each, once connected
    :param gone: called with the reason, once one is gone
    """

    noisy = False

    def __init__(
        self,
        clock: IReactorTime,
        hub: Hub | None,
        ready: Callable[[LocalStream], None],
        gone: Callable[[Reason], None],
    ) -> None:
        self._clock = clock
        self._hub = hub
        self._ready = ready
        self._gone = gone

    @override
    def buildProtocol(self, addr: IAddress | None) -> LocalStream:
        """A connection was made or accepted."""
        return LocalStream(self._clock, self._hub, self._ready, self._gone)
