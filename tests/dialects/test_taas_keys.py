"""What a router of taas is told, and what relay check says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.dialects.taas.keys import (
    advertised,
    database_url,
    front_port,
    port_numbers,
    ports_interface,
)
from relay.settings import Listener, listeners
from relay.settings.model import TlsFiles
from tests.dialects.taas_inis import (
    KEYS,
    ROUTER_INI,
    checked,
    faults,
    router_settings,
    section,
    written,
)

OPEN = "listen = tcp:8899\nregistrar = reg.things.example\nservers = things.example\n"


def test_a_bare_section(tmp_path: Path) -> None:
    """It says what the shipped file shows, on a listener of its own, with no password in sight."""
    taas = section(tmp_path)
    assert taas.listen == ("tcp:8899:interface=127.0.0.1",)
    assert (taas.listen_tls, taas.tls) == ((), None)
    assert taas.values == {
        "listen": ("tcp:8899:interface=127.0.0.1",),
        "advertise": None,
        "ports": range(20000, 21000),
        "registrar": "taas-registrar.example.com",
        "servers": "taas.example.com",
        "certificate": None,
        "key": None,
        "database": None,
        "database-password-file": None,
        "users": None,
        "same-address": True,
        "uses-per-code": 256,
    }
    assert port_numbers(taas.values) == range(20000, 21000)
    assert database_url(taas.values) == ""
    assert front_port(taas) == 8899
    assert not (tmp_path / "state").exists()


def test_names_are_lower_case(tmp_path: Path) -> None:
    """A name is the same in any spelling, with the dot of DNS at its end or without."""
    values = section(tmp_path, "registrar = Reg.Example.\nservers = Things.Example\n").values
    assert (values["registrar"], values["servers"]) == ("reg.example", "things.example")


@pytest.mark.parametrize(
    ("lines", "address", "interface"),
    [
        ("", "127.0.0.1", "127.0.0.1"),
        ("listen = tcp:1:interface=192.0.2.1\n", "192.0.2.1", "192.0.2.1"),
        ("listen = tcp6:1:interface=2001\\:db8\\:\\:1\n", "2001:db8::1", "2001:db8::1"),
        ("listen = tcp:1\n", "127.0.0.1", ""),
        ("listen = tcp6:1:interface=\\:\\:\n", "127.0.0.1", "::"),
        ("listen = unix:/run/taas.sock\n", "127.0.0.1", ""),
        ("listen = tcp:1\nadvertise = 203.0.113.7\n", "203.0.113.7", ""),
        ("advertise = [2001:db8::9]\n", "2001:db8::9", "127.0.0.1"),
    ],
)
def test_the_address_that_hosts_are_told(
    tmp_path: Path, lines: str, address: str, interface: str
) -> None:
    """It is what is said, else the first listener's, else loopback; ports are where it listens."""
    taas = section(tmp_path, lines)
    assert advertised(taas) == address
    assert ports_interface(taas) == interface


def test_a_certificate_of_its_own(tmp_path: Path) -> None:
    """Every listener of the section shows it, and those of others what they have."""
    for name in ("own.crt", "own.key"):
        written(tmp_path, name, "x")
    text = (
        "[router]\nlisten = tcp:8080\n[dialect:portal]\n[dialect:taas]\nlisten = tcp:1\n"
        "listen-tls = tcp:2\nusers = tcp:3:interface=127.0.0.1\n"
        "certificate = own.crt\nkey = own.key\n"
    )
    settings = router_settings(tmp_path, text)
    assert settings.tls is None
    assert settings.dialects[1].tls == TlsFiles(tmp_path / "own.crt", tmp_path / "own.key")
    own = "dialect:taas"
    assert listeners(settings, KEYS) == (
        Listener("tcp:8080", False, ("portal",), "[router] listen"),
        Listener("tcp:1", True, ("taas",), "[dialect:taas] listen", own),
        Listener("tcp:2", True, ("taas",), "[dialect:taas] listen-tls", own),
        Listener("tcp:3:interface=127.0.0.1", False, ("taas",), "[dialect:taas] users"),
    )


def test_the_certificate_of_all(tmp_path: Path) -> None:
    """Without one of its own, listen-tls shows that of [tls], and no other listener is there."""
    for name in ("relay.crt", "relay.key"):
        written(tmp_path, name, "x")
    text = ROUTER_INI + "listen-tls = tcp:2\n[tls]\ncertificate = relay.crt\nkey = relay.key\n"
    settings = router_settings(tmp_path, text)
    assert listeners(settings, KEYS) == (
        Listener("tcp:2", True, ("taas",), "[dialect:taas] listen-tls", "tls"),
    )


def test_only_where_it_is_named(tmp_path: Path) -> None:
    """Without a file it is spoken when asked for, at its usual listener and no shared one."""
    shared = router_settings(tmp_path, "")
    assert [dialect.name for dialect in shared.dialects] == ["portal"]
    alone = router_settings(tmp_path, "", {"dialects": "taas"})
    assert alone.listen == ()
    assert [listener.endpoint for listener in listeners(alone, KEYS)] == [
        "tcp:8899:interface=127.0.0.1"
    ]


# -- the database ----------------------------------------------------------------------------------


def test_a_database_in_a_file(tmp_path: Path) -> None:
    """Its path is relative to the INI file."""
    assert database_url(section(tmp_path, "database = db/t.sqlite\n").values) == str(
        tmp_path / "db" / "t.sqlite"
    )


@pytest.mark.parametrize(
    ("database", "url"),
    [
        ("redis://127.0.0.1", "redis://:p%2Fw%40rd@127.0.0.1"),
        ("redis://me@[::1]:6380/2", "redis://me:p%2Fw%40rd@[::1]:6380/2"),
    ],
)
def test_a_password_from_a_file(tmp_path: Path, database: str, url: str) -> None:
    """It is part of what the store is asked with, and of nothing that is shown."""
    written(tmp_path, "pw", "p/w@rd\n")
    lines = f"database = {database}\ndatabase-password-file = pw\n"
    taas = section(tmp_path, lines)
    assert database_url(taas.values) == url
    report = checked(tmp_path, ROUTER_INI + lines)
    assert report.faults == []
    assert "p/w@rd" not in repr((taas, report))


def test_a_password_in_the_url(tmp_path: Path) -> None:
    """It is taken, and shown nowhere; a second one is a fault, and one for a file is."""
    line = "database = redis://:hush@127.0.0.1:6379/0\n"
    taas = section(tmp_path, line)
    assert database_url(taas.values) == "redis://:hush@127.0.0.1:6379/0"
    report = checked(tmp_path, ROUTER_INI + line)
    assert "taas: its records are in redis://***@127.0.0.1:6379/0" in report.lines
    assert "hush" not in repr((taas, report))
    written(tmp_path, "pw", "x" * 40)
    (twice,) = faults(tmp_path, f"{ROUTER_INI}{line}database-password-file = pw\n")
    assert twice.endswith("the URL of database has a password as well; keep one of them")


@pytest.mark.parametrize("database", ["mysql://:hush@h/1", "redis://", "redis://:hush@h/x"])
def test_what_is_no_database(tmp_path: Path, database: str) -> None:
    """The fault says how one is written, and does not repeat a password."""
    (fault,) = faults(tmp_path, f"{ROUTER_INI}database = {database}\n")
    assert "redis://HOST:PORT/NUMBER" in fault
    assert "hush" not in fault


# -- relay check -----------------------------------------------------------------------------------


def test_what_a_router_opens(tmp_path: Path) -> None:
    """Everybody may call, hosts register by name, and what is opened to whom is said."""
    report = checked(tmp_path, ROUTER_INI + "users = tcp:8893:interface=127.0.0.1\n")
    assert report.faults == []
    assert report.lines[:7] == [
        "listens on tcp:8899:interface=127.0.0.1: taas; plain; loopback only",
        "listens on tcp:8893:interface=127.0.0.1: taas; plain; loopback only",
        "taas: everybody who knows the name of a label can reach what its host forwards, without "
        "a login; registering one takes a record's secret",
        "taas: hosts register at taas-registrar.example.com; labels are called "
        "LABEL.taas.example.com",
        "taas: opens ports 20000-20999 as they are needed, and tells hosts that they are at "
        "127.0.0.1; fixed ports as the records say",
        "taas: its records are in taas.sqlite of state-dir",
        "taas: the users page is on tcp:8893:interface=127.0.0.1, without a login: whoever reaches "
        "it can read and change every record",
    ]
    assert report.warnings == []


@pytest.mark.parametrize(
    ("lines", "warning"),
    [
        (
            OPEN,
            "tcp:8899 is plain and open to other machines: tokens can be read on the way; "
            "use listen-tls, or a TLS proxy named in trusted-proxies",
        ),
        (OPEN, "taas: hosts on other machines are told to connect to 127.0.0.1; say advertise"),
        (
            OPEN,
            "taas: registrar reg.things.example is a name below servers: "
            'label "reg" has no callers',
        ),
        (
            "listen = tcp:8899\nadvertise = 203.0.113.7\n",
            "taas: registrar and servers are the names of an example; say your own",
        ),
        (
            "same-address = no\n",
            "taas: same-address is off: a code that was seen can be used from elsewhere, and who "
            "comes first to a port that a host asked for takes its place",
        ),
    ],
)
def test_what_is_hardly_meant(tmp_path: Path, lines: str, warning: str) -> None:
    """It is warned about."""
    report = checked(tmp_path, ROUTER_INI + lines)
    assert report.faults == []
    assert warning in report.warnings


def test_publications(tmp_path: Path) -> None:
    """A label can be called and can answer, and its callers, who have no names, are everybody."""
    text = (
        "[router]\nlisten = tcp:8080:interface=127.0.0.1\n[dialect:portal]\n[dialect:taas]\n"
        "[publish a]\nfrom = taas:Attic\nto = portal:1/ssh\npublic = yes\n"
        "[publish b]\nfrom = portal:1/cam\nto = taas:cam.attic\n"
    )
    report = checked(tmp_path, text)
    assert report.faults == []
    told = [line for line in report.lines if line.startswith("publishes")]
    assert told == [
        "publishes portal:1/ssh as taas:attic to everybody, without a login; "
        "this wins over a live offer of that name",
        "publishes taas:cam.attic as portal:1/cam to whoever may call it; "
        "this wins over a live offer of that name",
    ]
