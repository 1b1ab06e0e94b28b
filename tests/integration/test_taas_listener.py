"""The front door of taas as a process: its certificate, and who is behind a proxy."""

from __future__ import annotations

import signal
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from tests.twistd_program import Daemon, daemon, run

INI = """\
[router]
state-dir = state
[dialect:taas]
listen = tcp:0:interface=127.0.0.1
"""
CERTIFIED = INI + "certificate = one.crt\nkey = one.key\n"
REGISTRAR = "taas-registrar.example.com"
LABEL = "alpha.taas.example.com"
PROXIED = INI.replace("[dialect", "trusted-proxies = 127.0.0.1\nproxy-protocol = yes\n[dialect", 1)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The router's INI, beside two certificates of the kind that old peers know."""
    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    for name in ("one", "two"):
        issued = authority.issue_cert(REGISTRAR, key_type=trustme.KeyType.RSA)
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.crt")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    path = tmp_path / "relay.ini"
    path.write_text(CERTIFIED)
    return path


def started(router: Daemon) -> int:
    """:returns: the port of the front door, which stands"""
    port = int(router.says("listening at ").split()[4].rpartition(":")[2])
    router.says("ready")
    return port


def shown(port: int) -> str:
    """:returns: the certificate that is shown to those who connect"""
    return ssl.get_server_certificate(("127.0.0.1", port))


def ask(connection: socket.socket, host: str) -> str:
    """:returns: the whole answer to a request"""
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    connection.sendall(request.encode())
    answer = b""
    while part := connection.recv(65536):
        answer += part
    return answer.decode()


def test_requests_over_tls(config: Path, tmp_path: Path) -> None:
    """Registrar and labels are behind one certificate, for TLS 1.2 with ECDHE-RSA, too."""
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    with daemon("relay-router", "--config", config) as router:
        port = started(router)
        assert router.lines[-2].endswith(f"listening at https://127.0.0.1:{port} for taas")
        for host, status in ((REGISTRAR, " 401 "), (LABEL, " 503 ")):
            with (
                socket.create_connection(("127.0.0.1", port)) as plain,
                context.wrap_socket(plain, server_hostname=REGISTRAR) as secure,
            ):
                answer = ask(secure, f"{host}:{port}")
                assert status in answer.splitlines()[0]
        assert f"Location: https://{LABEL}/" in answer


def test_renewed_certificate(config: Path) -> None:
    """On SIGHUP the front door shows the renewed files, and the old ones where those are wrong."""
    with daemon("relay-router", "--config", config) as router:
        port = started(router)
        first = shown(port)
        config.write_text(CERTIFIED.replace("one.crt", "two.crt"))
        router.send(signal.SIGHUP)
        assert "[dialect:taas] key " in router.says("not reloaded")
        assert shown(port) == first
        config.write_text(CERTIFIED)
        for suffix in ("crt", "key"):
            (config.parent / f"two.{suffix}").replace(config.parent / f"one.{suffix}")
        router.send(signal.SIGHUP)
        router.says("reloaded")
        assert shown(port) not in (first, "")


def test_a_certificate_that_comes_later(config: Path) -> None:
    """A listener that began without one says that this counts from the next start on."""
    config.write_text(INI)
    with daemon("relay-router", "--config", config) as router:
        started(router)
        config.write_text(CERTIFIED)
        router.send(signal.SIGHUP)
        assert "[dialect:taas] listen has changed" in router.says(" warn ")
        router.says("reloaded")


@pytest.mark.parametrize("ini", [PROXIED, PROXIED + "certificate = one.crt\nkey = one.key\n"])
def test_behind_a_proxy(config: Path, tmp_path: Path, ini: str) -> None:
    """The PROXY protocol says who asks at this listener as at others, with TLS behind it."""
    config.write_text(ini)
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    with daemon("relay-router", "--config", config) as router:
        port = started(router)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"PROXY TCP4 192.0.2.9 127.0.0.1 4711 443\r\n")
            if "certificate" in ini:
                with context.wrap_socket(connection, server_hostname=REGISTRAR) as secure:
                    answer = ask(secure, REGISTRAR)
            else:
                answer = ask(connection, REGISTRAR)
        assert " 401 " in answer.splitlines()[0]
        assert "login failed from 192.0.2.9: taas" in router.says("login failed")


def test_wrong_certificate(config: Path) -> None:
    """A key that belongs to another certificate is a fault of the section, before it listens."""
    config.write_text(CERTIFIED.replace("one.key", "two.key"))
    status, lines = run("relay-router", "--config", config)
    assert status == 1
    (fault,) = lines
    assert fault.startswith(f"{config}: [dialect:taas] key {config.parent}/two.key: does not fit")


def test_no_store_that_is_not_needed(config: Path, tmp_path: Path) -> None:
    """A router that nobody has registered at has made nothing in its state directory."""
    with daemon("relay-router", "--config", config) as router:
        started(router)
        router.send(signal.SIGTERM)
        assert router.ends() == 0
    assert not (tmp_path / "state").exists()
