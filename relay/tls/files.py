"""Names and PEM files: what every part of TLS reads."""

from __future__ import annotations

from pathlib import Path

import idna
from cryptography import x509

from relay.addresses import is_address
from relay.errors import ConfigurationError
from relay.settings.model import Secret


def read_file(file: Path | Secret, key: str) -> bytes:
    """:returns: the file, or what is in none. :raises ConfigurationError: naming ``key`` and it"""
    if isinstance(file, Secret):
        return file.reveal().encode()
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigurationError([f"{key} {file}: {error.strerror}"]) from None


def read_certificates(file: Path | Secret, key: str) -> list[x509.Certificate]:
    """:raises ConfigurationError: unless the file holds one certificate in PEM at least."""
    pem = read_file(file, key)
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ConfigurationError([f"{key} {file}: holds no certificate in PEM"]) from None


def normal_name(name: str) -> str:
    """A router's name as certificates and SNI have it.

    :param name: DNS name, also an international one, or IP address, also in brackets
    :returns: an ASCII name without a final dot, or an address without brackets and zone
    :raises ConfigurationError: when it is no name at all
    """
    bare = name.strip().removeprefix("[").removesuffix("]")
    address = bare.partition("%")[0]
    if is_address(address):
        return address
    bare = bare.removesuffix(".")
    try:
        return (bare if bare.isascii() else idna.encode(bare, uts46=True).decode()).lower()
    except idna.IDNAError as error:
        raise ConfigurationError(
            [f"{name!r} is no valid name for a certificate: {error}"]
        ) from None
