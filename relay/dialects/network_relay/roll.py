"""Who may log in at a router now: the credentials file, read again when it has changed."""

from __future__ import annotations

from relay.dialects.network_relay.credentials import Client, Credentials, read_credentials
from relay.errors import ConfigurationError
from relay.settings.credentials import CredentialsFile


class Roll:
    """The credentials that count.

    They are read anew when a login finds the file changed, so that a secret that was just made
    works at once; one that is not valid changes nothing, and a reload says what is wrong with it.

    :raises ConfigurationError: when they cannot be read now
    """

    def __init__(self, source: CredentialsFile) -> None:
        self._source = source
        self._credentials = read_credentials(source)

    def agent(self, name: str) -> tuple[str, ...]:
        """:returns: the secret with which that agent logs in; none for one that is not listed."""
        return self._current().agent(name)

    def client(self, secret: str) -> Client | None:
        """:returns: whose secret that is"""
        return self._current().client(secret)

    def _current(self) -> Credentials:
        if self._source.changed():
            try:
                self._credentials = read_credentials(self._source)
            except ConfigurationError:
                pass  # as it was: an operator who writes it may not have done yet
        return self._credentials
