"""A program beside the host that speaks and hears on one feed, over a WebSocket.

Specification: session-relay.md §9.3, with the limits and timers of §5.3.
"""

from __future__ import annotations

from collections.abc import Mapping

from relay.dialects.session_relay.payload_link import PayloadLink
from relay.vocabulary import Close, Enter, Event, Reason
from relay.wire.closes import close_of


class FeedLink(PayloadLink):
    """A member of a feed; one byte more than MESSAGE_BYTES in a message ends its link.

    :param seat: the topic, and whether it may be spoken on
    :param upgrade_headers: for the 101
    """

    __slots__ = ("intent", "upgrade_headers")

    def __init__(self, seat: Enter, upgrade_headers: Mapping[str, str]) -> None:
        self.intent: Event | None = seat
        self.upgrade_headers = upgrade_headers

    def end(self, reason: Reason, close: Close | None) -> Close | None:
        """Our code and the reason's word; nobody else's Close comes here."""
        return close_of(reason)
