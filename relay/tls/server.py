"""A listener's certificate: checked when it is loaded, and renewed without a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from relay.errors import ConfigurationError
from relay.settings.model import Secret
from relay.tls.faults import certificate_names, day, openssl_reasons
from relay.tls.files import read_certificates, read_file

HTTP_1_1 = b"http/1.1"
EXPIRY_WARNING_S = 14 * 24 * 3600


@implementer(IOpenSSLServerConnectionCreator)
class ServerTls:
    """A listener's certificate and key, TLS 1.2 and later; given to ``SecureFactory``.

    :param certificate: PEM, the server's own certificate first, then those between it and the root
    :param key: PEM, without a passphrase
    :raises ConfigurationError: when a file cannot be read or the two do not belong together
    """

    def __init__(self, certificate: Path | Secret, key: Path | Secret) -> None:
        self.reload(certificate, key)

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """:returns: a connection with the certificate of the last successful load."""
        return SSL.Connection(self._context, None)

    def reload(self, certificate: Path | Secret, key: Path | Secret) -> None:
        """Read both files; established connections keep what they have.

        :raises ConfigurationError: as above; the certificate served until now stays in use
        """
        self._leaf, self._context = _load(certificate, key)
        self._file = certificate

    def adopt(self, other: ServerTls) -> None:
        """Serve from now on what another one was loaded with."""
        self._leaf, self._context, self._file = other._leaf, other._context, other._file

    def expires(self) -> float:
        """:returns: the Unix time at which the certificate ends."""
        return self._leaf.not_valid_after_utc.timestamp()

    def warnings(self, now: float) -> list[str]:
        """:returns: a sentence for each thing that clients dislike, now or soon.

        :param now: Unix seconds
        """
        found = []
        file = self._file
        if self.expires() <= now:
            found.append(f"{file} expired on {day(self._leaf.not_valid_after_utc)}")
        elif self.expires() <= now + EXPIRY_WARNING_S:
            found.append(f"{file} expires on {day(self._leaf.not_valid_after_utc)}; renew it")
        if self._leaf.not_valid_before_utc.timestamp() > now:
            found.append(f"{file} is not valid before {day(self._leaf.not_valid_before_utc)}")
        if not certificate_names(self._leaf):
            found.append(f"{file} names no host (subjectAltName): every client will refuse it")
        return found


def _choose_protocol(_: SSL.Connection, offered: list[bytes]) -> Any:  # a mark, or bytes
    """Browsers and curl offer several (ALPN, RFC 7301); whoever knows no HTTP/1.1 gets no word."""
    return HTTP_1_1 if HTTP_1_1 in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _load(
    certificate: Path | Secret, key_file: Path | Secret
) -> tuple[x509.Certificate, SSL.Context]:
    chain = read_certificates(certificate, "certificate")
    key_pem = read_file(key_file, "key")
    where = f"key {key_file}"
    try:
        key = load_pem_private_key(key_pem, None)
    except TypeError:
        raise ConfigurationError(
            [f"{where}: has a passphrase; remove it with 'openssl pkey -in … -out …'"]
        ) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError([f"{where}: holds no private key in PEM: {error}"]) from None
    if chain[0].public_key() != key.public_key():
        position = [one.public_key() == key.public_key() for one in chain]
        hint = (
            "put the server's own certificate first"
            if any(position)
            else "they belong to different certificates"
        )
        raise ConfigurationError(
            [f"{where}: does not fit the first certificate of {certificate}: {hint}"]
        )
    try:
        # Twisted's types lag behind: pyOpenSSL, which gets these, wants cryptography's objects
        options = CertificateOptions(
            privateKey=key,  # type: ignore[arg-type]
            certificate=chain[0],  # type: ignore[arg-type]
            extraCertChain=chain[1:],  # type: ignore[arg-type]
            raiseMinimumTo=TLSVersion.TLSv1_2,
        )
        context = options.getContext()
        # Twisted's own wants to know the protocol above, and fails every handshake that offers one
        context.set_alpn_select_callback(_choose_protocol)
        return chain[0], context
    except (SSL.Error, crypto.Error, TypeError, ValueError) as error:
        # too short for OpenSSL's security level, or of a kind that TLS does not know
        raise ConfigurationError(
            [f"{where}: OpenSSL will not serve it: {openssl_reasons(error) or error}"]
        ) from None
