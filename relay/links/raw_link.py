"""A TCP connection as a link, where a dialect has no frames: its bytes are one endless message.

With TLS or without, accepted or made by us. It leaves Twisted as soon as that can be, so that two
of them that are joined are spliced.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import implementer

from relay.interfaces import IByteLink, ILinkReceiver, IStream
from relay.links.byte_socket import ByteSocket
from relay.links.cutthrough import Hub, RawEnd
from relay.links.linger import CLOSE_REPLY_S, STALL_S
from relay.links.local_peer import far_end_has_closed
from relay.links.sockets import (
    RAW_KEEPALIVE,
    has_ended,
    has_failed,
    has_unsent,
    tune,
    unread_bytes,
    unsent_bytes,
)
from relay.outlets import IOutlet
from relay.vocabulary import Close, Message, Reason

LOOK_S = 1.0
"""How often a connection that Twisted does not read is looked at: it would not tell of a reset."""

_END = Message(b"", final=True)
_NO_PAYLOAD = Message(b"", final=False)


@implementer(IByteLink, IHalfCloseableProtocol, IPushProducer)
class RawLink(ByteSocket):
    """One connection; nothing of it is read before :meth:`start`.

    :param clock: the reactor
    :param hub: of the cut-through gear; None: do without
    :param ready: called once connected
    :ivar gone: called with the link once the connection is gone
    :ivar cut: whether it ended otherwise than in order
    """

    def __init__(
        self,
        clock: IReactorTime,
        hub: Hub | None,
        ready: Callable[[RawLink], None] = lambda _: None,
    ) -> None:
        super().__init__(clock, hub)
        self.cut = False
        self.gone: Callable[[RawLink], None] | None = None
        self._ready = ready
        self._receiver: ILinkReceiver | None = None
        self._early = b""
        self._lost: Failure | None = None
        self._closing = False
        self._finished = False
        self._paused = True
        self._full = False
        self._looking: IDelayedCall | None = None
        self._heard = False
        self._counted: IStream | None = None
        self._seen_bytes = 0

    # -- Twisted ---------------------------------------------------------------------------------

    @override
    def connectionMade(self) -> None:
        """Connected."""
        tune(self.transport, RAW_KEEPALIVE)
        self.transport.pauseProducing()
        self._ready(self)

    @override
    def dataReceived(self, data: bytes) -> None:
        """Bytes came."""
        self._heard = True
        self._leave_twisted()
        if self._receiver is not None:
            self._receiver.message_received(Message(data, final=False))
        elif not self._closing:
            self._early += data  # that came along with the end of a TLS handshake

    def readConnectionLost(self) -> None:
        """The peer sends no more."""
        if self._closing:
            self._read_over = True
            self.transport.loseConnection()
        elif not self._read_over:
            self._read_over = True
            self._look_on()
            if self._receiver is not None:
                self._receiver.message_received(_END)

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self._lost = reason
        self._linger_no_more()
        self._look_no_more()
        if self._receiver is not None:
            self._tell_lost()
        gone, self.gone = self.gone, None
        if gone is not None:
            gone(self)

    def pauseProducing(self) -> None:
        """The peer does not take what is sent."""
        self._full = True
        if self._receiver is not None:
            self._receiver.pauseProducing()

    def resumeProducing(self) -> None:
        """It takes more again."""
        self._full = False
        if self._receiver is not None:
            self._receiver.resumeProducing()

    # -- ILink -----------------------------------------------------------------------------------

    @property
    def heard(self) -> bool:
        """:returns: whether bytes came since it was last set to False"""
        counted = self._counted
        return self._heard or (counted is not None and counted.bytes_in != self._seen_bytes)

    @heard.setter
    def heard(self, heard: bool) -> None:
        self._heard = heard
        self._seen_bytes = 0 if self._counted is None else self._counted.bytes_in

    def start(self, receiver: ILinkReceiver) -> None:
        """Read, and deliver to ``receiver``."""
        self._receiver = receiver
        if self._lost is not None:
            self._clock.callLater(0, self._tell_lost)
            return
        self._leave_twisted()
        if not self._is_shifted():
            self.transport.registerProducer(self, True)
        if self._early:
            self._clock.callLater(0, self._deliver_early)
        else:
            self.resume_reading()

    def send_message(self, message: Message) -> None:
        """Send bytes; an empty final message half-closes behind all that was sent."""
        if self._closing or self._finished or self._lost is not None:
            return
        if message.payload:
            self.transport.write(message.payload)
        elif message.final:
            self._finished = True
            self._stop_producing()
            self._half_close()
            if self._full:
                self.resumeProducing()  # nobody is to wait who has nothing more to send

    def pause_reading(self) -> None:
        """Take nothing more."""
        self._paused = True
        if self._can_read():
            self.transport.pauseProducing()
            self._look_on()

    def resume_reading(self) -> None:
        """Undo :meth:`pause_reading`."""
        self._paused = False
        if self._can_read():
            self._look_no_more()
            self.transport.resumeProducing()

    def ping(self) -> None:
        """Nothing can be asked here but by the kernel, which does by itself."""

    def close(self, close: Close, goodbye_s: float | None = None) -> None:
        """Send all that was sent, then the end; wait within bounds.

        :param close: has no way to say anything
        """
        if self._let_go_of_receiver():
            reply_s = CLOSE_REPLY_S if goodbye_s is None else goodbye_s
            self._end_in_order(reply_s, STALL_S if goodbye_s is None else goodbye_s)

    def abort(self) -> None:
        """End by a reset, which the peer sees."""
        self._let_go_of_receiver()
        if self._lost is None:
            self._abort()

    def untaken_bytes(self) -> int:
        """:returns: bytes that the peer has yet to take"""
        return unsent_bytes(self.transport)

    def has_unsent(self) -> bool:
        """:returns: whether bytes of ours wait for the peer to take them"""
        return has_unsent(self.transport)

    def outlet(self) -> IOutlet | None:
        """:returns: our socket, in the cut-through gear"""
        return self.transport if self._is_shifted() else None

    def forward(self, counted: IStream | None, outlet: IOutlet | None, text: bool = False) -> None:
        """From now on hand what comes straight to ``outlet``, where that can be."""
        if isinstance(self.transport, RawEnd):
            heard, self._counted = self.heard, counted
            self.heard = heard
            self.transport.forward(counted, outlet)

    def is_blocked(self) -> bool:
        """:returns: whether it does not read because its outlet has no room"""
        return isinstance(self.transport, RawEnd) and self.transport.is_blocked()

    def has_left(self) -> bool | None:
        """:returns: whether the peer has closed for good, rather than half-closed"""
        return far_end_has_closed(self.transport) if self._read_over else None

    # -- inside ----------------------------------------------------------------------------------

    def _can_read(self) -> bool:
        return not (self._closing or self._read_over) and self._lost is None

    def _leave_twisted(self) -> None:
        """Leave Twisted's transport, for which a TLS handshake has to be over."""
        if self._hub is None or self._receiver is None:
            return
        self._shift()
        if not isinstance(self.transport, RawEnd):
            return
        self._hub = None
        self._look_no_more()
        self.transport.tell_of_ends()
        self._full, was_full = False, self._full
        self.transport.registerProducer(self, True)
        if was_full and not self._full:
            self.resumeProducing()
        if not self._paused:
            self.transport.resumeProducing()

    def _deliver_early(self) -> None:
        early, self._early = self._early, b""
        if self._receiver is not None:
            self._receiver.message_received(Message(early, final=False))
        self.resume_reading()

    def _look_on(self) -> None:
        """Where nothing is read the kernel is asked how it goes; the cut-through gear hears it."""
        if self._looking is None and not self._is_shifted():
            self._looking = self._clock.callLater(LOOK_S, self._look)

    def _look_no_more(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _look(self) -> None:
        self._looking = None
        if has_failed(self.transport):
            self._abort()
            return
        self._look_on()
        if self._read_over or hasattr(self.transport, "getPeerCertificate"):
            return
        # in this order: behind a FIN nothing comes, so what is not there now never will be
        if has_ended(self.transport) and not unread_bytes(self.transport):
            self.readConnectionLost()

    def _let_go_of_receiver(self) -> bool:
        """:returns: whether there is a connection to be ended"""
        first, self._closing = not self._closing, True
        self._early = b""
        self._look_no_more()
        receiver, self._receiver = self._receiver, None
        if receiver is not None and self._lost is None:
            self._stop_producing()
            self.forward(None, None)
        return first and self._lost is None

    def _tell_lost(self) -> None:
        receiver, lost = self._receiver, self._lost
        self._receiver, self._closing = None, True
        if receiver is None or lost is None:
            return
        in_order = bool(lost.check(ConnectionDone))
        self.cut = not in_order
        reason = Reason.PEER_CLOSED if in_order else Reason.LOST
        receiver.link_lost(None, reason, lost.getErrorMessage().rstrip("."))


@implementer(IHandshakeListener)
class ServedRawLink(RawLink):
    """One on which it is we who serve TLS, and whose handshake is still to come.

    A class of its own, since an endpoint of Twisted passes on the last of several such interfaces
    alone (seen): a listener for handshakes would never hear of a half-close.

    That the peer has begun a handshake it tells by a part without payload, and its end by another:
    who waits for callers on many links needs to know that one has come, whatever becomes of it.
    """

    _begun = False

    def handshake_begins(self) -> None:
        """Octets came, the first ones or not."""
        if not self._begun:
            self._begun = True
            self._tell_of_handshake()

    def handshakeCompleted(self) -> None:
        """TLS stands."""
        self._leave_twisted()
        self._tell_of_handshake()

    def _tell_of_handshake(self) -> None:
        if self._receiver is not None:
            self._receiver.message_received(_NO_PAYLOAD)


class RawFactory(Factory):
    """Makes raw links; the parameters are theirs.

    :param serves_tls: whether we serve TLS on them
    """

    noisy = False

    def __init__(
        self,
        clock: IReactorTime,
        hub: Hub | None,
        ready: Callable[[RawLink], None] = lambda _: None,
        serves_tls: bool = False,
    ) -> None:
        self._clock = clock
        self._hub = hub
        self._ready = ready
        self._makes = ServedRawLink if serves_tls else RawLink

    @override
    def buildProtocol(self, addr: IAddress | None) -> RawLink:
        """A connection was made or accepted."""
        return self._makes(self._clock, self._hub, self._ready)
