"""Records on their way in and out: a JSON object, or the original's append-only file; taas.md §10.

All or nothing: whatever is wrong is named, each fault in a line, and none of it has a secret in it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NoReturn

from relay.dialects.taas.administration import Entry, entry_of
from relay.dialects.taas.records import RECORD_CHARACTERS, Record
from relay.errors import ConfigurationError
from relay.settings.faults import Faults, quoted

FILE_BYTES = 64 * 1024 * 1024
"""The longest file that is imported; some ten thousand records, their pictures included."""
KEY_BYTES = 1024
COMMAND_WORDS = 10_000
WORD_BYTES = 1024 * 1024


def export_text(texts: Mapping[str, str]) -> tuple[str, list[str]]:
    """Write a store's records as one JSON object: key to record.

    :returns: the text, and the keys of what is no record and was left out
    """
    entries: dict[str, Entry] = {}
    others: list[str] = []
    for key, text in texts.items():
        entry = entry_of(text)
        if entry is None:
            others.append(key)
        else:
            entries[key] = entry
    return json.dumps(entries, indent=2) + "\n", others


def import_texts(content: bytes, origin: str) -> dict[str, str]:
    """Read what is to be kept, by its key.

    Records are taken as they are: incomplete ones, and those of MQTT users, too.

    :param content: of :func:`export_text`, or of the original's ``nedis.db``
    :param origin: the file, for messages
    :raises ConfigurationError: with every fault
    """
    if len(content) > FILE_BYTES:
        raise ConfigurationError([f"{origin}: is longer than {FILE_BYTES} bytes"])
    if content.startswith(b"*"):
        texts = _replayed(content, origin)
    else:
        texts = {key: _json(value) for key, value in _object(content, origin).items()}
    faults = Faults()
    for key, text in texts.items():
        if (fault := _fault(key, text)) is not None:
            faults.add(f"{origin}: {quoted(key)}", fault)
    faults.raise_any()
    return texts


def _fault(key: str, text: str) -> str | None:
    """:returns: why that cannot be kept, or would be of no use to anybody"""
    if not key or len(key.encode("utf-8", "replace")) > KEY_BYTES or not key.isprintable():
        return f"is no key, which has 1 to {KEY_BYTES} bytes that can be printed"
    if len(text) > RECORD_CHARACTERS:
        return f"is longer than {RECORD_CHARACTERS} characters"
    entry = entry_of(text)
    if entry is None:
        return "is no record, which is a JSON object"
    codes = entry.get("authParams")
    if isinstance(codes, dict) and "base32" in codes:
        try:
            Record.parse(text)
        except ValueError as error:
            return f"cannot log in: {error}"
    return None


def _json(value: object) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can hold
        return json.dumps(value, separators=(",", ":"))
    return text


def _object(content: bytes, origin: str) -> dict[str, object]:
    twice: list[str] = []

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        counted = Counter(name for name, _ in pairs)
        twice.extend(name for name, count in counted.items() if count > 1)
        return dict(pairs)

    try:
        value: object = json.loads(
            content.decode("utf-8-sig"), object_pairs_hook=members, parse_constant=_no_constant
        )
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            [f"{origin}:{error.lineno}: is not JSON: {error.msg} (column {error.colno})"]
        ) from None
    except (ValueError, RecursionError):
        raise ConfigurationError([f"{origin}: is not JSON that can be read"]) from None
    if twice:
        raise ConfigurationError(
            [f"{origin}: has {quoted(name)} twice in one object" for name in dict.fromkeys(twice)]
        )
    if not isinstance(value, dict):
        raise ConfigurationError([f"{origin}: is no JSON object of which each member is a record"])
    return value


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


# -- the original's append-only file -------------------------------------------------------------


def _replayed(content: bytes, origin: str) -> dict[str, str]:
    """:returns: what the commands in it leave behind in the first database"""
    data: dict[str, str] = {}
    database = "0"
    for place, (name, *words) in _commands(content, origin):
        match name.lower(), words:
            case "select", [number]:
                database = number
            case _ if database != "0":
                pass
            case "set", [key, text]:
                data[key] = text
            case "del", keys:
                for key in keys:
                    data.pop(key, None)
            case (("flushdb" | "flushall"), []):
                data.clear()
            case _:
                raise ConfigurationError(
                    [f"{origin}: byte {place}: the command {quoted(name)} is not known here"]
                )
    return data


def _commands(content: bytes, origin: str) -> Iterator[tuple[int, list[str]]]:
    at = 0
    while at < len(content):
        begin = at
        try:
            count, at = _number(content, at, b"*", COMMAND_WORDS)
            words: list[str] = []
            for _ in range(count):
                size, at = _number(content, at, b"$", WORD_BYTES)
                if content[at + size : at + size + 2] != b"\r\n":
                    raise ValueError
                words.append(content[at : at + size].decode())
                at += size + 2
            if not words:
                raise ValueError
        except ValueError:
            raise ConfigurationError(
                [f"{origin}: byte {begin}: no whole command begins here; is the file complete?"]
            ) from None
        yield begin, words


def _number(content: bytes, at: int, mark: bytes, most: int) -> tuple[int, int]:
    end = content.find(b"\r\n", at, at + 12)
    digits = content[at + 1 : end]
    if content[at : at + 1] != mark or end < 0 or not digits.isdigit() or int(digits) > most:
        raise ValueError
    return int(digits), end + 2
