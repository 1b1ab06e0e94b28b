"""What is said of websocktunnel to those who set it up: ``relay check``, a first start."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent

from relay.announcements import say_next_steps
from relay.commands.check import check_file
from relay.commands.main import main
from relay.dialects.websocktunnel.keys import CLIENT_KEYS, HOST_KEYS, ROUTER_KEYS, TRAITS
from relay.settings import DialectKeys
from tests.unit.test_settings_keys import PORTAL

KEYS = {**PORTAL, "websocktunnel": DialectKeys(ROUTER_KEYS, HOST_KEYS, CLIENT_KEYS, TRAITS)}


def test_a_router(tmp_path: Path) -> None:
    """Its viewers are anonymous, and relay check says so."""
    (tmp_path / "x.ini").write_text(
        "[router]\nlisten = tcp:8080:interface=127.0.0.1\nstate-dir = state\n"
        "[dialect:websocktunnel]\n"
    )
    report = check_file("x.ini", {"URL_PREFIX": "https://t.example"}, tmp_path, KEYS)
    assert report.faults == report.warnings == []
    assert report.lines[:2] == [
        "listens on tcp:8080:interface=127.0.0.1: websocktunnel; plain; loopback only",
        "websocktunnel: anybody who reaches this listener can reach every registered tunnel, "
        "without a login; registering one takes a token",
    ]
    assert report.programs[0]["opens"] == {"websocktunnel": TRAITS.opens}
    said = {line.key: (line.value, line.origin) for line in report.explained}
    assert said["url-prefix"] == ("https://t.example", "environment URL_PREFIX")


def test_a_host(tmp_path: Path) -> None:
    """Its service is open to all who reach the router; a token command is not run to say so."""
    (tmp_path / "x.ini").write_text(
        "[host:lab]\ndialect = websocktunnel\nrouter = wss://r.example\nid = lab\n"
        "token-command = touch ran\nforward = tcp:127.0.0.1:80\n"
    )
    report = check_file("x.ini", {}, tmp_path, KEYS)
    assert report.faults == report.warnings == []
    assert report.lines == [
        "lab: dials wss://r.example: websocktunnel; TLS",
        "lab: forwards to tcp:127.0.0.1:80; "
        "anybody who reaches the router can reach it, without a login",
    ]
    assert not (tmp_path / "ran").exists()


def test_connect(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to connect to: one line names the URL to open, and the status is 1."""
    monkeypatch.setattr("relay.commands.connect.dialect_keys", lambda: KEYS)
    words = ["connect", "--dialect", "websocktunnel", "--router", "wss://r.example:8443", "demo"]
    assert main(words) == 1
    assert capsys.readouterr().err == (
        "relay connect: option --dialect: dialect websocktunnel has no client: its viewers need "
        "none; open https://r.example:8443/demo/ in a browser\n"
    )


def test_next_steps() -> None:
    """The first start says how to mint the tokens of each dialect that has got secrets."""
    events: list[LogEvent] = []
    log = Logger(observer=cast(ILogObserver, events.append))
    say_next_steps(log, [PORTAL["portal"].traits, TRAITS], Path("etc/relay.ini"))
    say_next_steps(log, [], None)
    assert [formatEvent(event) for event in events] == [
        "next, mint a token for a host: relay token portal host --id 1234 --config etc/relay.ini "
        "> web.token; and one for a client: relay token portal client --id 1234 "
        "--config etc/relay.ini > me.token",
        "next, mint a token for a host: relay token websocktunnel --id my-tunnel "
        "--config etc/relay.ini > web.token",
    ]
