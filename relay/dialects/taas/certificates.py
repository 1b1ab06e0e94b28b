"""The registrar's certificate: made as the original makes it, and its part in provisioning files;
taas.md §10.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

KEY_BITS = 2048
EXPONENT = 65537
DAYS = 3650
SKEW = timedelta(days=1)
"""So much before now it is valid, for clocks that are late."""
COMMON_NAME_CHARACTERS = 64
"""X.520's limit; names of hosts may be longer."""


class Made(NamedTuple):
    """A certificate with its key.

    :ivar key: PEM, PKCS#8 without a passphrase
    :ivar certificate: PEM
    :ivar sha1: the line of its fingerprint, as openssl prints it
    """

    key: bytes
    certificate: bytes
    sha1: str

    def __repr__(self) -> str:
        return f"Made({self.sha1.strip()})"


def make_certificate(address: str, registrar: str, servers: str, now: float) -> Made:
    """Make a self-signed certificate for a router.

    Old hidden servers compare it with the address that they dial, newer ones with the name.

    :param address: IP address that is advertised
    :param now: Unix seconds
    """
    key = rsa.generate_private_key(EXPONENT, KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, servers[:COMMON_NAME_CHARACTERS])])
    begin = datetime.fromtimestamp(now, UTC) - SKEW
    names: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address(address)),
        x509.DNSName(registrar),
        x509.DNSName(f"*.{servers}"),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + SKEW + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    digest = certificate.fingerprint(hashes.SHA1()).hex(":").upper()
    return Made(
        private,
        certificate.public_bytes(serialization.Encoding.PEM),
        f"SHA1 Fingerprint={digest}\n",
    )


def root_of(pem: bytes) -> str | None:
    """Say which certificate of a router's chain its hosts are to trust.

    :param pem: the file with the chain
    :returns: PEM of the one that signed itself; None: it is not in the file, since some authority
        that everybody knows has signed
    :raises ValueError: when there is no certificate in it
    """
    for certificate in reversed(x509.load_pem_x509_certificates(pem)):
        if certificate.issuer == certificate.subject:
            return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
    return None
