"""From text to value and back, for each :class:`relay.settings.schema.Kind`."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from relay.errors import ConfigurationError
from relay.settings.credentials import CredentialsFile
from relay.settings.endpoints import check_client, check_door, check_server
from relay.settings.faults import Faults, Piece, Said, Wrong, listed, nearest, quoted
from relay.settings.model import Door, KiB, MaskedUrl, MiB, SecretSource
from relay.settings.schema import Key, Kind
from relay.settings.secrets import CommandSecret, EnvironmentSecret, SecretFile, StdinSecret
from relay.settings.urls import check_database, check_url

GiB = 1024 * MiB
_UNITS = {"": 1, "b": 1, "kib": KiB, "mib": MiB, "gib": GiB}
_BOOLEANS = {
    **dict.fromkeys(("yes", "true", "on", "1"), True),
    **dict.fromkeys(("no", "false", "off", "0"), False),
}
_DOOR = re.compile(r"([A-Za-z0-9_-]+)\s*=\s*(.*)", re.DOTALL)
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
STDIN_WORD = "-"
LOWEST_PORT = 1024
"""Of a range: those below are for privileged programs."""
HIGHEST_PORT = 65535


class Kinds:
    """Parses values; what is wrong with them goes to ``faults``.

    :param home: what ``~`` stands for
    :ivar secret_remedy: what to do about a secret's file that is missing
    """

    def __init__(self, faults: Faults, home: str, secret_remedy: str) -> None:
        self._faults = faults
        self._home = home
        self.secret_remedy = secret_remedy
        self._stdin = StdinSecret()

    def parse(self, key: Key, said: Said) -> object:
        """:returns: the value, of the type that the key's kind names; None when it is wrong."""
        if said.translate is not None:
            return self._translated(key, said, said.translate)
        if key.kind in _MANY:
            parse_one = _MANY[key.kind]
            pieces = _split_commas(said) if key.kind is Kind.LIST else iter(said.pieces)
            values = [
                self._told(piece, lambda p: _checked(key, parse_one(p.text))) for piece in pieces
            ]
            return tuple(value for value in values if value is not None)
        for extra in said.pieces[1:]:
            self._faults.add(
                extra.place.where, f"takes one value, and {quoted(extra.text)} is another"
            )
        if said.secret:
            name = said.place.origin.removeprefix("environment ")
            return EnvironmentSecret(name, said.pieces[0].text)
        return self._told(said.pieces[0], lambda piece: _checked(key, self._parse_one(key, piece)))

    def _translated(self, key: Key, said: Said, translate: Callable[[str], str]) -> object:
        text = self._told(said.pieces[0], lambda piece: translate(piece.text))
        if not isinstance(text, str):
            return None
        return self.parse(key, Said(said.place, (said.pieces[0]._replace(text=text),)))

    def _told(self, piece: Piece, parse: Callable[[Piece], object]) -> object:
        try:
            return parse(piece)
        except Wrong as wrong:
            self._faults.add(piece.place.where, str(wrong))
            return None

    def _parse_one(self, key: Key, piece: Piece) -> object:
        match key.kind:
            case Kind.PATH:
                return self._path(piece)
            case Kind.DATABASE:
                if "://" in piece.text:
                    return MaskedUrl(check_database(piece.text, key.choices))
                return str(self._path(piece))
            case Kind.SECRET_FILE:
                return self._secret(piece)
            case Kind.CREDENTIALS_FILE:
                return self._readable(CredentialsFile(self._path(piece)))
            case Kind.SECRET_COMMAND:
                return _command(piece)
            case Kind.TEXT:
                return _text_of(key.characters, piece.text)
            case Kind.CHOICE:
                return _choice(key, piece.text)
            case Kind.URL:
                return check_url(piece.text, key.choices)
            case kind:
                return _ONE[kind](piece.text)

    def _path(self, piece: Piece) -> Path:
        text = piece.text
        if text == "~" or text.startswith("~/"):
            text = self._home + text[1:]
        return piece.place.base / text

    def _secret(self, piece: Piece) -> SecretSource:
        if piece.text == STDIN_WORD:
            return self._stdin
        if _TOKEN.fullmatch(piece.text):
            raise Wrong("is a token itself; write it into a file and name that")
        return self._readable(SecretFile(self._path(piece)))

    def _readable(self, source: SecretFile) -> SecretSource:
        try:
            mode = os.stat(source.path).st_mode
            if stat.S_ISDIR(mode):
                raise Wrong(f"{source.path} is a directory; name the file in it")
            if stat.S_ISREG(mode):  # a pipe can be read only once
                source.read()
        except (FileNotFoundError, NotADirectoryError):
            raise Wrong(f"{source.path} does not exist; {self.secret_remedy}") from None
        except OSError as error:
            raise Wrong(str(source.unreadable(error))) from None
        except ConfigurationError as error:
            raise Wrong(str(error)) from None
        return source


def _checked(key: Key, value: object) -> object:
    """:returns: what the dialect makes of a value, of each if there are several"""
    match value:
        case int() | float() if not isinstance(value, bool):
            return _in_range(key, value)
        case range():
            if len(value) < key.least:
                raise Wrong(
                    f"{shown(value)} are {len(value)} ports; it takes {key.least:g} or more"
                )
        case _ if key.check is None:
            return value
        case str():
            return key.check(value)
        case Door():
            return replace(value, endpoint=key.check(value.endpoint))
        case tuple():
            return tuple(_checked(key, one) for one in value)
    return value


def _in_range(key: Key, value: int | float) -> int | float:
    if value < key.least or (key.most is not None and value > key.most):
        upward = "on" if key.most is None else f"to {key.most:g}"
        raise Wrong(f"{value:g} is not a number from {key.least:g} {upward}")
    return value


def shown(value: object, kind: Kind = Kind.TEXT) -> str:
    """:returns: a value as an INI would have it; a secret's origin in place of the secret."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int() if kind is Kind.BYTES and value >= KiB:
            units = (("GiB", GiB), ("MiB", MiB), ("KiB", KiB))
            return next((f"{value // n} {u}" for u, n in units if value % n == 0), str(value))
        case float():
            return f"{value:g}"
        case tuple():
            return ", ".join(map(shown, value))
        case range():
            return f"{value.start}-{value.stop - 1}"
        case Door():
            return f"{value.service}={value.endpoint}" if value.service else value.endpoint
        case StdinSecret() | EnvironmentSecret():
            return "***"
        case SecretFile():
            return value.origin
        case CommandSecret():
            # the arguments may hold a password
            return " ".join((value.command[0], *("***" for _ in value.command[1:2])))
        case None:
            return ""
    return str(value)


def _split_commas(said: Said) -> Iterator[Piece]:
    for piece in said.pieces:
        for text in filter(None, map(str.strip, piece.text.split(","))):
            yield Piece(text, piece.place)


def _text(text: str) -> str:
    return text


def _text_of(characters: str, text: str) -> str:
    if characters and not re.fullmatch(f"[{characters}]+", text):
        raise Wrong(f"{quoted(text)} has other characters than {characters}")
    return text


def _command(piece: Piece) -> CommandSecret:
    # nothing of the text is repeated, since it may hold a password
    try:
        words = shlex.split(piece.text)
    except ValueError:
        raise Wrong("a quotation mark, or what follows the last backslash, is missing") from None
    if not words or not words[0]:
        raise Wrong("names no program")
    return CommandSecret(tuple(words), piece.place.base)


def _integer(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise Wrong(f"{quoted(text)} is not a whole number from 0 on")
    return int(text)


def _ports(text: str) -> range:
    match = re.fullmatch(r"([0-9]{1,5})\s*-\s*([0-9]{1,5})", text)
    if match is None:
        raise Wrong(f"{quoted(text)} is no range of ports like 20000-20999")
    first, last = int(match[1]), int(match[2])
    if not LOWEST_PORT <= first <= last <= HIGHEST_PORT:
        raise Wrong(
            f"{quoted(text)} is no range of ports between {LOWEST_PORT} and {HIGHEST_PORT}, "
            "the lower one first"
        )
    return range(first, last + 1)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        number = re.match(r"[0-9.]+(?=\s*s)", text)
        hint = f'; did you mean "{number[0]}"?' if number else ""
        raise Wrong(f"{quoted(text)} is not a number of seconds from 0 on{hint}")
    return float(text)


def _bytes(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,15})\s*([A-Za-z]*)", text)
    if match is None or match[2].lower() not in _UNITS:
        number = match[1] if match else "64"
        unit = {"k": "KiB", "m": "MiB", "g": "GiB"}.get(match[2][:1].lower()) if match else None
        hint = f'; did you mean "{number} {unit}"?' if unit else ", like 65536 or 64 KiB"
        raise Wrong(f"{quoted(text)} is not a number of bytes{hint}")
    return int(match[1]) * _UNITS[match[2].lower()]


def _boolean(text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise Wrong(f"{quoted(text)} is neither yes nor no{nearest(text, _BOOLEANS)}")
    return _BOOLEANS[text.lower()]


def _choice(key: Key, text: str) -> str:
    word = dict(key.aliases).get(text.lower(), text.lower())
    if word not in key.choices:
        known = (*key.choices, *(spelling for spelling, _choice in key.aliases))
        raise Wrong(
            f"{quoted(text)} is none of {listed(key.choices, 'or')}{nearest(text.lower(), known)}"
        )
    return word


def _door(text: str, check: Callable[[str], str]) -> Door:
    match = _DOOR.fullmatch(text)
    service, endpoint = (match[1], match[2]) if match else ("", text)
    return Door(service, check(endpoint))


_ONE: dict[Kind, Callable[[str], object]] = {
    Kind.INTEGER: _integer,
    Kind.PORTS: _ports,
    Kind.SECONDS: _seconds,
    Kind.BYTES: _bytes,
    Kind.BOOLEAN: _boolean,
    Kind.SERVER_ENDPOINT: check_server,
    Kind.CLIENT_ENDPOINT: check_client,
    Kind.DOOR: lambda text: (_door(text, check_client),),
}
_MANY: dict[Kind, Callable[[str], object]] = {
    Kind.LIST: _text,
    Kind.SERVER_ENDPOINTS: check_server,
    Kind.DOORS: lambda text: _door(text, check_client),
    Kind.SERVER_DOORS: lambda text: _door(text, check_door),
}
