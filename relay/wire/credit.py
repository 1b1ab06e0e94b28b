"""Window arithmetic of one stream on a shared link with credit.

A receiver grants a window; the sender spends it on payload bytes; the receiver refunds what its
consumer took, in portions of at least half a window, so that refunds cost little.
"""

from __future__ import annotations

from relay.errors import ProtocolError

MAX_CREDIT = 2**32 - 1
"""No sum of credit beyond this is believed."""


class SendWindow:
    """What we may still send.

    :param initial: bytes that the peer takes without having said so
    """

    __slots__ = ("available",)

    def __init__(self, initial: int = 0) -> None:
        self.available = initial

    def spend(self, wanted: int) -> int:
        """:returns: how many of ``wanted`` bytes may go out now; they are spent."""
        granted = min(wanted, self.available)
        self.available -= granted
        return granted

    def add(self, amount: int) -> None:
        """The peer granted ``amount`` further bytes.

        :raises ProtocolError: when the sum is beyond belief
        """
        if amount < 0 or self.available + amount > MAX_CREDIT:
            raise ProtocolError("credit beyond 2^32-1")
        self.available += amount


class ReceiveWindow:
    """What the peer may still send us.

    :param size: bytes that we hold at most
    :ivar assumed: bytes that the peer believes it may send at most, never more than ``size``
    """

    __slots__ = ("assumed", "consumed", "left", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.left = size
        self.assumed = size
        self.consumed = 0

    def assume(self, amount: int) -> None:
        """The peer may believe that it has no more than ``amount``: refund before it has spent
        that, or it waits for us while we wait for it.
        """
        self.assumed = min(self.size, amount)

    def received(self, amount: int) -> None:
        """:raises ProtocolError: when the peer sent more than it was granted."""
        if amount > self.left:
            raise ProtocolError(f"window overrun: {amount} bytes sent, {self.left} granted")
        self.left -= amount

    def consume(self, amount: int) -> None:
        """The consumer took ``amount`` bytes."""
        self.consumed += amount

    def refund(self) -> int:
        """:returns: what to grant again now, 0 while it would be less than half a window"""
        if self.consumed * 2 < self.assumed:
            return 0
        refund, self.consumed = self.consumed, 0
        self.left += refund
        return refund
