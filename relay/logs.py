"""What the log looks like: one line an event, as text or as JSON."""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, cast

from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    formatEvent,
)
from zope.interface import directlyProvides, implementer

OWN = "relay"
FIELDS = (
    "event",
    "link",
    "stream",
    "offer",
    "name",
    "dialect",
    "node",
    "peer",
    "reason",
    "bytes_in",
    "bytes_out",
    "seconds",
)
MICROSECONDS = 1_000_000
SECOND_CHARACTERS = len("2026-11-21T12:00:00")
LINE_CHARACTERS = 4096
"""Longest message or field that is written whole; a peer may call itself anything."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What ends a line, or steers a terminal."""


@implementer(ILogObserver)
class LineObserver:
    """Writes one line an event.

    :param as_json: JSON rather than text
    """

    def __init__(self, out: IO[str], as_json: bool) -> None:
        self._out = out
        self._as_json = as_json

    def __call__(self, event: LogEvent) -> None:
        """Write ``event``; an output that is gone is nobody's business here."""
        line = json_line(event) if self._as_json else text_line(event)
        try:
            self._out.write(encodable(line, getattr(self._out, "encoding", None)) + "\n")
            self._out.flush()
        except (OSError, ValueError):
            return


def text_line(event: LogEvent) -> str:
    """:returns: time, level and message, with the traceback of a bug behind."""
    level: LogLevel = event.get("log_level", LogLevel.info)
    return f"{_time(event)} {level.name} {_message(event)}"


def json_line(event: LogEvent) -> str:
    """:returns: a JSON object of time, level, message and the known fields."""
    level: LogLevel = event.get("log_level", LogLevel.info)
    value: dict[str, object] = {"time": _time(event), "level": level.name}
    for name in FIELDS:
        if name in event:
            field = event[name]
            value[name] = field if isinstance(field, int | float) else _cut(str(field))
    value["message"] = _message(event)
    return json.dumps(value)


def encodable(line: str, encoding: str | None) -> str:
    """:returns: the line with escapes for what the output's encoding lacks: none may get lost."""
    if encoding is None or line.isascii():
        return line
    return line.encode(encoding, "backslashreplace").decode(encoding)


def _time(event: LogEvent) -> str:
    time = event.get("log_time", 0.0)
    second = int(time)
    microsecond = round((time - second) * MICROSECONDS)
    if microsecond == MICROSECONDS:
        second, microsecond = second + 1, 0
    to_the_second, zone = _second(second)
    return f"{to_the_second}.{microsecond // 1000:03}{zone}"


@lru_cache(maxsize=1)
def _second(second: int) -> tuple[str, str]:
    """:returns: a second as all lines of it have it: the time, and the zone behind its fraction"""
    text = datetime.fromtimestamp(second).astimezone().isoformat()
    return text[:SECOND_CHARACTERS], text[SECOND_CHARACTERS:]


def _message(event: LogEvent) -> str:
    # one event is one line, whatever names and texts peers have sent
    message = _printable(_cut(_format(event)))
    failure = event.get("log_failure")
    if failure is not None:
        # but for the traceback of a bug; an exception may quote a peer, so none of its lines looks
        # like an event
        for line in failure.getTraceback().rstrip().split("\n"):
            message += f"\n  {_printable(_cut(line))}"
    return message


def _cut(text: str) -> str:
    if len(text) <= LINE_CHARACTERS:
        return text
    return f"{text[:LINE_CHARACTERS]}... ({len(text)} characters)"


def _printable(line: str) -> str:
    return line if line.isprintable() else _UNPRINTABLE.sub(_escaped, line)


def _format(event: LogEvent) -> str:
    """:returns: what ``formatEvent`` does, which interprets a format in Python, in the short way
    of a format that calls nothing and lacks nothing
    """
    text = event.get("log_format")
    if isinstance(text, str) and "log_flattened" not in event:
        try:
            return text.format_map(event)
        except Exception:
            pass  # formatEvent tries again, and tells of the fault in the line itself
    return formatEvent(event)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def open_log(path: Path) -> IO[str]:
    """Open what the log is appended to.

    :returns: standard error when that cannot be, which it says there
    """
    try:
        return open(path, "a", encoding="utf-8")
    except OSError as error:
        print(f"{path}: cannot be written: {error.strerror}; the log goes here", file=sys.stderr)
        return sys.stderr


def wanted(level: LogLevel, event: LogEvent) -> bool:
    """Ours from ``level`` up; what Twisted says of itself from warnings up, all of it at debug."""
    own = str(event.get("log_namespace", "")).startswith(OWN)
    lowest = level if own or level is LogLevel.debug else max(level, LogLevel.warn)
    passes: bool = event.get("log_level", LogLevel.info) >= lowest
    return passes


def make_observer(log_format: str, log_level: str, out: IO[str] = sys.stdout) -> ILogObserver:
    """Make the process's log.

    :param log_format: ``text`` or ``json``
    :param log_level: ``debug``, ``info``, ``warn``, ``error`` or ``critical``
    """
    level = LogLevel.levelWithName(log_level)
    write = LineObserver(out, log_format == "json")

    def observer(event: LogEvent) -> None:
        if wanted(level, event):
            write(event)

    directlyProvides(observer, ILogObserver)
    return cast(ILogObserver, observer)
