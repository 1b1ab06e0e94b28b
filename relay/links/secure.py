"""TLS below our links: a connection that ends in order if the peer lets it, and ends in any case.

Twisted's own waits for ever for a peer that does not answer its close_notify, or never finishes the
handshake that stands before it; and a peer's close_notify never closes TCP while a producer is
paused, nor is anybody told of it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall, IProtocolFactory, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure
from typing_extensions import override

from relay.links.linger import Linger

HANDSHAKE_S = 10.0
"""How long a peer that may begin when it likes has for the rest of its handshake."""

GOODBYE_REPLY_S = 1.0
"""How long a peer may take for its own close_notify, once it has taken all that was sent before."""


class SecureTransport(BufferingTLSTransport):
    """One TLS connection."""

    factory: Any  # SecureFactory; Twisted's generic wrappers cannot say so
    transport: Any  # TCP, or what else the connection runs over
    _gone: bool = False
    _finishing: bool = False
    _linger: Linger | None = None

    @override
    def loseConnection(self) -> None:
        """Close behind all that was sent."""
        super().loseConnection()
        self._end_within_bounds()

    def loseWriteConnection(self) -> None:
        """Say goodbye behind all that was sent, and go on reading; nothing may be written then."""
        self._aggregator.flush()
        self._finishing = True
        self._finish_if_done()

    def _finish_if_done(self) -> None:
        shaken = self._handshakeDone and not self._appSendBuffer
        if self._finishing and shaken and not (self.disconnecting or self._gone):
            self._finishing = False
            self._shutdownTLS()

    @override
    def dataReceived(self, data: bytes) -> None:
        """Bytes came, perhaps the last ones of the handshake."""
        super().dataReceived(data)
        if self._finishing:
            self._finish_if_done()

    @override
    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        """The peer has said goodbye, or broke TLS: nothing more goes to it."""
        self.transport.unregisterProducer()
        super()._tlsShutdownFinished(reason)
        self._end_within_bounds()

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self._gone = True  # what Twisted still reads may be the peer's goodbye
        if self._linger is not None:
            self._linger.stop()
        super().connectionLost(reason)

    def _end_within_bounds(self) -> None:
        if self._linger is None and self.connected and not self._gone:
            # its goodbye, or its end, is not heard by who does not read
            self.transport.resumeProducing()
            self._linger = Linger(
                self.transport,
                self.factory.clock,
                GOODBYE_REPLY_S,
                self.transport.loseConnection,
                self.abortConnection,
            )


class LateTransport(SecureTransport):
    """TLS whose handshake the peer begins when it likes, and then has to finish soon."""

    _shaking: IDelayedCall | None = None

    @override
    def dataReceived(self, data: bytes) -> None:
        """Bytes came, perhaps the first ones of the handshake."""
        if self._shaking is None and not self._handshakeDone:
            self._shaking = self.factory.clock.callLater(HANDSHAKE_S, self._late)
        super().dataReceived(data)
        if self._handshakeDone:
            self._wait_no_more()

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self._wait_no_more()
        super().connectionLost(reason)

    def _late(self) -> None:
        self._shaking = None
        self.abortConnection()

    def _wait_no_more(self) -> None:
        if self._shaking is not None:
            self._shaking.cancel()
            self._shaking = None


class SecureFactory(TLSMemoryBIOFactory):
    """Puts TLS below the protocols of another factory; its parameters are those of Twisted's."""

    protocol = SecureTransport
    noisy = False

    def __init__(
        self, tls: object, is_client: bool, wrapped: IProtocolFactory, clock: IReactorTime
    ) -> None:
        super().__init__(tls, is_client, wrapped, clock)  # type: ignore[arg-type]  # any creator
        self.clock = clock


class LateFactory(SecureFactory):
    """The same, for peers that begin when they like."""

    protocol = LateTransport
