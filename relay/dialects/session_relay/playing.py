"""The language of play files, read line by line.

Specification: session-relay.md §11.1. A line is bytes: what it says is sent as it stands.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from relay.dialects.session_relay.durations import duration_s
from relay.dialects.session_relay.patterns import BadPattern, Pattern, compile_pattern

LINE_BYTES = 64 * 1024
"""A line, its end included, is at most so long."""

FILTERS = 1000
"""Most filters of a kind that hold at one time."""

LARGEST_COUNT = 2**63 - 1
_BLANK = rb"[\t\n\f\r ]*+"
_COMMENT = re.compile(_BLANK + rb"#++([+-]*+)" + _BLANK + rb"(.*)")
_DELAY = re.compile(_BLANK + rb"\[" + _BLANK + rb"([a-zA-Z0-9.]*+)" + _BLANK + rb"\]" + _BLANK)
_CONDITION = re.compile(_BLANK + rb"<(.*)>" + _BLANK)
_ARGUMENTS = re.compile(
    _BLANK
    + rb"'([^']*+)'"
    + _BLANK
    + rb","
    + _BLANK
    + rb"([0-9]*+)"
    + _BLANK
    + rb","
    + _BLANK
    + rb"([0-9hmns.]*+)"
)
_FILTER = re.compile(_BLANK + rb"\|" + _BLANK + rb"([-+a-zA-Z]++)" + _BLANK + rb">" + _BLANK)


class Verb(enum.Enum):
    """What a filter line does."""

    ACCEPT = "accept"
    DENY = "deny"
    RESET = "reset"


_VERBS = {
    b"+": Verb.ACCEPT,
    b"a": Verb.ACCEPT,
    b"accept": Verb.ACCEPT,
    b"-": Verb.DENY,
    b"d": Verb.DENY,
    b"deny": Verb.DENY,
    b"r": Verb.RESET,
    b"reset": Verb.RESET,
}


class Comment(NamedTuple):
    """Text that is not sent.

    :ivar echo: whether it goes to the log
    """

    text: bytes
    echo: bool


class Wait(NamedTuple):
    """Do nothing for a while."""

    delay_s: float


class Say(NamedTuple):
    """Send a text, after a while perhaps."""

    payload: bytes
    delay_s: float = 0.0


class Expect(NamedTuple):
    """Wait until so many messages match, or for so long; then send a text either way.

    :ivar pattern: None: it matches everything, and nothing is waited for
    """

    payload: bytes
    pattern: Pattern | None
    wanted: int
    timeout_s: float


class Sift(NamedTuple):
    """Change what is logged.

    :ivar text: the pattern's own, by which it is known
    :ivar pattern: None at a reset
    """

    verb: Verb
    text: bytes = b""
    pattern: Pattern | None = None


Step = Comment | Wait | Say | Expect | Sift


class Malformed(ValueError):
    """A line is wrong; the message says what."""


class LongLine(ValueError):
    """A line is longer than :data:`LINE_BYTES`; nothing behind it can be read."""


class Numbered(NamedTuple):
    """A line of a file.

    :ivar number: from 1
    :ivar step: what it says, or what is wrong with it
    """

    number: int
    step: Step | Malformed


def parse_line(line: bytes) -> Step:
    """Read one line, without its end.

    :raises Malformed: when it begins like something that it is not
    :raises RelayError: when there is no library for its pattern
    """
    if found := _COMMENT.match(line):
        return Comment(found[2], found[1] == b"+")
    if found := _DELAY.match(line):
        return _delayed(found[1], line[found.end() :])
    if found := _CONDITION.match(line):
        return _conditional(found[1], line[found.end() :])
    if found := _FILTER.match(line):
        return _sifting(found[1], line[found.end() :])
    return Say(line)


def read_steps(file: BinaryIO) -> Iterator[Numbered]:
    """Read a play file as it is needed, however long it is.

    :raises LongLine: when a line is too long
    :raises RelayError: when there is no library for a pattern
    """
    filters: dict[Verb, set[bytes]] = {Verb.ACCEPT: set(), Verb.DENY: set()}
    number = 0
    while raw := file.readline(LINE_BYTES):
        number += 1
        line = raw.removesuffix(b"\n")
        if len(line) == LINE_BYTES:
            raise LongLine(f"line {number} is longer than {LINE_BYTES} bytes")
        try:
            step = parse_line(line.removesuffix(b"\r"))
            if isinstance(step, Sift):
                _count(step, filters)
        except Malformed as fault:
            yield Numbered(number, fault)
        else:
            yield Numbered(number, step)


def _count(step: Sift, filters: dict[Verb, set[bytes]]) -> None:
    """:raises Malformed: when too many filters would hold"""
    if step.verb is Verb.RESET:
        for known in filters.values():
            known.clear()
        return
    known = filters[step.verb]
    if len(known) >= FILTERS and step.text not in known:
        raise Malformed(f"more than {FILTERS} filters to {step.verb.value}; reset them first")
    known.add(step.text)


def _delayed(delay: bytes, text: bytes) -> Step:
    # one character is no duration, and has always counted as none
    delay_s = _duration_s(delay, "the delay") if len(delay) > 1 else 0.0
    return Say(text, delay_s) if text else Wait(delay_s)


def _conditional(arguments: bytes, text: bytes) -> Step:
    found = _ARGUMENTS.match(arguments)
    if found is None:
        raise Malformed("a condition is <'PATTERN',COUNT,TIMEOUT> TEXT")
    pattern = _pattern(found[1])
    # the largest has 19 digits, and zeros before them mean nothing
    digits = found[2].lstrip(b"0") or found[2][:1]
    count = int(digits) if digits and len(digits) < 20 else LARGEST_COUNT + 1
    if count > LARGEST_COUNT:
        raise Malformed("the condition's second argument is no count")
    timeout_s = _duration_s(found[3], "the condition's timeout")
    return Expect(text, pattern if found[1] else None, count, timeout_s)


def _sifting(word: bytes, text: bytes) -> Step:
    verb = _VERBS.get(word.lower())
    if verb is None:
        raise Malformed(f"{_shown(word)} is no filter; those are + a accept, - d deny and r reset")
    return Sift(verb) if verb is Verb.RESET else Sift(verb, text, _pattern(text))


def _pattern(text: bytes) -> Pattern:
    try:
        return compile_pattern(text)
    except BadPattern as fault:
        raise Malformed(f"{_shown(text)} is no pattern: {fault}") from None


def _duration_s(text: bytes, what: str) -> float:
    try:
        return duration_s(text.decode("ascii"))
    except ValueError as fault:
        raise Malformed(f"{what}: {fault}") from None


def _shown(text: bytes) -> str:
    """:returns: what of it fits into a message"""
    return repr(text[:60].decode("utf-8", "replace"))
