"""Payload that can be verified as it passes, and the least of RFC 6455 to carry it.

Payload is a *unit* of 512 KiB, again and again, and another unit at the end, so that a taker knows
the end from the payload alone and can compare it with what it must be, wherever relays have cut the
stream. Comparing is a memcmp, but even that is a third of what reading costs, so that where speed
is measured one unit in four is compared: bytes that are lost or doubled shift all that follow.
"""

from __future__ import annotations

import random
from collections.abc import Callable

UNIT_BYTES = 512 * 1024
MIN_HEAD_BYTES = 2
EXTENDED = {126: 2, 127: 8}
"""Length codes that are followed by so many bytes of length."""

CONTROL = 0x08
BINARY = 0x82
MASKED = 0x80
MASK_BYTES = 4


def _unit(first: int, seed: int) -> bytes:
    return bytes([first]) + random.Random(seed).randbytes(UNIT_BYTES - 1)


COMMON = _unit(0x00, 1)
LAST = _unit(0xFF, 2)


def frame(payload: bytes, mask: bytes = b"") -> bytes:
    """:returns: one binary message in one frame, masked with 4 bytes or not at all."""
    size, bit = len(payload), MASKED if mask else 0
    if size < 126:
        head = bytes([BINARY, bit | size])
    elif size < 65536:
        head = bytes([BINARY, bit | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([BINARY, bit | 127]) + size.to_bytes(8, "big")
    return head + mask + (masked(payload, mask) if mask else payload)


def masked(payload: bytes, mask: bytes) -> bytes:
    """:returns: the payload under (or freed of) a mask of 4 bytes."""
    size = len(payload)
    key = (mask * (size // MASK_BYTES + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


def framed(unit: bytes, message_bytes: int, masks: bool = True) -> bytes:
    """:returns: a unit as messages of this size, each under a random mask of its own."""
    some = random.Random(message_bytes)
    parts = (unit[start : start + message_bytes] for start in range(0, len(unit), message_bytes))
    return b"".join(frame(part, some.randbytes(MASK_BYTES) if masks else b"") for part in parts)


class Checker:
    """Compares what comes with what must come.

    :param every: one unit in so many is compared
    :ivar bytes: how many came
    :ivar exact: whether all of them were right so far
    :ivar done: whether the last unit is complete
    """

    def __init__(self, every: int = 1) -> None:
        self.bytes = 0
        self.exact = True
        self.done = False
        self._every = every
        self._number = -1
        self._unit = COMMON
        self._offset = 0

    def feed(self, view: memoryview) -> None:
        """Take the next bytes of payload."""
        start, size = 0, len(view)
        self.bytes += size
        while start < size:
            offset = self._offset
            if not offset:
                self._unit = LAST if view[start] == LAST[0] else COMMON
                self._number += 1
            end = min(size, start + UNIT_BYTES - offset)
            if self._number % self._every == 0 or self._unit is LAST:
                self.exact &= self._unit.startswith(view[start:end], offset)
            self._offset = (offset + end - start) % UNIT_BYTES
            if not self._offset and self._unit is LAST:
                self.done = True
            start = end


class Deframer:
    """Finds the payload of frames, frees it of its mask and passes it on; drops control frames.

    :param payload: gets each piece
    """

    def __init__(self, payload: Callable[[memoryview], None]) -> None:
        self._payload = payload
        self._missing = 0
        self._control = False
        self._mask = b""

    def feed(self, view: memoryview) -> int:
        """Take the next bytes of the connection.

        :returns: how many at the end are part of a head, and must be shown again with more
        """
        start, size = 0, len(view)
        while start < size:
            if self._missing:
                end = min(size, start + self._missing)
                if not self._control:
                    part = view[start:end]
                    self._payload(self._freed(part) if self._mask else part)
                self._missing -= end - start
                start = end
                continue
            if size - start < MIN_HEAD_BYTES:
                break
            length = view[start + 1] & 0x7F
            more = EXTENDED.get(length, 0)
            key = MASK_BYTES if view[start + 1] & MASKED else 0
            if size - start < MIN_HEAD_BYTES + more + key:
                break
            head = start + MIN_HEAD_BYTES
            if more:
                length = int.from_bytes(view[head : head + more], "big")
            self._control = bool(view[start] & CONTROL)
            self._missing = length
            start = head + more + key
            self._mask = bytes(view[start - key : start])
        return size - start

    def _freed(self, part: memoryview) -> memoryview:
        """:returns: the payload; the mask is turned to where the next part begins."""
        freed = masked(bytes(part), self._mask)
        turn = len(part) % MASK_BYTES
        self._mask = self._mask[turn:] + self._mask[:turn]
        return memoryview(freed)
