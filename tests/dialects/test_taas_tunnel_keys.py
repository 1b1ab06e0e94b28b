"""What a host and a client of taas are told, and what relay check says of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from relay.errors import ConfigurationError
from relay.settings import read_tunnels
from relay.vocabulary import Role
from tests.dialects.taas_inis import (
    CLIENT_INI,
    HOST_INI,
    KEYS,
    PROVISIONING,
    checked,
    tunnel,
    written,
)

PROXY = {"https_proxy": "http://proxy.example:3128"}


def test_a_host(tmp_path: Path) -> None:
    """Its file says all but what it forwards to; fifteen connections wait, as the original's do."""
    host = tunnel(tmp_path, HOST_INI)
    assert (host.name, host.router, host.token, host.proxy) == ("x", "", None, None)
    (door,) = host.doors
    assert door.endpoint == "tcp:127.0.0.1:8080"
    assert {key: value for key, value in host.values.items() if key != "forward"} == {
        "router": None,
        "provisioning-file": tmp_path / "alpha.js",
        "label": None,
        "pool": 15,
        "certificate": None,
        "key": None,
    }


def test_a_client(tmp_path: Path) -> None:
    """The name is all that it needs."""
    client = tunnel(tmp_path, CLIENT_INI)
    assert (client.router, client.token) == ("", None)
    assert client.values["label"] == "alpha.taas.example.com"
    assert client.values["far-tls"] is False


@pytest.mark.parametrize("text", [HOST_INI, CLIENT_INI])
def test_the_proxy_on_the_way(tmp_path: Path, text: str) -> None:
    """The environment's proxy is that for the server which the file or the name stands for."""
    assert tunnel(tmp_path, text, environ=PROXY).proxy == "http://proxy.example:3128"
    for excepted in ("198.51.100.0/24,.example.com", "*"):
        environ = {**PROXY, "no_proxy": excepted}
        assert tunnel(tmp_path, text, environ=environ).proxy is None


def test_tokens_in_the_environment(tmp_path: Path) -> None:
    """They are other dialects', and nothing is wrong with them."""
    assert tunnel(tmp_path, HOST_INI, environ={"RELAY_TOKEN": "x"}).token is None


def test_a_name_of_its_own(tmp_path: Path) -> None:
    """A tunnel that options make is called by its label."""
    written(tmp_path, "alpha.js", PROVISIONING)
    options = {
        "dialect": "taas",
        "provisioning-file": "alpha.js",
        "label": "Gw.Alpha",
        "forward": "tcp:127.0.0.1:22",
    }
    (host,) = read_tunnels(Role.HOST, options, {}, tmp_path, KEYS).tunnels
    assert (host.name, host.values["label"]) == ("gw.alpha", "gw.alpha")


@pytest.mark.parametrize(
    ("role", "text"),
    [
        (
            Role.HOST,
            "missing forward (the service that clients reach) and provisioning-file (the file that "
            '"relay token taas provision" wrote, or the original\'s users page): try: twistd -n '
            "relay-host --dialect taas --forward tcp:127.0.0.1:8080 --provisioning-file alpha.js",
        ),
        (
            Role.CLIENT,
            "missing listen (where to accept calls: [SERVICE=]ENDPOINT) and label (the name to "
            "call, in full: LABEL.SERVERS): try: twistd -n relay-client --dialect taas "
            "--listen tcp:8000:interface=127.0.0.1 --label alpha.taas.example.com",
        ),
    ],
)
def test_too_little(tmp_path: Path, role: Role, text: str) -> None:
    """One line says what is missing, and shows a command that would do."""
    with pytest.raises(ConfigurationError) as caught:
        read_tunnels(role, {"dialect": "taas"}, {}, tmp_path, KEYS)
    assert caught.value.faults == [f"relay-{role.value}: {text}"]


# -- relay check -----------------------------------------------------------------------------------


def test_what_a_host_opens(tmp_path: Path) -> None:
    """It is told where it dials, what is registered there, and to whom that opens the service."""
    report = checked(tmp_path, HOST_INI + "label = gw.alpha\n")
    assert report.faults == []
    assert report.lines == [
        "x: dials https://198.51.100.7:8899: taas; TLS",
        "x: forwards to tcp:127.0.0.1:8080; everybody who knows the label's name can reach it, "
        "without a login",
        "x: registers gw.alpha.taas.example.com at taas-registrar.example.com, where 15 "
        "connections wait for callers",
    ]
    assert report.warnings == []
    assert "GEZDGNBV" not in repr(report)


def test_a_file_that_others_read(tmp_path: Path) -> None:
    """It holds the secret, so that is warned about."""
    path = written(tmp_path, "alpha.js", PROVISIONING)
    path.chmod(0o644)
    warning = f"x: {path}: others may read the secret; try: chmod 600 {path}"
    assert checked(tmp_path, HOST_INI).warnings == [warning]


def test_tls_at_the_far_end(tmp_path: Path, tls_authority: trustme.CA) -> None:
    """A host's certificate and key are read by relay check, and have to belong together."""
    one, other = (tls_authority.issue_cert("alpha.taas.example.com") for _ in range(2))
    one.cert_chain_pems[0].write_to_path(tmp_path / "a.crt")
    one.private_key_pem.write_to_path(tmp_path / "a.key")
    other.private_key_pem.write_to_path(tmp_path / "b.key")
    for name in ("a.key", "b.key"):
        (tmp_path / name).chmod(0o600)
    ini = HOST_INI + "certificate = a.crt\nkey = a.key\n"
    report = checked(tmp_path, ini)
    assert (report.faults, report.warnings) == ([], [])
    assert f"x: speaks TLS to callers, with the certificate of {tmp_path}/a.crt" in report.lines
    (fault,) = checked(tmp_path, ini.replace("a.key", "b.key")).faults
    assert fault.startswith(f"x.ini: [host:x] key {tmp_path}/b.key: does not fit")


def test_what_a_client_opens(tmp_path: Path) -> None:
    """It is told what is called, and who speaks TLS with whom."""
    report = checked(tmp_path, CLIENT_INI + "far-tls = yes\nrouter = http://192.0.2.1:8899\n")
    assert report.faults == []
    assert report.lines == [
        "x: dials http://192.0.2.1:8899: taas; plain",
        "x: listens on tcp:2224:interface=127.0.0.1 for alpha.taas.example.com; loopback only",
        "x: speaks TLS to the service and verifies it by this name",
    ]
