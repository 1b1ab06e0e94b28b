"""``relay token network-relay``: entries in the credentials file, and what show says of them."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from relay.commands import credentials, signers
from relay.commands.main import main
from relay.commands.token import TOKEN_ENVIRONMENT
from relay.dialects.network_relay.credentials import Client, Credentials
from tests.dialects.test_network_relay_keys import KEYS, ROUTER_INI

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with a router's INI in the working directory, and nothing else."""
    names = (*TOKEN_ENVIRONMENT, "RELAY_CONFIG", "HTTP_NETWORK_RELAY_CREDENTIALS_FILE")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(credentials, "dialect_keys", lambda: KEYS)
    monkeypatch.setattr(signers, "dialect_keys", lambda: KEYS)
    (tmp_path / "relay.ini").write_text(ROUTER_INI)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An original's credentials file, with a member that nobody knows."""
    path = tmp_path / "c.json"
    path.write_text(
        '{"note": ["kept", 1], "access-client-secrets": ["flat"], "edge-agents": {"ünit": "old"}}'
    )
    path.chmod(0o640)
    return path


def run(capsys: Capture, *words: str, status: int = 0) -> tuple[str, str]:
    """What the command prints, on standard output and standard error."""
    assert main(["token", *words]) == status
    out, err = capsys.readouterr()
    return out, err


def made(capsys: Capture, *words: str) -> str:
    """The secret alone, which is all that is printed."""
    out, err = run(capsys, "network-relay", *words)
    assert err == ""
    return out.removesuffix("\n")


def content(path: Path) -> Mapping[str, object]:
    """What the file says."""
    return cast("Mapping[str, object]", json.loads(path.read_text()))


def test_a_file_that_is_made(capsys: Capture, tmp_path: Path) -> None:
    """The first secret comes with the router's own file, which only its owner reads."""
    words = ("network-relay", "agent", "attic-pi", "--config", "relay.ini")
    out, err = run(capsys, *words)
    path = tmp_path / "state" / "credentials.json"
    assert err == f"made the credentials {path}; the router will use them when it starts\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert content(path) == {
        "edge-agents": {"attic-pi": out.strip()},
        "access-client-secrets": [],
    }
    assert len(out.strip()) == 64


def test_what_was_there_stays(capsys: Capture, file: Path) -> None:
    """Members, their order, names beyond ASCII and the mode are as before."""
    secret = made(capsys, "client", "me", "--secret-file", str(file))
    assert list(content(file)) == [
        "note",
        "access-client-secrets",
        "edge-agents",
        "access-clients",
    ]
    assert content(file)["note"] == ["kept", 1]
    assert "ünit" in file.read_text()
    assert content(file)["access-clients"] == {"me": {"secret": secret}}
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_rights(capsys: Capture, file: Path) -> None:
    """A client's agents and targets stand in its entry, as the router reads them."""
    limits = ("--agent", "ünit", "--agent", "b", "--target", "127.0.0.1:22", "--target", "[::1]:*")
    secret = made(capsys, "client", "me", *limits, "--secret-file", str(file))
    client = Credentials.parse(file.read_text(), "c.json").client(secret)
    assert client == Client("me", secret, ("ünit", "b"), ("127.0.0.1:22", "[::1]:*"))


def test_a_name_that_is_there(capsys: Capture, file: Path) -> None:
    """Its secret is printed and nothing written; --renew replaces it."""
    before = file.read_text()
    words = ("network-relay", "agent", "ünit", "--secret-file", str(file))
    out, err = run(capsys, *words)
    assert out == "old\n"
    assert err == (
        f'agent "ünit" is in {file} already, and this is its secret; --renew replaces it\n'
    )
    assert file.read_text() == before
    new = made(capsys, "agent", "ünit", "--renew", "--secret-file", str(file))
    assert content(file)["edge-agents"] == {"ünit": new}
    assert new != "old"


def test_other_rights(capsys: Capture, file: Path) -> None:
    """Rights that differ are not taken for granted; renewing keeps those that nobody mentions."""
    words = ("client", "me", "--agent", "a", "--secret-file", str(file))
    secret = made(capsys, *words)
    assert run(capsys, "network-relay", *words)[0] == f"{secret}\n"
    out, err = run(capsys, "network-relay", *words, "--agent", "b", "--target", "h:1", status=1)
    assert out == ""
    assert f'client "me" is in {file} already, with other rights; add --renew' in err
    assert content(file)["access-clients"] == {"me": {"agents": ["a"], "secret": secret}}
    new = made(capsys, "client", "me", "--target", "h:1", "--renew", "--secret-file", str(file))
    assert content(file)["access-clients"] == {
        "me": {"agents": ["a"], "targets": ["h:1"], "secret": new}
    }


def test_json(capsys: Capture, file: Path) -> None:
    """As JSON the secret comes with what it is for."""
    words = ("network-relay", "client", "me", "--agent", "a", "--json", "--secret-file", str(file))
    value = json.loads(run(capsys, *words)[0])
    secret = value.pop("token")
    assert value == {"dialect": "network-relay", "role": "client", "name": "me", "agents": ["a"]}
    assert Credentials.parse(file.read_text(), "").client(secret) is not None


def test_the_originals_variable(
    capsys: Capture, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the file for the router, and so it does here."""
    monkeypatch.setenv("HTTP_NETWORK_RELAY_CREDENTIALS_FILE", str(file))
    secret = made(capsys, "agent", "b", "--config", "relay.ini")
    assert content(file)["edge-agents"] == {"ünit": "old", "b": secret}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is not JSON"),
        ('{"edge-agents": []}', "edge-agents: is no object with names as members"),
        ('{"edge-agents": {"a": "x", "a": "y"}}', 'has "a" twice in one object'),
    ],
)
def test_a_file_that_is_not_valid(capsys: Capture, file: Path, text: str, told: str) -> None:
    """It stays as it is."""
    file.write_text(text)
    out, err = run(capsys, "network-relay", "agent", "b", "--secret-file", str(file), status=1)
    assert out == ""
    assert told in err
    assert file.read_text() == text


def test_a_file_that_is_not_there(capsys: Capture, tmp_path: Path) -> None:
    """A slip in its name makes no new one."""
    words = ("network-relay", "agent", "b", "--secret-file", "nowhere.json")
    assert "No such file" in run(capsys, *words, status=1)[1]
    assert [one.name for one in tmp_path.iterdir()] == ["relay.ini"]


def test_half_a_surrogate_pair(capsys: Capture, file: Path) -> None:
    """What only an escape can hold is escaped again."""
    file.write_text(r'{"edge-agents": {"a": "\ud800"}}')
    secret = made(capsys, "agent", "b", "--secret-file", str(file))
    assert content(file)["edge-agents"] == {"a": "\ud800", "b": secret}


@pytest.mark.parametrize(
    "words",
    [
        ("agent", ""),
        ("agent", "a\nb"),
        ("agent", "a", "--agent", "b"),
        ("client", "a", "--target", "127.0.0.1"),
        ("host", "a"),
        ("client",),
    ],
)
def test_wrong_usage(capsys: Capture, file: Path, words: tuple[str, ...]) -> None:
    """The status is 2, and nothing is written."""
    before = file.read_text()
    run(capsys, "network-relay", *words, "--secret-file", str(file), status=2)
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("secret", "who"), [("old", 'agent "ünit"'), ("flat", "a client without a name")]
)
def test_show(capsys: Capture, file: Path, secret: str, who: str) -> None:
    """A secret is no JWT; whose it is, the credentials know, and nobody prints it."""
    out, err = run(capsys, "show", secret, "--secret-file", str(file))
    assert err == ""
    assert out == (
        f"a secret of network-relay: {who} in {file} logs in with it; "
        "it is no JWT, and holds until it is changed\n"
    )
    value = json.loads(run(capsys, "show", secret, "--json", "--secret-file", str(file))[0])
    assert value["dialect"] == "network-relay"


def test_show_what_nobody_knows(capsys: Capture, file: Path) -> None:
    """It may be a secret of some other router."""
    out, err = run(capsys, "show", "unheard-of", "--secret-file", str(file), status=1)
    assert out == ""
    assert err.endswith("; if it is a secret, it is none of this router's\n")
    assert "unheard-of" not in err
