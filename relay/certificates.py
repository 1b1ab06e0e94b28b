"""The certificates that a router shows, by the section that names them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from relay.errors import ConfigurationError
from relay.settings.listeners import SHARED_CERTIFICATE
from relay.settings.model import RouterSettings, TlsFiles
from relay.tls import ServerTls


def certificate_files(settings: RouterSettings) -> dict[str, TlsFiles]:
    """:returns: by section, without brackets: ``tls``, ``dialect:NAME``"""
    found = {} if settings.tls is None else {SHARED_CERTIFICATE: settings.tls}
    for dialect in settings.dialects:
        if dialect.tls is not None:
            found[f"dialect:{dialect.name}"] = dialect.tls
    return found


class Certificates:
    """What the listeners of one router show, from its start on.

    :raises ConfigurationError: when one of them cannot be served, naming file and section
    """

    def __init__(self, settings: RouterSettings) -> None:
        self._shown = load(settings)

    def of(self, section: str) -> ServerTls:
        """:returns: the certificate of a section that had one at the start"""
        return self._shown[section]

    def reload(self, settings: RouterSettings) -> None:
        """Read the files anew, which may be others; all of them count, or none.

        What has lost its certificate goes on with the last one: its listener cannot change.

        :raises ConfigurationError: as above; then all stays as it was
        """
        fresh = load(settings)
        for section, tls in self._shown.items():
            if section in fresh:
                tls.adopt(fresh[section])

    def warnings(self, now: float) -> list[str]:
        """:returns: a sentence for each thing that clients dislike, now or soon

        :param now: Unix seconds
        """
        return [line for tls in self._shown.values() for line in tls.warnings(now)]


def load(settings: RouterSettings) -> dict[str, ServerTls]:
    """:returns: by section. :raises ConfigurationError: naming file and section"""
    found = {}
    for section, files in certificate_files(settings).items():
        with _faults_of(section, settings):
            found[section] = ServerTls(files.certificate, files.key)
    return found


@contextmanager
def _faults_of(section: str, settings: RouterSettings) -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        where = f"{settings.config_file or 'relay-router'}: [{section}]"
        raise ConfigurationError([f"{where} {fault}" for fault in error.faults]) from error
