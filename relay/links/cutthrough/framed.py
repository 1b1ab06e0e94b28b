"""A WebSocket in the cut-through gear.

Payload goes straight to the partner where there is one, and to the session where there is none. All
else, texts, Closes and the peer's faults, goes to the session as from the engine of the message
gear, and means the same.
"""

from __future__ import annotations

import codecs
import functools
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import implementer

from relay.interfaces import ILink, ILinkReceiver, IStream
from relay.links.cutthrough.channel import Channel
from relay.links.cutthrough.end import FIRST_READ_BYTES
from relay.links.cutthrough.gathering import Gathering
from relay.links.cutthrough.hub import HEADROOM, Hub
from relay.links.cutthrough.sender import FrameSender
from relay.links.linger import linger_for
from relay.links.sockets import has_unsent, unsent_bytes
from relay.links.websocket.codes import PROTOCOL_ERROR, REASONS_BY_CODE, reason_of
from relay.links.websocket.engine import (
    PONG_BACKLOG_BYTES,
    PONG_HEAD_BYTES,
)
from relay.outlets import IBroadcastOutlet, IFrameOutlet, IOutlet, ISplitter, Span
from relay.vocabulary import Close, Message, Reason
from relay.wire.wsframe import (
    BINARY,
    CLOSE,
    INVALID_PAYLOAD,
    PING,
    PONG,
    TEXT,
    FrameFault,
    FrameReader,
    parse_close,
)

MASK_BYTES = 4
MANY_PIECES = 256
"""A read that has more frames than this is not to become a longer one."""


@functools.lru_cache(64)
def _shared(frame_bytes: int, message_bytes: int) -> tuple[int, int]:
    """:returns: the same pair for all links of the same limits"""
    return frame_bytes, message_bytes


@implementer(ILink, IFrameOutlet, IBroadcastOutlet)
class FrameEnd(FrameSender):
    """A socket whose bytes are frames.

    :param is_server: whether ours is the router's side: the peer masks, we do not
    :param tail: what was written before and has yet to go out
    :param received: what came behind the handshake
    """

    __slots__ = (
        "_limits",
        "_receiver",
        "gone",
        "heard",
    )

    # as on nearly every link nearly always: only one that differs has a place for it
    _early: bytes = b""
    _passes_text: bool = False
    _reader: FrameReader | None = None
    _whole: bool = False
    _utf8: bool = True
    _deaf: bool = False
    _told: bool = False
    _splitter: ISplitter | None = None
    _gathering: Gathering | None = None
    _decoder: codecs.IncrementalDecoder | None = None
    _owed_pong: bytes | None = None
    _unread_pong_bytes: int = 0

    def __init__(
        self, hub: Hub, channel: Channel, tail: bytes, is_server: bool, received: bytes
    ) -> None:
        self.heard = False
        self.gone: Callable[[Any], None] | None = None
        self._limits = _shared(0, 0)
        self._receiver: ILinkReceiver | None = None
        if received:
            self._early = received
        super().__init__(hub, channel, tail, is_server)

    # -- ILink -----------------------------------------------------------------------------------

    def limit(self, frame_bytes: int, message_bytes: int, whole: bool, utf8: bool = True) -> None:
        """Set what may arrive; 0 = no limit."""
        if utf8 != self._utf8:
            self._utf8 = utf8
        self._limits = _shared(frame_bytes, message_bytes)
        if self._reader is not None:
            self._reader.limit(frame_bytes, message_bytes)
        if whole:
            self._whole = True

    def start(self, receiver: ILinkReceiver) -> None:
        """Deliver to ``receiver``, and tell it whether there is room."""
        self._receiver = receiver
        self.read_on(True)
        if self._early or self.channel.secure:
            self.kick()

    def pause_reading(self) -> None:
        """Take nothing more from the wire."""
        if not self._told:
            self.read_on(False)

    def resume_reading(self) -> None:
        """Undo :meth:`pause_reading`."""
        self.read_on(True)

    def close(self, close: Close, goodbye_s: float | None = None) -> None:
        """Send a Close behind all that was sent; drop what still arrives; wait within bounds."""
        self._let_go_of_receiver()
        self._send_close(close)
        self._linger_on(goodbye_s)

    @override
    def abort(self) -> None:
        """Drop the connection at once."""
        self._let_go_of_receiver()
        super().abort()

    def untaken_bytes(self) -> int:
        """:returns: bytes that the peer has yet to take"""
        return unsent_bytes(self)

    def has_unsent(self) -> bool:
        """:returns: whether bytes of ours wait for the peer to take them."""
        return has_unsent(self)

    @property
    def cut(self) -> bool:
        """:returns: whether an end of the connection now is one within a message."""
        return self._reader is not None and self._reader.is_inside()

    def outlet(self) -> IOutlet:
        """:returns: this"""
        return self

    def split(self, splitter: ISplitter) -> None:
        """From now on ask ``splitter`` about what comes, before it is delivered."""
        self._splitter = splitter

    @override
    def forward(self, counted: IStream | None, outlet: IOutlet | None, text: bool = False) -> None:
        """From now on hand payload straight to ``outlet``."""
        if text != self._passes_text:
            self._passes_text = text
        super().forward(counted, outlet)

    # -- what comes ------------------------------------------------------------------------------

    @override
    def _read(self) -> None:
        early, self._early = self._early, b""
        if not early:
            super()._read()
            return
        view = self.hub.view
        size = min(len(early), len(view) - HEADROOM)
        view[HEADROOM : HEADROOM + size] = early[:size]
        self._early = early[size:]
        # the rest, and what the kernel or TLS has for us, come in turns of their own
        self.kick()
        self.received(view, HEADROOM, HEADROOM + size)

    @override
    def received(self, view: memoryview, start: int, end: int) -> None:
        """Take frames apart; runs of payload go to the outlet together."""
        self.heard = True
        reader = self._reader
        if reader is None:
            reader = self._reader = FrameReader(self._is_server, *self._limits)
        if reader.head:
            start -= len(reader.head)
            view[start : start + len(reader.head)] = reader.head
            reader.head = b""
        splitter, taker = self._splitter, None
        spans: list[Span] = []
        kind = BINARY
        pieces = 0
        try:
            while start < end and not self._deaf:
                piece = reader.take(view, start, end)
                if piece is None:
                    break
                pieces += 1
                opcode, first, start, final = piece
                claimed = None
                if splitter is not None and opcode == BINARY:
                    claimed = splitter.claim(view, first, start, final)
                if taker is not None and (claimed is None or claimed[0] is not taker):
                    taker.put(view, spans, False)
                    taker, spans = None, []
                    splitter = self._splitter  # that may have been the end of it
                if claimed is not None:
                    taker = claimed[0]
                    spans.append((claimed[1], start, True))
                    continue
                if spans and opcode != kind:
                    self._hand_on(view, spans, kind)
                    spans = []
                if self._passes(opcode):
                    kind = opcode
                    if opcode == TEXT and self._utf8:
                        self._check_text(bytes(view[first:start]), final)
                    spans.append((first, start, final))
                elif opcode == PING:
                    self._answer(reader.control)
                elif opcode == CLOSE:
                    self._peer_closes(reader.control)
                elif opcode != PONG:
                    self._deliver(opcode, bytes(view[first:start]), final)
        except FrameFault as fault:
            if taker is not None:
                taker.put(view, spans, False)
            else:
                self._hand_on(view, spans, kind)
            self._fail(fault.code, fault.detail)
            return
        if taker is not None:
            taker.put(view, spans, False)
        else:
            self._hand_on(view, spans, kind)
        if pieces > MANY_PIECES:
            self._read_bytes = FIRST_READ_BYTES  # so many take a while: others have their turn
        if self._outlet is None and self._splitter is None and not reader.is_inside():
            self._reader = None  # an idle link needs none

    def _passes(self, opcode: int) -> bool:
        """:returns: whether this goes to the outlet unread."""
        if self._outlet is None:
            return False
        return opcode == BINARY or (
            opcode == TEXT and self._passes_text and self._gathering is None
        )

    def _hand_on(self, view: memoryview, spans: Sequence[Span], kind: int) -> None:
        outlet, counted = self._outlet, self._counted
        if not spans or outlet is None or counted is None:
            return
        counted.bytes_in += sum([end - start for start, end, _ in spans])
        if not outlet.put(view, spans, kind == TEXT):
            self.block()

    def _deliver(self, opcode: int, payload: bytes, final: bool) -> None:
        """A part of a message for the session: texts are collected, and what is wanted whole."""
        if self._receiver is None:
            return
        if opcode == TEXT:
            self._check_text(payload, final)
        elif not self._whole:
            if payload or final:
                self._tell(Message(payload, False, final))
            return
        if self._gathering is None:
            self._gathering = Gathering(opcode == TEXT, self._whole)
        message = self._gathering.add(payload, final)
        if final:
            self._gathering = None
        if message is not None:
            self._tell(message)

    def _tell(self, message: Message) -> None:
        if self._receiver is not None:
            self._receiver.message_received(message)

    def _check_text(self, payload: bytes, final: bool) -> None:
        """:raises FrameFault: when it is no UTF-8, and has to be"""
        if not self._utf8:
            return
        if self._decoder is None:
            self._decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            self._decoder.decode(payload, final)
        except UnicodeDecodeError:
            raise FrameFault(INVALID_PAYLOAD, "a text that is no UTF-8") from None
        if final:
            self._decoder = None

    def _answer(self, payload: bytes) -> None:
        """Answer a Ping, unless the peer only pings and does not read."""
        if self.queued_bytes():
            self._unread_pong_bytes += len(payload) + PONG_HEAD_BYTES
        if self._unread_pong_bytes > PONG_BACKLOG_BYTES:
            self._owed_pong = payload  # only the latest is owed (RFC 6455, section 5.5.3)
        elif not self._closing:
            self._send(PONG, True, payload)

    def _peer_closes(self, payload: bytes) -> None:
        """The peer closes, or answers our Close. :raises FrameFault:"""
        close = parse_close(payload)
        first = not self._closing
        if first:
            self._send_close(close)
        self._deaf = True
        if self._is_server:
            self.lose()
        if first:
            self._tell_lost(close, reason_of(close), "")
            self._linger_on()

    @override
    def read_ended(self) -> None:
        """The peer closed the connection; after a goodbye of TLS it may still read."""
        if not self.channel.secure:
            self._lose_done()
            return
        self._tell_lost(None, Reason.LOST, Failure(ConnectionDone()).getErrorMessage().rstrip("."))
        self._closing = True
        self.lose()
        self._linger_on()

    @override
    def filled(self) -> None:
        """The session is to send no more for now."""
        if self._receiver is not None:
            self._receiver.pauseProducing()

    @override
    def drained(self) -> None:
        """All that was written is with the kernel."""
        super().drained()
        if self._unread_pong_bytes:
            self._unread_pong_bytes = 0
        owed, self._owed_pong = self._owed_pong, None
        if owed is not None:
            self._answer(owed)
        if self._full and not self.queued_bytes():
            self._full = False
            if self._receiver is not None:
                self._receiver.resumeProducing()

    # -- the end ---------------------------------------------------------------------------------

    def _fail(self, code: int, detail: str) -> None:
        """The peer broke a rule, or a limit: say so, and hear nothing more of it."""
        if self._deaf:
            return
        self._deaf = True
        reason = REASONS_BY_CODE.get(code, REASONS_BY_CODE[PROTOCOL_ERROR])
        self._send_close(Close(code, reason.value))
        self._tell_lost(None, reason, detail)
        self._linger_on()

    def _let_go_of_receiver(self) -> None:
        self._told = True
        self._receiver = self._splitter = None
        self.forward(None, None)

    def _tell_lost(self, close: Close | None, reason: Reason, detail: str) -> None:
        if self._told:
            return
        receiver = self._receiver
        self._let_go_of_receiver()
        if receiver is not None:
            receiver.link_lost(close, reason, detail)

    def _linger_on(self, goodbye_s: float | None = None) -> None:
        if self._linger is None and self.fd >= 0:
            self.read_on(True)
            self._linger = linger_for(goodbye_s, self, self.hub.reactor, self.lose, self.abort)

    @override
    def connection_lost(self, reason: Failure) -> None:
        """The connection is gone."""
        self._closing = True
        self._tell_lost(None, Reason.LOST, reason.getErrorMessage().rstrip("."))
        gone, self.gone = self.gone, None
        if gone is not None:
            gone(self)
