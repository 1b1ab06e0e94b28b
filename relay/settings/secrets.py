"""Where secrets come from: files, files that we make, variables, standard input, commands.

All of them satisfy :class:`relay.settings.model.SecretSource`.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
from pathlib import Path

from relay.errors import ConfigurationError, TokenInvalid, TokenMissing
from relay.settings.model import Secret, SecretSource

MAX_SECRET_BYTES = 1 << 20
SHORT_SECRET_BYTES = 32
"""Below this an HS256 secret is weaker than its signature (RFC 7518 section 3.2)."""
MADE_SECRET_BYTES = 48
FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class _Source:
    """What the sources share: an origin, and warnings that are given once."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._warnings: list[str] = []

    @property
    def origin(self) -> str:
        """:returns: the file, variable or stream, for messages."""
        return self._origin

    @property
    def warnings(self) -> tuple[str, ...]:
        """:returns: what was found questionable so far, each once."""
        return tuple(self._warnings)

    def _warn(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.append(text)

    def _checked(self, value: str) -> Secret:
        size = len(value.encode("utf-8", "surrogateescape"))
        if size < SHORT_SECRET_BYTES:
            self._warn(
                f"{self.origin}: the secret has {size} bytes; "
                f"fewer than {SHORT_SECRET_BYTES} can be guessed"
            )
        return Secret(value, self.origin)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.origin})"


class SecretFile(_Source):
    """A secret in a file that somebody else takes care of.

    White space at the end of the file is not part of the secret.
    """

    max_bytes = MAX_SECRET_BYTES

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path

    def read(self) -> Secret:
        """:raises ConfigurationError: when it cannot be read, is empty, too long or no text."""
        try:
            with open(self.path, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read(self.max_bytes + 1)
        except OSError as error:
            raise self.unreadable(error) from None
        if len(content) > self.max_bytes:
            raise ConfigurationError([f"{self.path}: is longer than {self.max_bytes} bytes"])
        try:
            value = content.decode().rstrip()
        except UnicodeDecodeError:
            raise ConfigurationError(
                [f"{self.path}: is not UTF-8 text; write the secret in base64"]
            ) from None
        if not value:
            raise ConfigurationError([f"{self.path}: is empty; write the secret into it"])
        if stat.S_ISREG(mode) and mode & FOR_OTHERS:
            self._warn(f"{self.path}: others may read the secret; try: chmod 600 {self.path}")
        return self._checked(value)

    def unreadable(self, error: OSError) -> ConfigurationError:
        """:returns: what to tell the user of the system's error."""
        remedy = {
            FileNotFoundError: "put the secret there, or name another file",
            IsADirectoryError: "name the file in it",
            PermissionError: f"let user {os.geteuid()} read it",
        }.get(type(error), "name another file")
        return ConfigurationError([f"{self.path}: {error.strerror}; {remedy}"])


class MadeSecretFile(SecretFile):
    """A router's secret that nobody named: made in the state directory when it is first needed."""

    made = "a secret"
    """What it is that is made, for messages."""

    def ensure(self) -> bool:
        """Make the file, and the directories above it, unless it exists.

        :returns: whether it was made
        :raises ConfigurationError: when it cannot be made
        """
        try:
            if self.path.exists():
                return False
            for parent in reversed(self.path.parents):
                if not parent.exists():
                    parent.mkdir(mode=0o700, exist_ok=True)
            self._make()
        except FileExistsError:
            return False
        except OSError as error:
            raise ConfigurationError(
                [
                    f"{self.path}: cannot be made: {error.strerror}; "
                    "set state-dir in [router] to a directory that may be written"
                ]
            ) from None
        return True

    def _make(self) -> None:
        # a link cannot replace a file that somebody else has made meanwhile, and nobody sees it
        # before it is whole
        descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}-")
        try:
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(self.fresh())
                file.flush()
                os.fsync(descriptor)
            os.link(name, self.path)
        finally:
            os.unlink(name)

    def fresh(self) -> str:
        """:returns: what a file that is made holds, in ASCII."""
        return make_secret() + "\n"

    def unreadable(self, error: OSError) -> ConfigurationError:
        """:returns: the same, and who will make a file that is missing."""
        if isinstance(error, FileNotFoundError):
            return ConfigurationError(
                [f"{self.path}: does not exist yet; relay-router makes it when it starts"]
            )
        return super().unreadable(error)


class EnvironmentSecret(_Source):
    """A secret in an environment variable, as it was when the process started."""

    def __init__(self, name: str, value: str) -> None:
        super().__init__(f"environment {name}")
        self._value = value

    def read(self) -> Secret:
        """:raises ConfigurationError: when there is nothing but white space."""
        value = self._value.rstrip()
        if not value:
            raise ConfigurationError([f"{self.origin}: is empty; put the secret into it"])
        return self._checked(value)


class StdinSecret(_Source):
    """A token from standard input: each further line replaces it from the next attempt on."""

    def __init__(self) -> None:
        super().__init__("standard input")
        self._value = ""

    @property
    def ready(self) -> bool:
        """:returns: whether a first line has come; the start waits for it."""
        return bool(self._value)

    def feed(self, line: str) -> None:
        """Take one line, with or without its end; an empty one changes nothing."""
        self._value = line.strip() or self._value

    def read(self) -> Secret:
        """:raises ConfigurationError: when no line has come yet."""
        if not self.ready:
            raise ConfigurationError(
                [f"{self.origin}: no token has come; write it there as one line"]
            )
        return self._checked(self._value)


class CommandSecret(_Source):
    """A token that a command prints.

    Reading does not run it, since that takes time: whoever needs the token runs it, and feeds what
    it printed (:mod:`relay.links.token_command`).

    :param command: program and arguments, as they are; no shell sees them
    :param directory: where it runs
    """

    def __init__(self, command: tuple[str, ...], directory: Path) -> None:
        # the arguments may hold a password
        super().__init__(f"token-command {command[0]}")
        self.command = command
        self.directory = directory
        self._value = ""

    def feed(self, line: str) -> None:
        """Take what the command printed; empty: forget what it printed before."""
        self._value = line.strip()

    def kept(self) -> str:
        """:returns: the token of the last run, empty before the first and once it was forgotten."""
        return self._value

    def read(self) -> Secret:
        """:raises ConfigurationError: when the command has not printed a token yet."""
        if not self._value:
            raise ConfigurationError([f"{self.origin}: has printed no token yet"])
        return Secret(self._value, self.origin)


def make_secret() -> str:
    """:returns: a secret that nobody can guess, in letters, digits, ``-`` and ``_``."""
    return secrets.token_urlsafe(MADE_SECRET_BYTES)


def read_secret(source: SecretSource | None) -> str:
    """Read a host's or client's secret, of any characters, afresh.

    :raises TokenMissing: when there is none
    """
    if source is None:
        raise TokenMissing("no token is configured", "name one with token-file")
    try:
        return source.read().reveal()
    except ConfigurationError as error:
        raise TokenMissing("; ".join(error.faults)) from error


def read_token(source: SecretSource | None) -> str:
    """Read a host's or client's token afresh.

    :raises TokenMissing, TokenInvalid: when there is none, or it cannot go into a header
    """
    token = read_secret(source)
    assert source is not None
    if not token.isascii() or not token.isprintable() or " " in token:
        raise TokenInvalid(f"what {source.origin} holds is not a token")
    return token


def made_secret_name(dialect: str, key: str) -> str:
    """:returns: the file's name below state-dir: ``portal.secret``, ``websocktunnel-a.secret``."""
    match = re.fullmatch(r"secret(-[a-z0-9]+)?-file", key)
    suffix = (match[1] or "") if match else "-" + key.removesuffix("-file")
    return f"{dialect}{suffix}.secret"


SECRET_SOURCES = (SecretFile, EnvironmentSecret, StdinSecret, CommandSecret)
