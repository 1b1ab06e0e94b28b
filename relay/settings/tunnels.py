"""What ``relay-host`` and ``relay-client`` are told."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from relay.settings.example import too_little
from relay.settings.faults import Faults, Wrong, listed, nearest, not_installed, quoted
from relay.settings.ini import Ini, Section, find_config, read_ini
from relay.settings.keys import (
    DEFAULT_DIALECT,
    DialectKeys,
    log_keys,
    merge,
    option_keys,
    tunnel_keys,
)
from relay.settings.model import Door, Limits, TunnelSettings, TunnelsSettings
from relay.settings.rules import check_liveness
from relay.settings.schema import Key
from relay.settings.urls import check_proxy, masked, proxy_variable
from relay.settings.values import Options, Reading, Sources, Values
from relay.vocabulary import Role

CREDENTIAL_KEYS = ("token-file", "secret-file")
"""Two words for one thing; dialects differ in which one their users know."""
_SERVICE = re.compile(r"[A-Za-z0-9_-]+")
_SECRET_REMEDY = 'make one with "relay token", or name another file'


def examine_tunnels(
    role: Role,
    options: Options,
    environ: Mapping[str, str],
    directory: Path,
    dialects: Mapping[str, DialectKeys],
) -> Reading[TunnelsSettings]:
    """Read hosts' or clients' settings, and say where each value came from.

    :param options: texts by option name without dashes, ``config`` among them
    :param directory: the working directory
    :param dialects: the installed dialects
    :raises ConfigurationError: with every fault
    """
    sources = Sources.of(options, environ, directory, _SECRET_REMEDY)
    config = find_config(sources.options, environ, directory, f"{role.value}.ini")
    ini = None if config is None else read_ini(*config, sources.faults)
    if ini is None:
        sources.faults.raise_any()
    settings = _Tunnels(role, sources, ini, dialects).read()
    sources.faults.raise_any()
    return sources.reading(settings)


def read_tunnels(
    role: Role,
    options: Options,
    environ: Mapping[str, str],
    directory: Path,
    dialects: Mapping[str, DialectKeys],
) -> TunnelsSettings:
    """:func:`examine_tunnels` without the explanations. :raises ConfigurationError: likewise."""
    return examine_tunnels(role, options, environ, directory, dialects).settings


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
        self._doors = "forward" if role is Role.HOST else "listen"
        self._sections = [
            section
            for name, section in ({} if ini is None else ini.sections).items()
            if name.startswith(f"{role.value}:") and name.partition(":")[2].strip()
        ]

    def read(self) -> TunnelsSettings:
        self._check_sections()
        section = self._ini.sections.get(self._role.value) if self._ini else None
        general = self._sources.read(self._role.value, section, log_keys(), take_options=True)
        return TunnelsSettings(
            role=self._role,
            tunnels=tuple(tunnel for tunnel in self._read_tunnels() if tunnel is not None),
            log_format=general.text("log-format") or "",
            log_level=general.text("log-level") or "",
            config_file=None if self._ini is None else self._ini.path,
        )

    def _read_tunnels(self) -> list[TunnelSettings | None]:
        own = self._doors in self._sources.options
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

    def _options_suffice(self) -> bool:
        """:returns: whether options and environment need nothing of the INI's only section."""
        dialect, _where = self._dialect(None, take_options=True)
        own = self._dialects[dialect].of(self._role) if dialect in self._dialects else ()
        keys = {key.name: key for key in merge(tunnel_keys(self._role), own)}

        def said(name: str) -> bool:
            return self._sources.find(keys[name], None, take_options=True) is not None

        token = not keys["token-file"].required or any(map(said, CREDENTIAL_KEYS))
        return said("router") and token

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
            return DEFAULT_DIALECT, "default of dialect"
        return found[1].pieces[0].text, found[1].place.where

    def _read_tunnel(self, section: Section | None, take_options: bool) -> TunnelSettings | None:
        dialect, where = self._dialect(section, take_options)
        if dialect not in self._dialects:
            self._faults.add(where, not_installed(dialect, self._dialects))
            return None
        own = self._dialects[dialect].of(self._role)
        keys = merge(tunnel_keys(self._role), own)
        if take_options:
            self._check_options(dialect, keys)
        label = section.name if section else f"{self._role.value}, options"
        values = self._sources.read(
            label, section, keys, take_options=take_options, synonyms=CREDENTIAL_KEYS
        )
        if self._lacks(values, keys, section):
            return None
        return _Tunnel(self._role, self._sources, values, label, section).settings(
            dialect, self._doors, own
        )

    def _check_options(self, dialect: str, keys: Sequence[Key]) -> None:
        known = {"config", *(key.name for key in (*keys, *log_keys()))}
        others = {key.name for key in option_keys(self._role, self._dialects)}
        for name in self._sources.options:
            if name in known:
                continue
            text = f"dialect {dialect} has no such key" if name in others else "unknown option"
            self._faults.add(f"option --{name}", f"{text}{nearest(name, known)}")

    def _lacks(self, values: Values, keys: Sequence[Key], section: Section | None) -> bool:
        credential = any(map(values.said, CREDENTIAL_KEYS))
        wanted = [key for key in keys if not (key.name == "token-file" and credential)]
        if section is not None:
            before = len(self._faults.lines)
            self._sources.require(values, wanted, section.place.where)
            return len(self._faults.lines) > before
        missing = [
            key for key in wanted if key.required and not key.default and not values.said(key.name)
        ]
        if missing:
            program, text = too_little(self._role, self._sources, self._ini, missing, keys)
            self._faults.add(program, text)
        return bool(missing)


class _Tunnel:
    """Makes one tunnel's settings of its section's values."""

    def __init__(
        self, role: Role, sources: Sources, values: Values, label: str, section: Section | None
    ) -> None:
        self._role = role
        self._sources = sources
        self._faults: Faults = sources.faults
        self._values = values
        self._label = label
        self._section = section
        self._place = section.place.where if section else f"relay-{role.value}"

    def settings(self, dialect: str, doors_key: str, own: Sequence[Key]) -> TunnelSettings:
        values = self._values
        limits = Limits()
        doors = self._doors(doors_key)
        ca_file = values.path("ca-file")
        if ca_file is not None and not os.path.isfile(ca_file):
            self._faults.add(self._where("ca-file"), f"{ca_file} does not exist or is no file")
        window_bytes = values.count("window-bytes")
        if window_bytes == 0:
            self._faults.add(self._where("window-bytes"), "must be greater than 0")
        ping_s, dead_s = values.number("ping-s"), values.number("dead-s")
        ping_s = limits.ping_s if ping_s is None else ping_s
        dead_s = limits.dead_s if dead_s is None else dead_s
        where = values.where("dead-s", values.where("ping-s", self._place))
        check_liveness(ping_s, dead_s, where, self._faults)
        router = values.text("router") or ""
        name = self._section.name.partition(":")[2].strip() if self._section else ""
        return TunnelSettings(
            role=self._role,
            name=name or (doors[0].service if doors else values.text("service")) or dialect,
            dialect=dialect,
            router=router,
            token=values.secret(CREDENTIAL_KEYS[0]) or values.secret(CREDENTIAL_KEYS[1]),
            doors=doors,
            ca_file=ca_file,
            tls_name=values.text("tls-name"),
            proxy=self._proxy(router),
            reconnect=values.text("reconnect") or "yes",
            window_bytes=window_bytes or limits.window_bytes,
            ping_s=ping_s,
            dead_s=dead_s,
            values=values.named(key.name for key in own),
        )

    def _where(self, key: str) -> str:
        return self._values.where(key, self._place)

    def _doors(self, key: str) -> tuple[Door, ...]:
        service = self._values.text("service") or ""
        if not _SERVICE.fullmatch(service):
            self._faults.add(
                self._where("service"), f"{quoted(service)} has other characters than A-Za-z0-9_-"
            )
        doors = tuple(
            door if door.service else replace(door, service=service)
            for door in self._values.doors(key)
        )
        if self._role is Role.HOST:
            services = [door.service for door in doors]
            for twice in sorted({name for name in services if services.count(name) > 1}):
                self._faults.add(
                    self._where(key),
                    f"service {quoted(twice)} is forwarded to two endpoints; "
                    "give each its own name: SERVICE=ENDPOINT",
                )
        return doors

    def _proxy(self, router: str) -> str | None:
        where, text = self._where("proxy"), self._values.text("proxy")
        if text is None:
            variable = proxy_variable(router, self._sources.environ) if router else None
            if variable is None:
                return None
            where = f"environment {variable}"
            text = self._sources.environ[variable].strip()
            # As with other programs, a proxy in the environment needs no scheme.
            text = text if "://" in text else f"http://{text}"
            self._sources.note(self._label, "proxy", masked(text), where)
        try:
            return check_proxy(text)
        except Wrong as wrong:
            self._faults.add(where, str(wrong))
            return None
