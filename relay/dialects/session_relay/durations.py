"""Durations as Go programs read them: ``300ms``, ``1.5h``, ``2m45s``."""

from __future__ import annotations

import re

NANOSECONDS = 1_000_000_000
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # the micro sign, and the Greek letter below it
    "μs": 1_000,
    "ms": 1_000_000,
    "s": NANOSECONDS,
    "m": 60 * NANOSECONDS,
    "h": 3600 * NANOSECONDS,
}
_LONGEST_NS = 2**63 - 1
LONGEST_DURATION = 64
"""Characters; no duration that anybody means has more."""

_PART = re.compile(r"(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?(?P<unit>[^0-9.]+)")


def duration_s(text: str) -> float:
    """Read a duration of at most 292 years, below nothing perhaps.

    :returns: seconds
    :raises ValueError: when it is none; the message says what a duration looks like
    """
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0.0
    total, at = 0, 0
    while at < len(rest) <= LONGEST_DURATION:
        part = _PART.match(rest, at)
        if part is None or not (part["whole"] or part["part"]) or part["unit"] not in _UNITS:
            break
        unit, fraction = _UNITS[part["unit"]], part["part"] or ""
        total += int(part["whole"] or 0) * unit
        total += int(fraction or 0) * unit // 10 ** len(fraction)
        at = part.end()
    if at == 0 or at != len(rest) or total > _LONGEST_NS:
        raise ValueError(f"{text[:LONGEST_DURATION]!r} is no duration such as 300ms, 10s or 1h30m")
    return sign * total / NANOSECONDS
