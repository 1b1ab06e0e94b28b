"""Certificates: what is refused, why, and what the texts say. Handshakes run in memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from relay.errors import ConfigurationError, TlsFailed
from relay.tls import (
    ClientTls,
    ServerTls,
    certificate_names,
    explain_tls_failure,
    normal_name,
)

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


class Files:
    """Certificates and keys of one authority, as files."""

    def __init__(self, directory: Path, authority: trustme.CA) -> None:
        self._directory = directory
        self._authority = authority
        self.ca_file = directory / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))

    def issue(
        self,
        *names: str,
        common_name: str | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        stem: str = "server",
    ) -> tuple[Path, Path]:
        """A certificate chain and its key."""
        leaf = self._authority.issue_cert(
            *names, common_name=common_name, not_before=not_before, not_after=not_after
        )
        chain, key = self._directory / f"{stem}.crt", self._directory / f"{stem}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(key))
        return chain, key

    def write(self, name: str, content: bytes) -> Path:
        path = self._directory / name
        path.write_bytes(content)
        return path


@pytest.fixture
def files(tmp_path: Path, tls_authority: trustme.CA) -> Files:
    return Files(tmp_path, tls_authority)


def never(error: TlsFailed) -> None:
    pytest.fail(f"no certificate was to be judged: {error}")


def server_connection(tls: ServerTls) -> SSL.Connection:
    connection = tls.serverConnectionForTLS(cast(TLSMemoryBIOProtocol, None))
    connection.set_accept_state()
    return connection


def shake_hands(client: SSL.Connection, server: SSL.Connection) -> list[BaseException]:
    """Carry bytes between the two until nothing moves; returns what failed, client first."""
    failures: list[BaseException] = []
    client.set_connect_state()
    for _ in range(10):
        for near, far in ((client, server), (server, client)):
            try:
                near.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error as error:
                failures.append(error)
            try:
                far.bio_write(near.bio_read(1 << 16))
            except SSL.WantReadError:
                pass
    return failures


def verdict(server: ServerTls, name: str, ca_file: Path | None) -> TlsFailed | None:
    """What a client that expects ``name`` finds wrong with the server; None: it is connected."""
    found: list[TlsFailed] = []
    client = ClientTls(ca_file).connection(normal_name(name), found.append)
    failures = shake_hands(client, server_connection(server))
    assert bool(failures) == bool(found)
    return found[0] if found else None


@pytest.mark.parametrize(
    ("issued", "expected"),
    [
        ("relay.example", "relay.example"),
        ("relay.example", "Relay.Example."),
        ("*.relay.example", "a.relay.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "[::1]"),
        ("fe80::1", "fe80::1%eth0"),
        ("xn--bcher-kva.example", "bücher.example"),
    ],
)
def test_good_certificate(files: Files, issued: str, expected: str) -> None:
    """Names, wildcards, addresses and international names all verify."""
    assert verdict(ServerTls(*files.issue(issued)), expected, files.ca_file) is None


@pytest.mark.parametrize(
    ("issued", "expected"),
    [
        ("relay.example", "other.example"),
        ("*.relay.example", "a.b.relay.example"),
        ("127.0.0.1", "127.0.0.2"),
        ("relay.example", "127.0.0.1"),
    ],
)
def test_wrong_name(files: Files, issued: str, expected: str) -> None:
    """A certificate for another name is refused, and the text says whom it is for."""
    error = verdict(ServerTls(*files.issue(issued)), expected, files.ca_file)
    assert error is not None
    assert error.text == f"the certificate is not for {expected} but for {issued}"
    assert f"tls-name = {issued}" in error.remedy


def test_many_names_are_cut_short(files: Files) -> None:
    """Only the first few names of a long list are shown."""
    names = [f"host{number}.example" for number in range(50)]
    error = verdict(ServerTls(*files.issue(*names)), "relay.example", files.ca_file)
    assert error is not None
    assert error.text.endswith("host4.example, …")


def test_no_subject_alternative_name(files: Files) -> None:
    """A certificate that has a common name only is refused, not let through."""
    server = ServerTls(*files.issue(common_name="relay.example"))
    error = verdict(server, "relay.example", files.ca_file)
    assert error is not None
    assert "names no host" in error.text
    assert any("every client will refuse it" in text for text in server.warnings(0))


def test_expired(files: Files) -> None:
    """An expired certificate is told from others, with its date."""
    server = ServerTls(*files.issue("relay.example", not_before=NOW - 9 * DAY, not_after=NOW - DAY))
    error = verdict(server, "relay.example", files.ca_file)
    assert error is not None
    assert error.text.startswith("the certificate of relay.example expired on 20")
    assert "clock" in error.remedy


def test_not_yet_valid(files: Files) -> None:
    """A certificate of the future points at the clock."""
    server = ServerTls(*files.issue("relay.example", not_before=NOW + DAY, not_after=NOW + 9 * DAY))
    error = verdict(server, "relay.example", files.ca_file)
    assert error is not None
    assert "is not valid before 20" in error.text


def test_unknown_issuer(files: Files) -> None:
    """A certificate of an authority that nobody trusts is refused, with the way out."""
    error = verdict(ServerTls(*files.issue("relay.example")), "relay.example", None)
    assert error is not None
    assert "unknown issuer" in error.text
    assert "trustme" in error.text
    assert "ca-file" in error.remedy


def test_unknown_issuer_where_nothing_is_trusted(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system store that is not there is named as the cause."""
    monkeypatch.setenv("SSL_CERT_FILE", "missing/roots.pem")
    error = verdict(ServerTls(*files.issue("relay.example")), "relay.example", None)
    assert error is not None
    assert "SSL_CERT_FILE names missing/roots.pem, which does not exist" in error.remedy


def test_self_signed(files: Files) -> None:
    """A self-signed certificate is named as such, and works once it is the ca-file."""
    alone = trustme.CA()
    certificate = files.write("alone.crt", alone.cert_pem.bytes())
    key = files.write("alone.key", alone.private_key_pem.bytes())
    server = ServerTls(certificate, key)
    error = verdict(server, "relay.example", files.ca_file)
    assert error is not None
    assert "is self-signed" in error.text
    pinned = verdict(server, "relay.example", certificate)
    assert pinned is not None
    assert "names no host" in pinned.text


def test_system_roots_and_ca_file_are_both_trusted(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ca-file adds to the system's roots and does not replace them."""
    (tmp_path / "system").mkdir()
    system = Files(tmp_path / "system", trustme.CA())
    monkeypatch.setenv("SSL_CERT_FILE", str(system.ca_file))
    public = ServerTls(*system.issue("relay.example"))
    private = ServerTls(*files.issue("relay.example"))
    assert verdict(public, "relay.example", None) is None
    assert verdict(public, "relay.example", files.ca_file) is None
    assert verdict(private, "relay.example", files.ca_file) is None
    assert verdict(private, "relay.example", None) is not None


def test_intermediate_as_ca_file(files: Files, tmp_path: Path) -> None:
    """An intermediate certificate is an anchor too if ca-file names it."""
    intermediate = trustme.CA().create_child_ca()
    (tmp_path / "child").mkdir()
    child = Files(tmp_path / "child", intermediate)
    assert verdict(ServerTls(*child.issue("relay.example")), "relay.example", child.ca_file) is None


def test_old_tls_is_refused_by_both_sides(files: Files) -> None:
    """Neither side completes a handshake below TLS 1.2."""
    old = SSL.Context(SSL.TLS_METHOD)
    old.set_max_proto_version(SSL.TLS1_1_VERSION)
    old.set_cipher_list(b"ALL:@SECLEVEL=0")
    server = server_connection(ServerTls(*files.issue("relay.example")))
    failures = shake_hands(SSL.Connection(old, None), server)
    assert "TLS version" in explain_tls_failure(failures[0], "peer").text
    client = ClientTls(files.ca_file).connection("relay.example", never)
    server = SSL.Connection(old, None)
    server.set_accept_state()
    assert shake_hands(client, server)


def test_reload_serves_the_new_certificate(files: Files) -> None:
    """After a reload new connections see the new certificate."""
    server = ServerTls(*files.issue("old.example"))
    renewed = files.issue("new.example")
    assert verdict(server, "old.example", files.ca_file) is None
    server.reload(*renewed)
    assert verdict(server, "new.example", files.ca_file) is None
    assert verdict(server, "old.example", files.ca_file) is not None
    verifyObject(IOpenSSLServerConnectionCreator, server)


def test_failed_reload_keeps_the_old_certificate(files: Files) -> None:
    """An invalid file on reload is reported and changes nothing."""
    certificate, key = files.issue("relay.example")
    server = ServerTls(certificate, key)
    certificate.write_bytes(b"half a fi")
    with pytest.raises(ConfigurationError, match="holds no certificate"):
        server.reload(certificate, key)
    assert verdict(server, "relay.example", files.ca_file) is None


def test_missing_files(files: Files) -> None:
    """Each missing file is named with its key."""
    certificate, key = files.issue("relay.example")
    with pytest.raises(ConfigurationError, match=r"certificate .*none\.crt: No such file"):
        ServerTls(certificate.with_name("none.crt"), key)
    with pytest.raises(ConfigurationError, match=r"key .*none\.key: No such file"):
        ServerTls(certificate, key.with_name("none.key"))
    with pytest.raises(ConfigurationError, match=r"ca-file .*none\.pem: No such file"):
        ClientTls(certificate.with_name("none.pem"))
    with pytest.raises(ConfigurationError, match=r"ca-file .*server\.key: holds no certificate"):
        ClientTls(key)


def test_key_of_another_certificate(files: Files) -> None:
    """A key that does not fit is told from one whose certificate is not the first."""
    certificate, key = files.issue("relay.example")
    _, other = files.issue("other.example", stem="other")
    with pytest.raises(ConfigurationError, match="they belong to different certificates"):
        ServerTls(certificate, other)
    swapped = files.write("swapped.crt", files.ca_file.read_bytes() + certificate.read_bytes())
    with pytest.raises(ConfigurationError, match="put the server's own certificate first"):
        ServerTls(swapped, key)


def test_unusable_keys(files: Files) -> None:
    """A key with a passphrase is refused without asking the terminal, as is something else."""
    certificate, key = files.issue("relay.example")
    locked = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    with pytest.raises(ConfigurationError, match="has a passphrase"):
        ServerTls(certificate, files.write("locked.key", locked))
    with pytest.raises(ConfigurationError, match="holds no private key"):
        ServerTls(certificate, certificate)
    both = files.write("both.pem", key.read_bytes() + certificate.read_bytes())
    assert verdict(ServerTls(both, both), "relay.example", files.ca_file) is None


def test_warnings(files: Files) -> None:
    """Certificates at the end of their life, or before it, are warned about."""
    end = NOW + 5 * DAY
    server = ServerTls(*files.issue("relay.example", not_before=NOW, not_after=end))
    assert server.warnings((NOW - DAY).timestamp())[-1].endswith("UTC")
    assert "expires on" in server.warnings((NOW + DAY).timestamp())[0]
    assert "expired on" in server.warnings((end + DAY).timestamp())[0]
    assert server.expires() == pytest.approx(end.timestamp(), abs=1)
    assert ServerTls(*files.issue("relay.example")).warnings(NOW.timestamp()) == []


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("wrong version number", "does not speak TLS on this port"),
        ("http request", "does not speak TLS on this port"),
        ("tlsv1 alert protocol version", "no TLS version in common"),
        ("ssl/tls alert handshake failure", "no cipher in common"),
        ("tlsv1 unrecognized name", "no certificate for this name"),
        ("tlsv1 alert unknown ca", "refused our certificate (tlsv1 alert unknown ca)"),
        ("tlsv13 alert certificate required", "asks for a client certificate"),
        ("bad extension", "TLS with router failed: bad extension"),
    ],
)
def test_explanations_of_openssl(reason: str, said: str) -> None:
    """What OpenSSL reports is translated; what is unknown is quoted."""
    error = explain_tls_failure(SSL.Error([("SSL routines", "", reason)]), "router")
    assert said in error.text


def test_other_explanations() -> None:
    """A cut connection, an error already explained and an unknown one each keep their own words."""
    assert "closed the connection" in explain_tls_failure(Failure(ConnectionLost()), "router").text
    known = TlsFailed("known")
    assert explain_tls_failure(Failure(known), "router") is known
    assert (
        explain_tls_failure(ValueError("x"), "router").text == "TLS with router failed: ValueError"
    )


def test_plain_text_peer(files: Files) -> None:
    """A server that answers in plain HTTP is named as one without TLS."""
    client = ClientTls(files.ca_file).connection("relay.example", never)
    client.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    client.bio_write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(SSL.Error) as caught:
        client.do_handshake()
    assert "does not speak TLS" in explain_tls_failure(caught.value, "router").text


def test_invalid_name() -> None:
    """A name that IDNA refuses is a configuration error."""
    with pytest.raises(ConfigurationError, match="no valid name"):
        normal_name("ü" * 80)


def test_certificate_names(tls_authority: trustme.CA) -> None:
    """DNS names and addresses are listed, and a certificate without either has none."""
    leaf = tls_authority.issue_cert("relay.example", "::1")
    loaded = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    assert certificate_names(loaded) == ["relay.example", "::1"]
    root = x509.load_pem_x509_certificate(tls_authority.cert_pem.bytes())
    assert certificate_names(root) == []
