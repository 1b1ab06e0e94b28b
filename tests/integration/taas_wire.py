"""The wire of taas as tests write it: codes, credentials, records, certificates.

Codes are computed here anew, from RFC 4226: what is tested computes them otherwise.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import ipaddress
import itertools
import json
import os
import struct
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

REGISTRAR = "taas-registrar.example.com"
SERVERS = "taas.example.com"
ADDRESS = "127.0.0.1"
STEP_S = 30
DIGITS = 6
FEWEST = 100_000
"""The least number whose six digits have no zero in front that is missing (taas §5)."""

IDENTITIES = 400
FIXED_PORTS = 62050 + IDENTITIES * (os.getpid() % 8)
"""The first; beyond the ports that are handed out, and others in each run beside this one."""

RSA_BITS = 2048
LIFETIME = datetime.timedelta(days=1)
FOREIGN_USER = "owntracks/alpha/bob"
"""A user of the original's MQTT broker, whose record has no secret."""

SHARED_LABEL = "shared"


class Identity(NamedTuple):
    """A record of the store.

    :ivar name: its ID
    :ivar secret: base32
    :ivar label: its first label
    :ivar gateway: its other label, which has a fixed port
    """

    name: str
    secret: str
    label: str
    gateway: str
    fixed_port: int

    def code(self, at: float, step_s: int = STEP_S, digits: int = DIGITS) -> str:
        """:param at: Unix seconds. :returns: the code of then"""
        return code(self.secret, int(at // step_s), digits)

    def good_code(self, at: float) -> str:
        """:returns: a code that is taken then, by originals too"""
        now = int(at // STEP_S)
        return code(self.secret, now if is_sent_alike(self.secret, now) else now - 1)

    def record(self) -> dict[str, object]:
        """:returns: the whole record, as the store has it (taas §10)"""
        name, issuer = f"{self.label}.{SERVERS}", f"https://{REGISTRAR}"
        parameters = {
            "algorithm": "sha1",
            "length": 40,
            "name": name,
            "issuer": issuer,
            "step": STEP_S,
            "base32": self.secret,
            "protocol": "totp",
        }
        return {
            "uuid": self.name,
            "qrcodeURL": "https://chart.example/x",
            "authURL": f"otpauth://totp/x?secret={self.secret}",
            "authParams": parameters,
            "labels": [self.label, f"{self.gateway}:{self.fixed_port}"],
        }

    def incomplete(self) -> dict[str, object]:
        """:returns: the least that works (taas §10)"""
        return {"authParams": {"base32": self.secret}, "labels": [self.label]}

    def parameters(self, port: int, certificate: str) -> str:
        """:param port: the front door's; :param certificate: PEM
        :returns: the provisioning file
        """
        own = {
            "algorithm": "sha1",
            "length": 40,
            "name": f"{self.label}.{SERVERS}",
            "issuer": f"https://{REGISTRAR}",
            "step": STEP_S,
            "base32": self.secret,
            "protocol": "totp",
            "uuid": [self.name],
            "labels": [self.label, f"{self.gateway}:{self.fixed_port}"],
            "server": {"hostname": ADDRESS, "port": port, "ca": list(certificate.encode())},
        }
        return f"exports.params = {json.dumps(own)};\n"


def number(secret: str, counter: int) -> int:
    """:returns: the 31 bits of a counter"""
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", counter), "sha1")
    start = digest[-1] & 15
    value: int = struct.unpack(">I", digest[start : start + 4])[0]
    return value & 0x7FFFFFFF


def code(secret: str, counter: int, digits: int = DIGITS) -> str:
    """:returns: a counter's code, padded"""
    return str(number(secret, counter) % 10**digits).zfill(digits)


def is_sent_alike(secret: str, counter: int) -> bool:
    """:returns: whether the original computes the same code, which it does not pad (taas §5)"""
    return number(secret, counter) >= FEWEST


def _identity(index: int) -> Identity:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcd"
    digest = hashlib.sha256(b"taas %d" % index).digest()
    key = "".join(letters[byte % 40] for byte in (digest + digest)[:40])
    name = f"2f402f80-da50-11e1-9b23-{index:012x}"
    label = f"cam-{index:03}"
    secret = base64.b32encode(key.encode()).decode()
    return Identity(name, secret, label, f"gw.{label}", FIXED_PORTS + index)


ALL = tuple(_identity(index) for index in range(IDENTITIES))
_unused = itertools.cycle(ALL)
INCOMPLETE, SHARING, SHARING_TOO = (_identity(index) for index in range(1000, 1003))


def fresh() -> Identity:
    """:returns: an ID that no other test has"""
    return next(_unused)


def records() -> dict[str, object]:
    """:returns: a whole store, by key"""
    kept: dict[str, object] = {one.name: one.record() for one in ALL}
    kept[INCOMPLETE.name] = INCOMPLETE.incomplete()
    for one in (SHARING, SHARING_TOO):
        kept[one.name] = {**one.incomplete(), "labels": [SHARED_LABEL]}
    kept[FOREIGN_USER] = {
        "username": FOREIGN_USER,
        "authParams": {"protocol": "bcrypt", "hash": "$2a$10$abcdefghijklmnopqrstuv"},
    }
    return kept


def shown(username: str, response: str) -> str:
    """:returns: the value of Authorization that senders write (taas §4)"""
    return f'TOTP username="{username}", response="{response}"'


class Certificate(NamedTuple):
    """A certificate that is its own root, and its key, both PEM."""

    certificate: str
    key: str


def certificate() -> Certificate:
    """:returns: one as the original's tool makes it (taas §10)"""
    key = rsa.generate_private_key(65537, RSA_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SERVERS)])
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address(ADDRESS)),
        x509.DNSName(REGISTRAR),
        x509.DNSName(f"*.{SERVERS}"),
    ]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LIFETIME)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Certificate(made.public_bytes(serialization.Encoding.PEM).decode(), pem.decode())
