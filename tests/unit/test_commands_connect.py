"""What a command line of ``relay connect`` calls."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import pytest

from relay.commands.connect import add_arguments, read_call
from relay.commands.output import WrongUsage
from relay.dialects import dialect_keys
from relay.errors import ConfigurationError, RelayError

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
    settings = read_call(arguments, environ, folder, dialect_keys())
    (tunnel,) = settings.tunnels
    (door,) = tunnel.doors
    assert (door.endpoint, tunnel.reconnect) == ("stdio:", "no")
    assert tunnel.token is not None
    return Called(tunnel.router, door.service, Path(tunnel.token.origin).stem)


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
