"""INI files: found, read, and taken apart with the line of everything in them.

The format is :mod:`configparser`'s with ``=`` as the only delimiter, no interpolation and comments
on their own lines. What that module does not tell is where a value stands; so section headers are
handed to it with their line number in front, and :meth:`_Parser.optionxform` does so for keys.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from relay.settings.faults import Faults, Piece, Place, Said, quoted

SYSTEM_DIRECTORY = Path("/etc/relay")
CONFIG_VARIABLE = "RELAY_CONFIG"
MAX_FILE_BYTES = 1 << 20
_MARK = "\0"
_HEADER = re.compile(r"\[(.*)\](.*)")


@dataclass(frozen=True, slots=True)
class Section:
    """One section: where it begins and what it says, by key; an empty value has no pieces."""

    name: str
    place: Place
    entries: dict[str, Said] = field(default_factory=dict)

    @property
    def tunnel(self) -> str:
        """:returns: NAME of ``[host:NAME]`` or ``[client:NAME]``, empty for other sections."""
        return self.name.partition(":")[2].strip()


@dataclass(frozen=True, slots=True)
class Ini:
    """One INI file, by section.

    :ivar shown: the path as messages show it
    """

    path: Path
    shown: str
    sections: dict[str, Section]


def find_config(
    options: Mapping[str, Sequence[str]],
    environ: Mapping[str, str],
    directory: Path,
    name: str,
) -> tuple[Path, str] | None:
    """Decide which file to read.

    :param name: ``relay.ini``, ``host.ini`` or ``client.ini``
    :returns: its path, and the path as messages show it; None: there is none
    """
    named = (options.get("config") or [environ.get(CONFIG_VARIABLE, "")])[-1]
    if named:
        return directory / named, named
    local = directory / "etc" / name
    if os.path.exists(local):
        return local, f"etc/{name}"
    system = SYSTEM_DIRECTORY / name
    return (system, str(system)) if os.path.exists(system) else None


def read_ini(path: Path, shown: str, faults: Faults) -> Ini | None:
    """Read and take apart one file; what is wrong goes to ``faults``.

    :returns: None when it cannot be read at all
    """
    text = _read_text(path, shown, faults)
    return None if text is None else _Reading(path, shown, text, faults).ini


def _read_text(path: Path, shown: str, faults: Faults) -> str | None:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        faults.add(shown, "there is no such file")
    except IsADirectoryError:
        faults.add(shown, "is a directory; name the INI file in it")
    except (OSError, ValueError) as error:
        faults.add(shown, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    else:
        if len(content) > MAX_FILE_BYTES:
            faults.add(shown, f"is longer than {MAX_FILE_BYTES} bytes: hardly an INI file")
            return None
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            byte = error.object[error.start]
            faults.add(f"{shown}:{line}", f"is not UTF-8 text (byte 0x{byte:02x})")
            return None
        if _MARK in text:
            line = text.count("\n", 0, text.index(_MARK)) + 1
            faults.add(f"{shown}:{line}", "is not text (byte 0x00)")
            return None
        return text.replace("\r\n", "\n").replace("\r", "\n")
    return None


class _Parser(configparser.RawConfigParser):
    """Names every key ``LINE NUL KEY``; sections come in as ``LINE NUL SECTION`` already."""

    def __init__(self) -> None:
        # Not strict: with the line in its name no section or key comes twice, and what does come
        # twice is found later, together with all other faults.
        super().__init__(
            delimiters=("=",), comment_prefixes=("#", ";"), strict=False, default_section=_MARK
        )
        self.line = 0

    def optionxform(self, optionstr: str) -> str:
        return f"{self.line}{_MARK}{optionstr.lower()}"


class _Reading:
    """One pass over one file's text."""

    def __init__(self, path: Path, shown: str, text: str, faults: Faults) -> None:
        self._lines = text.split("\n")
        self._shown = shown
        self._base = path.parent
        self._faults = faults
        self.ini = Ini(path, shown, {})
        parser = _Parser()
        try:
            parser.read_file(self._numbered(parser), shown)
        except configparser.ParsingError as error:
            for number, _line in error.errors:
                self._syntax_fault(number - 1)
        for tagged in parser.sections():
            self._add_section(tagged, parser.items(tagged, raw=True))

    def _numbered(self, parser: _Parser) -> Iterator[str]:
        # A section in front of the first line takes the keys that belong to none; configparser
        # would stop there. It makes configparser's line numbers one too high.
        yield f"[0{_MARK}]\n"
        for parser.line, text in enumerate(self._lines, 1):
            if not text.startswith("["):
                yield text + "\n"
                continue
            header = _HEADER.match(text)
            where = f"{self._shown}:{parser.line}"
            if header is None:
                self._faults.add(where, f"the closing ] is missing: {quoted(text.strip())}")
            elif header[2].strip():
                self._faults.add(where, f"nothing may stand behind [{header[1].strip()}]")
            name = header[1] if header else text[1:]
            yield f"[{parser.line}{_MARK}{name.strip()}]\n"

    def _syntax_fault(self, line: int) -> None:
        text = self._lines[line - 1].strip()
        hint = ""
        if key := re.match(r"([A-Za-z-]+)\s*:\s*(.+)", text):
            hint = f'; did you mean "{key[1]} = {key[2]}"?'
        self._faults.add(
            f"{self._shown}:{line}", f'neither "key = value" nor [section]: {quoted(text)}{hint}'
        )

    def _add_section(self, tagged: str, items: list[tuple[str, str]]) -> None:
        number, mark, name = tagged.partition(_MARK)
        if not mark:
            line = self._line_of(f"[{tagged}]", 1)
            self._faults.add(
                f"{self._shown}:{line}", f"[{tagged}] must stand at the beginning of its line"
            )
            return
        if number == "0":
            for key, _value in items:
                line_text, _, key_name = key.partition(_MARK)
                self._faults.add(
                    f"{self._shown}:{line_text}", f"{key_name}: stands before the first [section]"
                )
            return
        origin = f"{self._shown}:{number}"
        section = Section(name, Place(origin, f"{origin}: [{name}]", self._base))
        first = self.ini.sections.setdefault(name, section)
        if not name:
            self._faults.add(origin, "a section needs a name between [ and ]")
        elif first is not section:
            self._faults.add(section.place.where, f"comes twice, first in {first.place.origin}")
        seen: dict[str, str] = {}
        for key, value in items:
            self._add_entry(first, section, key, value, seen)

    def _add_entry(
        self, into: Section, section: Section, key: str, value: str, seen: dict[str, str]
    ) -> None:
        number, _, name = key.partition(_MARK)
        place = self._place(int(number), section.name, name)
        if not name:
            return  # "= value": configparser has told of it
        if name in seen:
            self._faults.add(
                place.where,
                f"comes twice, first in line {seen[name]}; several values stand below each other, "
                "one indented line each",
            )
            return
        seen[name] = number
        into.entries.setdefault(name, Said(place, tuple(self._pieces(section.name, key, value))))

    def _pieces(self, section: str, key: str, value: str) -> Iterator[Piece]:
        number, _, name = key.partition(_MARK)
        line = int(number)
        first, *others = value.split("\n")
        if first.strip():
            yield Piece(first.strip(), self._place(line, section, name))
        for text in filter(None, map(str.strip, others)):
            line = self._line_of(text, line + 1)
            yield Piece(text, self._place(line, section, name))

    def _place(self, line: int, section: str, key: str) -> Place:
        origin = f"{self._shown}:{line}"
        return Place(origin, f"{origin}: [{section}] {key}", self._base)

    def _line_of(self, text: str, start: int) -> int:
        for line in range(start, len(self._lines) + 1):
            if self._lines[line - 1].strip().startswith(text):
                return line
        return start
