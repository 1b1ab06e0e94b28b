"""What a host and a client of session-relay are told: keys, and the originals' variables."""

from __future__ import annotations

from pathlib import Path
from tempfile import gettempdir

import pytest

from relay.errors import ConfigurationError
from relay.settings import ini
from relay.settings.values import Options
from tests.dialects.session_relay_inis import (
    CLIENT_INI,
    HOST_INI,
    RULE,
    checked,
    tunnel,
    tunnels,
)


@pytest.fixture(autouse=True)
def _no_system_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ini, "SYSTEM_DIRECTORY", tmp_path / "system")


# -- the host --------------------------------------------------------------------------------------


def test_a_host_needs_nothing(tmp_path: Path) -> None:
    """It listens where the original does, but on loopback; rules are posted."""
    for one in (
        tunnel(tmp_path, HOST_INI),
        tunnel(tmp_path, "[host]\n", {"dialect": "session-relay"}),
    ):
        assert one.values["listen"] == "tcp:8888:interface=127.0.0.1"
        assert (one.router, one.token, one.doors) == ("", None, ())
        assert (one.ping_s, one.dead_s) == (54, 60)


def test_a_hosts_variables(tmp_path: Path) -> None:
    """Port, command URL and log level come from the original's."""
    api = "wss://r.example/ws/session/api"
    environ = {"VW_PORT": "9000", "VW_API": api, "VW_LOG_LEVEL": "warning"}
    told = tunnels(tmp_path, HOST_INI + "listen = tcp:1\n", {}, environ)
    values = told.tunnels[0].values
    assert values["listen"] == "tcp:9000:interface=127.0.0.1"
    assert values["api"] == api
    assert told.log_level == "warn"
    for text, level in (("Trace", "debug"), ("PANIC", "critical"), ("loud", "info")):
        assert tunnels(tmp_path, HOST_INI, {}, {"VW_LOG_LEVEL": text}).log_level == level
    assert tunnels(tmp_path, CLIENT_INI, {}, {"VW_LOG_LEVEL": "panic"}).log_level == "info"


def test_a_rule_of_a_section(tmp_path: Path) -> None:
    """Session, token, stream without its slash, and feeds; the session is what is dialled."""
    one = tunnel(tmp_path, f"{HOST_INI}{RULE}stream = /stream/cam\nfeeds = video, audio\n")
    assert one.name == "rig"
    assert one.values["session"] == one.router == "https://r.example/access/session/t"
    assert (one.values["stream"], one.values["feeds"]) == ("stream/cam", ("video", "audio"))
    assert one.token is not None


def test_an_option_opens_a_host_of_its_own(tmp_path: Path) -> None:
    """Beside a file with several sections."""
    both = HOST_INI + HOST_INI.replace("rig", "other") + "listen = tcp:1\n"
    options: Options = {"dialect": "session-relay", "listen": "tcp:9:interface=127.0.0.1"}
    assert tunnel(tmp_path, both, options).values["listen"] == "tcp:9:interface=127.0.0.1"


def test_what_a_host_opens(tmp_path: Path) -> None:
    """The API without a login, where its rule goes, and who commands it."""
    serves = (
        "serves its HTTP API and feeds on {}, without a login; {}: whoever reaches it can say "
        "where feeds go, and hear and write them all"
    )
    report = checked(tmp_path, HOST_INI)
    assert report.faults == report.warnings == []
    files = f"rig: whoever reaches the API can write and empty any file below {gettempdir()}"
    assert report.lines == [
        "rig: dials what it is told to: session-relay",
        "rig: " + serves.format("tcp:8888:interface=127.0.0.1", "loopback only"),
        files,
    ]
    more = "listen = tcp:8888\nstream = video\napi = ws://r.example/api\n"
    report = checked(tmp_path, HOST_INI + RULE + more)
    assert report.lines == [
        "rig: dials https://r.example/access/session/t: session-relay; TLS",
        "rig: " + serves.format("tcp:8888", "every interface"),
        'rig: feed "video" and its topic hear each other',
        files,
        "rig: takes commands from ws://r.example/api: whoever may write there can say where feeds "
        "go",
    ]
    assert report.warnings == [
        "rig: tcp:8888 is open to other machines, without a login",
        "rig: ws://r.example/api is plain: commands can be altered on the way; use wss",
    ]
    report = checked(tmp_path, f"{HOST_INI}{RULE}stream = stream/cam\nfeeds = video, audio\n")
    assert report.lines[-2] == (
        'rig: "stream/cam", which merges video and audio, is sent to its topic; nothing comes back'
    )


# -- the client ------------------------------------------------------------------------------------


def test_a_client(tmp_path: Path) -> None:
    """It needs no router, and its doors take WebSockets or bytes."""
    one = tunnel(tmp_path, CLIENT_INI)
    assert [door.endpoint for door in one.doors] == ["ws:8000"]
    assert one.values["session"] == one.router
    report = checked(tmp_path, CLIENT_INI)
    assert report.faults == report.warnings == []
    assert report.lines == [
        "data: dials https://r.example/access/session/t: session-relay; TLS",
        "data: listens on ws:8000 for the topic of https://r.example/access/session/t; "
        "loopback only",
    ]
    everywhere = CLIENT_INI.replace("ws:8000", "ws:8000:interface=0.0.0.0")
    assert checked(tmp_path, everywhere).warnings == [
        "data: ws:8000:interface=0.0.0.0 is open to other machines, without a login"
    ]


def test_a_clients_variables(tmp_path: Path) -> None:
    """Session and token come from the original's, and outweigh the file."""
    environ = {
        "RELAY_CLIENT_SESSION": "https://env.example/session/u",
        "RELAY_CLIENT_TOKEN": "hush",
    }
    options: Options = {"dialect": "session-relay", "listen": ["ws:8001"]}
    for text, given in ((CLIENT_INI, {}), ("[client]\n", options)):
        one = tunnel(tmp_path, text, given, environ)
        assert one.values["session"] == one.router == environ["RELAY_CLIENT_SESSION"]
        assert one.token is not None
        assert one.token.read().reveal() == "hush"
        assert "hush" not in repr(one)


def test_options_suffice_for_a_client(tmp_path: Path) -> None:
    """What the only section of a file says of another topic is left out."""
    options: Options = {
        "dialect": "session-relay",
        "session": "wss://o.example/open",
        "listen": ["ws:8001"],
    }
    one = tunnel(tmp_path, CLIENT_INI, options)
    assert (one.router, one.token) == ("wss://o.example/open", None)


def test_a_client_that_is_told_too_little(tmp_path: Path) -> None:
    """One line says what is missing, with a command that would do."""
    with pytest.raises(ConfigurationError) as caught:
        tunnel(tmp_path, "[client]\n", {"dialect": "session-relay"})
    (fault,) = caught.value.faults
    assert "and session (the session URL of the topic at the access API): try: " in fault
    assert fault.endswith(
        "--dialect session-relay --listen ws:8000 "
        "--session https://relay.example.org/access/session/my-topic"
    )
