"""The patterns of play files: RE2, as the original's, whose time grows with the text alone.

``google-re2`` is not a requirement of relay, since it has no wheels for musl and 32 bits; whoever
plays files with patterns installs it. Without it Python's own expressions stand in,
another language for rare things, and one in which a pattern of nested repetitions can take for ever
on a message that a stranger chose: a file's author has to mind that.
"""

from __future__ import annotations

import importlib.util
import re
from typing import Protocol

PATTERN_MEMORY_BYTES = 8 * 1024 * 1024
"""What RE2 may use for one pattern."""


class Pattern(Protocol):
    """A pattern that stands anywhere in a line."""

    def matches(self, line: bytes) -> bool:
        """:returns: whether it does; what is no UTF-8 counts as U+FFFD"""


class BadPattern(ValueError):
    """A text is no pattern; the message says why."""


class _Re2:
    __slots__ = ("_regexp",)

    def __init__(self, regexp: _Regexp) -> None:
        self._regexp = regexp

    def matches(self, line: bytes) -> bool:
        if not line.isascii():
            line = line.decode("utf-8", "replace").encode()
        return self._regexp.search(line) is not None


class _Python:
    __slots__ = ("_regexp",)

    def __init__(self, regexp: re.Pattern[str]) -> None:
        self._regexp = regexp

    def matches(self, line: bytes) -> bool:
        return self._regexp.search(line.decode("utf-8", "replace")) is not None


class _Regexp(Protocol):
    def search(self, text: bytes) -> object: ...


def is_linear() -> bool:
    """:returns: whether RE2 is installed, so that no message can make a pattern slow"""
    return importlib.util.find_spec("re2") is not None


def compile_pattern(text: bytes) -> Pattern:
    """Read a pattern.

    :raises BadPattern: when it is none
    """
    try:
        pattern = text.decode()
    except UnicodeDecodeError:
        raise BadPattern("it is no UTF-8 text") from None
    return _compile_re2(pattern) if is_linear() else _compile_python(pattern)


def _compile_re2(pattern: str) -> Pattern:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_MEMORY_BYTES
    try:
        return _Re2(re2.compile(pattern, options))
    except re2.error as error:
        why = error.args[0] if error.args else error
        raise BadPattern(why.decode() if isinstance(why, bytes) else str(why)) from None


def _compile_python(pattern: str) -> Pattern:
    try:
        return _Python(re.compile(pattern, re.ASCII))
    except (re.error, OverflowError, RecursionError) as error:
        raise BadPattern(str(error)) from None
