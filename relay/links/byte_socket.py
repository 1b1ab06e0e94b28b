"""A connection whose bytes are payload: what local streams and raw links share."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol

from relay.links.cutthrough import Hub, RawEnd, take_stream
from relay.links.linger import STALL_S, Linger


class ByteSocket(Protocol):
    """A half-closeable connection of Twisted's, or one that has left it.

    :param clock: for the bounded wait at the end
    :param hub: of the cut-through gear; None: do without
    """

    transport: Any  # a Twisted stream transport, or a RawEnd

    def __init__(self, clock: IReactorTime, hub: Hub | None) -> None:
        self._clock = clock
        self._hub = hub
        self._read_over = False
        self._linger: Linger | None = None

    def writeConnectionLost(self) -> None:
        """Our own half-close is out."""

    def stopProducing(self) -> None:
        """The connection goes; ``connectionLost`` follows."""

    def _is_shifted(self) -> bool:
        """:returns: whether it has left Twisted"""
        return isinstance(self.transport, RawEnd)

    def _shift(self) -> None:
        """Leave Twisted's transport, where that can be now."""
        if self._hub is not None and not self._is_shifted():
            end = take_stream(self._hub, self.transport, self)
            if end is not None:
                self.transport = end

    def _stop_producing(self) -> None:
        # a paused producer that stays registered keeps the socket from ever closing
        self.transport.unregisterProducer()

    def _half_close(self) -> None:
        lose_write = getattr(self.transport, "loseWriteConnection", None)
        if lose_write is not None:
            lose_write()

    def _read_to_the_end(self) -> None:
        """Read on, whatever for."""
        if not self._read_over:
            self.transport.resumeProducing()

    def _end_in_order(self, reply_s: float, stall_s: float = STALL_S) -> None:
        """Close behind all that was sent, which has its time to be taken; drop what still comes.

        :param reply_s: how long the peer may keep its own side open, once it has taken everything
        :param stall_s: how long it may take nothing
        """
        release = self._abort if self._read_over else self.transport.loseConnection
        if self._read_over:
            self.transport.loseConnection()
        else:
            self._half_close()
            self._read_to_the_end()
        self._linger = Linger(self.transport, self._clock, reply_s, release, self._abort, stall_s)

    def _linger_no_more(self) -> None:
        """The connection is gone."""
        if self._linger is not None:
            self._linger.stop()
            self._linger = None

    def _abort(self) -> None:
        abort = getattr(self.transport, "abortConnection", self.transport.loseConnection)
        abort()
