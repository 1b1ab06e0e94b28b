"""Decides which of option, variable, INI and default counts for each key of one section."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from relay.settings.faults import Faults, Piece, Place, Said, listed, nearest
from relay.settings.ini import Section
from relay.settings.kinds import Kinds, shown
from relay.settings.model import Door, SecretSource
from relay.settings.schema import Key
from relay.settings.secrets import SECRET_SOURCES
from relay.settings.urls import masked

Settings = TypeVar("Settings")
Options = Mapping[str, str | list[str] | None]


class Explained(NamedTuple):
    """One value that is in force, and who said so.

    :ivar section: without brackets
    :ivar value: as text; the origin in place of a secret
    :ivar origin: ``etc/relay.ini:12``, ``environment NAME``, ``option --NAME`` or ``default``
    """

    section: str
    key: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Reading(Generic[Settings]):
    """Settings, and where each of their values came from."""

    settings: Settings
    explained: tuple[Explained, ...]


class Values:
    """One section's values by key name; typed access for what the common keys name."""

    def __init__(self) -> None:
        self._values: dict[str, object] = {}
        self._places: dict[str, Place] = {}

    def put(self, name: str, value: object, place: Place) -> None:
        """Note a value and where it was said."""
        self._values[name] = value
        self._places[name] = place

    def said(self, name: str) -> bool:
        """:returns: whether somebody said something, be it right or wrong; a default is silence."""
        return name in self._places and self._places[name].origin != "default"

    def where(self, name: str, otherwise: str) -> str:
        """:returns: what a fault about that key begins with, ``otherwise`` when nobody said it."""
        return self._places[name].where if self.said(name) else otherwise

    def text(self, name: str) -> str | None:
        """:returns: the value of a key of one text, None: there is none."""
        value = self._values.get(name)
        return value if isinstance(value, str) else None

    def texts(self, name: str) -> tuple[str, ...]:
        """:returns: the value of a key of several texts."""
        value = self._values.get(name)
        return tuple(map(str, value)) if isinstance(value, tuple) else ()

    def doors(self, name: str) -> tuple[Door, ...]:
        """:returns: the value of ``forward`` or ``listen``."""
        value = self._values.get(name)
        return tuple(d for d in value if isinstance(d, Door)) if isinstance(value, tuple) else ()

    def number(self, name: str) -> float | None:
        """:returns: the value of a key of seconds, None: there is none."""
        value = self._values.get(name)
        return value if isinstance(value, (int, float)) else None

    def count(self, name: str) -> int | None:
        """:returns: the value of a key of bytes or a number of things, None: there is none."""
        value = self._values.get(name)
        return value if isinstance(value, int) else None

    def flag(self, name: str) -> bool:
        """:returns: the value of a yes-or-no key."""
        return self._values.get(name) is True

    def path(self, name: str) -> Path | None:
        """:returns: the value of a path key, None: there is none."""
        value = self._values.get(name)
        return value if isinstance(value, Path) else None

    def secret(self, name: str) -> SecretSource | None:
        """:returns: the value of a secret key, None: there is none."""
        value = self._values.get(name)
        return value if isinstance(value, SECRET_SOURCES) else None

    def named(self, names: Iterable[str]) -> dict[str, object]:
        """:returns: these keys' values, None for those without one."""
        return {name: self._values.get(name) for name in names}


@dataclass(frozen=True, slots=True)
class Sources:
    """Whatever can say a value, beside the INI, and what was found.

    :ivar options: by name, without those that say nothing
    :ivar directory: the working directory
    """

    options: Mapping[str, Sequence[str]]
    environ: Mapping[str, str]
    directory: Path
    faults: Faults
    kinds: Kinds
    explained: list[Explained] = field(default_factory=list)

    @classmethod
    def of(
        cls, options: Options, environ: Mapping[str, str], directory: Path, secret_remedy: str
    ) -> Sources:
        """Collect them; an empty option or variable is as good as none."""
        given: dict[str, Sequence[str]] = {}
        for name, value in options.items():
            texts = [value] if isinstance(value, str) else value or []
            if texts := [text.strip() for text in texts if text.strip()]:
                given[name] = texts
        faults = Faults()
        kinds = Kinds(faults, environ.get("HOME") or str(Path.home()), secret_remedy)
        return cls(given, environ, directory, faults, kinds)

    def read(
        self,
        label: str,
        section: Section | None,
        keys: Sequence[Key],
        *,
        take_options: bool = False,
        synonyms: tuple[str, ...] = (),
    ) -> Values:
        """Find, parse and note the value of each key.

        :param label: the section's name for messages
        :param section: what the INI says, None: nothing
        :param take_options: whether options of the keys' names count here
        :param synonyms: names of which only one may be said; what is said with more weight wins
        """
        if section is not None:
            self._check_names(section, keys)
        found: dict[str, tuple[int, Said]] = {}
        for key in keys:
            if (weighed := self.find(key, section, take_options)) is not None:
                found[key.name] = weighed
        self._settle(found, synonyms)
        values = Values()
        for key in keys:
            said = found[key.name][1] if key.name in found else self._default(key)
            if said is None:
                continue
            value = self.kinds.parse(key, said)
            values.put(key.name, value, said.place)
            self.note(label, key.name, shown(value, key.kind), said.place.origin)
        return values

    def require(self, values: Values, keys: Sequence[Key], where: str) -> None:
        """Note a fault for each required key that nobody said."""
        for key in keys:
            if self.lacks(values, key):
                like = f', like "{key.name} = {key.example}"' if key.example else ""
                instead = f"; or say {listed(key.unless, 'or')}" if key.unless else ""
                self.faults.add(f"{where} {key.name}", f"is missing: {key.help}{like}{instead}")

    @staticmethod
    def lacks(values: Values, key: Key) -> bool:
        """:returns: whether a required key has no value, nor another that makes up for it."""
        if not key.required or key.default is not None:
            return False
        return not any(map(values.said, (key.name, *key.unless)))

    def note(self, section: str, key: str, value: str, origin: str) -> None:
        """Add one line to what is explained, in the place of what was noted of the key before."""
        self.explained[:] = [
            line for line in self.explained if (line.section, line.key) != (section, key)
        ]
        self.explained.append(Explained(section, key, masked(value), origin))

    def reading(self, settings: Settings) -> Reading[Settings]:
        """:returns: the settings and their explanations, section by section."""
        sections = list(dict.fromkeys(line.section for line in self.explained))
        self.explained.sort(key=lambda line: sections.index(line.section))
        return Reading(settings, tuple(self.explained))

    def find(
        self, key: Key, section: Section | None, take_options: bool
    ) -> tuple[int, Said] | None:
        """:returns: what counts for a key, None: nobody says anything. The smaller weight wins."""
        if take_options and key.name in self.options:
            return 0, self._from_option(key.name)
        for name in key.environment:
            if self.environ.get(name, "").strip():
                return 1, self.from_variable(name)
        for foreign in key.foreign:
            if self.environ.get(foreign.variable, "").strip():
                said = self.from_variable(foreign.variable)
                return 1, said._replace(translate=foreign.translate)
        for name in key.secret_environment:
            if self.environ.get(name, "").strip():
                return 1, self.from_variable(name)._replace(secret=True)
        if section is not None and key.name in section.entries:
            said = section.entries[key.name]
            if said.pieces:
                return 2, said
        for name in key.fallback_environment:
            if self.environ.get(name, "").strip():
                return 3, self.from_variable(name)
        return None

    def from_variable(self, name: str) -> Said:
        """:returns: what a variable says."""
        origin = f"environment {name}"
        place = Place(origin, origin, self.directory)
        return Said(place, (Piece(self.environ[name].strip(), place),))

    def _from_option(self, name: str) -> Said:
        origin = f"option --{name}"
        place = Place(origin, origin, self.directory)
        return Said(place, tuple(Piece(text, place) for text in self.options[name]))

    def _default(self, key: Key) -> Said | None:
        if key.default is None:
            return None
        place = Place("default", f"default of {key.name}", self.directory)
        return Said(place, (Piece(key.default, place),))

    def _settle(self, found: dict[str, tuple[int, Said]], synonyms: tuple[str, ...]) -> None:
        rivals = [name for name in synonyms if name in found]
        if len(rivals) < 2:
            return
        winner = min(rivals, key=lambda name: found[name][0])
        for name in rivals:
            if name == winner:
                continue
            if found[name][0] == found[winner][0]:
                self.faults.add(
                    found[name][1].place.where,
                    f"says the same as {found[winner][1].place.where}; keep one of the two",
                )
            del found[name]

    def _check_names(self, section: Section, keys: Sequence[Key]) -> None:
        known = [key.name for key in keys]
        for name, said in section.entries.items():
            if name not in known:
                self.faults.add(said.place.where, f"unknown key{nearest(name, known)}")
