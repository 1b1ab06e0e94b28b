"""Window arithmetic of one stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import ProtocolError
from relay.wire.credit import MAX_CREDIT, ReceiveWindow, SendWindow


def test_only_what_was_granted_is_spent() -> None:
    """Spending takes what there is and no more."""
    window = SendWindow(10)
    assert [window.spend(4), window.spend(100), window.spend(1)] == [4, 6, 0]
    window.add(3)
    assert window.spend(5) == 3


def test_belief_has_a_limit() -> None:
    """Exactly 2^32-1 is believed, one more is not, nor less than nothing."""
    SendWindow().add(MAX_CREDIT)
    for start, amount in ((0, MAX_CREDIT + 1), (1, MAX_CREDIT), (5, -1)):
        window = SendWindow(start)
        with pytest.raises(ProtocolError):
            window.add(amount)
        assert window.available == start


def test_a_window_may_be_filled_exactly() -> None:
    """The last byte fits; the next one is an overrun and is not counted."""
    window = ReceiveWindow(10)
    window.received(10)
    with pytest.raises(ProtocolError, match="1 bytes sent, 0 granted"):
        window.received(1)
    window.received(0)


def test_refunds_come_at_half_a_window() -> None:
    """Nothing below half, everything that was taken at half."""
    window = ReceiveWindow(11)
    window.received(11)
    refunds = []
    for amount in (5, 1, 5):
        window.consume(amount)
        refunds.append(window.refund())
    assert refunds == [0, 6, 0]
    window.received(6)
    with pytest.raises(ProtocolError):
        window.received(1)


@given(st.integers(1, 50), st.lists(st.integers(0, 20), max_size=100))
def test_both_ends_agree(size: int, amounts: list[int]) -> None:
    """Whatever is sent and taken, no sender passes the window or runs dry for ever."""
    sender, receiver = SendWindow(size), ReceiveWindow(size)
    waiting = 0
    for amount in amounts:
        sent = sender.spend(amount)
        receiver.received(sent)
        waiting += sent
        taken = waiting // 2
        waiting -= taken
        receiver.consume(taken)
        sender.add(receiver.refund())
        assert sender.available == receiver.left
        assert sender.available + waiting + receiver.consumed == size
    receiver.consume(waiting)
    sender.add(receiver.refund())
    assert sender.available > 0
