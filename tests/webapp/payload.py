"""What downloads carry, and what both ends know of it without keeping it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

BLOCK_BYTES = 64 * 1024
NUMBER_BYTES = 8
_NOISE = random.Random(7).randbytes(BLOCK_BYTES - NUMBER_BYTES)


def block(number: int) -> bytes:
    """:returns: one block of payload; its number is in front, so that none can change places"""
    return number.to_bytes(NUMBER_BYTES, "big") + _NOISE


def blocks(size: int) -> Iterator[bytes]:
    """:returns: ``size`` bytes of payload, block by block"""
    for start in range(0, size, BLOCK_BYTES):
        yield block(start // BLOCK_BYTES)[: size - start]


def digest_of(size: int) -> str:
    """:returns: the SHA-256 of ``size`` bytes of payload, in hexadecimal"""
    seen = hashlib.sha256()
    for part in blocks(size):
        seen.update(part)
    return seen.hexdigest()
