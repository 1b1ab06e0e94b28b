"""What a Close says of a reason, where the dialect leaves it to us."""

from __future__ import annotations

from relay.vocabulary import Close, Reason

CLOSE_CODES = {
    Reason.FINISHED: 1000,
    Reason.PEER_CLOSED: 1000,
    Reason.REPLACED: 1001,
    Reason.IDLE: 1001,
    Reason.TOO_LARGE: 1009,
    Reason.GOING_AWAY: 1012,
    Reason.LIMIT: 1013,
    Reason.OVERRUN: 1013,
    Reason.REVOKED: 1008,
    Reason.EXPIRED: 1008,
}
"""Everything else is 1011."""

OTHERWISE = 1011


def close_of(reason: Reason) -> Close:
    """:returns: our code for it, with the reason's word as text"""
    return Close(CLOSE_CODES.get(reason, OTHERWISE), reason.value)
