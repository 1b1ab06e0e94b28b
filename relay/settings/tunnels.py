"""What ``relay-host`` and ``relay-client`` are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from relay.settings import originals
from relay.settings.example import too_little
from relay.settings.faults import listed, nearest, not_installed
from relay.settings.ini import Ini, Section, find_config, read_ini
from relay.settings.keys import (
    DEFAULT_DIALECT,
    DialectKeys,
    log_keys,
    merge,
    option_keys,
    tunnel_keys,
)
from relay.settings.model import TunnelSettings, TunnelsSettings
from relay.settings.schema import Key, Kind
from relay.settings.tunnel import CREDENTIAL_KEYS, Tunnel
from relay.settings.urls import callers_url
from relay.settings.values import Options, Reading, Sources, Values
from relay.vocabulary import Role

_SECRET_REMEDY = (
    "{made}name another file: for instance "
    "twistd -n relay-{role} --dialect {dialect} --router wss://relay.example.org "
    "--token-file web.token {name} {door}"
)
_EXAMPLE_DOORS = {
    Role.HOST: "--forward tcp:127.0.0.1:8080",
    Role.CLIENT: "--listen tcp:8000:interface=127.0.0.1",
}


def examine_tunnels(
    role: Role,
    options: Options,
    environ: Mapping[str, str],
    directory: Path,
    dialects: Mapping[str, DialectKeys],
    section: str | None = None,
) -> Reading[TunnelsSettings]:
    """Read hosts' or clients' settings, and say where each value came from.

    :param options: texts by option name without dashes, ``config`` among them
    :param directory: the working directory
    :param dialects: the installed dialects
    :param section: the name of the one section that is wanted; None: all of them
    :raises ConfigurationError: with every fault
    """
    sources = Sources.of(options, environ, directory, "")
    config = find_config(sources.options, environ, directory, f"{role.value}.ini")
    ini = None if config is None else read_ini(*config, sources.faults)
    if ini is None:
        sources.faults.raise_any()
    tunnels = _Tunnels(role, sources, ini, dialects)
    settings = tunnels.read() if section is None else tunnels.read_one(section)
    sources.faults.raise_any()
    return sources.reading(settings)


def read_tunnels(
    role: Role,
    options: Options,
    environ: Mapping[str, str],
    directory: Path,
    dialects: Mapping[str, DialectKeys],
    section: str | None = None,
) -> TunnelsSettings:
    """:func:`examine_tunnels` without the explanations. :raises ConfigurationError: likewise."""
    return examine_tunnels(role, options, environ, directory, dialects, section).settings


class _Tunnels:
    """One reading of all sections of one role."""

    def __init__(
        self, role: Role, sources: Sources, ini: Ini | None, dialects: Mapping[str, DialectKeys]
    ) -> None:
        self._role = role
        self._sources = sources
        self._faults = sources.faults
        self._ini = ini
        self._dialects = dialects
        self._override = False
        self._doors = "forward" if role is Role.HOST else "listen"
        self._sections = [
            section
            for name, section in ({} if ini is None else ini.sections).items()
            if name.startswith(f"{role.value}:") and section.tunnel
        ]

    def read(self) -> TunnelsSettings:
        """:returns: the settings of all sections, or of the tunnel that the options make."""
        self._check_sections()
        section = self._ini.sections.get(self._role.value) if self._ini else None
        general = self._sources.read(self._role.value, section, self._log_keys(), take_options=True)
        return TunnelsSettings(
            role=self._role,
            tunnels=tuple(tunnel for tunnel in self._read_tunnels() if tunnel is not None),
            log_format=general.text("log-format") or "",
            log_level=general.text("log-level") or "",
            config_file=None if self._ini is None else self._ini.path,
        )

    def read_one(self, name: str) -> TunnelsSettings:
        """:returns: the settings of one section, which the options override."""
        names = [section.tunnel for section in self._sections]
        if name not in names:
            where = self._ini.shown if self._ini else f"relay-{self._role.value}"
            self._faults.add(
                where, f"has no section [{self._role.value}:{name}]{nearest(name, names)}"
            )
            self._faults.raise_any()
        self._sections = [self._sections[names.index(name)]]
        self._override = True
        return self.read()

    def _log_keys(self) -> Sequence[Key]:
        """:returns: with the variables by which original hosts are told"""
        levels = tuple(
            keys.traits.host_log_level
            for keys in self._dialects.values()
            if keys.traits.host_log_level is not None and self._role is Role.HOST
        )
        return [
            replace(key, foreign=levels) if key.name == "log-level" else key for key in log_keys()
        ]

    def _read_tunnels(self) -> list[TunnelSettings | None]:
        own = not self._override and self._options_open()
        if not self._sections or (own and (len(self._sections) > 1 or self._options_suffice())):
            return [self._read_tunnel(None, take_options=True)]
        if len(self._sections) == 1:
            return [self._read_tunnel(self._sections[0], take_options=True)]
        log_names = {key.name for key in log_keys()}
        for name in self._sources.options:
            if name != "config" and name not in log_names:
                names = listed((f"[{section.name}]" for section in self._sections), "or")
                self._faults.add(
                    f"option --{name}",
                    f"which section is meant, {names}? write it there, "
                    f"or add --{self._doors} for a tunnel of its own",
                )
        return [self._read_tunnel(section, take_options=False) for section in self._sections]

    def _options_open(self) -> bool:
        """:returns: whether options say what a tunnel opens, by doors or by what replaces them"""
        doors = next((key for key in self._options_keys() if key.name == self._doors), None)
        names = {self._doors, *(doors.unless if doors else ())}
        # else what a file forwards for another dialect would be opened besides
        return not names.isdisjoint(self._sources.options)

    def _options_suffice(self) -> bool:
        """:returns: whether options and environment need nothing of the INI's only section."""
        own = self._options_keys()
        keys = {key.name: key for key in merge(tunnel_keys(self._role), own)}

        def said(name: str) -> bool:
            key = keys.get(name)
            return key is not None and self._sources.find(key, None, take_options=True) is not None

        needed = any(key.required for key in keys.values() if key.name in CREDENTIAL_KEYS)
        dialled = [key.name for key in keys.values() if key.required and key.kind is Kind.URL]
        return all(map(said, dialled)) and (not needed or any(map(said, CREDENTIAL_KEYS)))

    def _options_keys(self) -> Sequence[Key]:
        """:returns: what the dialect that options or environment name has of its own"""
        dialect, _where = self._dialect(None, take_options=True)
        return self._dialects[dialect].of(self._role) if dialect in self._dialects else ()

    def _check_sections(self) -> None:
        roles = [role.value for role in Role]
        known = [*roles, *(f"{role}:NAME" for role in roles)]
        for name, section in ({} if self._ini is None else self._ini.sections).items():
            role, colon, rest = name.partition(":")
            if role in roles and (not colon or rest.strip()):
                continue
            hint = nearest(role, known)
            if role in roles:
                hint = f" without a name, which is written [{role}:NAME]"
            elif role in ("router", "dialect", "limits", "tls") or role.startswith("publish "):
                hint = " here; it belongs into relay.ini, which relay-router reads"
            elif colon and hint:
                hint = nearest(role, roles).replace('"?', f':{rest}"?')
            if name:
                self._faults.add(section.place.where, f"unknown section{hint}")

    def _dialect(self, section: Section | None, take_options: bool) -> tuple[str, str]:
        keys = {key.name: key for key in tunnel_keys(self._role)}
        found = self._sources.find(keys["dialect"], section, take_options)
        if found is None:
            router = self._sources.find(keys["router"], section, take_options)
            meant = None if router or self._sections else self._of_original()
            return meant or (DEFAULT_DIALECT, "default of dialect")
        return found[1].pieces[0].text, found[1].place.where

    def _of_original(self) -> tuple[str, str] | None:
        """:returns: the dialect whose original this environment is made for, and what says so"""
        for name, keys in self._dialects.items():
            for variable in keys.traits.tunnel_variables.get(self._role, ()):
                if originals.says(self._sources.environ, variable):
                    return name, originals.origin(variable)
        return None

    def _read_tunnel(self, section: Section | None, take_options: bool) -> TunnelSettings | None:
        dialect, where = self._dialect(section, take_options)
        if dialect not in self._dialects:
            self._faults.add(where, not_installed(dialect, self._dialects))
            return None
        own = self._dialects[dialect].of(self._role)
        keys = merge(tunnel_keys(self._role), own)
        no_client = self._dialects[dialect].traits.no_client
        if no_client and self._role is Role.CLIENT:
            found = {
                name: self._said(name, keys, section, take_options) for name in ("router", "id")
            }
            url = callers_url(found["router"], found["id"] or "ID")
            self._faults.add(where, f"dialect {dialect} has no client: {no_client.format(url=url)}")
            return None
        if take_options:
            self._check_options(dialect, keys)
        self._sources.kinds.secret_remedy = self._remedy(dialect, own)
        label = section.name if section else f"{self._role.value}, options"
        values = self._sources.read(
            label, section, keys, take_options=take_options, synonyms=CREDENTIAL_KEYS
        )
        lacks = self._lacks(dialect, values, keys, section)
        if lacks and section is None:
            return None
        # what is there is checked all the same, so that all faults are told at once
        tunnel = Tunnel(self._role, self._sources, values, label, section)
        settings = tunnel.settings(dialect, self._doors, own, self._dialects[dialect].traits)
        return None if lacks else settings

    def _remedy(self, dialect: str, own: Sequence[Key]) -> str:
        """:returns: what to do about a token's file that is missing"""
        traits = self._dialects[dialect].traits
        command = traits.host_token if self._role is Role.HOST else traits.client_token
        needed = [key for key in own if key.required and key.example]
        return _SECRET_REMEDY.format(
            made=f'make one with "relay token {command}", or ' if command else "",
            role=self._role.value,
            dialect=dialect,
            name=" ".join(f"--{key.name} {key.example}" for key in needed) or "--service web",
            door=_EXAMPLE_DOORS[self._role],
        )

    def _said(
        self, name: str, keys: Sequence[Key], section: Section | None, take_options: bool
    ) -> str:
        """:returns: what is said for a key of one text, be it right or wrong; else nothing"""
        key = next((key for key in keys if key.name == name), None)
        said = key and self._sources.find(key, section, take_options)
        return said[1].pieces[0].text if said else ""

    def _check_options(self, dialect: str, keys: Sequence[Key]) -> None:
        known = {"config", *(key.name for key in (*keys, *log_keys()))}
        others = {key.name for key in option_keys(self._role, self._dialects)}
        for name in self._sources.options:
            if name in known:
                continue
            text = f"unknown option{nearest(name, known)}"
            if name in others:
                text = f"dialect {dialect} has no such key"
            self._faults.add(f"option --{name}", text)

    def _lacks(
        self, dialect: str, values: Values, keys: Sequence[Key], section: Section | None
    ) -> bool:
        credential = any(map(values.said, CREDENTIAL_KEYS))
        wanted = [key for key in keys if not (key.name in CREDENTIAL_KEYS and credential)]
        if section is not None:
            before = len(self._faults.lines)
            self._sources.require(values, wanted, section.place.where)
            return len(self._faults.lines) > before
        missing = [key for key in wanted if self._sources.lacks(values, key)]
        if missing:
            services = self._dialects[dialect].traits.services
            program, text = too_little(
                self._role, self._sources, self._ini, missing, keys, services
            )
            self._faults.add(program, text)
        return bool(missing)
