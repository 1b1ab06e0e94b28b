"""autobahn's WebSocket engine as a link, on either side of a connection.

What autobahn does here: the handshake, frames, masks and the close handshake. What it does not do:
timers (its own drop healthy peers that we do not read), size limits that answer in our words,
collecting messages that nobody reads whole, logging.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from autobahn.websocket.protocol import WebSocketProtocol
from autobahn.websocket.utf8validator import Utf8Validator
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import implementer

from relay.interfaces import ILink, ILinkReceiver, IStream
from relay.links.linger import CLOSE_REPLY_S, Linger, linger_for
from relay.links.sockets import has_unsent, unsent_bytes
from relay.links.websocket.codes import MESSAGE_TOO_BIG, PROTOCOL_ERROR, REASONS_BY_CODE, reason_of
from relay.links.websocket.rest import AT_REST, HANDSHAKE
from relay.outlets import IOutlet
from relay.vocabulary import Close, Message, Reason

PART_BYTES = 256 * 1024
"""A longer message is handed on in parts."""


PONG_BACKLOG_BYTES = 256 * 1024
"""A burst of pings is answered ping by ping, up to so many bytes that wait for their reader."""

PONG_HEAD_BYTES = 2


class _Silence:
    """autobahn's logger, unheard: sessions and daemons log what matters, in our words."""

    def _say(self, *_: object, **__: object) -> None:
        return

    trace = debug = info = warn = warning = error = critical = failure = _say


class _Unheard:
    """Stands in for autobahn's Deferreds of a link's begin and end, for which nobody waits."""

    def callback(self, result: object) -> None:
        """It has come."""


@implementer(ILink, IPushProducer)
class WebSocketLink(WebSocketProtocol):
    """What both sides share; mixed into autobahn's server and client protocols.

    :ivar clock: for the bounded waits at the end
    :ivar gone: called with the link once the connection is gone
    :ivar max_frame_bytes: a longer frame ends the link
    :ivar max_message_bytes: a longer message ends it
    :ivar utf8: whether a text that is no UTF-8 ends the link
    :ivar whole: whether messages are collected before they are handed on
    """

    log = _Silence()
    transport: Any  # TCP or TLS: Twisted has no one interface for all that is needed of both
    clock: IReactorTime
    max_frame_bytes: int = 0
    max_message_bytes: int = 0
    whole: bool = False
    utf8: bool = True
    heard: bool = False
    cut: bool = False
    peer: str = ""  # which autobahn names in what it logs
    gone: Callable[[Any], None] | None = None
    _receiver: ILinkReceiver | None = None
    _told: bool = False
    _sending: bool = False
    _failed: bool = False
    _linger: Linger | None = None
    _paused: bool = False
    _full: bool = False
    _owed_pong: bytes | None = None
    _unread_pong_bytes: int = 0
    # what autobahn makes for each link; see forget_handshake
    is_open: Any = _Unheard()
    is_closed: Any = _Unheard()
    send_queue: Any = ()
    utf8validator: Any = cached_property(lambda _: Utf8Validator())

    # -- ILink -----------------------------------------------------------------------------------

    def limit(self, frame_bytes: int, message_bytes: int, whole: bool, utf8: bool = True) -> None:
        """Set what may arrive; 0 = no limit."""
        if utf8 != self.utf8:
            self.utf8 = self.utf8validateIncoming = utf8
        self.max_frame_bytes = frame_bytes
        self.max_message_bytes = message_bytes
        self.whole = whole

    def start(self, receiver: ILinkReceiver) -> None:
        """Deliver to ``receiver`` and let it feel the send buffer."""
        self._receiver = receiver
        self.transport.registerProducer(self, True)

    def send_message(self, message: Message) -> None:
        """Send one message, or one part of it as a fragment."""
        if self.state != WebSocketProtocol.STATE_OPEN:
            return
        opcode = 0 if self._sending else 1 if message.text else 2
        self._sending = not message.final
        self.sendFrame(opcode=opcode, payload=message.payload, fin=message.final)

    def pause_reading(self) -> None:
        """Take nothing more from the wire."""
        if not self._paused and self.state != WebSocketProtocol.STATE_CLOSED:
            self._paused = True
            self.transport.pauseProducing()

    def resume_reading(self) -> None:
        """Undo :meth:`pause_reading`."""
        if self._paused and self.state != WebSocketProtocol.STATE_CLOSED:
            self._paused = False
            self.transport.resumeProducing()

    def ping(self) -> None:
        """Ask for a Pong."""
        if self.state == WebSocketProtocol.STATE_OPEN:
            self.sendFrame(opcode=9)

    def close(self, close: Close, goodbye_s: float | None = None) -> None:
        """Send a Close behind all that was sent; drop what still arrives; wait within bounds."""
        self._let_go_of_receiver()
        if self.state == WebSocketProtocol.STATE_OPEN:
            reason = close.text.encode()[:123] if close.text else None
            self.sendCloseFrame(close.code, reason if close.code is not None else None)
        self._linger_on(goodbye_s)

    def abort(self) -> None:
        """Drop the connection at once."""
        self._let_go_of_receiver()
        self.dropConnection(abort=True)

    def untaken_bytes(self) -> int:
        """:returns: bytes that the peer has yet to take"""
        return unsent_bytes(self.transport)

    def has_unsent(self) -> bool:
        """:returns: whether bytes of ours wait for the peer to take them."""
        return has_unsent(self.transport)

    def outlet(self) -> None:
        """:returns: None; payload passes through :meth:`send_message`"""

    def forward(self, counted: IStream | None, outlet: IOutlet | None, text: bool = False) -> None:
        """Payload goes to the receiver all the same."""

    def is_blocked(self) -> bool:
        """:returns: False"""
        return False

    # -- IPushProducer ---------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """The send buffer is full."""
        self._full = True
        if self._receiver is not None:
            self._receiver.pauseProducing()

    def resumeProducing(self) -> None:
        """The send buffer is empty."""
        self._full = False
        self._unread_pong_bytes = 0
        owed, self._owed_pong = self._owed_pong, None
        if owed is not None:
            self._onPing(owed)
        if self._receiver is not None and not self._full:
            self._receiver.resumeProducing()

    def stopProducing(self) -> None:
        """The connection goes; ``connectionLost`` follows."""

    # -- autobahn's hooks ------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Feed autobahn, without its logging."""
        self.heard = True
        if not self._failed:
            self._dataReceived(data)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Send one frame, which is never sent in pieces here.

        autobahn would colour three words for its own log each time, whether it logs or not.
        """
        self.transport.write(data)

    def _onOpen(self) -> None:
        self.forget_handshake()
        self.onOpen()

    def _onMessageBegin(self, isBinary: bool) -> None:
        self._text = not isBinary
        self._parts: list[bytes] = []
        self._held_bytes = 0
        self._message_bytes = 0

    def _onMessageFrameBegin(self, length: int) -> None:
        self._message_bytes += length
        if self.max_frame_bytes and length > self.max_frame_bytes:
            self._fail(
                MESSAGE_TOO_BIG, f"a frame of {length} bytes, {self.max_frame_bytes} are allowed"
            )
        elif self.max_message_bytes and self._message_bytes > self.max_message_bytes:
            self._fail(
                MESSAGE_TOO_BIG,
                f"a message over {self.max_message_bytes} bytes",
            )

    def _onMessageFrameData(self, payload: bytes) -> None:
        self._parts.append(payload)
        self._held_bytes += len(payload)
        if self._held_bytes > PART_BYTES and not self.whole:
            self._hand_on(final=False)

    def _onMessageFrameEnd(self) -> None:
        """Frames of one message are handed on together."""

    def _onMessageEnd(self) -> None:
        self._hand_on(final=True)

    def _hand_on(self, final: bool) -> None:
        parts, self._parts, self._held_bytes = self._parts, [], 0
        if self._receiver is not None:
            payload = parts[0] if len(parts) == 1 else b"".join(parts)
            self._receiver.message_received(Message(payload, self._text, final))

    def _onPing(self, payload: bytes) -> None:
        if self._full:
            self._unread_pong_bytes += len(payload) + PONG_HEAD_BYTES
        if self._unread_pong_bytes > PONG_BACKLOG_BYTES:
            # who pings and does not read must not fill our memory with answers, of which only the
            # latest is owed (RFC 6455, section 5.5.3)
            self._owed_pong = payload
        elif self.state == WebSocketProtocol.STATE_OPEN:
            self.sendFrame(opcode=10, payload=payload)

    def _onPong(self, payload: bytes) -> None:
        """Any byte counts as a sign of life; a Pong means nothing more."""

    @override
    def onCloseFrame(self, code: Any, reasonRaw: Any) -> bool | None:  # autobahn passes None, too
        """The peer closes, or answers our Close."""
        first = self.state == WebSocketProtocol.STATE_OPEN
        stop: bool | None = super().onCloseFrame(code, reasonRaw)
        if first and not self._failed:
            close = Close(self.remoteCloseCode, self.remoteCloseReason or "")
            self._tell_lost(close, reason_of(close), "")
            self._linger_on()
        return stop

    def _fail_connection(self, code: int = PROTOCOL_ERROR, reason: str = "") -> None:
        self._fail(code, reason)

    def _fail(self, code: int, detail: str) -> None:
        """The peer broke a rule of RFC 6455, or a limit: say so, and hear nothing more of it."""
        if self._failed:
            return
        self._failed = True
        reason = REASONS_BY_CODE.get(code, Reason.PROTOCOL_ERROR)
        if self.state == WebSocketProtocol.STATE_OPEN:
            self.sendCloseFrame(code, reason.value.encode())
        self._tell_lost(None, reason, detail)
        self._linger_on()

    def _closeConnection(self, abort: bool = False) -> None:
        # A server drops hard once its Close was answered; the answer says that the peer has read
        # it all, and an orderly end is what the Rust programs wait for.
        if abort and not self.wasClean:
            self.transport.abortConnection()
            return
        self.transport.loseConnection()
        if self._linger is None:
            hard = self.transport.abortConnection
            self._linger = Linger(self.transport, self.clock, CLOSE_REPLY_S, hard, hard)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        if self._linger is not None:
            self._linger.stop()
            self._linger = None
        self.cut = bool(self.inside_message or self.current_frame is not None or self.data)
        self._connectionLost(reason)  # type: ignore[arg-type]  # a Failure, whatever it says
        self._tell_lost(None, Reason.LOST, reason.getErrorMessage().rstrip("."))
        if self.gone is not None:
            self.gone(self)

    def _onClose(self, wasClean: bool, code: int, reason: str) -> None:
        """Sessions hear of the end through ``link_lost``."""

    # -- the end ---------------------------------------------------------------------------------

    def _let_go_of_receiver(self) -> None:
        self._told = True
        if self._receiver is not None:
            self._receiver = None
            self.transport.unregisterProducer()

    def _tell_lost(self, close: Close | None, reason: Reason, detail: str) -> None:
        if self._told:
            return
        receiver = self._receiver
        self._let_go_of_receiver()
        if receiver is not None:
            receiver.link_lost(close, reason, detail)

    def _linger_on(self, goodbye_s: float | None = None) -> None:
        if self._linger is None and self.state != WebSocketProtocol.STATE_CLOSED:
            self.resume_reading()
            self._linger = linger_for(
                goodbye_s, self.transport, self.clock, self._release, self._abort_tail
            )

    def _release(self) -> None:
        self.wasClean = True
        self.dropConnection(abort=False)

    def _abort_tail(self) -> None:
        self.wasClean = False
        self.dropConnection(abort=True)

    def let_go(self) -> None:
        """Another has taken the connection over, with all that came behind the handshake."""
        self.data = b""
        self.state = WebSocketProtocol.STATE_CLOSED
        self.transport = self._receiver = self.gone = None

    def forget_handshake(self) -> None:
        """Thousands of idle links: keep nothing of the handshake, nor what is as on every other."""
        self.__dict__ = {
            name: value
            for name, value in self.__dict__.items()
            if name not in HANDSHAKE and (name not in AT_REST or value != AT_REST[name])
        }


for _name, _value in AT_REST.items():
    setattr(WebSocketLink, _name, _value)


def quieten(factory: Any) -> None:  # autobahn has no types
    """Switch off what autobahn would do by itself."""
    factory.setProtocolOptions(
        failByDrop=True,
        echoCloseCodeReason=True,
        openHandshakeTimeout=0,
        closeHandshakeTimeout=0,
        autoPingInterval=0,
        tcpNoDelay=True,
        maxFramePayloadSize=0,
        maxMessagePayloadSize=0,
    )


def share_options(
    factory: Any, protocol: type, names: Sequence[str]
) -> None:  # autobahn has no types
    """Put the options on the class: autobahn would copy thirty of them into every connection, and
    print them for a log that nobody keeps.
    """
    for name in names:
        value = getattr(factory, name)
        # a function must not become a method
        setattr(protocol, name, staticmethod(value) if callable(value) else value)
    protocol.CONFIG_ATTRS = ()  # type: ignore[attr-defined]  # autobahn has no types
