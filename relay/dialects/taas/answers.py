"""What a router of taas answers its hosts and clients, ours and the original."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from relay.addresses import with_port
from relay.dialects.taas.notions import LARGEST_PORT
from relay.errors import NotARouter, Refused
from relay.outside import HttpAnswer
from relay.vocabulary import CLEAN_REASONS, Reason

ANSWER_BYTES = 64 * 1024
"""Longest body of an answer; the longest that means anything is an address."""

TEXT_CHARACTERS = 200
"""How much of an answer's body a message repeats."""

MOST_WAIT_DIGITS = 6
"""Of a ``Retry-After``."""

REASON_HEADER = "x-relay-reason"
WAITS_HEADER = "x-relay-waits"
"""By this our router says of a redirect that a connection to the port waits for a host, for so many
seconds, rather than being closed at once as by the original (§8)."""

REASONS: Mapping[int, Reason] = {
    401: Reason.TOKEN_INVALID,
    403: Reason.TOKEN_INVALID,
    429: Reason.LIMIT,
    500: Reason.INTERNAL,
}
"""What statuses mean that come without a word of our router's."""

_HIDDEN_PORT = re.compile(
    rb"\s*(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):([0-9]{1,5})\s*"
)


def refusal(answer: HttpAnswer, otherwise: Reason, remedy: str = "") -> Refused:
    """Read a refusal: our router has a word and a sentence for it, the original only a status.

    :param otherwise: what a status means that is not one of :data:`REASONS`
    :param remedy: what to try
    """
    try:
        reason: Reason | None = Reason(answer.headers.get(REASON_HEADER, "").strip())
    except ValueError:
        reason = None
    if reason is None or reason in CLEAN_REASONS:  # no refusal is a clean end
        reason = REASONS.get(answer.status, otherwise)
    text = answer.body[:TEXT_CHARACTERS].decode("utf-8", "replace")
    text = "".join(c if c.isprintable() else " " for c in text).strip()
    if not text or "<" in text:
        text = f"the router answered with status {answer.status}"
    return Refused(answer.status, text, reason, remedy, retry_after_s(answer))


def retry_after_s(answer: HttpAnswer) -> int | None:
    """:returns: seconds, where the answer names them in digits"""
    text = answer.headers.get("retry-after", "").strip()
    digits = text.isascii() and text.isdigit() and len(text) <= MOST_WAIT_DIGITS
    return int(text) if digits else None


def hidden_port(answer: HttpAnswer) -> str:
    """Read where to connect (§6, §11); of white space around it nothing is made.

    :returns: ``HOST:PORT``, whatever host it names
    :raises NotARouter: when there is none to connect to
    """
    match = _HIDDEN_PORT.fullmatch(answer.body)
    port = int(match[3]) if match else 0
    if match is None or not 0 < port <= LARGEST_PORT:
        raise NotARouter(
            "what answers there names no address and port to connect to",
            "is it the router of the provisioning file?",
        )
    return with_port((match[1] or match[2]).decode("ascii"), port)


def ahead_s(answer: HttpAnswer, now: float) -> float | None:
    """Compare clocks.

    :param now: Unix seconds here
    :returns: by how much this clock is ahead of the router's, negative: behind; None: it named no
        time
    """
    try:
        return now - parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return None
