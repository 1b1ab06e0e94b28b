"""What the texts of the originals' variables are in our INI's spelling; session-relay.md §7, §9.1.

Go's notations, and the originals' own leniency with what is out of range. Where those end with a
fault, so do ours.
"""

from __future__ import annotations

import re

from relay.dialects.session_relay.durations import duration_s
from relay.settings.faults import Wrong, quoted

TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FEWEST_MESSAGES, MOST_MESSAGES = 1, 512
OTHER_MESSAGES = 256
"""What a buffer of any other size becomes."""
SHORTEST_STATS_S = 1.0
LOOPBACK = "interface=127.0.0.1"

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_LEVELS = ("panic", "fatal", "error", "warning", "debug", "trace")


def truth(text: str) -> bool:
    """:returns: a boolean as Go's programs read it: what is neither is false"""
    return text in TRUE


def boolean(text: str) -> str:
    """:returns: ``yes`` or ``no``"""
    return "yes" if truth(text) else "no"


def buffer_messages(text: str) -> str:
    """:returns: ``RELAY_BUFFER_SIZE`` as the original takes it, whatever it is"""
    size = int(text) if _INTEGER.fullmatch(text) else 0
    fits = FEWEST_MESSAGES <= size <= MOST_MESSAGES
    return str(size if fits else OTHER_MESSAGES)


def stats_every_s(text: str) -> str:
    """:returns: ``RELAY_STATS_EVERY`` in seconds, 1 at least. :raises Wrong: for no duration."""
    try:
        seconds = duration_s(text)
    except ValueError as error:
        raise Wrong(str(error)) from None
    return f"{max(SHORTEST_STATS_S, seconds):.9f}".rstrip("0").rstrip(".")


def port(text: str) -> str:
    """:returns: the endpoint of ``RELAY_PORT_ACCESS`` or ``_RELAY``: every interface"""
    return f"tcp:{_number(text)}"


def local_port(text: str) -> str:
    """:returns: the endpoint of ``VW_PORT``, on loopback: whoever reaches it needs no login"""
    return f"tcp:{_number(text)}:{LOOPBACK}"


def host_log_level(text: str) -> str:
    """:returns: ``VW_LOG_LEVEL``; what the original does not know is info"""
    return text.lower() if text.lower() in _LEVELS else "info"


def _number(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,5}", text):
        raise Wrong(f"{quoted(text)} is not a port, a number from 0 to 65535")
    return text
