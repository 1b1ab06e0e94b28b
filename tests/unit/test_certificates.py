"""The certificates of a router's listeners: which is whose, and that all are renewed or none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.protocols.tls import TLSMemoryBIOProtocol

from relay.certificates import Certificates
from relay.errors import ConfigurationError
from relay.settings import read_router
from relay.settings.model import RouterSettings, TlsFiles
from relay.tls import ServerTls
from tests.dialects.taas_inis import KEYS
from tests.unit.test_tls_alpn import shake_hands

INI = """\
[router]
listen-tls = tcp:0
[tls]
certificate = shared.crt
key = shared.key
[dialect:portal]
[dialect:taas]
certificate = own.crt
key = own.key
"""


def issue(authority: trustme.CA, folder: Path, name: str, *, rsa: bool = False) -> None:
    """Write a certificate and its key, ``NAME.crt`` and ``NAME.key``."""
    kind = trustme.KeyType.RSA if rsa else trustme.KeyType.ECDSA
    leaf = authority.issue_cert(f"{name}.example", key_type=kind)
    leaf.cert_chain_pems[0].write_to_path(folder / f"{name}.crt")
    leaf.private_key_pem.write_to_path(folder / f"{name}.key")


def settings(folder: Path, authority: trustme.CA) -> RouterSettings:
    """A router with a certificate for all, and one of taas alone."""
    for name in ("shared", "own"):
        issue(authority, folder, name)
    (folder / "x.ini").write_text(INI)
    return read_router({"config": "x.ini"}, {}, folder, KEYS)


def shown(certificate: ServerTls) -> str:
    """:returns: what a client is shown, as PEM"""
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    return shown_to(certificate, client)


def shown_to(certificate: ServerTls, client: SSL.Connection) -> str:
    """:returns: what this client is shown, once the handshake is over"""
    nobody = cast(TLSMemoryBIOProtocol, None)
    shake_hands(certificate.serverConnectionForTLS(nobody), client)
    peer = client.get_peer_certificate(as_cryptography=True)
    assert peer is not None
    return peer.public_bytes(Encoding.PEM).decode()


def test_each_section_has_its_own(tmp_path: Path, tls_authority: trustme.CA) -> None:
    """A listener shows the certificate of the section that names it."""
    certificates = Certificates(settings(tmp_path, tls_authority))
    for section, name in (("tls", "shared"), ("dialect:taas", "own")):
        assert shown(certificates.of(section)) == (tmp_path / f"{name}.crt").read_text()


def test_renewed_files(tmp_path: Path, tls_authority: trustme.CA) -> None:
    """A reload shows what the files hold by then, and files of other names."""
    told = settings(tmp_path, tls_authority)
    certificates = Certificates(told)
    issue(tls_authority, tmp_path, "own")
    issue(tls_authority, tmp_path, "other")
    other = TlsFiles(tmp_path / "other.crt", tmp_path / "other.key")
    certificates.reload(replace(told, tls=other))
    assert shown(certificates.of("tls")) == (tmp_path / "other.crt").read_text()
    assert shown(certificates.of("dialect:taas")) == (tmp_path / "own.crt").read_text()


def test_all_or_none(tmp_path: Path, tls_authority: trustme.CA) -> None:
    """When one of them is wrong the fault names its section, and both stay as they were."""
    told = settings(tmp_path, tls_authority)
    certificates = Certificates(told)
    before = [shown(certificates.of(section)) for section in ("tls", "dialect:taas")]
    issue(tls_authority, tmp_path, "shared")
    (tmp_path / "own.key").write_text("no key")
    with pytest.raises(ConfigurationError) as caught:
        certificates.reload(told)
    (fault,) = caught.value.faults
    assert fault.startswith(f"{tmp_path}/x.ini: [dialect:taas] key {tmp_path}/own.key: holds no")
    assert [shown(certificates.of(section)) for section in ("tls", "dialect:taas")] == before


def test_a_certificate_that_is_taken_away(tmp_path: Path, tls_authority: trustme.CA) -> None:
    """What listens goes on with the last one."""
    told = settings(tmp_path, tls_authority)
    certificates = Certificates(told)
    certificates.reload(replace(told, tls=None))
    assert shown(certificates.of("tls")) == (tmp_path / "shared.crt").read_text()


def test_warnings_of_all(tmp_path: Path, tls_authority: trustme.CA) -> None:
    """Each certificate that ends is warned about."""
    certificates = Certificates(settings(tmp_path, tls_authority))
    assert certificates.warnings(0) != []
    late = certificates.of("tls").expires() + 1e10
    lines = certificates.warnings(late)
    assert [line.split()[0] for line in lines] == [
        str(tmp_path / "shared.crt"),
        str(tmp_path / "own.crt"),
    ]


@pytest.mark.parametrize("cipher", ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"])
def test_peers_of_the_time(tmp_path: Path, tls_authority: trustme.CA, cipher: str) -> None:
    """Node 0.10 speaks TLS 1.2 with ECDHE-RSA, and names an address where a name belongs (SNI)."""
    issue(tls_authority, tmp_path, "old", rsa=True)
    tls = ServerTls(tmp_path / "old.crt", tmp_path / "old.key")
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(cipher.encode())
    client = SSL.Connection(context, None)
    client.set_tlsext_host_name(b"192.0.2.7")
    assert shown_to(tls, client) == (tmp_path / "old.crt").read_text()
    assert client.get_cipher_name() == cipher
    assert client.get_protocol_version_name() == "TLSv1.2"


def test_nothing_older(tmp_path: Path, tls_authority: trustme.CA) -> None:
    """TLS 1.1 is refused."""
    issue(tls_authority, tmp_path, "old", rsa=True)
    tls = ServerTls(tmp_path / "old.crt", tmp_path / "old.key")
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_1_VERSION)
    context.set_max_proto_version(SSL.TLS1_1_VERSION)
    context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
    with pytest.raises(SSL.Error):
        shown_to(tls, SSL.Connection(context, None))
