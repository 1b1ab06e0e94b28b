"""What demo, bench and a first start say and write for network-relay."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent

from relay.announcements import say_next_steps
from relay.commands.shows import SHOWS, router_ini, tunnel_ini
from relay.dialects.network_relay.credentials import read_credentials
from relay.dialects.network_relay.keys import TRAITS, forward_target
from relay.dialects.network_relay.targets import Target
from relay.settings import read_router, read_tunnels
from relay.settings.credentials import MadeCredentialsFile
from relay.vocabulary import Role
from tests.dialects.test_network_relay_keys import KEYS

DIALECT = "network-relay"
DOORS = {Role.HOST: "forward = tcp:127.0.0.1:8000", Role.CLIENT: "listen = tcp:0"}


def test_a_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets are in the router's credentials, and host and client mean the same target."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "relay.ini").write_text(router_ini(DIALECT, 0))
    settings = read_router({"config": "relay.ini"}, {}, tmp_path, KEYS)
    source = settings.dialects[0].values["credentials-file"]
    assert isinstance(source, MadeCredentialsFile)
    source.ensure()
    url = "ws://127.0.0.1:1"
    secrets = SHOWS[DIALECT].tokens(settings, url)
    assert SHOWS[DIALECT].tokens(settings, url) == secrets
    credentials = read_credentials(source)
    assert credentials.agent("web") == (secrets[Role.HOST],)
    client = credentials.client(secrets[Role.CLIENT])
    assert client is not None
    assert client.may_call("web", Target("127.0.0.1", 8000))
    tunnels = {}
    for role, line in DOORS.items():
        (tmp_path / f"{role.value}.token").write_text(secrets[role])
        text = tunnel_ini(role, DIALECT, url, line, "127.0.0.1:8000")
        (tmp_path / f"{role.value}.ini").write_text(text)
        read = read_tunnels(role, {"config": f"{role.value}.ini"}, {}, tmp_path, KEYS)
        (tunnels[role],) = read.tunnels
    host, client_settings = tunnels[Role.HOST], tunnels[Role.CLIENT]
    assert host.values["name"] == client_settings.values["agent"] == "web"
    (door,) = host.doors
    assert str(forward_target(door.endpoint)) == client_settings.values["target"]


def test_next_steps() -> None:
    """A first start says how to write an agent and a client into the credentials."""
    events: list[LogEvent] = []
    log = Logger(observer=cast(ILogObserver, events.append))
    say_next_steps(log, [TRAITS], Path("etc/relay.ini"))
    assert [formatEvent(event) for event in events] == [
        "next, mint a token for a host: relay token network-relay agent attic-pi "
        "--config etc/relay.ini > agent.secret; and one for a client: relay token network-relay "
        "client me --config etc/relay.ini > me.secret"
    ]
