"""Variables with general names, where the INI is silent and an original has them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from relay.errors import ConfigurationError
from relay.settings import DialectKeys, Reading, examine_router
from relay.settings import ini as ini_module
from relay.settings.listeners import listeners
from relay.settings.model import RouterSettings, Secret
from relay.settings.public_url import STAND_IN, public_url, stand_in_ports
from relay.settings.schema import AddressVariables, Traits
from tests.unit.test_settings_keys import PORTAL

TUNNEL = {"tunnel": DialectKeys((), (), (), Traits(general_environment=True))}
BOTH = {**PORTAL, **TUNNEL}
SILENT = "[router]\nlog-level = info\n[dialect:tunnel]\n"
LISTENING = "[router]\nlisten = tcp:1\n[dialect:tunnel]\n"
PEM = base64.b64encode(b"-----BEGIN X-----\n").decode()


@pytest.fixture(autouse=True)
def _no_system_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ini_module, "SYSTEM_DIRECTORY", tmp_path / "system")


def examine(directory: Path, ini: str | None, **environ: str) -> Reading[RouterSettings]:
    options = {}
    if ini is not None:
        (directory / "relay.ini").write_text(ini)
        options["config"] = "relay.ini"
    return examine_router(options, environ, directory, TUNNEL if ini is None else BOTH)


def faults(directory: Path, ini: str | None, **environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        examine(directory, ini, **environ)
    return caught.value.faults


def origins(reading: Reading[RouterSettings]) -> dict[str, tuple[str, str]]:
    return {f"[{line.section}] {line.key}": (line.value, line.origin) for line in reading.explained}


@pytest.mark.parametrize("ini", [None, SILENT])
def test_port(tmp_path: Path, ini: str | None) -> None:
    """PORT listens on all addresses, and the explanation says who said so."""
    reading = examine(tmp_path, ini, PORT="8000")
    assert reading.settings.listen == ("tcp:8000",)
    assert reading.settings.listen_tls == ()
    assert origins(reading)["[router] listen"] == ("tcp:8000", "environment PORT")


def test_port_with_a_certificate(tmp_path: Path) -> None:
    """With certificate and key it is TLS, on 443 unless PORT says otherwise."""
    certificate = {"TLS_CERTIFICATE": PEM, "TLS_KEY": f"{PEM[:4]}\n{PEM[4:]}"}
    for environ, endpoint in (({}, "tcp:443"), ({"PORT": "8000"}, "tcp:8000")):
        reading = examine(tmp_path, SILENT, **certificate, **environ)
        assert reading.settings.listen == ()
        assert reading.settings.listen_tls == (endpoint,)
        tls = reading.settings.tls
        assert tls is not None
        assert isinstance(tls.key, Secret)
        assert tls.key.reveal() == "-----BEGIN X-----\n"
        assert "BEGIN" not in repr(reading)
        assert origins(reading)["[tls] key"] == ("***", "environment TLS_KEY")


def test_the_certificate_serves_what_the_ini_opens(tmp_path: Path) -> None:
    """listen-tls without [tls] takes it; with [tls] the file counts."""
    ini = "[router]\nlisten-tls = tcp:1\n[dialect:tunnel]\n"
    assert examine(tmp_path, ini, TLS_CERTIFICATE=PEM, TLS_KEY=PEM).settings.tls is not None
    assert faults(tmp_path, ini) == [
        "relay.ini:2: [router] listen-tls: needs a section [tls] with certificate and key"
    ]
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).touch()
    said = examine(
        tmp_path, ini + "[tls]\ncertificate = c.pem\nkey = k.pem\n", TLS_CERTIFICATE="%", PORT="2"
    )
    assert said.settings.tls is not None
    assert said.settings.tls.key == tmp_path / "k.pem"


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"PORT": "http"}, 'environment PORT: "tcp:http": port "http" is not a number from 0'),
        ({"PORT": "70000"}, 'environment PORT: "tcp:70000": port "70000" is not a number from 0'),
        ({"TLS_KEY": PEM}, "environment TLS_CERTIFICATE: is missing, and TLS_KEY is there"),
        (
            {"TLS_CERTIFICATE": "!", "TLS_KEY": PEM},
            "environment TLS_CERTIFICATE: is not the standard base64 of a PEM text",
        ),
        (
            {"TLS_CERTIFICATE": PEM, "TLS_KEY": base64.b64encode(b"\xff").decode()},
            "environment TLS_KEY: is not the standard base64 of a PEM text",
        ),
    ],
)
def test_nothing_runs_open_for_a_slip(tmp_path: Path, environ: dict[str, str], told: str) -> None:
    """What is wrong is a fault; nothing is served in plain instead."""
    assert any(fault.startswith(told) for fault in faults(tmp_path, SILENT, **environ))


def test_the_ini_counts(tmp_path: Path) -> None:
    """Where it names a listener, shared or the dialect's own, PORT is for somebody else."""
    assert examine(tmp_path, LISTENING, PORT="8000").settings.listen == ("tcp:1",)
    own = "[dialect:tunnel]\nlisten = tcp:1\n"
    assert examine(tmp_path, own, PORT="8000").settings.listen == ()
    unused = examine(tmp_path, LISTENING, TLS_CERTIFICATE="%", TLS_KEY="%")
    assert unused.settings.tls is None


def test_other_dialects_do_not_have_them(tmp_path: Path) -> None:
    """A router of portal alone does not look at these variables."""
    ini = "[router]\nlisten = tcp:1\n[dialect:portal]\n"
    reading = examine(tmp_path, ini, PORT="8000", ENV="production", HOSTNAME="h")
    assert reading.settings.listen == ("tcp:1",)
    assert reading.settings.log_format == "text"
    assert reading.settings.host_name == ""


def test_env(tmp_path: Path) -> None:
    """Only production means JSON, unless somebody says how the log is to be."""
    reading = examine(tmp_path, LISTENING, ENV="production")
    assert reading.settings.log_format == "json"
    assert origins(reading)["[router] log-format"] == ("json", "environment ENV")
    assert [line.key for line in reading.explained].count("log-format") == 1
    assert examine(tmp_path, LISTENING, ENV="prod").settings.log_format == "text"
    said = LISTENING.replace("listen", "log-format = text\nlisten")
    assert examine(tmp_path, said, ENV="production").settings.log_format == "text"


# -- what the router is called ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listening", "ports", "url"),
    [
        ("listen = tcp:8080:interface=127.0.0.1", {}, "http://127.0.0.1:8080"),
        ("listen = tcp:80:interface=127.0.0.1", {}, "http://127.0.0.1"),
        (r"listen = tcp6:81:interface=\:\:1", {}, "http://[::1]:81"),
        (r"listen = tcp6:80:interface=\:\:1", {}, "http://[::1]"),
        ("listen = tcp:8080", {}, "http://machine:8080"),
        ("listen = tcp:8080:interface=0.0.0.0", {}, "http://machine:8080"),
        ("listen = tcp:0", {}, ""),
        ("listen = tcp:0", {"tcp:0": 7}, "http://machine:7"),
        ("listen = unix:/x", {}, ""),
        ("listen = tcp:1\n  tcp:2", {}, "http://machine:1"),
        ("listen = tcp:1\npublic-url = https://said.example", {}, "https://said.example"),
    ],
)
def test_public_url(tmp_path: Path, listening: str, ports: dict[str, int], url: str) -> None:
    """Without public-url it is the address of the first listener, with its real port."""
    settings = examine(tmp_path, f"[router]\n{listening}\n[dialect:tunnel]\n").settings
    assert public_url(settings, BOTH, "tunnel", ports, "machine") == url


def test_public_url_before_there_is_a_port(tmp_path: Path) -> None:
    """What is given a port later has one that stands in for it; what has its own keeps it."""
    ini = "[router]\nlisten = {}\n[dialect:tunnel]\n"
    for listening, port in (("tcp:0", STAND_IN), ("tcp:port=0", STAND_IN), ("tcp:7", 7)):
        settings = examine(tmp_path, ini.format(listening)).settings
        ports = stand_in_ports(listeners(settings, BOTH))
        assert public_url(settings, BOTH, "tunnel", ports, "machine") == f"http://machine:{port}"


def test_public_url_over_tls(tmp_path: Path) -> None:
    """A listener with TLS is https, without a port where that is the usual one."""
    for port, url in ((443, "https://machine"), (8443, "https://machine:8443")):
        settings = examine(
            tmp_path, SILENT, PORT=str(port), TLS_CERTIFICATE=PEM, TLS_KEY=PEM, HOSTNAME="machine"
        ).settings
        assert settings.host_name == "machine"
        assert public_url(settings, BOTH, "tunnel", {}, settings.host_name) == url


def test_public_url_of_a_dialect_apart(tmp_path: Path) -> None:
    """Of several listeners those count at which the dialect is spoken."""
    ini = "[router]\nlisten = tcp:1\n[dialect:portal]\n[dialect:tunnel]\nlisten = tcp:2\n"
    settings = examine(tmp_path, ini).settings
    assert public_url(settings, BOTH, "portal", {}, "m") == "http://m:1"
    assert public_url(settings, BOTH, "tunnel", {}, "m") == "http://m:2"
    assert public_url(settings, BOTH, "other", {}, "m") == ""


# -- variables that name their program -------------------------------------------------------------

OWN = {
    "own": DialectKeys(
        (), (), (), Traits(address=AddressVariables("OWN_HOST", "OWN_PORT", "127.0.0.1", "8000"))
    )
}


@pytest.mark.parametrize(
    ("environ", "endpoint", "variable"),
    [
        ({"OWN_PORT": "81"}, "tcp:81:interface=127.0.0.1", "OWN_PORT"),
        ({"OWN_HOST": "0.0.0.0"}, "tcp:8000:interface=0.0.0.0", "OWN_HOST"),
        ({"OWN_HOST": "::1", "OWN_PORT": "82"}, "tcp:82:interface=\\:\\:1", "OWN_PORT"),
        ({"OWN_HOST": "", "OWN_PORT": " "}, "tcp:9", None),
    ],
)
def test_an_address_of_its_own(
    tmp_path: Path, environ: dict[str, str], endpoint: str, variable: str | None
) -> None:
    """It outweighs the INI, and what is not said is as the original has it."""
    (tmp_path / "relay.ini").write_text("[dialect:own]\nlisten = tcp:9\n")
    reading = examine_router({"config": "relay.ini"}, environ, tmp_path, OWN)
    assert reading.settings.dialects[0].listen == (endpoint,)
    if variable is not None:
        assert origins(reading)["[dialect:own] listen"] == (endpoint, f"environment {variable}")


def test_an_address_that_is_none(tmp_path: Path) -> None:
    """The fault names the variable."""
    (tmp_path / "relay.ini").write_text("[dialect:own]\n")
    with pytest.raises(ConfigurationError) as caught:
        examine_router({"config": "relay.ini"}, {"OWN_PORT": "http"}, tmp_path, OWN)
    assert caught.value.faults[0].startswith("environment OWN_PORT: ")
