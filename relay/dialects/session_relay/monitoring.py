"""Does a relay deliver in time? One member sends time stamps, another looks at them.

Specification: session-relay.md §12; check 50. Pure: time is passed in, and what is to be done comes
back. Other than in the original only time stamps count as messages: somebody else's texts on the
topic cannot hide that none comes. While checks pause after a trigger, messages are not looked at,
so that those of a relay that just starts do not count.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import NamedTuple

from relay.vocabulary import Data

NANOSECONDS = 1_000_000_000
STAMP_BYTES = 8
BOOKING_ID = "relay-monitor"
SCOPES = ("read", "write")
_VARIABLE = re.compile(r"\$(?:\{([^}]*)\}|([A-Za-z_][A-Za-z0-9_]*|[*#$@!?0-9-]))")


class Judgement(enum.Enum):
    """What a watch makes of what happened."""

    GOOD = "good"
    MISS = "miss"
    TRIGGER = "trigger"
    """A miss, and one too many."""
    IGNORED = "ignored"
    """Not a time stamp, or checks pause."""


class Seen(NamedTuple):
    """One judgement.

    :ivar latency_s: None: nothing came
    :ivar misses: how many there are in a row; at a trigger, how many there were
    """

    judgement: Judgement
    latency_s: float | None = None
    misses: int = 0


class Watch:
    """Counts misses.

    :param threshold_s: a message that took longer is a miss
    :param silence_s: so long without a message is a miss, and so long checks pause after a trigger
    :param trigger_after: misses in a row, at least 1
    :param now: in any clock that does not jump, seconds
    """

    def __init__(
        self, threshold_s: float, silence_s: float, trigger_after: int, now: float
    ) -> None:
        self._threshold_s = threshold_s
        self._silence_s = silence_s
        self._trigger_after = trigger_after
        self._misses = 0
        self._paused = False
        self._until = now + silence_s

    def heard(self, message: Data, now: float, now_ns: int) -> Seen:
        """A message came.

        :param now_ns: Unix time, in nanoseconds
        """
        sent_ns = None if message.text else read_time(message.payload)
        if sent_ns is None or (self._paused and now < self._until):
            return Seen(Judgement.IGNORED)
        self._paused = False
        self._until = now + self._silence_s
        latency_s = (now_ns - sent_ns) / NANOSECONDS
        if latency_s > self._threshold_s:
            return self._missed(latency_s, now)
        self._misses = 0
        return Seen(Judgement.GOOD, latency_s)

    def deadline(self) -> float:
        """:returns: when :meth:`wake` is wanted next, in the clock of ``now``"""
        return self._until

    def wake(self, now: float) -> Seen:
        """The deadline has come: a silence is a miss, the end of a pause is nothing."""
        self._until = now + self._silence_s
        if self._paused:
            self._paused = False
            return Seen(Judgement.IGNORED)
        return self._missed(None, now)

    def _missed(self, latency_s: float | None, now: float) -> Seen:
        self._misses += 1
        if self._misses < self._trigger_after:
            return Seen(Judgement.MISS, latency_s, self._misses)
        misses, self._misses = self._misses, 0
        self._paused = True
        self._until = now + self._silence_s
        return Seen(Judgement.TRIGGER, latency_s, misses)


def write_time(now_ns: int) -> bytes:
    """:returns: a time as a minimal big-endian integer. :param now_ns: Unix nanoseconds from 0"""
    return now_ns.to_bytes((now_ns.bit_length() + 7) // 8)


def read_time(payload: bytes) -> int:
    """:returns: Unix nanoseconds; of glued messages, those of the last"""
    return int.from_bytes(payload[-STAMP_BYTES:])


def claims(audience: str, topic: str, now: int, lifetime_s: int) -> dict[str, object]:
    """Make the claims of the monitor's own token.

    :param now: Unix seconds
    :returns: in the order of the original's
    """
    return {
        "booking_id": BOOKING_ID,
        "topic": topic,
        "prefix": "session",
        "scopes": list(SCOPES),
        "aud": [audience],
        "exp": now + lifetime_s,
        "nbf": now - 1,
        "iat": now,
    }


def split_command(command: str, environ: Mapping[str, str]) -> list[str]:
    """Expand ``$NAME`` and ``${NAME}``, then cut at white space; nothing quotes, and there is no
    shell. A variable that is not set is empty.
    """

    def value(found: re.Match[str]) -> str:
        return environ.get(found[1] if found[1] is not None else found[2], "")

    return _VARIABLE.sub(value, command).split()
