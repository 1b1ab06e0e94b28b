"""What ``relay-router`` is told."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

from relay.settings import originals
from relay.settings.certificates import read_files
from relay.settings.credentials import MadeCredentialsFile, made_credentials_name
from relay.settings.faults import nearest, not_installed
from relay.settings.ini import Ini, Section, find_config, read_ini
from relay.settings.keys import (
    DIALECT_KEYS,
    LIMIT_KEYS,
    TLS_KEYS,
    ZERO_LIMITS,
    DialectKeys,
    merge,
    router_keys,
)
from relay.settings.listeners import check_listeners, own_endpoints
from relay.settings.model import (
    Callee,
    DialectSettings,
    Limits,
    Publication,
    RouterSettings,
    TlsFiles,
)
from relay.settings.publications import read_publication
from relay.settings.rules import check_liveness, check_networks, find_state_dir
from relay.settings.schema import Key, Kind
from relay.settings.secrets import MadeSecretFile, made_secret_name
from relay.settings.values import Options, Reading, Sources, Values

DEFAULT_LISTEN = "tcp:8080:interface=127.0.0.1"
DIALECT_PREFIX = "dialect:"
PUBLISH_PREFIX = "publish "
_SECTIONS = ("router", "tls", "limits")
_SECRET_REMEDY = "put the secret there, or leave the line out: one is made on the first start"


def examine_router(
    options: Options,
    environ: Mapping[str, str],
    directory: Path,
    dialects: Mapping[str, DialectKeys],
    uncertified: str = "",
) -> Reading[RouterSettings]:
    """Read the router's settings, and say where each value came from.

    :param options: texts by option name without dashes, ``config`` among them
    :param directory: the working directory
    :param dialects: the installed dialects
    :param uncertified: the dialect whose certificate may be made later
    :raises ConfigurationError: with every fault
    """
    sources = Sources.of(options, environ, directory, _SECRET_REMEDY)
    config = find_config(sources.options, environ, directory, "relay.ini")
    ini = None if config is None else read_ini(*config, sources.faults)
    if ini is None:
        sources.faults.raise_any()
    settings = _Router(sources, ini, dialects, uncertified).read()
    sources.faults.raise_any()
    return sources.reading(settings)


def read_router(
    options: Options,
    environ: Mapping[str, str],
    directory: Path,
    dialects: Mapping[str, DialectKeys],
    uncertified: str = "",
) -> RouterSettings:
    """:func:`examine_router` without the explanations. :raises ConfigurationError: likewise."""
    return examine_router(options, environ, directory, dialects, uncertified).settings


class _Router:
    """One reading of the router's sections."""

    def __init__(
        self,
        sources: Sources,
        ini: Ini | None,
        dialects: Mapping[str, DialectKeys],
        uncertified: str,
    ) -> None:
        self._uncertified = uncertified
        self._sources = sources
        self._faults = sources.faults
        self._ini = ini
        self._sections = {} if ini is None else ini.sections
        self._dialects = dialects
        self._file = "relay-router" if ini is None else ini.shown
        self._places: dict[str, str] = {}
        self._shared_said = False

    def read(self) -> RouterSettings:
        """:returns: the settings; incomplete when there are faults."""
        self._check_sections()
        self._check_options()
        values = self._sources.read(
            "router", self._sections.get("router"), router_keys(), take_options=True
        )
        self._remember("router", values, ("listen", "listen-tls", "admin"))
        self._shared_said = values.said("listen") or values.said("listen-tls")
        state_dir = find_state_dir(values, self._sources)
        limit_values = self._sources.read("limits", self._sections.get("limits"), LIMIT_KEYS)
        limits = self._limits(limit_values)
        check_networks(values, "trusted-proxies", self._faults)
        dialects = self._read_dialects(values, limit_values, limits, state_dir)
        general = self._take_general(dialects)
        listen, listen_tls = self._listen(values, dialects, general)
        wanting = ["[router] listen-tls"] if listen_tls else []
        wanting += [
            f"[{DIALECT_PREFIX}{one.name}] listen-tls"
            for one in dialects
            if one.listen_tls and one.tls is None
        ]
        tls = self._tls(general, wanting)
        log_format = values.text("log-format") or ""
        if not values.said("log-format") and originals.is_production(general):
            log_format = "json"
            where = originals.origin(originals.ENVIRONMENT)
            self._sources.note("router", "log-format", log_format, where)
        settings = RouterSettings(
            listen=listen,
            listen_tls=listen_tls,
            public_url=values.text("public-url"),
            dialects=dialects,
            state_dir=state_dir,
            admin=values.text("admin"),
            trusted_proxies=values.texts("trusted-proxies"),
            proxy_protocol=values.flag("proxy-protocol"),
            log_format=log_format,
            log_level=values.text("log-level") or "",
            drain_s=values.number("drain-s") or 0,
            limits=limits,
            tls=tls,
            publications=self._publications([dialect.name for dialect in dialects]),
            config_file=None if self._ini is None else self._ini.path,
            host_name=originals.says(general, originals.HOSTNAME),
            log_file=originals.log_file(self._sources.environ, self._sources.directory),
        )
        check_listeners(settings, self._dialects, self._places, self._file, self._faults)
        return settings

    def _remember(self, label: str, values: Values, names: Iterable[str]) -> None:
        for name in names:
            if values.said(name):
                self._places[f"[{label}] {name}"] = values.where(name, "")

    def _where(self, key: str) -> str:
        return self._places.get(key, f"{self._file}: {key}")

    def _check_sections(self) -> None:
        known = [*_SECTIONS, *(f"{DIALECT_PREFIX}{name}" for name in self._dialects)]
        for name, section in self._sections.items():
            if name in known or not name:
                continue
            where = section.place.where
            if name.startswith(DIALECT_PREFIX):
                dialect = name.removeprefix(DIALECT_PREFIX)
                self._faults.add(where, not_installed(dialect, self._dialects))
            elif name.partition(":")[0] in ("host", "client"):
                role = name.partition(":")[0]
                self._faults.add(where, f"belongs into {role}.ini, which relay-{role} reads")
            elif not name.startswith(PUBLISH_PREFIX):
                self._faults.add(where, f"unknown section{nearest(name, [*known, 'publish NAME'])}")

    def _check_options(self) -> None:
        known = ["config", *(key.name for key in router_keys())]
        for name in self._sources.options:
            if name not in known:
                self._faults.add(f"option --{name}", f"unknown option{nearest(name, known)}")

    def _limits(self, values: Values) -> Limits:
        read: dict[str, float | None] = {}
        for key, field in zip(LIMIT_KEYS, fields(Limits), strict=True):
            value = values.number(key.name)
            if value == 0 and key.name not in ZERO_LIMITS:
                self._faults.add(values.where(key.name, self._file), "must be greater than 0")
            if value is not None:
                read[field.name] = value
        limits = replace(Limits(), **read)  # type: ignore[arg-type]  # each of its key's kind
        where = values.where("dead-s", values.where("ping-s", f"{self._file}: [limits]"))
        check_liveness(limits.ping_s, limits.dead_s, where, self._faults)
        return limits

    def _has_tls(self) -> bool:
        section = self._sections.get("tls")
        return section is not None and any(_says(section, name) for name in section.entries)

    def _take_general(self, dialects: Iterable[DialectSettings]) -> Mapping[str, str]:
        """:returns: the environment where variables with general names count, else nothing"""
        spoken = any(self._dialects[one.name].traits.general_environment for one in dialects)
        return self._sources.environ if spoken else {}

    def _listen(
        self,
        values: Values,
        dialects: Sequence[DialectSettings],
        general: Mapping[str, str],
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """:returns: the shared endpoints, and those with TLS"""
        listen, listen_tls = values.texts("listen"), values.texts("listen-tls")
        if values.said("listen") or values.said("listen-tls"):
            return listen, listen_tls
        taker = [one for one in dialects if self._dialects[one.name].traits.general_environment]
        if any(not one.listen and not one.listen_tls for one in taker):
            found = originals.listening(general, self._faults)
            if found is not None:
                key = "listen-tls" if originals.has_tls(general) else "listen"
                origin = originals.origin(found[1])
                self._sources.note("router", key, found[0], origin)
                self._places[f"[router] {key}"] = origin
                return ((), (found[0],)) if key == "listen-tls" else ((found[0],), ())
        if self._ini is None and not all(map(self._listens_apart, dialects)):
            listen = (DEFAULT_LISTEN,)
            self._sources.note("router", "listen", DEFAULT_LISTEN, "default")
        return listen, listen_tls

    def _listens_apart(self, dialect: DialectSettings) -> bool:
        own = own_endpoints(dialect, self._dialects[dialect.name])
        return bool(dialect.listen or dialect.listen_tls or any(own))

    def _tls(self, general: Mapping[str, str], wanting: Sequence[str]) -> TlsFiles | None:
        """:param wanting: section and key of what cannot listen without"""
        section = self._sections.get("tls")
        if section is None or not self._has_tls():
            if wanting and originals.has_tls(general):
                for key, variable in zip(TLS_KEYS, originals.TLS, strict=True):
                    self._sources.note("tls", key.name, "***", originals.origin(variable))
                return originals.read_tls(general, self._faults)
            for name in wanting:
                self._faults.add(
                    self._where(name), "needs a section [tls] with certificate and key"
                )
            return None
        values = self._sources.read("tls", section, TLS_KEYS)
        return read_files(values, section.place.where, self._faults)

    def _read_dialects(
        self, values: Values, limit_values: Values, limits: Limits, state_dir: Path
    ) -> tuple[DialectSettings, ...]:
        enabled: Iterable[str] = values.texts("dialects")
        for name in enabled:
            if name not in self._dialects:
                where = values.where("dialects", self._file)
                self._faults.add(where, not_installed(name, self._dialects))
        with_section = [
            name.removeprefix(DIALECT_PREFIX)
            for name in self._sections
            if name.startswith(DIALECT_PREFIX)
        ]
        if not enabled:
            everything = self._shared() if self._ini is None else with_section
            enabled = (self._ini is None and self._of_originals()) or everything
        if not enabled:
            hint = f"[{DIALECT_PREFIX}{next(iter(self._dialects), 'NAME')}]"
            self._faults.add(self._file, f"speaks no dialect; add a section {hint}")
        read = {
            name: self._dialect(name, limit_values, limits, state_dir)
            for name in dict.fromkeys((*enabled, *with_section))
            if name in self._dialects
        }
        return tuple(read[name] for name in dict.fromkeys(enabled) if name in read)

    def _dialect(
        self, name: str, limit_values: Values, limits: Limits, state_dir: Path
    ) -> DialectSettings:
        label = f"{DIALECT_PREFIX}{name}"
        section = self._sections.get(label)
        own, traits = self._dialects[name].router, self._dialects[name].traits
        tls_only = section is not None and _says(section, "listen-tls")
        keys = [
            # What [limits] says outweighs the dialect's own default, as listen-tls does for listen.
            replace(key, default=None)
            if limit_values.said(key.name) or (key.name == "listen" and tls_only)
            else key
            for key in merge(DIALECT_KEYS, own)
        ]
        values = self._sources.read(label, section, keys)
        where = section.place.where if section else f"{self._file}: [{label}]"
        self._sources.require(values, keys, where)
        self._remember(label, values, (key.name for key in keys))
        parsed = values.named(key.name for key in own)
        parsed.update(self._usual_listeners(name, values))
        for key in own:
            made = None if values.said(key.name) else _made_file(name, key, state_dir)
            if made is not None:
                parsed[key.name] = made
                self._sources.note(label, key.name, made.origin, "default")
        ping_s, dead_s = values.number("ping-s"), values.number("dead-s")
        settings = DialectSettings(
            name=name,
            listen=self._own_listen(name, values),
            listen_tls=values.texts("listen-tls"),
            values=parsed,
            ping_s=limits.ping_s if ping_s is None else ping_s,
            dead_s=limits.dead_s if dead_s is None else dead_s,
            tls=read_files(values, where, self._faults, name == self._uncertified)
            if traits.certified
            else None,
        )
        for wrong, text in () if traits.faults is None else traits.faults(settings):
            self._faults.add(values.where(wrong, f"{where} {wrong}"), text)
        if (settings.ping_s, settings.dead_s) != (limits.ping_s, limits.dead_s):
            where = values.where("dead-s", values.where("ping-s", where))
            check_liveness(settings.ping_s, settings.dead_s, where, self._faults)
        return settings

    def _own_listen(self, name: str, values: Values) -> tuple[str, ...]:
        """:returns: the dialect's own listeners, as its original's variables or the INI say"""
        variables = self._dialects[name].traits.address
        found = variables and originals.own_listener(self._sources.environ, variables, self._faults)
        if not found:
            return values.texts("listen")
        endpoint, variable = found
        label, where = f"{DIALECT_PREFIX}{name}", originals.origin(variable)
        self._sources.note(label, "listen", endpoint, where)
        self._places[f"[{label}] listen"] = where
        return (endpoint,)

    def _shared(self) -> list[str]:
        """:returns: the dialects that need no listener of their own"""
        return [name for name, keys in self._dialects.items() if not keys.traits.apart]

    def _of_originals(self) -> list[str]:
        """:returns: the dialects whose originals this environment is made for, and no others: who
        starts one of those expects none
        """
        return [name for name in self._dialects if self._is_of_original(name)]

    def _is_of_original(self, name: str) -> bool:
        usual = self._dialects[name].traits.usual_listeners
        environ = self._sources.environ
        return usual is not None and all(
            originals.says(environ, variable) for variable in usual.variables
        )

    def _usual_listeners(self, name: str, values: Values) -> Iterator[tuple[str, object]]:
        """:returns: by key, where the dialect's original listens of its own accord, so do we"""
        usual = self._dialects[name].traits.usual_listeners
        if usual is None or self._shared_said or any(map(values.said, ("listen", "listen-tls"))):
            return
        for key, endpoint in usual.endpoints if self._is_of_original(name) else ():
            if not values.said(key):
                where = f"default beside {usual.variables[0]}"
                self._sources.note(f"{DIALECT_PREFIX}{name}", key, endpoint, where)
                yield key, (endpoint,)

    def _publications(self, spoken: Collection[str]) -> tuple[Publication, ...]:
        found: dict[Callee, Publication] = {}
        for name, section in self._sections.items():
            if not name.startswith(PUBLISH_PREFIX):
                continue
            publication = read_publication(self._sources, section, self._dialects, spoken)
            if publication is None:
                continue
            self._places[f"[publish {publication.name}] from"] = section.entries["from"].place.where
            other = found.setdefault(publication.source, publication)
            if other is not publication:
                self._faults.add(
                    section.place.where, f"publishes the same call as [publish {other.name}]"
                )
        return tuple(found.values())


def _says(section: Section, name: str) -> bool:
    """:returns: whether a section has a value for a key, be it right or wrong"""
    return name in section.entries and bool(section.entries[name].pieces)


def _made_file(dialect: str, key: Key, state_dir: Path) -> MadeSecretFile | None:
    """:returns: what holds the secrets of a key that nobody named; None: it has none"""
    if key.kind is Kind.SECRET_FILE and key.made:
        return MadeSecretFile(state_dir / made_secret_name(dialect, key.name))
    if key.kind is Kind.CREDENTIALS_FILE:
        return MadeCredentialsFile(state_dir / made_credentials_name(key.name), key.initial)
    return None
