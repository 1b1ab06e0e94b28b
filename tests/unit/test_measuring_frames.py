"""What the loads of a measurement send, and how they know that it came."""

from __future__ import annotations

import pytest

from relay.measuring.frames import (
    COMMON,
    LAST,
    UNIT_BYTES,
    Checker,
    Deframer,
    frame,
    framed,
    masked,
)

KIB = 1024
SPLITS = (1, 7, 64 * KIB, UNIT_BYTES - 1, 3 * UNIT_BYTES)
PING = b"\x89\x02hi"


def fed(stream: bytes, size: int, every: int = 1) -> Checker:
    """:returns: a checker that got the stream in pieces of this size"""
    checker = Checker(every)
    for start in range(0, len(stream), size):
        checker.feed(memoryview(stream)[start : start + size])
    return checker


@pytest.mark.parametrize("size", SPLITS[1:])
def test_whole(size: int) -> None:
    """Units up to the last one are exact and over, however they were cut."""
    checker = fed(COMMON * 2 + LAST, size)
    assert (checker.bytes, checker.exact, checker.done) == (3 * UNIT_BYTES, True, True)


def test_not_over() -> None:
    """Without the last unit it is not over."""
    checker = fed(COMMON * 2 + LAST[:-1], UNIT_BYTES)
    assert checker.exact
    assert not checker.done


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize(
    "stream",
    [
        COMMON[:1000] + COMMON[1001:] + COMMON * 7 + LAST,
        COMMON[:1000] + COMMON[999:] + COMMON * 7 + LAST,
        COMMON * 4 + COMMON[:70] + b"?" + COMMON[71:] + LAST,
    ],
    ids=["lost", "doubled", "changed"],
)
def test_faults(stream: bytes, every: int) -> None:
    """A byte lost, doubled or changed is found; the first two also between compared units."""
    assert not fed(stream, 64 * KIB, every).exact


@pytest.mark.parametrize("size", [1, 125, 126, 65535, 65536])
def test_masked_frame(size: int) -> None:
    """Payload under a mask is what RFC 6455 says, at every form of length."""
    payload, mask = COMMON[:size], b"\x01\x02\x03\x04"
    sent = frame(payload, mask)
    assert sent[0] == 0x82
    assert sent[1] & 0x80
    body = sent[-size:]
    assert sent[-size - 4 : -size] == mask
    assert body == bytes(byte ^ mask[number % 4] for number, byte in enumerate(payload))
    assert masked(body, mask) == payload


@pytest.mark.parametrize("size", [100, 64 * KIB, 256 * KIB])
@pytest.mark.parametrize("step", [1009, 64 * KIB])
@pytest.mark.parametrize("masks", [False, True])
def test_deframer(size: int, step: int, masks: bool) -> None:
    """Payload comes out of frames of any size at any split, and control frames are dropped."""
    stream = PING + framed(COMMON, size, masks) + PING + framed(LAST, size, masks)
    checker = Checker()
    deframer = Deframer(checker.feed)
    rest = b""
    for start in range(0, len(stream), step):
        view = memoryview(rest + stream[start : start + step])
        kept = deframer.feed(view)
        rest = bytes(view[len(view) - kept :]) if kept else b""
    assert (checker.bytes, checker.exact, checker.done) == (2 * UNIT_BYTES, True, True)


def test_masks_differ() -> None:
    """Each message has a mask of its own, so that nobody can profit from one."""
    stream = framed(COMMON, 64 * KIB)
    size = len(stream) // 8
    heads = {stream[start + 10 : start + 14] for start in range(0, len(stream), size)}
    assert len(heads) == 8
