"""Heads and frames as bytes, right or wrong (RFC 6455)."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from tests.rawpeer.waiting import PeerError

RFC6455_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SAMPLE_KEY = "cG9ydGFsLXNwZWMta2V5IQ=="
PERFECT_HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": SAMPLE_KEY,
}


class Op(IntEnum):
    """RFC 6455 §5.2 opcodes."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Frame(NamedTuple):
    """One frame as it came, unmasked."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    masked: bool = False

    @property
    def code(self) -> int | None:
        """:returns: the code of a Close, None for an empty body"""
        return int.from_bytes(self.payload[:2], "big") if self.payload else None

    @property
    def reason(self) -> str:
        """:returns: the text of a Close"""
        return self.payload[2:].decode()


class Head(NamedTuple):
    """A request or response head, and the body of a response that is no 101."""

    first_line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    @property
    def status(self) -> int:
        """:returns: a response's status"""
        return int(self.first_line.split(" ")[1])

    @property
    def target(self) -> str:
        """:returns: a request's target"""
        return self.first_line.split(" ")[1]

    def header(self, name: str) -> str | None:
        """:returns: the only header of that name, None when there is none"""
        values = self.headers_named(name)
        if len(values) > 1:
            raise PeerError(f"{name} came {len(values)} times")
        return values[0] if values else None

    def headers_named(self, name: str) -> list[str]:
        """:returns: the values of all headers of that name"""
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass(frozen=True)
class Ending:
    """How a connection ended.

    :ivar frames: what came before the end, without the Close
    :ivar close: the other end's Close, if it sent one
    :ivar rest: bytes that are no whole frame
    :ivar orderly: it ended with a FIN rather than a reset
    """

    frames: list[Frame]
    close: Frame | None
    rest: bytes
    orderly: bool

    @property
    def data(self) -> bytes:
        """:returns: the payload of all data frames that came before the end"""
        return b"".join(frame.payload for frame in self.frames if frame.opcode < Op.CLOSE)


def xor(data: bytes, mask: bytes) -> bytes:
    """:returns: ``data`` masked or unmasked (RFC 6455 §5.3)"""
    size = len(data)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def encode_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    mask: bytes | None = None,
    fin: bool = True,
    rsv: int = 0,
    length: int | None = None,
    length_bits: int | None = None,
) -> bytes:
    """:param mask: four bytes, None: unmasked
    :param length: what the header says, when that is not the payload's length
    :param length_bits: 7, 16 or 64, when that is not the shortest form
    :returns: the frame's bytes
    """
    length = len(payload) if length is None else length
    if length_bits is None:
        length_bits = 7 if length < 126 else 16 if length < 1 << 16 else 64
    masked = 0x80 if mask is not None else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if length_bits == 7:
        head += bytes([masked | length])
    elif length_bits == 16:
        head += struct.pack("!BH", masked | 126, length)
    else:
        head += struct.pack("!BQ", masked | 127, length)
    return head + payload if mask is None else head + mask + xor(payload, mask)


def close_body(code: int | None, reason: str = "") -> bytes:
    """:returns: the payload of a Close"""
    return b"" if code is None else code.to_bytes(2, "big") + reason.encode()


def take_frame(buffer: bytearray) -> Frame | None:
    """Remove one whole frame from the front of ``buffer``."""
    if len(buffer) < 2:
        return None
    length, start = buffer[1] & 0x7F, 2
    if length == 126:
        length, start = int.from_bytes(buffer[2:4], "big"), 4
    elif length == 127:
        length, start = int.from_bytes(buffer[2:10], "big"), 10
    mask = b""
    if buffer[1] & 0x80:
        mask = bytes(buffer[start : start + 4])
        start += 4
    if len(buffer) < start or len(buffer) < start + length:
        return None
    payload = bytes(buffer[start : start + length])
    first = buffer[0]
    del buffer[: start + length]
    return Frame(
        first & 0x0F,
        xor(payload, mask) if mask else payload,
        bool(first & 0x80),
        first >> 4 & 7,
        bool(mask),
    )


def take_head(buffer: bytearray) -> Head | None:
    """Remove one whole head from the front of ``buffer``."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    first_line, *lines = buffer[:end].decode("latin-1").split("\r\n")
    del buffer[: end + 4]
    pairs = (line.partition(":") for line in lines)
    return Head(first_line, tuple((name, value.strip()) for name, _, value in pairs))


def request_head(
    target: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    version: str = "HTTP/1.1",
) -> bytes:
    """:returns: a request head with exactly these headers behind ``Host``"""
    lines = [f"{method} {target} {version}", "Host: router.example"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def accept_key(key: str) -> str:
    """:returns: the ``Sec-WebSocket-Accept`` that answers ``key`` (RFC 6455 §4.2.2)"""
    return base64.b64encode(hashlib.sha1(key.encode() + RFC6455_GUID).digest()).decode()


def noise(count: int) -> bytes:
    """:returns: ``count`` random bytes"""
    return os.urandom(count)
