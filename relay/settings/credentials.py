"""Files with several secrets and what each allows; their format is the dialect's own.

A router reads one anew when it has changed, a command adds to it while the router runs.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from relay.errors import ConfigurationError
from relay.settings.model import MiB, Secret
from relay.settings.secrets import MadeSecretFile, SecretFile

MAX_CREDENTIALS_BYTES = 16 * MiB
"""Some hundred thousand names."""


class CredentialsFile(SecretFile):
    """Credentials in a file that somebody else takes care of."""

    max_bytes = MAX_CREDENTIALS_BYTES

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._seen: tuple[int, ...] | None = None

    def read(self) -> Secret:
        """Read all of it.

        :returns: the text
        :raises ConfigurationError: when it cannot be read, is empty, too long or no text
        """
        # before, so that what is written in between counts as a change
        self._seen = _signature(self.path)
        return super().read()

    def changed(self) -> bool:
        """:returns: whether the file is another than :meth:`read` has found; costs one stat."""
        return _signature(self.path) != self._seen

    def _checked(self, value: str) -> Secret:
        return Secret(value, self.origin)  # how long the secrets in it are, nobody here knows


class MadeCredentialsFile(CredentialsFile, MadeSecretFile):
    """Credentials that nobody named: made in the state directory, without any in it.

    :param initial: what it holds then, in ASCII
    """

    made = "the credentials"

    def __init__(self, path: Path, initial: str) -> None:
        super().__init__(path)
        self._initial = initial

    def fresh(self) -> str:
        """:returns: what a file that is made holds."""
        return self._initial


def made_credentials_name(key: str) -> str:
    """:returns: the file's name below state-dir: ``credentials.json``."""
    return f"{key.removesuffix('-file')}.json"


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    """Change a file of credentials at one stroke; who reads meanwhile finds the old or the new one.

    Two who change it at once wait for each other. Mode and owner stay, and so does a symbolic link
    that leads there.

    :param change: from the old text to the new one; what it raises leaves the file as it was
    :raises ConfigurationError: when the file cannot be read or written
    """
    path = Path(os.path.realpath(path))
    source = CredentialsFile(path)
    try:
        with _locked(path):
            old = source.read().reveal()
            new = change(old)
            if new != old:
                _replace(path, new)
    except OSError as error:
        if isinstance(error, FileNotFoundError | PermissionError) and str(error.filename) == str(
            path
        ):
            raise source.unreadable(error) from None
        raise ConfigurationError(
            [
                f"{path}: cannot be replaced: {error.strerror}; "
                f"run this as a user who may write into {path.parent}"
            ]
        ) from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    while True:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # whoever held the lock may have put another file there
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                yield
                return
        finally:
            os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    status = os.stat(path)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            made = os.fstat(descriptor)
            if (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid):
                os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
            os.fsync(descriptor)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _signature(path: Path) -> tuple[int, ...] | None:
    """:returns: what differs once a file was written; None for what is none, or cannot be seen"""
    try:
        status = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):  # a pipe can be read only once
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
