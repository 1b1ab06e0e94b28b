"""What a router, a host and a client of network-relay are told, and what relay check says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from relay.commands.check import Report, check_file
from relay.dialects.network_relay.keys import (
    CLIENT_KEYS,
    HOST_KEYS,
    ROUTER_KEYS,
    TRAITS,
    base_url,
    forward_target,
)
from relay.dialects.network_relay.targets import Target
from relay.errors import ConfigurationError
from relay.settings import DialectKeys, MadeSecretFile, read_router, read_tunnels
from relay.settings.credentials import CredentialsFile, MadeCredentialsFile
from relay.settings.model import TunnelSettings
from relay.settings.values import Options
from relay.vocabulary import Role

KEYS = {"network-relay": DialectKeys(ROUTER_KEYS, HOST_KEYS, CLIENT_KEYS, TRAITS)}
ROUTER_INI = (
    "[router]\nlisten = tcp:0:interface=127.0.0.1\nstate-dir = state\n[dialect:network-relay]\n"
)
HOST_INI = """\
[host:attic]
dialect = network-relay
router = wss://r.example
name = attic-pi
secret-file = a.secret
"""
CLIENT_INI = """\
[client:attic]
dialect = network-relay
router = wss://r.example
agent = attic-pi
target = 127.0.0.1:22
secret-file = a.secret
listen = tcp:2222:interface=127.0.0.1
"""


def written(folder: Path, name: str, text: str) -> Path:
    """A file that only its owner reads."""
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)
    return path


def router(folder: Path, more: str = "", **environ: str) -> CredentialsFile:
    """The credentials that a router's settings name."""
    written(folder, "relay.ini", ROUTER_INI + more)
    settings = read_router({"config": "relay.ini"}, environ, folder, KEYS)
    (dialect,) = settings.dialects
    assert (dialect.ping_s, dialect.dead_s) == (20, 45)
    source = dialect.values["credentials-file"]
    assert isinstance(source, CredentialsFile)
    return source


def tunnel(
    folder: Path,
    text: str,
    options: Options | None = None,
    environ: Mapping[str, str] | None = None,
) -> TunnelSettings:
    """The settings of the only section, or of the options."""
    written(folder, "x.ini", text)
    written(folder, "a.secret", "s" * 40)
    role = Role.CLIENT if "[client" in text else Role.HOST
    settings = read_tunnels(
        role, {"config": "x.ini", **(options or {})}, environ or {}, folder, KEYS
    )
    (one,) = settings.tunnels
    return one


def checked(folder: Path, text: str) -> Report:
    """What relay check says."""
    written(folder, "x.ini", text)
    written(folder, "a.secret", "s" * 40)
    return check_file("x.ini", {}, folder, KEYS)


# -- the router ------------------------------------------------------------------------------------


def test_credentials_that_nobody_named(tmp_path: Path) -> None:
    """They are made in the state directory, with both members of the original and nobody in it."""
    source = router(tmp_path)
    assert isinstance(source, MadeCredentialsFile)
    assert isinstance(source, MadeSecretFile)
    assert source.path == tmp_path / "state" / "credentials.json"
    source.ensure()
    assert json.loads(source.read().reveal()) == {"edge-agents": {}, "access-client-secrets": []}


def test_credentials_that_are_named(tmp_path: Path) -> None:
    """By the INI, and with more weight by the original's variable."""
    written(tmp_path, "c.json", "{}")
    written(tmp_path, "env.json", "{}")
    line = "credentials-file = c.json\n"
    assert router(tmp_path, line).path == tmp_path / "c.json"
    variable = {"HTTP_NETWORK_RELAY_CREDENTIALS_FILE": "env.json"}
    named = router(tmp_path, line, **variable)
    assert named.path == tmp_path / "env.json"
    assert not isinstance(named, MadeSecretFile)


def test_what_a_router_opens(tmp_path: Path) -> None:
    """Names and rights are told, and a right for an agent that is not there; no secret is."""
    written(
        tmp_path,
        "c.json",
        json.dumps(
            {
                "edge-agents": {"attic-pi": "hush1", "cellar": "hush2"},
                "access-client-secrets": ["hush3"],
                "access-clients": {
                    "alice": {"secret": "hush4"},
                    "bob": {"secret": "hush5", "agents": ["atic-pi"], "targets": ["[::1]:22"]},
                    "carol": {"secret": "hush6", "agents": []},
                },
            }
        ),
    )
    report = checked(tmp_path, ROUTER_INI + "credentials-file = c.json\n")
    assert report.faults == []
    assert report.lines[1:6] == [
        'network-relay: 2 agents may register: "attic-pi" and "cellar"',
        "network-relay: 1 client without a name may reach everything that any agent can",
        'network-relay: client "alice" may reach everything at any agent',
        'network-relay: client "bob" may reach [::1]:22 at "atic-pi"',
        'network-relay: client "carol" may reach nothing',
    ]
    assert report.warnings == [
        'network-relay: client "bob" may call agent "atic-pi", which is not among the agents; '
        'did you mean "attic-pi"?'
    ]
    assert "hush" not in repr(report)


def test_credentials_that_are_not_valid(tmp_path: Path) -> None:
    """They are the file's fault, told with its path."""
    path = written(tmp_path, "c.json", '{"edge-agents": []}')
    report = checked(tmp_path, ROUTER_INI + "credentials-file = c.json\n")
    assert report.faults == [f"{path}: edge-agents: is no object with names as members"]


def test_credentials_that_are_yet_to_be_made(tmp_path: Path) -> None:
    """Nobody is in them, and the first start makes them."""
    report = checked(tmp_path, ROUTER_INI)
    path = tmp_path / "state" / "credentials.json"
    assert f"makes the credentials-file of network-relay on the first start: {path}" in report.lines
    assert report.faults == report.warnings == []


# -- the host --------------------------------------------------------------------------------------


def test_a_host(tmp_path: Path) -> None:
    """Several endpoints need no names of their own: callers name the targets."""
    one = tunnel(tmp_path, HOST_INI + "forward = tcp:127.0.0.1:22\n    tcp:127.0.0.1:80\n")
    assert (one.name, one.values["name"]) == ("attic", "attic-pi")
    assert [door.endpoint for door in one.doors] == ["tcp:127.0.0.1:22", "tcp:127.0.0.1:80"]
    one = tunnel(tmp_path, HOST_INI + "allow = 10.0.0.0/24:*, db:5432\n")
    assert one.doors == ()
    assert one.values["allow"] == ("10.0.0.0/24:*", "db:5432")


def test_the_originals_variables(tmp_path: Path) -> None:
    """URL, name and secret come from them, and outweigh the file."""
    environ = {
        "HTTP_NETWORK_RELAY_URL": "ws://env:8000/ws_for_edge_agents",
        "HTTP_NETWORK_RELAY_NAME": "env",
        "HTTP_NETWORK_RELAY_SECRET": "hush",
    }
    wanted: tuple[tuple[str, Options], ...] = (
        (HOST_INI + "allow = h:1\n", {}),
        ("[host]\n", {"dialect": "network-relay", "allow": ["h:1", "h:2"]}),
    )
    for text, options in wanted:
        one = tunnel(tmp_path, text, options, environ)
        assert (one.router, one.values["name"]) == ("ws://env:8000", "env")
        assert one.token is not None
        assert one.token.read().reveal() == "hush"
        assert "hush" not in repr(one)


def test_a_host_of_options_is_called_by_its_agents_name(tmp_path: Path) -> None:
    """It has no section to be called by."""
    options: Options = {
        "dialect": "network-relay",
        "router": "ws://h",
        "name": "attic-pi",
        "token-file": "a.secret",
        "allow": ["h:1"],
    }
    assert tunnel(tmp_path, "[host]\n", options).name == "attic-pi"


def test_a_host_that_is_told_too_little(tmp_path: Path) -> None:
    """One line says what is missing, in the dialect's words, with a command that would do."""
    with pytest.raises(ConfigurationError) as caught:
        tunnel(tmp_path, "[host]\n", {"dialect": "network-relay", "router": "ws://h"})
    (fault,) = caught.value.faults
    assert "missing a secret, forward or allow (" in fault
    assert fault.endswith(
        "--dialect network-relay --router ws://h --secret-file agent.secret "
        "--forward tcp:127.0.0.1:8080 --name attic-pi"
    )


def test_a_secret_that_is_not_there(tmp_path: Path) -> None:
    """The command that makes one is told."""
    with pytest.raises(ConfigurationError, match='"relay token network-relay agent attic-pi"'):
        tunnel(tmp_path, HOST_INI.replace("a.secret", "nowhere") + "allow = h:1\n")


@pytest.mark.parametrize(
    ("lines", "opened", "warned"),
    [
        ("forward = tcp:127.0.0.1:22\nallow = db:5432", "127.0.0.1:22 and db:5432", ""),
        ("allow = 10.0.0.0/24:*\n    127.0.0.0/8:*", "10.0.0.0/24:* and 127.0.0.0/8:*", ""),
        ("allow = 0.0.0.0/0:*", "0.0.0.0/0:*", "every address that this machine reaches"),
        ("allow = [::/0]:22", "[::/0]:22", "every address that this machine reaches"),
        ("allow = 10.0.0.0/8:*", "10.0.0.0/8:*", "every port of very many machines"),
        ("allow = [fd00::/8]:22", "[fd00::/8]:22", "port 22 of very many machines"),
    ],
)
def test_what_a_host_opens(tmp_path: Path, lines: str, opened: str, warned: str) -> None:
    """The whole list is told, and what is wide in it warned about."""
    report = checked(tmp_path, HOST_INI + lines + "\n")
    assert report.faults == []
    assert report.lines[-1] == (
        f'attic: whoever its router lets call agent "attic-pi" can open {opened}, and nothing else'
    )
    assert [warned] * bool(warned) == [
        text.partition("callers open ")[2] for text in report.warnings
    ]


@pytest.mark.parametrize(
    ("endpoint", "target"),
    [
        ("tcp:127.0.0.1:22", Target("127.0.0.1", 22)),
        ("tcp:host=db:port=5432:timeout=3", Target("db", 5432)),
        ("tcp:port=80:host=db", Target("db", 80)),
        (r"tcp:\:\:1:22", Target("::1", 22)),
    ],
)
def test_the_target_of_a_forward(endpoint: str, target: Target) -> None:
    """It is the endpoint's own host and port."""
    assert forward_target(endpoint) == target


def test_a_forward_that_nobody_could_name(tmp_path: Path) -> None:
    """No target has port 0."""
    with pytest.raises(ConfigurationError, match=r"forward: .*has a port that is neither 1 to"):
        tunnel(tmp_path, HOST_INI + "forward = tcp:127.0.0.1:0\n")


def test_allow_makes_a_host_of_its_own(tmp_path: Path) -> None:
    """What the only section of a file forwards is not opened besides, where options say enough."""
    portal = "[host:web]\nrouter = wss://r.example\nforward = tcp:127.0.0.1:8080\n"
    options: Options = {"dialect": "network-relay", "allow": ["127.0.0.1:22"], "name": "attic-pi"}
    complete: Options = {**options, "router": "ws://h", "secret-file": "a.secret"}
    environ = {"HTTP_NETWORK_RELAY_URL": "ws://h", "HTTP_NETWORK_RELAY_SECRET": "s" * 40}
    for given, variables in (complete, {}), (options, environ):
        host = tunnel(tmp_path, portal, given, variables)
        assert host.doors == ()
        assert host.values["allow"] == ("127.0.0.1:22",)


# -- the client ------------------------------------------------------------------------------------


def test_a_client(tmp_path: Path) -> None:
    """Agent and target stand in its section."""
    one = tunnel(tmp_path, CLIENT_INI)
    assert one.values["agent"] == "attic-pi"
    assert one.values["target"] == "127.0.0.1:22"
    report = checked(tmp_path, CLIENT_INI)
    assert report.faults == report.warnings == []
    assert report.lines == [
        "attic: dials wss://r.example: network-relay; TLS",
        "attic: listens on tcp:2222:interface=127.0.0.1 for agent attic-pi, target 127.0.0.1:22; "
        "loopback only",
    ]


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (":22", "names no host"),
        ("h:0", "the port is not a number from 1 to 65535"),
        ("h:70000", "the port is not a number from 1 to 65535"),
        ("h:22/TCP", 'protocol "TCP" is not carried, only tcp'),
        ("::1:22", "is no target"),
    ],
)
def test_targets_that_are_none(tmp_path: Path, target: str, told: str) -> None:
    """They are told before anything is dialled."""
    with pytest.raises(ConfigurationError) as caught:
        tunnel(tmp_path, CLIENT_INI.replace("127.0.0.1:22", target))
    (fault,) = caught.value.faults
    assert fault.startswith("x.ini:5: [client:attic] target: ")
    assert told in fault


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("ws://h:8000/ws_for_edge_agents", "ws://h:8000"),
        ("wss://h/base/ws_for_access_clients", "wss://h/base"),
        ("wss://h/ws_for_access_clients/?x=1", "wss://h"),
        ("wss://h/base", "wss://h/base"),
        ("wss://h", "wss://h"),
    ],
)
def test_a_url_of_the_originals(url: str, base: str) -> None:
    """Its path is left out, whichever program's it is."""
    assert base_url(url) == base
