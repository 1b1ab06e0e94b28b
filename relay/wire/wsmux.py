"""wsmux, the multiplexer of websocktunnel: many streams with credit on one WebSocket.

Each frame is one binary message of its own (specification, sections 7.1 and 7.2).

Payload: type (1 byte), stream (unsigned, 4 bytes, little-endian), body. Types: 0 DAT (bytes of the
stream), 1 SYN (no body), 2 ACK (unsigned, 4 bytes, little-endian: so many further bytes may be
sent), 3 FIN (no body).
"""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

from relay.errors import ProtocolError, TooLarge
from relay.vocabulary import Message

STREAM_IDS = 2**32
"""Stream ids are below this."""

WINDOW_BYTES = 4 * 1024 * 1024
"""What a current peer of the original takes of each stream, and believes that we take."""

_HEAD = struct.Struct("<BI")
_ACK = struct.Struct("<BII")
_AMOUNT = struct.Struct("<I")

MESSAGE_BYTES = WINDOW_BYTES + _HEAD.size
"""Longest message: credit bounds payload, and nobody may grant more."""


class Kind(enum.IntEnum):
    """What a frame says."""

    DAT = 0
    SYN = 1
    ACK = 2
    FIN = 3


_KINDS = tuple(Kind)
_BODY_BYTES = {Kind.SYN: 0, Kind.ACK: _AMOUNT.size, Kind.FIN: 0}


class Frame(NamedTuple):
    """One frame, or one piece of a DAT.

    :ivar stream: 0 to 2**32-1
    :ivar payload: of a DAT; never empty
    :ivar amount: of an ACK, 0 to 2**32-1
    """

    kind: Kind
    stream: int
    payload: bytes = b""
    amount: int = 0


def encode_dat(stream: int, payload: bytes) -> bytes:
    """:param payload: must not be empty: an original breaks on that (section 7.10)"""
    return _HEAD.pack(Kind.DAT, stream) + payload


def encode_dat_head(stream: int) -> bytes:
    """:returns: what stands before the payload of a DAT"""
    return _HEAD.pack(Kind.DAT, stream)


def encode_syn(stream: int) -> bytes:
    """Ask for a stream."""
    return _HEAD.pack(Kind.SYN, stream)


def encode_ack(stream: int, amount: int) -> bytes:
    """:param amount: so many further bytes may be sent, 0 to 2**32-1"""
    return _ACK.pack(Kind.ACK, stream, amount)


def encode_fin(stream: int) -> bytes:
    """Say that no more payload follows."""
    return _HEAD.pack(Kind.FIN, stream)


class FrameReader:
    """Reads frames from messages, which may come in parts; payload is handed on as it comes."""

    __slots__ = ("_bytes", "_kind", "_start", "_stream")

    def __init__(self) -> None:
        self._kind: Kind | None = None
        self._stream = 0
        self._start = b""
        self._bytes = 0

    def payload_at(self, view: memoryview, start: int, end: int) -> tuple[int, int] | None:
        """Look at the part of a message that comes next.

        :returns: whose payload it is, and where that begins; None: it has to be fed
        """
        if self._kind is Kind.DAT:
            return self._stream, start
        if self._kind is not None or self._start or end - start <= _HEAD.size:
            return None
        code, stream = _HEAD.unpack_from(view, start)
        return (stream, start + _HEAD.size) if code == Kind.DAT else None

    def passed(self, stream: int, amount: int, final: bool) -> None:
        """That part is not fed.

        :raises TooLarge: when its message is longer than it may be
        """
        self._bytes += amount
        if self._bytes > MESSAGE_BYTES:
            raise TooLarge(f"a message over {MESSAGE_BYTES} bytes")
        self._kind, self._stream = (None, 0) if final else (Kind.DAT, stream)
        if final:
            self._bytes = 0

    def feed(self, message: Message) -> Frame | None:
        """Read a message, or a part of one.

        :returns: the frame, or what this part has of a DAT; None: nothing is to be said yet, or
            ever, of an empty DAT
        :raises ProtocolError: for what is no frame; nothing may be fed afterwards
        """
        payload, text, final = message
        if text:
            raise ProtocolError("text, where only binary belongs")
        self._bytes += len(payload)
        if self._bytes > MESSAGE_BYTES:
            raise TooLarge(f"a message over {MESSAGE_BYTES} bytes")
        kind = self._kind
        if kind is None:
            missing = _HEAD.size - len(self._start)
            if len(payload) < missing:
                if final:
                    raise ProtocolError(f"a frame of {self._bytes} bytes")
                self._start += payload
                return None
            head = self._start + payload[:missing] if self._start else payload
            code, self._stream = _HEAD.unpack_from(head)
            if code >= len(_KINDS):
                raise ProtocolError(f"no frame is of type {code}")
            payload, self._start = payload[missing:], b""
            kind = self._kind = _KINDS[code]
        if kind is not Kind.DAT:
            self._start = payload = self._start + payload
            if len(payload) > _BODY_BYTES[kind]:
                raise ProtocolError(f"{kind.name} with {self._bytes - _HEAD.size} bytes or more")
            if not final:
                return None
        if final:
            self._kind, self._start, self._bytes = None, b"", 0
        if kind is Kind.DAT:
            return Frame(kind, self._stream, payload) if payload else None
        if len(payload) < _BODY_BYTES[kind]:
            raise ProtocolError(f"{kind.name} with {len(payload)} bytes")
        amount = _AMOUNT.unpack(payload)[0] if payload else 0
        return Frame(kind, self._stream, amount=amount)
