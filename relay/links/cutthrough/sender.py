"""What a WebSocket in the cut-through gear sends: frames of payload, and words of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence

from zope.interface import implementer

from relay.links.cutthrough.channel import Channel
from relay.links.cutthrough.end import End
from relay.links.cutthrough.hub import Hub
from relay.outlets import Buffer, IOutlet, Span
from relay.vocabulary import Close, Message
from relay.wire.wsframe import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    encode_close,
    encode_header,
    rotate,
    unmask,
)

SMALL_BYTES = 1024
"""Payload up to this size is cheaper to copy than to send in parts."""

MASK_BYTES = 4
POOL_BYTES = 4096


class MaskKeys:
    """Unpredictable keys (RFC 6455, section 5.3), fetched from the system many at a time."""

    def __init__(self) -> None:
        self._pool = b""
        self._taken = 0

    def take(self) -> bytes:
        """:returns: four bytes that were never used before"""
        if self._taken >= len(self._pool):
            self._pool, self._taken = os.urandom(POOL_BYTES), 0
        first = self._taken
        self._taken += MASK_BYTES
        return self._pool[first : self._taken]


_keys = MaskKeys()


@implementer(IOutlet)
class FrameSender(End):
    """The sending half of a WebSocket.

    :param is_server: whether ours is the router's side: the peer masks, we do not
    """

    __slots__ = ("_is_server", "_sending")

    _closing: bool = False

    def __init__(self, hub: Hub, channel: Channel, tail: bytes, is_server: bool) -> None:
        self._is_server = is_server
        self._sending = False
        super().__init__(hub, channel, tail)

    @property
    def masks(self) -> bool:
        """:returns: whether ours is the side that masks"""
        return not self._is_server

    def send_message(self, message: Message) -> None:
        """Send one message, or one part of it as a fragment."""
        if self._closing:
            return
        self._send(self._opcode(message.text, message.final), message.final, message.payload)

    def ping(self) -> None:
        """Ask for a Pong."""
        if not self._closing:
            self._send(PING, True, b"")

    def put(self, view: memoryview, spans: Sequence[Span], text: bool) -> bool:
        """Send parts of messages as frames; where we must mask, in place."""
        if self._closing:
            return True
        parts: list[Buffer] = []
        size = taken = 0
        for start, end, final in spans:
            opcode = self._opcode(text, final)
            key = b"" if self._is_server else _keys.take()
            header = encode_header(opcode, final, end - start, key)
            if key and end > start:
                unmask(view, start, end, key)
            first = start - len(header)
            if first >= taken:
                # where the header was that came, there is room for one that is no longer
                view[first:start] = header
                parts.append(view[first:end])
            else:
                parts += (header, view[start:end])
            taken = end
            size += end - first
        return self.push(parts, size)

    def put_messages(self, head: bytes, view: memoryview, spans: Sequence[Span]) -> None:
        """Send binary messages, each of them ``head`` and a span."""
        if self._closing:
            return
        if len(spans) == 1 and spans[0][1] - spans[0][0] <= SMALL_BYTES:
            self._send(BINARY, True, b"".join((head, view[spans[0][0] : spans[0][1]])))
            return
        if not self._is_server and view.readonly:
            view = memoryview(bytearray(view))
        parts: list[Buffer] = []
        size = 0
        for start, end, _ in spans:
            length = len(head) + end - start
            first = head
            key = b""
            if not self._is_server:
                key = _keys.take()
                masked = memoryview(bytearray(head))
                unmask(masked, 0, len(head), key)
                first = bytes(masked)
                unmask(view, start, end, rotate(key, len(head)))
            header = encode_header(BINARY, True, length, key) + first
            parts += (header, view[start:end])
            size += len(header) + end - start
        if not self.push(parts, size) and not self._full:
            self._full = True
            self.filled()

    def put_frames(self, parts: Sequence[Buffer]) -> None:
        """Send frames that were built before."""
        if self._closing:
            return
        if not self.push(parts, sum(map(len, parts))) and not self._full:
            self._full = True
            self.filled()

    def _opcode(self, text: bool, final: bool) -> int:
        """:returns: the opcode of the next part of a message"""
        begun, self._sending = self._sending, not final
        return CONTINUATION if begun else TEXT if text else BINARY

    def _send(self, opcode: int, final: bool, payload: bytes) -> None:
        key = b"" if self._is_server else _keys.take()
        header = encode_header(opcode, final, len(payload), key)
        parts: list[Buffer] = [header]
        if payload:
            body: Buffer = payload
            if key:
                body = memoryview(bytearray(payload))
                unmask(body, 0, len(payload), key)
            if len(payload) <= SMALL_BYTES:
                parts = [b"".join((header, body))]
            else:
                parts.append(body)
        if not self.push(parts, len(header) + len(payload)) and not self._full:
            self._full = True
            self.filled()

    def _send_close(self, close: Close) -> None:
        if not self._closing:
            self._send(CLOSE, True, encode_close(close))
            self._closing = True

    def filled(self) -> None:
        """What was sent last is not with the kernel: whoever sends is to pause."""
        raise NotImplementedError
