"""Files that ``relay token taas`` reads and writes: secrets are for their owner alone."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from relay.commands.output import event
from relay.dialects.taas.certificates import Made, make_certificate, root_of
from relay.dialects.taas.exchange import FILE_BYTES
from relay.errors import RelayError

STREAM = "-"
"""The name of standard input or output."""
KEY_FILE = "registrar.key"
CERTIFICATE_FILE = "registrar.crt"
SHA1_FILE = "registrar.sha1"
FOR_OWNER = 0o600
FOR_ALL = 0o644


class Files(NamedTuple):
    """Where a router's certificate is, and what belongs to it."""

    key: Path
    certificate: Path
    fingerprint: Path


def files_in(folder: Path) -> Files:
    """:returns: the files with their usual names"""
    return Files(folder / KEY_FILE, folder / CERTIFICATE_FILE, folder / SHA1_FILE)


def files_beside(key: Path, certificate: Path) -> Files:
    """:returns: the files of these names; the fingerprint stands beside the certificate"""
    return Files(key, certificate, certificate.with_suffix(Path(SHA1_FILE).suffix))


def read_input(name: str) -> tuple[bytes, str]:
    """Read a file, or standard input.

    :returns: its content, at most one byte more than is taken, and what it is called
    :raises RelayError: when it cannot be read
    """
    if name == STREAM:
        return sys.stdin.buffer.read(FILE_BYTES + 1), "standard input"
    try:
        with open(name, "rb") as file:
            return file.read(FILE_BYTES + 1), name
    except OSError as error:
        raise RelayError(f"cannot read {name}: {error.strerror}", "name another file") from None


def write_secret(name: str | Path, content: bytes, mode: int = FOR_OWNER) -> None:
    """Write a file at one stroke; it takes the place of another of that name.

    :raises RelayError: when it cannot be written
    """
    path = Path(name)
    try:
        descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                os.fchmod(descriptor, mode)
                file.flush()
                os.fsync(descriptor)
            os.replace(made, path)
        except BaseException:
            os.unlink(made)
            raise
    except OSError as error:
        raise RelayError(f"cannot write {path}: {error.strerror}", "name another file") from None


def write_certificate(
    files: Files, address: str, registrar: str, servers: str, now: float, renew: bool
) -> Made:
    """Make a certificate, and write it with its key and fingerprint.

    :param renew: whether files that are there are replaced
    :raises RelayError: when one is there, or cannot be written
    """
    there = [str(path) for path in files if path.exists()]
    if there and not renew:
        raise RelayError(
            f"{there[0]} is there already", "name another --folder, or replace it with --renew"
        )
    made = make_certificate(address, registrar, servers, now)
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
    write_secret(files.key, made.key)
    write_secret(files.certificate, made.certificate, FOR_ALL)
    write_secret(files.fingerprint, made.sha1.encode(), FOR_ALL)
    return made


def trusted_root(certificate: Path | None) -> str | None:
    """Say which certificate a provisioning file is to hold, and warn where it holds none.

    :param certificate: of the router's own listener; None: that is plain
    :raises RelayError: when it cannot be read
    """
    if certificate is None:
        event(
            "warning: the router has no certificate, and hidden servers always dial with TLS; "
            '"relay token taas certificate" makes one'
        )
        return None
    try:
        root = root_of(certificate.read_bytes())
    except OSError as error:
        raise RelayError(
            f"cannot read {certificate}: {error.strerror}",
            '"relay token taas certificate" makes it',
        ) from None
    except ValueError:
        raise RelayError(f"{certificate} holds no certificate in PEM") from None
    if root is None:
        event(
            f"warning: {certificate} is signed by somebody whose certificate is not in it; "
            "the original hidden server needs that one, ours does not"
        )
    return root
