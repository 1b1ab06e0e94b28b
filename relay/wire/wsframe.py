"""Frames of the WebSocket protocol (RFC 6455, section 5.2): headers, masks, Closes.

What the cut-through gear needs instead of an engine: bytes are looked at where they lie, payload is
unmasked in place, and nothing is copied but what must wait.
"""

from __future__ import annotations

import struct
from typing import Any

from relay.vocabulary import Close

CONTINUATION = 0
TEXT = 1
BINARY = 2
CLOSE = 8
PING = 9
PONG = 10
CONTROL = 8
"""The first opcode of control frames."""

FIN = 0x80
MASKED = 0x80
WHOLE_BINARY = FIN | BINARY

PROTOCOL_ERROR = 1002
INVALID_PAYLOAD = 1007
MESSAGE_TOO_BIG = 1009

HEADER_BYTES = 14
"""The longest header: two bytes, a length of eight, a mask of four."""

CONTROL_BYTES = 125
SHORT_LENGTH = 126
"""Below it a length stands in the second byte; this value there means: in the next two bytes."""

LONG_LENGTH = 127
"""In the next eight bytes."""

MAX_LENGTH = 2**63 - 1

CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013))
"""The codes below 3000 that may stand in a Close."""

NATIVE_FROM_BYTES = 1024
"""From here on the call into native code is cheaper than Python's integers."""


class FrameFault(Exception):
    """The peer broke a rule, or a limit.

    :ivar code: of the Close that says so
    :ivar detail: one sentence for the log
    """

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def _load_native() -> tuple[Any, Any]:  # cffi has no types
    try:
        import _nvx_xormasker
    except ImportError:  # relay/nvx.py has warned
        return None, None
    return _nvx_xormasker.ffi, _nvx_xormasker.lib


_ffi, _lib = _load_native()


def unmask(buffer: memoryview, start: int, end: int, key: bytes) -> None:
    """XOR ``buffer[start:end]`` with the repeated key, in place; masking is the same.

    :param key: four bytes, the first for ``buffer[start]``
    """
    length = end - start
    if length < NATIVE_FROM_BYTES or _lib is None:
        mask = int.from_bytes((key * (length // 4 + 1))[:length], "little")
        value = int.from_bytes(buffer[start:end], "little") ^ mask
        buffer[start:end] = value.to_bytes(length, "little")
        return
    masker = _lib.nvx_xormask_new(key)
    try:
        _lib.nvx_xormask_process(masker, _ffi.from_buffer("uint8_t[]", buffer) + start, length)
    finally:
        _lib.nvx_xormask_free(masker)


def rotate(key: bytes, count: int) -> bytes:
    """:returns: the key for what follows ``count`` bytes."""
    turn = count & 3
    return key[turn:] + key[:turn]


def encode_header(opcode: int, final: bool, length: int, key: bytes = b"") -> bytes:
    """:returns: the header of a frame.

    :param length: of the payload, in bytes
    :param key: four bytes, or none for a frame that is not masked
    """
    first = opcode | FIN if final else opcode
    masked = MASKED if key else 0
    if length < SHORT_LENGTH:
        return bytes((first, masked | length)) + key
    if length < 0x10000:
        return struct.pack("!BBH", first, masked | SHORT_LENGTH, length) + key
    return struct.pack("!BBQ", first, masked | LONG_LENGTH, length) + key


def encode_close(close: Close) -> bytes:
    """:returns: the payload of a Close; a text that is too long is cut at a character."""
    if close.code is None:
        return b""
    text = close.text.encode()[: CONTROL_BYTES - 2].decode("utf-8", "ignore")
    return close.code.to_bytes(2, "big") + text.encode()


def parse_close(payload: bytes) -> Close:
    """:raises FrameFault: for a code that must not be sent, or a text that is none."""
    if not payload:
        return Close(None, "")
    code = int.from_bytes(payload[:2], "big")
    if code < 1000 or code >= 5000 or (code < 3000 and code not in CLOSE_CODES):
        raise FrameFault(PROTOCOL_ERROR, f"invalid close code {code}")
    try:
        return Close(code, payload[2:].decode())
    except UnicodeDecodeError:
        raise FrameFault(INVALID_PAYLOAD, "invalid close reason (non-UTF8 payload)") from None


Piece = tuple[int, int, int, bool]
"""Opcode (TEXT or BINARY for every part of a message), where its payload starts and ends in the
buffer, and whether the message, or the control frame, is over with it."""


class FrameReader:
    """Takes what one side of a link sends apart.

    :param masked: whether its frames must be masked, or must not
    :param max_frame_bytes: a longer data frame is a fault; 0 = no limit
    :param max_message_bytes: a longer message is one
    :ivar head: the bytes of a header that is not whole; they belong before the next bytes
    :ivar control: the payload of the last control frame
    """

    __slots__ = (
        "_final",
        "_key",
        "_left",
        "_masked",
        "_max_frame_bytes",
        "_max_message_bytes",
        "_message",
        "_message_bytes",
        "_opcode",
        "control",
        "head",
    )

    def __init__(self, masked: bool, max_frame_bytes: int = 0, max_message_bytes: int = 0) -> None:
        self.limit(max_frame_bytes, max_message_bytes)
        self.head = b""
        self.control = b""
        self._masked = masked
        self._opcode: int | None = None
        self._message: int | None = None
        self._message_bytes = 0
        self._final = False
        self._left = 0
        self._key = b""

    def limit(self, max_frame_bytes: int, max_message_bytes: int) -> None:
        """Set what frames from the next one on may have; 0 = no limit."""
        self._max_frame_bytes = max_frame_bytes
        self._max_message_bytes = max_message_bytes

    def is_inside(self) -> bool:
        """:returns: whether an end of the connection now would cut a frame or a message."""
        return self._opcode is not None or self._message is not None or bool(self.head)

    def take(self, buffer: memoryview, start: int, end: int) -> Piece | None:
        """Take one piece out of ``buffer[start:end]``; its payload is unmasked where it lies.

        The next piece begins where this one ends.

        :returns: None when all bytes are taken, :attr:`head` included
        :raises FrameFault:
        """
        if self._opcode is None:
            start = self._take_header(buffer, start, end)
            if start < 0:
                return None
        opcode = self._opcode
        assert opcode is not None
        stop = min(end, start + self._left)
        length = stop - start
        if not length and self._left:
            return None
        if self._key and length:
            unmask(buffer, start, stop, self._key)
        self._left -= length
        over = not self._left
        if over:
            self._opcode = None
        elif self._key:
            self._key = rotate(self._key, length)
        if opcode >= CONTROL:
            self.control += bytes(buffer[start:stop])
            return (opcode, start, stop, True) if over else None
        kind = self._message
        assert kind is not None
        final = over and self._final
        if final:
            self._message = None
        return kind, start, stop, final

    def _take_header(self, buffer: memoryview, start: int, end: int) -> int:
        """:returns: where the payload begins; -1: the header is not whole."""
        have = end - start
        if have < 2:
            self.head = bytes(buffer[start:end])
            return -1
        first, second = buffer[start], buffer[start + 1]
        if first != WHOLE_BINARY or second >> 7 != self._masked or self._message is not None:
            self._check(first, second)
        length = second & 0x7F
        size = 2 if length < SHORT_LENGTH else 4 if length == SHORT_LENGTH else 10
        if self._masked:
            size += 4
        if have < size:
            self.head = bytes(buffer[start:end])
            return -1
        if length == SHORT_LENGTH:
            length = int.from_bytes(buffer[start + 2 : start + 4], "big")
            shortest = SHORT_LENGTH
        elif length == LONG_LENGTH:
            length = int.from_bytes(buffer[start + 2 : start + 10], "big")
            shortest = 0x10000
        else:
            shortest = 0
        if length > MAX_LENGTH:
            raise FrameFault(PROTOCOL_ERROR, "invalid data frame length (>2^63)")
        if length < shortest:
            raise FrameFault(
                PROTOCOL_ERROR, "invalid data frame length (not using minimal length encoding)"
            )
        start += size
        self._key = bytes(buffer[start - 4 : start]) if self._masked else b""
        self._left = length
        self._final = bool(first & FIN)
        self._opcode = first & 0x0F
        if self._opcode >= CONTROL:
            self.control = b""
        else:
            self._begin_frame(self._opcode, length)
        return start

    def _begin_frame(self, opcode: int, length: int) -> None:
        if opcode:
            self._message = opcode
            self._message_bytes = 0
        self._message_bytes += length
        if self._max_frame_bytes and length > self._max_frame_bytes:
            raise FrameFault(
                MESSAGE_TOO_BIG,
                f"a frame of {length} bytes, {self._max_frame_bytes} are allowed",
            )
        if self._max_message_bytes and self._message_bytes > self._max_message_bytes:
            raise FrameFault(MESSAGE_TOO_BIG, f"a message over {self._max_message_bytes} bytes")

    def _check(self, first: int, second: int) -> None:
        """Judge the first two bytes of a header. :raises FrameFault:"""
        opcode = first & 0x0F
        fault = ""
        if first & 0x70:
            fault = f"RSV = {(first & 0x70) >> 4} and no extension negotiated"
        elif self._masked and not second & MASKED:
            fault = "unmasked client-to-server frame"
        elif not self._masked and second & MASKED:
            fault = "masked server-to-client frame"
        elif opcode >= CONTROL:
            length = second & 0x7F
            if not first & FIN:
                fault = "fragmented control frame"
            elif length > CONTROL_BYTES:
                fault = "control frame with payload length > 125 octets"
            elif opcode > PONG:
                fault = f"control frame using reserved opcode {opcode}"
            elif opcode == CLOSE and length == 1:
                fault = "received close control frame with payload len 1"
        elif opcode > BINARY:
            fault = f"data frame using reserved opcode {opcode}"
        elif opcode == CONTINUATION and self._message is None:
            fault = "received continuation data frame outside fragmented message"
        elif opcode != CONTINUATION and self._message is not None:
            fault = "received non-continuation data frame while inside fragmented message"
        if fault:
            raise FrameFault(PROTOCOL_ERROR, fault)
