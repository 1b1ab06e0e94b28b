"""What all links of session-relay share, on either side: messages both ways, and nothing else.

Specification: session-relay.md §5.2: what is said passes as it is, text or binary, UTF-8 or not.
"""

from __future__ import annotations

from relay.one_stream import OneStream
from relay.vocabulary import Carries, Close, Passing, Reason

MESSAGE_BYTES = 10_485_760
"""Longest message that a member may send."""

NORMAL = 1000


class PayloadLink(OneStream):
    """A link whose messages are payload."""

    carries = Carries(boundaries=True, text=True)
    message_bytes = MESSAGE_BYTES
    frame_bytes = MESSAGE_BYTES
    dead_timer = True
    passes = Passing.ALL

    __slots__ = ()

    def end(self, reason: Reason, close: Close | None) -> Close | None:
        """1000 without a word."""
        return Close(NORMAL)
