"""Close codes of RFC 6455 (section 7.4) in our words."""

from __future__ import annotations

from relay.vocabulary import Close, Reason

PROTOCOL_ERROR = 1002
MESSAGE_TOO_BIG = 1009
REASONS_BY_CODE = {
    1002: Reason.PROTOCOL_ERROR,
    1003: Reason.PROTOCOL_ERROR,
    1007: Reason.PROTOCOL_ERROR,
    1008: Reason.PROTOCOL_ERROR,
    1009: Reason.TOO_LARGE,
    1011: Reason.INTERNAL,
    1012: Reason.GOING_AWAY,
    1013: Reason.LIMIT,
}
_WORDS = {reason.value: reason for reason in Reason}


def reason_of_word(word: str) -> Reason | None:
    """:returns: the reason of that word, None: it is none of ours."""
    return _WORDS.get(word)


def reason_of(close: Close) -> Reason:
    """:returns: what a peer's Close means: its text where that is our word, else its code."""
    return reason_of_word(close.text) or REASONS_BY_CODE.get(close.code or 1000, Reason.PEER_CLOSED)
