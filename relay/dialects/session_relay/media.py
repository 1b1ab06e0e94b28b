"""Which bodies the access API takes, and which answers its callers take.

Specification: session-relay.md §3.1. A body is never read; its ``Content-Type`` is judged all the
same, and ``Accept`` where there is no body.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from relay.dialects.session_relay.words import JSON, BadBody, quoted
from relay.http import Request

UNNAMED = "application/octet-stream"
MOST_RANGES = 64
"""Of the media ranges in ``Accept``; what follows is not looked at."""

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_KIND = re.compile(rf"\s*({_TOKEN})?(/)?({_TOKEN})?\s*")
_PARAMETER = re.compile(rf';\s*({_TOKEN})\s*=\s*(?:{_TOKEN}|"(?:[^"\\]|\\.)*")\s*')
_RANGE = re.compile(rf"((?:{_TOKEN}|/)+)\s*(?:;([^,]*))?")
_QUALITY = re.compile(r"q=([01]?)(?:\.([0-9]*))?")


def check_media(request: Request) -> None:
    """Judge what a request says of its body and of the answer.

    :raises BadBody: in the original's words: 400 for a type that cannot be read, 415 for another
        type than JSON, 406 when JSON is not wanted
    """
    if request.body:
        kind = media_type(request.header("content-type") or UNNAMED)
        if kind != JSON:
            raise BadBody(415, f'unsupported media type "{kind}", only [{JSON}] are allowed')
    elif not is_wanted([value for name, value in request.headers if name == "accept"]):
        raise BadBody(406, f"unsupported media type requested, only [{JSON}] are available")


def media_type(header: str) -> str:
    """:returns: the type without its parameters, in lower case

    :raises BadBody: 400
    """

    def wrong(why: str) -> BadBody:
        said = f"parsing Content-Type header from {quoted(header)} failed, because mime: {why}"
        return BadBody(400, said)

    kind = _KIND.match(header)
    if kind is None or kind.group(1) is None:
        raise wrong("no media type")
    main, slash, sub = kind.groups()
    rest = header[kind.end() :]
    if slash and sub is None:
        raise wrong("expected token after slash")
    if not slash and (sub is not None or rest[:1] not in ("", ";")):
        raise wrong("expected slash after first token")
    if rest[:1] not in ("", ";"):
        raise wrong("unexpected content after media subtype")
    names: set[str] = set()
    while rest and rest.strip() != ";":
        parameter = _PARAMETER.match(rest)
        if parameter is None:
            raise wrong("invalid media parameter")
        name = parameter.group(1).lower()
        if name in names:
            raise wrong("duplicate parameter name")
        names.add(name)
        rest = rest[parameter.end() :]
    return f"{main}{slash or ''}{sub or ''}".lower()


def is_wanted(accepts: list[str]) -> bool:
    """:returns: whether one who says that takes JSON; whoever says nothing takes everything"""
    ranges = [found for value in accepts for found in _ranges(value)][:MOST_RANGES]
    taken = (JSON, "application/*", "*/*")
    return not ranges or any(kind in taken and quality > 0 for kind, quality in ranges)


def _ranges(value: str) -> Iterator[tuple[str, float]]:
    """Read one header up to where it can no longer be understood, as the original does."""
    at = 0
    while found := _RANGE.match(value, at):
        quality = 1.0
        if found.group(2) is not None:
            said = re.search(r"(?:^|[\s;])(q=.*)", found.group(2))
            if said:
                number = _QUALITY.match(said.group(1))
                if number is None or number.group() == "q=":
                    return
                whole, parts = number.groups()
                quality = int(whole or 0) + (float(f"0.{parts}") if parts else 0.0)
        yield found.group(1), quality
        behind = re.compile(r"\s*,\s*").match(value, found.end())
        if behind is None:
            return
        at = behind.end()
