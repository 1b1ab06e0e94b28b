"""What is wrong, where it was said, and the nearest spelling that would be right."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from relay.errors import ConfigurationError

_LINE = re.compile(r"[^ ]*?:([0-9]+): ")
UNSAFE = (
    "--secret would show the secret to everybody on this machine; write it into a file and name "
    "that with --secret-file, or into HTTP_NETWORK_RELAY_SECRET"
)
"""Said of an option of network-relay's original programs."""
SHOWN_CHARACTERS = 60
"""How much of a wrong value a fault repeats."""


class Place(NamedTuple):
    """Where a value was said.

    :ivar origin: ``etc/relay.ini:12``, ``environment NAME``, ``option --NAME`` or ``default``
    :ivar where: what a fault begins with: the origin, and in a file the section and key
    :ivar base: what relative paths in the value are relative to
    """

    origin: str
    where: str
    base: Path


class Piece(NamedTuple):
    """One line of a value, or one of several options of a name."""

    text: str
    place: Place


class Said(NamedTuple):
    """A value as somebody wrote it, none of its pieces empty.

    :ivar secret: the text is a secret itself rather than the name of its file
    :ivar translate: from another program's notation to ours; raises :class:`Wrong`
    """

    place: Place
    pieces: tuple[Piece, ...]
    secret: bool = False
    translate: Callable[[str], str] | None = None


class Wrong(Exception):
    """A text is no value of its kind; the argument says why and what to write instead."""


class Faults:
    """Collects faults, so that all of them are told at once."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, where: str, text: str) -> None:
        """Note one fault as one line, whatever control characters the user's text holds."""
        line = printable(f"{where}: {text}")
        if line not in self.lines:
            self.lines.append(line)

    def raise_any(self) -> None:
        """:raises ConfigurationError: with all faults, in the file's order, when there are any."""
        if self.lines:
            raise ConfigurationError(sorted(self.lines, key=_line_number))


def _line_number(fault: str) -> float:
    match = _LINE.match(fault)
    return int(match[1]) if match else math.inf


def printable(text: str) -> str:
    """:returns: the text on one line, with escapes for what a terminal cannot show."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def quoted(text: str) -> str:
    """:returns: a user's text for a fault: in quotes, not too long."""
    if len(text) > SHOWN_CHARACTERS:
        text = text[:SHOWN_CHARACTERS] + "…"
    return f'"{text}"'


def nearest(word: str, known: Iterable[str]) -> str:
    """:returns: ``; did you mean "…"?`` with the most similar of ``known``, or nothing."""
    matches = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f'; did you mean "{matches[0]}"?' if matches else ""


def not_installed(dialect: str, installed: Iterable[str]) -> str:
    """:returns: the fault of naming a dialect that is not there."""
    names = sorted(installed)
    return (
        f"dialect {quoted(dialect)} is not installed (installed: {', '.join(names) or 'none'})"
        f"{nearest(dialect, names)}"
    )


def listed(words: Iterable[str], last: str = "and") -> str:
    """:returns: ``a, b and c``."""
    *head, tail = list(words) or ["none"]
    return f"{', '.join(head)} {last} {tail}" if head else tail
