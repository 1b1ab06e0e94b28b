"""``relay check``: what it says of files, and its exit status."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import trustme

from relay.commands.check import Report, add_arguments, check_file, run
from tests.unit.test_settings_keys import PORTAL

ROUTER_INI = (
    "[router]\nlisten = tcp:8080:interface=127.0.0.1\nstate-dir = state\n[dialect:portal]\n"
)
HOST_INI = """\
[host:web]
router = wss://relay.example.org
token-file = web.token
service = web
forward = tcp:127.0.0.1:80
"""


def check(directory: Path, text: str, **environ: str) -> Report:
    (directory / "x.ini").write_text(text)
    token = directory / "web.token"
    token.write_text("t" * 40)
    token.chmod(0o600)
    return check_file("x.ini", environ, directory, PORTAL)


def test_a_router(tmp_path: Path) -> None:
    """What it opens, to whom, and what it will make."""
    report = check(
        tmp_path,
        ROUTER_INI.replace("[dialect", "admin = tcp:9100:interface=127.0.0.1\n[dialect")
        + "[limits]\nstreams = 5\nframe-bytes = 32 KiB\nidle-s = 0\n"
        "[publish web]\nfrom = portal:1/web\nto = portal:2/web\n",
    )
    assert report.faults == report.warnings == []
    assert report.lines == [
        "listens on tcp:8080:interface=127.0.0.1: portal; plain; loopback only",
        "admin on tcp:9100:interface=127.0.0.1: loopback only",
        "publishes portal:2/web as portal:1/web to whoever may call it; "
        "this wins over a live offer of that name",
        f"keeps its state in {tmp_path}/state",
        f"makes the secret-file of portal on the first start: {tmp_path}/state/portal.secret",
        "limits: frame-bytes 32 KiB, streams 5",
    ]


def test_what_a_router_opens_by_mistake(tmp_path: Path) -> None:
    """It is allowed, and warned about."""
    report = check(
        tmp_path,
        "[router]\nlisten = tcp:8080\nadmin = tcp:9100\nproxy-protocol = yes\n[dialect:portal]\n",
        AUTH_SECRET="short",
    )
    assert report.faults == []
    assert report.warnings == [
        "tcp:8080 is plain and open to other machines: tokens can be read on the way; "
        "use listen-tls, or a TLS proxy named in trusted-proxies",
        "the admin address tcp:9100 is open to other machines",
        "proxy-protocol is on, and without trusted-proxies nobody may speak it",
        "environment AUTH_SECRET: the secret has 5 bytes; fewer than 32 can be guessed",
    ]


def test_tls_files_must_belong_together(tmp_path: Path, tls_authority: trustme.CA) -> None:
    """A certificate with another's key would fail only at the first handshake."""
    leaf, other = (tls_authority.issue_cert("relay.example.org") for _ in range(2))
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "relay.crt")
    leaf.private_key_pem.write_to_path(tmp_path / "relay.key")
    (tmp_path / "relay.key").chmod(0o644)
    text = "[tls]\ncertificate = relay.crt\nkey = relay.key\n[router]\nlisten-tls = tcp:0\n"
    report = check(tmp_path, text + "[dialect:portal]\n")
    assert report.faults == []
    assert report.lines[0] == "listens on tcp:0: portal; TLS; every interface"
    key = tmp_path / "relay.key"
    assert report.warnings == [f"{key}: others may read the TLS key; try: chmod 600 {key}"]
    other.private_key_pem.write_to_path(key)
    (fault,) = check(tmp_path, text + "[dialect:portal]\n").faults
    assert fault.startswith(f"x.ini: [tls] key {key}: does not fit the first certificate of ")


def test_hosts_and_clients_of_one_file(tmp_path: Path) -> None:
    """Each program's part is told."""
    report = check(
        tmp_path,
        HOST_INI
        + "[client:ssh]\nrouter = ws://r.example\ntoken-file = web.token\nlisten = tcp:2222\n"
        "proxy = http://me:hush@p.example:1\n",
    )
    assert report.faults == []
    assert report.lines == [
        "web: dials wss://relay.example.org: portal; TLS",
        "web: forwards service web to tcp:127.0.0.1:80",
        "ssh: dials ws://r.example through http://***@p.example:1: portal; plain",
        "ssh: listens on tcp:2222 for service default; every interface",
    ]
    assert report.warnings == [
        "ssh: ws://r.example is plain: the token can be read on the way; use wss or https",
        "ssh: tcp:2222 is open to other machines, without a login",
    ]


def test_secrets_are_read(tmp_path: Path) -> None:
    """An empty one is a fault, one that others may read a warning."""
    (tmp_path / "empty").touch()
    report = check(tmp_path, HOST_INI.replace("web.token", "empty"))
    assert report.faults == [
        f"x.ini:3: [host:web] token-file: {tmp_path}/empty: is empty; write the secret into it"
    ]
    (tmp_path / "open").write_text("t" * 40)
    (tmp_path / "open").chmod(0o644)
    path = tmp_path / "open"
    report = check(tmp_path, HOST_INI.replace("web.token", "open"))
    assert report.warnings == [f"{path}: others may read the secret; try: chmod 600 {path}"]
    assert check(tmp_path, HOST_INI.replace("web.token", "-")).faults == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "x.ini: has no section [router], [host:NAME] or [client:NAME]"),
        ("[ruoter]\n", 'x.ini:1: [ruoter]: unknown section; did you mean "router"?'),
        ("[hots:a]\n", 'x.ini:1: [hots:a]: unknown section; did you mean "host:a"?'),
        ("[router]\nlisten = tcp:1\n", "x.ini: speaks no dialect; add a section [dialect:portal]"),
    ],
)
def test_files_that_are_meant_for_nobody(tmp_path: Path, text: str, fault: str) -> None:
    """A misspelt section still tells whose file it was meant to be."""
    assert check(tmp_path, text).faults[0] == fault


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("relay.dialects.dialect_keys", lambda: PORTAL)
    for name in ("RELAY_ROUTER", "RELAY_TOKEN", "RELAY_LOG_LEVEL", "AUTH_SECRET"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "relay.ini").write_text(ROUTER_INI)
    (tmp_path / "bad.ini").write_text("[router]\nlisten = tpc:1\n[dialect:portal]\n")


@pytest.mark.usefixtures("_here")
def test_a_valid_file_exits_0(capsys: pytest.CaptureFixture[str]) -> None:
    """Results go to standard output."""
    assert run(arguments("--origin", "relay.ini")) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == "relay.ini: valid, for relay-router"
    assert "  [router] listen = tcp:8080:interface=127.0.0.1  (relay.ini:2)" in lines
    assert "  [router] log-level = info  (default)" in lines


@pytest.mark.usefixtures("_here")
def test_faults_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    """They go to standard error, those of all files."""
    assert run(arguments("bad.ini", "nowhere.ini", "relay.ini")) == 1
    out, err = capsys.readouterr()
    assert out.startswith("relay.ini: valid")
    assert err.splitlines() == [
        'bad.ini:2: [router] listen: unknown kind of endpoint "tpc"; did you mean "tcp"?',
        "nowhere.ini: there is no such file",
    ]


@pytest.mark.usefixtures("_here")
def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs get the same, with the faults of invalid files."""
    assert run(arguments("--json", "--origin", "relay.ini", "bad.ini")) == 1
    good, bad = json.loads(capsys.readouterr().out)
    assert good["valid"] is True
    assert good["programs"][0]["listeners"] == [
        {
            "endpoint": "tcp:8080:interface=127.0.0.1",
            "tls": False,
            "reach": "loopback only",
            "dialects": ["portal"],
            "key": "[router] listen",
        }
    ]
    assert {
        "section": "router",
        "key": "drain-s",
        "value": "30",
        "origin": "default",
    } in good["values"]
    assert bad["valid"] is False
    assert len(bad["faults"]) == 1
