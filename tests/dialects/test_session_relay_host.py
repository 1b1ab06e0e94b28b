"""Our session-relay host without a network: what it serves, says and obeys."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import cast

from relay.dialects.session_relay.host.host import run_host
from relay.dialects.session_relay.keys import HOST_KEYS, LISTEN_KEY
from relay.outside import IOutward
from relay.settings.model import TunnelSettings
from relay.vocabulary import Data, Enter, Role, TopicName
from tests.dialects.at_once import finish
from tests.dialects.samples import KnownSecret
from tests.dialects.session_relay_machine import Machine, Seat

SESSION = "http://localhost:3000/session/t"


def serve(
    values: dict[str, object],
    token: str = "",
    meanwhile: Callable[[Machine], None] = lambda _: None,
) -> Machine:
    """Run a host with that section, until it is told to stop."""
    machine = Machine()
    machine.meanwhile = functools.partial(meanwhile, machine)
    settings = TunnelSettings(
        Role.HOST, "cam", "session-relay", "", KnownSecret(token) if token else None, (), None,
        None, None, "yes", 1, 54, 60, values,
    )  # fmt: skip
    finish(run_host(settings, cast(IOutward, machine)))
    return machine


def test_it_listens_for_this_machine_alone() -> None:
    """Unless its settings say otherwise."""
    (listen,) = [key for key in HOST_KEYS if key.name == LISTEN_KEY]
    assert listen.default == "tcp:8888:interface=127.0.0.1"
    assert serve({"listen": "tcp:0"}).hub.endpoints == ["tcp:0"]


def test_it_says_what_to_type() -> None:
    """Each command is one that a shell takes as it stands."""
    reports = serve({}).reports
    assert any("http://127.0.0.1:8888/ts/video" in line for line in reports)
    assert any("ws://127.0.0.1:8888/ws/data" in line for line in reports)
    commands = [line.partition("with: ")[2] for line in reports if "curl" in line]
    stream, destination = (shlex.split(command.partition("   ")[0]) for command in commands)
    assert stream[:2] == destination[:2] == ["curl", "-d"]
    assert stream[2] == '{"stream":"stream/front","feeds":["video"]}'
    assert (stream[3], destination[3]) == (
        "http://127.0.0.1:8888/api/streams",
        "http://127.0.0.1:8888/api/destinations",
    )


def test_a_rule_of_the_settings_reads_its_token_afresh() -> None:
    """It stands under the section's name; its token is read at each connect."""
    seats: list[Seat] = []
    machine = serve(
        {"session": SESSION, "stream": "stream/x", "feeds": ("video", "audio")},
        "token",
        lambda machine: seats.extend(machine.hub.seats),
    )
    assert machine.asked == [(SESSION, "first")]
    assert machine.kept[0][0] == 'destination "cam"'
    (seat,) = [seat for seat in seats if seat.session is machine.dialled[0]]
    assert seat.enter == Enter(TopicName("feed:stream/x"), writes=False)
    assert machine.hub.composed == {"feed:stream/x": {"feed:video", "feed:audio"}}
    assert machine.reports[-1] == f"video, audio as stream/x goes to {SESSION}"


def test_a_feed_of_the_settings_goes_both_ways() -> None:
    """Without a token its URL is a WebSocket's."""
    machine = serve({"session": "ws://h/x", "stream": "data"})
    assert machine.dialled[0].url == "ws://h/x"
    assert machine.reports[-1] == "data goes to and from ws://h/x"


def test_commands_are_answered_on_their_feed() -> None:
    """To all others there; the destination that the settings name for them is connected."""
    heard: list[Data] = []

    def command(machine: Machine) -> None:
        local = machine.hub.reside(TopicName("feed:api"), heard.append)
        local.say(b'{"verb":"healthcheck"}', True)
        local.say(b'{"error":"of another host"}', True)

    machine = serve({"api": "ws://router/api"}, meanwhile=command)
    (way,) = machine.dialled
    assert way.url == "ws://router/api"
    assert heard == [Data(b'{"healthcheck":"ok"}', text=True)]
    assert heard[0] in way.sent


def test_files_have_a_folder(tmp_path: Path) -> None:
    """A folder in the settings is where rules may have them."""
    heard: list[Data] = []

    def command(machine: Machine) -> None:
        local = machine.hub.reside(TopicName("feed:api"), heard.append)
        rule = b'{"verb":"add","what":"destination","rule":{"id":"1","stream":"f","file":"x"}}'
        local.say(rule, True)

    serve({"files": tmp_path}, meanwhile=command)
    assert heard[0].payload.startswith(b'{"id":"1"')
    assert (tmp_path / "x").exists()


def test_its_end_ends_all_links() -> None:
    """In order, as a rule that is deleted."""
    machine = serve({"session": "ws://h/x", "stream": "data", "api": "ws://router/api"})
    assert [len(session.closed) for session in machine.dialled] == [1, 1]
