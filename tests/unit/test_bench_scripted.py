"""Payload of the soak: what is lost, doubled or altered shows."""

from __future__ import annotations

import pytest

from bench.scripted import PERIOD_BYTES, PIECE_BYTES, Flow

SIZE = 3 * PERIOD_BYTES + 17


def payload(seed: int = 5) -> bytes:
    """:returns: all of a flow"""
    flow = Flow(SIZE, seed)
    return b"".join(bytes(piece) for piece in iter(flow.next, b""))


@pytest.mark.parametrize("size", [1, 1000, PIECE_BYTES, PIECE_BYTES + 1, SIZE])
def test_what_was_sent_is_exact_however_it_is_cut(size: int) -> None:
    """Chunks of any size are compared with what has to come next."""
    whole = payload() if size > 1 else payload()[:5000]
    flow = Flow(SIZE, 5)
    for start in range(0, len(whole), size):
        flow.check(whole[start : start + size])
    assert flow.exact
    assert flow.done == len(whole)


@pytest.mark.parametrize(
    "wrong",
    [
        payload()[:100] + payload()[101:],
        payload()[: 64 * 1024] + payload()[128 * 1024 :],
        payload()[:5000] + payload(),
        payload()[:-1] + b"?",
        payload() + b"more",
        payload(6),
    ],
    ids=["a byte lost", "a block lost", "doubled", "altered", "too long", "of another flow"],
)
def test_what_is_wrong_shows(wrong: bytes) -> None:
    """A byte that is lost, doubled or altered is seen, at the latest by those that follow."""
    flow = Flow(SIZE, 5)
    for start in range(0, len(wrong), PIECE_BYTES):
        flow.check(wrong[start : start + PIECE_BYTES])
    assert not flow.exact


def test_what_is_missing_at_the_end_shows_in_the_count() -> None:
    """A flow that was cut short is exact as far as it came, and not done."""
    flow = Flow(SIZE, 5)
    flow.check(payload()[:-1])
    assert flow.exact
    assert flow.done == SIZE - 1
