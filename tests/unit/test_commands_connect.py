"""What a command line of ``relay connect`` calls."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import pytest

from relay.commands import connect
from relay.commands.connect import add_arguments, read_call
from relay.commands.main import main
from relay.commands.output import WrongUsage
from relay.errors import ConfigurationError, RelayError
from relay.settings.faults import UNSAFE
from tests.unit.test_settings_examples import SHIPPED

CLIENTS = """\
[client:lab]
router = ws://lab.example.org
token-file = lab.token
service = ssh

[client:home]
router = ws://home.example.org
token-file = home.token
listen =
    web=tcp:8000
    db=tcp:5432
"""


@pytest.fixture(autouse=True)
def dialects(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command knows those whose keys are declared."""
    monkeypatch.setattr(connect, "dialect_keys", lambda: SHIPPED)


class Called(NamedTuple):
    """What a command line means."""

    router: str
    service: str
    token: str


def called(words: str, folder: Path, text: str = CLIENTS, **environ: str) -> Called:
    """:returns: what ``relay connect`` calls, with ``text`` as the client's INI"""
    for name in ("lab", "home", "mine"):
        (folder / f"{name}.token").write_text("t" * 40)
    (folder / "client.ini").write_text(text)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args(["--config", "client.ini", *words.split()])
    settings = read_call(arguments, environ, folder, SHIPPED)
    (tunnel,) = settings.tunnels
    (door,) = tunnel.doors
    assert (door.endpoint, tunnel.reconnect) == ("stdio:", "no")
    assert tunnel.token is not None
    return Called(tunnel.router, door.service, Path(tunnel.token.origin).stem)


def aimed(words: str, folder: Path, text: str = "", **environ: str) -> tuple[str, str, str, str]:
    """:returns: router, agent, target and secret of a call in dialect network-relay"""
    (folder / "me.secret").write_text("s" * 40)
    (folder / "client.ini").write_text(text)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args(["--config", "client.ini", *words.split()])
    (tunnel,) = read_call(arguments, environ, folder, SHIPPED).tunnels
    assert tunnel.dialect == "network-relay"
    assert tunnel.token is not None
    agent, target = (str(tunnel.values[name]) for name in ("agent", "target"))
    return tunnel.router, agent, target, Path(tunnel.token.origin).stem


AT_LAB = Called("ws://lab.example.org", "ssh", "lab")
AT_HOME = Called("ws://home.example.org", "web", "home")
ONLY_LAB = CLIENTS.partition("\n\n")[0]
OWN = "--router ws://h --token-file mine.token"


@pytest.mark.parametrize(
    ("words", "text", "meaning"),
    [
        ("lab", CLIENTS, AT_LAB),
        ("lab --service web", CLIENTS, AT_LAB._replace(service="web")),
        ("lab --router ws://h", CLIENTS, AT_LAB._replace(router="ws://h")),
        ("home --service web", CLIENTS, AT_HOME),
        ("web", CLIENTS, AT_HOME),
        ("db", CLIENTS, AT_HOME._replace(service="db")),
        ("ssh", CLIENTS, AT_LAB),
        ("--service db", CLIENTS, AT_HOME._replace(service="db")),
        ("", ONLY_LAB, AT_LAB),
        ("web", ONLY_LAB, AT_LAB._replace(service="web")),
        ("--token-file mine.token", ONLY_LAB, AT_LAB._replace(token="mine")),
        (f"web {OWN}", CLIENTS, Called("ws://h", "web", "mine")),
        (f"web {OWN}", ONLY_LAB, Called("ws://h", "web", "mine")),
        (f"web {OWN}", "", Called("ws://h", "web", "mine")),
        (OWN, "", Called("ws://h", "default", "mine")),
    ],
)
def test_name(words: str, text: str, meaning: Called, tmp_path: Path) -> None:
    """NAME is a section, else a service; options override, and may do without the INI."""
    assert called(words, tmp_path, text) == meaning


def test_environment(tmp_path: Path) -> None:
    """The environment says what a client's does."""
    meaning = called("web", tmp_path, RELAY_ROUTER="ws://h", RELAY_TOKEN_FILE="mine.token")
    assert meaning == Called("ws://h", "web", "mine")


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ("", RelayError, "client.ini has several sections"),
        ("mail", RelayError, r"client.ini has no section \[client:mail\]"),
        ("home", WrongUsage, "leads to web and db; name one of them with --service"),
        ("lab h 22", WrongUsage, "the host decides where calls in dialect portal go"),
        (f"ssh {OWN} --token-file -", WrongUsage, "a token cannot come from there"),
        ("lab --service a/b", ConfigurationError, "has other characters"),
        (f"ssh {OWN} --dialect klingon", ConfigurationError, "is not installed"),
    ],
)
def test_unclear(words: str, error: type[Exception], said: str, tmp_path: Path) -> None:
    """What is not clear is asked back rather than guessed."""
    with pytest.raises(error, match=said):
        called(words, tmp_path)


FLEET = """\
[client:attic]
dialect = network-relay
router = wss://fleet.example.org
agent = attic-pi
target = 127.0.0.1:22
secret-file = me.secret
listen = tcp:2222
"""
RELAY = "--secret-file me.secret --router ws://h"
SSH = ("ws://h", "attic-pi", "127.0.0.1:22", "me")
AT_FLEET = ("wss://fleet.example.org", "attic-pi", "127.0.0.1:22", "me")


@pytest.mark.parametrize(
    ("words", "text", "meaning"),
    [
        (f"attic-pi 127.0.0.1 22 {RELAY}", "", SSH),
        (f"attic-pi 127.0.0.1 22 tcp {RELAY}", CLIENTS, SSH),
        (
            "attic-pi 127.0.0.1 22 tcp --relay-url ws://h/ws_for_access_clients "
            "--secret-file me.secret",
            ONLY_LAB,
            SSH,
        ),
        (f"attic-pi ::1 22 {RELAY}", "", (*SSH[:2], "[::1]:22", "me")),
        (f"--agent attic-pi --target 127.0.0.1:22 {RELAY}", "", SSH),
        (f"attic-pi --target 127.0.0.1:22 {RELAY}", CLIENTS, SSH),
        (f"attic-pi --dialect network-relay --target 127.0.0.1:22 {RELAY}", "", SSH),
        ("attic", CLIENTS + FLEET, AT_FLEET),
        ("attic-pi", CLIENTS + FLEET, AT_FLEET),
        ("attic 10.0.0.1 80", CLIENTS + FLEET, (*AT_FLEET[:2], "10.0.0.1:80", "me")),
        ("cellar 10.0.0.1 80", CLIENTS + FLEET, (AT_FLEET[0], "cellar", "10.0.0.1:80", "me")),
    ],
)
def test_an_agent(words: str, text: str, meaning: tuple[str, ...], tmp_path: Path) -> None:
    """Who says an address means network-relay, and no section that is for another dialect."""
    assert aimed(words, tmp_path, text) == meaning


def test_the_originals_variables(tmp_path: Path) -> None:
    """They do without options, and without the INI."""
    words = "attic-pi 127.0.0.1 22 tcp"
    url = "wss://env.example.org/ws_for_access_clients"
    found = aimed(
        words,
        tmp_path,
        CLIENTS,
        HTTP_NETWORK_RELAY_URL=url,
        HTTP_NETWORK_RELAY_SECRET="hush",
    )
    assert found == (
        "wss://env.example.org",
        "attic-pi",
        "127.0.0.1:22",
        "environment HTTP_NETWORK_RELAY_SECRET",
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("attic-pi 127.0.0.1 22 udp", '"udp" is not carried; write tcp'),
        ("attic-pi 127.0.0.1 22 TCP", '"TCP" is not carried; write tcp'),
        ("attic-pi 127.0.0.1", "ADDRESS needs a PORT"),
        ("attic-pi 127.0.0.1 22 --dialect portal", "the host decides where calls in dialect"),
    ],
)
def test_calls_that_cannot_be(words: str, said: str, tmp_path: Path) -> None:
    """The words are wrong, whatever the router."""
    with pytest.raises(WrongUsage, match=said):
        aimed(f"{words} {RELAY}", tmp_path)


@pytest.mark.parametrize("words", [["--secret", "hush"], ["--secret=hush"], ["--secret"]])
def test_a_secret_among_the_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The original takes it; here it is refused with what to do instead, and not repeated."""
    assert main(["connect", "attic-pi", "127.0.0.1", "22", "tcp", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert UNSAFE in err
    assert "hush" not in err
