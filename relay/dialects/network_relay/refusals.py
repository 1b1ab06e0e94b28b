"""How a refusal reads in network-relay, which has one text for it and no code.

Specification: network-relay.md §6. What our own programs refuse is ``WORD: sentence`` with a word
of :class:`relay.vocabulary.Reason`, which any relay passes on; what a platform or an original says
stands as it is.
"""

from __future__ import annotations

from relay.vocabulary import CLEAN_REASONS, Reason

WRONG_SECRET = "Invalid access client secret"
NO_AGENT = "Agent not registered"
NO_CONNECTION = "Error initiating connection: "

LINE_CHARACTERS = 1000
"""Most that people are shown of what a router or an agent says."""

WRONG_CREDENTIALS = frozenset({Reason.TOKEN_INVALID, Reason.TOKEN_MISSING, Reason.TOKEN_EXPIRED})
_ROUTERS_OWN = WRONG_CREDENTIALS | {Reason.HOST_ABSENT}
"""What only a router can know; it has texts of its own for them. Whoever else says so is cited, no
more: a client that believed it would blame its secret for what an agent has said."""

_BY_WORD = {reason.value: reason for reason in Reason if reason not in _ROUTERS_OWN}
_NO_REFUSALS = CLEAN_REASONS | {Reason.INTERNAL}


def reason_in(text: str) -> Reason | None:
    """:returns: the reason whose word stands at the beginning; None: there is none"""
    return _BY_WORD.get(text.partition(":")[0])


def refusal_in(text: str) -> Reason:
    """:returns: why there is no connection, by what an agent says"""
    reason = reason_in(text)
    return Reason.TARGET_REFUSED if reason is None or reason in _NO_REFUSALS else reason


def sentence(reason: Reason, text: str) -> str:
    """Say why there is no connection.

    :param text: in the words of whoever refused, empty when nobody said
    """
    if not text:
        return reason.value
    if reason_in(text) is not None:
        return text
    return f"{reason.value}: {text}"


def client_text(reason: Reason, text: str) -> str:
    """:returns: the text of ``error`` for a client that is refused (§6)"""
    if reason in WRONG_CREDENTIALS:
        return WRONG_SECRET
    if reason is Reason.HOST_ABSENT:
        return NO_AGENT
    if reason is Reason.TARGET_REFUSED and text:
        return NO_CONNECTION + text
    return NO_CONNECTION + sentence(reason, text)


def shown(reason: Reason, text: str) -> str:
    """Make the text of ``error`` fit for people, who are told the reason's word besides.

    :returns: at most LINE_CHARACTERS of it
    """
    word = f"{NO_CONNECTION}{reason.value}: "
    line = NO_CONNECTION + text.removeprefix(word) if text.startswith(word) else text
    return line if len(line) <= LINE_CHARACTERS else f"{line[:LINE_CHARACTERS]}..."


def client_reason(text: str) -> Reason:
    """:returns: what the text of ``error`` tells of, whoever wrote it"""
    if text == WRONG_SECRET:
        return Reason.TOKEN_INVALID
    if text == NO_AGENT:
        return Reason.HOST_ABSENT
    return refusal_in(text.removeprefix(NO_CONNECTION))
