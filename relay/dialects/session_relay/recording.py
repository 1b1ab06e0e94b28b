"""What is kept of a topic's messages: text records, or payload as it came.

Specification: session-relay.md §11; check 49.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable

from relay.vocabulary import Data

NANOSECONDS = 1_000_000_000


def stamp(now_ns: int, offset_s: int) -> str:
    """Write a time as RFC 3339 has it, with up to 9 digits of fraction and no zeros behind.

    :param now_ns: Unix time in nanoseconds, from the year 1 to the year 9999
    :param offset_s: local time east of UTC; seconds of it are left out
    """
    seconds, fraction = divmod(now_ns, NANOSECONDS)
    local = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds + offset_s))
    digits = f"{fraction:09}".rstrip("0")
    minutes = abs(offset_s) // 60
    sign = "-" if offset_s < 0 else "+"
    zone = f"{sign}{minutes // 60:02}:{minutes % 60:02}" if minutes else "Z"
    return f"{local}{'.' if digits else ''}{digits}{zone}"


def content(payload: bytes, text: bool) -> bytes:
    """:returns: a message as text records show it, and as patterns see it: binary as base64"""
    return payload if text else base64.b64encode(payload)


def record(line: bytes, now_ns: int, offset_s: int) -> bytes:
    """:returns: one text record; line ends within it stay as they are"""
    return b"[%b] %b\n" % (stamp(now_ns, offset_s).encode(), line)


class Recorder:
    """Writes each message.

    :param write: takes what belongs to one message; raises OSError when it cannot
    :param clock: Unix time in nanoseconds, and seconds of local time east of UTC
    :param binary: payload as it came, rather than text records
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        clock: Callable[[], tuple[int, int]],
        binary: bool = False,
    ) -> None:
        self._write = write
        self._clock = clock
        self._binary = binary

    def heard(self, message: Data) -> None:
        """A whole message came."""
        if self._binary:
            self._write(message.payload)
        else:
            self.note(content(message.payload, message.text))

    def note(self, line: bytes) -> None:
        """Write a text record of what may be no message."""
        self._write(record(line, *self._clock()))
