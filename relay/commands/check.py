"""``relay check``: is a configuration valid, what does it open, and to whom?"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from relay.commands.output import add_json, event, result
from relay.errors import ConfigurationError
from relay.settings import (
    TLS_KEYS,
    DialectKeys,
    Explained,
    Faults,
    Ini,
    examine_router,
    examine_tunnels,
    read_ini,
)
from relay.settings.describe import (
    Record,
    describe_router,
    describe_tunnels,
    router_record,
    router_warnings,
    tunnel_warnings,
    tunnels_record,
)
from relay.settings.faults import nearest
from relay.settings.model import RouterSettings, SecretSource, TlsFiles, TunnelSettings
from relay.settings.secrets import (
    FOR_OTHERS,
    SECRET_SOURCES,
    CommandSecret,
    MadeSecretFile,
    StdinSecret,
)
from relay.vocabulary import Role

_ROUTER_SECTIONS = ("router", "tls", "limits", "dialect", "publish")
_SECTIONS = (*_ROUTER_SECTIONS, *(role.value for role in Role))


@dataclass(slots=True)
class Report:
    """What is to be said of one file."""

    file: str
    programs: list[Record] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    explained: list[Explained] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``relay check`` takes."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="an INI file")
    parser.add_argument("--origin", action="store_true", help="list each value, and who said it")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check the files, with this process's environment.

    :returns: the exit status: 0 when all are valid
    """
    from relay.dialects import dialect_keys

    keys = dialect_keys()
    reports = [check_file(file, os.environ, Path.cwd(), keys) for file in arguments.files]
    lines = [line for report in reports for line in _as_text(report, arguments.origin)]
    if lines or arguments.json:
        records = [_as_json(report, arguments.origin) for report in reports]
        result(arguments.json, records, "\n".join(lines))
    for report in reports:
        for fault in report.faults:
            event(fault)
    return 1 if any(report.faults for report in reports) else 0


def check_file(
    file: str, environ: Mapping[str, str], directory: Path, dialects: Mapping[str, DialectKeys]
) -> Report:
    """Check one file: its text, and the files that it names.

    :param file: relative to ``directory``
    """
    report = Report(file)
    faults = Faults()
    ini = read_ini(directory / file, file, faults)
    if ini is None:
        report.faults = faults.lines
        return report
    options = {"config": file}
    programs = _programs(ini)
    if not programs:
        report.faults = [
            *faults.lines,
            f"{file}: has no section [router], [host:NAME] or [client:NAME]",
        ]
    for program in programs:
        try:
            if isinstance(program, Role):
                tunnels = examine_tunnels(program, options, environ, directory, dialects)
                report.explained += tunnels.explained
                report.programs.append(tunnels_record(tunnels.settings))
                report.lines += describe_tunnels(tunnels.settings, dialects)
                for tunnel in tunnels.settings.tunnels:
                    report.warnings += tunnel_warnings(tunnel, dialects)
                    _read_secrets(report, [tunnel.token, *tunnel.values.values()])
                    _check_far_end(report, tunnel, dialects)
            else:
                router = examine_router(options, environ, directory, dialects)
                report.explained += router.explained
                report.programs.append(router_record(router.settings, dialects))
                report.lines += describe_router(router.settings, dialects)
                report.warnings += router_warnings(router.settings, dialects)
                _check_files(report, router.settings)
        except ConfigurationError as error:
            report.faults += [fault for fault in error.faults if fault not in report.faults]
    return report


def _programs(ini: Ini) -> list[Role | None]:
    """:returns: whose file it is: None stands for the router, else the roles it has sections of."""
    words = [name.replace(":", " ").partition(" ")[0] for name in ini.sections]
    # A misspelt section still tells whose file it was meant to be.
    words = [
        next((known for known in _SECTIONS if f'"{known}"' in nearest(word, _SECTIONS)), word)
        for word in words
    ]
    if any(word in _ROUTER_SECTIONS for word in words):
        return [None]
    return [role for role in Role if role.value in words]


def _check_files(report: Report, settings: RouterSettings) -> None:
    for dialect in settings.dialects:
        _read_secrets(report, dialect.values.values())
    if settings.tls is not None:
        _check_tls(report, "tls", settings.tls)
    for dialect in settings.dialects:
        if dialect.tls is not None:
            _check_tls(report, f"dialect:{dialect.name}", dialect.tls)


def _read_secrets(report: Report, values: Iterable[object]) -> None:
    sources: list[SecretSource] = []
    for value in values:
        waits = isinstance(value, StdinSecret | CommandSecret) or (
            isinstance(value, MadeSecretFile) and not os.path.exists(value.path)
        )
        if isinstance(value, SECRET_SOURCES) and not waits and value not in sources:
            sources.append(value)
    for source in sources:
        try:
            source.read()
        except ConfigurationError as error:
            report.faults += error.faults
        report.warnings += [text for text in source.warnings if text not in report.warnings]


def _check_far_end(
    report: Report, tunnel: TunnelSettings, dialects: Mapping[str, DialectKeys]
) -> None:
    certificate, key = (tunnel.values.get(key.name) for key in TLS_KEYS)
    if dialects[tunnel.dialect].traits.certified and certificate and key:
        section = f"{tunnel.role.value}:{tunnel.name}"
        _check_tls(report, section, TlsFiles(cast(Path, certificate), cast(Path, key)))


def _check_tls(report: Report, section: str, files: TlsFiles) -> None:
    from relay.tls import ServerTls  # OpenSSL is needed here alone

    try:
        tls = ServerTls(files.certificate, files.key)
    except ConfigurationError as error:
        report.faults += [f"{report.file}: [{section}] {fault}" for fault in error.faults]
        return
    report.warnings += tls.warnings(time.time())
    if isinstance(files.key, Path) and files.key.stat().st_mode & FOR_OTHERS:
        report.warnings.append(
            f"{files.key}: others may read the TLS key; try: chmod 600 {files.key}"
        )


def _as_text(report: Report, origin: bool) -> Iterator[str]:
    if report.faults:
        return
    programs = " and ".join(str(program["program"]) for program in report.programs)
    yield f"{report.file}: valid, for {programs}"
    yield from (f"  {line}" for line in report.lines)
    yield from (f"  warning: {warning}" for warning in report.warnings)
    if origin:
        for line in report.explained:
            yield f"  [{line.section}] {line.key} = {line.value}  ({line.origin})"


def _as_json(report: Report, origin: bool) -> Record:
    record: Record = {
        "file": report.file,
        "valid": not report.faults,
        "programs": report.programs,
        "warnings": report.warnings,
        "faults": report.faults,
    }
    if origin:
        record["values"] = [line._asdict() for line in report.explained]
    return record
