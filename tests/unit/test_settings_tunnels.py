"""What relay-host and relay-client are told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from relay.errors import ConfigurationError
from relay.settings import (
    DialectKeys,
    EnvironmentSecret,
    Options,
    Reading,
    SecretFile,
    StdinSecret,
    examine_tunnels,
    ini,
)
from relay.settings.model import Door, TunnelSettings, TunnelsSettings
from relay.settings.schema import Key, Kind
from relay.vocabulary import Role
from tests.unit.test_settings_keys import PORTAL

AGENT = DialectKeys(
    router=(),
    host=(
        Key("forward", Kind.DOORS, "", required=False),
        Key("allow", Kind.LIST, "targets it may open"),
        Key("name", Kind.TEXT, "the agent's name", required=True, example="box"),
        Key("secret-file", Kind.SECRET_FILE, "", secret_environment=("AGENT_SECRET",)),
    ),
    client=(),
)
BOTH = {**PORTAL, "agent": AGENT}
HOST_INI = """\
[host:web]
router = wss://ini.example.org
token-file = web.token
service = web
forward = tcp:127.0.0.1:80
"""


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ini, "SYSTEM_DIRECTORY", tmp_path / "system")
    (tmp_path / "web.token").write_text("t" * 40)
    (tmp_path / "other.token").write_text("u" * 40)


def examine(
    directory: Path,
    text: str | None = None,
    options: Options | None = None,
    role: Role = Role.HOST,
    environ: Mapping[str, str] | None = None,
) -> Reading[TunnelsSettings]:
    given: Options = options or {}
    if text is not None:
        (directory / "x.ini").write_text(text)
        given = {**given, "config": "x.ini"}
    return examine_tunnels(role, given, environ or {}, directory, BOTH)


def only(reading: Reading[TunnelsSettings]) -> TunnelSettings:
    (tunnel,) = reading.settings.tunnels
    return tunnel


def faults(
    directory: Path,
    text: str | None = None,
    options: Options | None = None,
    role: Role = Role.HOST,
    environ: Mapping[str, str] | None = None,
) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        examine(directory, text, options, role, environ)
    return caught.value.faults


def test_a_section(tmp_path: Path) -> None:
    """Everything that it does not say has a default."""
    tunnel = only(examine(tmp_path, HOST_INI))
    assert (tunnel.name, tunnel.dialect, tunnel.role) == ("web", "portal", Role.HOST)
    assert tunnel.router == "wss://ini.example.org"
    assert tunnel.doors == (Door("web", "tcp:127.0.0.1:80"),)
    assert isinstance(tunnel.token, SecretFile)
    assert tunnel.token.read().reveal() == "t" * 40
    assert (tunnel.reconnect, tunnel.proxy, tunnel.ca_file) == ("yes", None, None)
    assert (tunnel.window_bytes, tunnel.ping_s, tunnel.dead_s) == (1 << 20, 20, 45)


def test_options_override_the_only_section(tmp_path: Path) -> None:
    """Option before variable before INI."""
    options: Options = {"service": "ssh", "token-file": "other.token", "log-level": "fatal"}
    reading = examine(
        tmp_path, HOST_INI, options, environ={"RELAY_ROUTER": "ws://env", "RELAY_TOKEN": "v"}
    )
    tunnel = only(reading)
    assert tunnel.doors == (Door("ssh", "tcp:127.0.0.1:80"),)
    assert tunnel.router == "ws://env"
    assert tunnel.token is not None
    assert tunnel.token.origin == str(tmp_path / "other.token")
    assert reading.settings.log_level == "critical"
    found = {line.key: (line.section, line.value, line.origin) for line in reading.explained}
    assert found["router"] == ("host:web", "ws://env", "environment RELAY_ROUTER")
    assert found["service"] == ("host:web", "ssh", "option --service")
    assert found["forward"] == ("host:web", "tcp:127.0.0.1:80", "x.ini:5")
    assert found["reconnect"] == ("host:web", "yes", "default")
    assert found["log-level"] == ("host", "critical", "option --log-level")


def test_options_without_doors_and_several_sections(tmp_path: Path) -> None:
    """Which one is meant is not guessed."""
    text = HOST_INI + HOST_INI.replace("host:web", "host:other")
    assert faults(tmp_path, text, {"service": "x", "log-level": "info"}) == [
        "option --service: which section is meant, [host:web] or [host:other]? write it there, "
        "or add --forward for a tunnel of its own"
    ]
    assert len(examine(tmp_path, text, {"log-level": "debug"}).settings.tunnels) == 2


def test_the_gear_of_all_tunnels_by_a_variable(tmp_path: Path) -> None:
    """A variable counts for every section, whatever that says."""
    other = HOST_INI.replace("host:web", "host:other") + "cut-through = yes\n"
    for environ, cuts in ({}, True), ({"RELAY_CUT_THROUGH": "no"}, False):
        tunnels = examine(tmp_path, HOST_INI + other, environ=environ).settings.tunnels
        assert [tunnel.cut_through for tunnel in tunnels] == [cuts, cuts]


def test_doors_make_a_tunnel_of_their_own(tmp_path: Path) -> None:
    """Sections are not read for it when options and environment say enough."""
    options: Options = {
        "forward": ["web=tcp:a:1", "tcp:b:2"],
        "router": "ws://localhost:8080",
        "token-file": "other.token",
    }
    for text in (None, HOST_INI, HOST_INI + HOST_INI.replace("host:web", "host:other")):
        tunnel = only(examine(tmp_path, text, options))
        assert tunnel.name == "web"
        assert tunnel.router == "ws://localhost:8080"
        assert tunnel.doors == (Door("web", "tcp:a:1"), Door("default", "tcp:b:2"))


def test_doors_take_the_rest_from_the_only_section(tmp_path: Path) -> None:
    """``relay-host --forward tcp:myserver:80`` with a host.ini needs nothing more."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "host.ini").write_text(
        HOST_INI.replace("web.token", str(tmp_path / "web.token"))
    )
    tunnel = only(examine(tmp_path, None, {"forward": ["tcp:myserver:80"]}))
    assert tunnel.router == "wss://ini.example.org"
    assert tunnel.doors == (Door("web", "tcp:myserver:80"),)


def test_one_section_by_name(tmp_path: Path) -> None:
    """It is overridden by the options, doors too, whatever other sections there are."""
    (tmp_path / "x.ini").write_text(HOST_INI + HOST_INI.replace("host:web", "host:other"))
    options: Options = {"config": "x.ini", "forward": ["tcp:a:1"], "router": "ws://h"}
    tunnel = only(
        examine_tunnels(Role.HOST, options, {"RELAY_TOKEN": "t"}, tmp_path, BOTH, "other")
    )
    assert (tunnel.name, tunnel.router) == ("other", "ws://h")
    assert tunnel.doors == (Door("web", "tcp:a:1"),)
    with pytest.raises(ConfigurationError) as caught:
        examine_tunnels(Role.HOST, options, {}, tmp_path, BOTH, "othr")
    assert caught.value.faults == ['x.ini: has no section [host:othr]; did you mean "other"?']


def test_too_little_is_one_line_with_a_complete_command(tmp_path: Path) -> None:
    """What is missing, and what to type."""
    command = (
        "twistd -n relay-host --dialect portal --router wss://relay.example.org "
        "--token-file web.token --service web --forward tcp:myserver:80"
    )
    assert faults(tmp_path, None, {"forward": ["tcp:myserver:80"]}) == [
        f"relay-host: missing router (where the router is) and a token: try: {command}"
    ]
    options: Options = {"forward": ["tcp:my server:80"], "ca-file": "x.pem", "service": "s"}
    (fault,) = faults(tmp_path, None, options, environ={"RELAY_ROUTER": "ws://env"})
    assert fault.startswith("relay-host: missing a token: try: ")
    assert "--router ws://env " in fault
    assert "--forward 'tcp:my server:80' --ca-file x.pem" in fault
    (fault,) = faults(
        tmp_path, None, None, Role.CLIENT, environ={"RELAY_ROUTER": "ws://e", "PORTAL_TOKEN": "t"}
    )
    assert fault.startswith("relay-client: missing listen (where to accept calls")
    assert fault.endswith("--service web --listen tcp:8000:interface=127.0.0.1")


def test_too_little_beside_a_section_that_is_not_read(tmp_path: Path) -> None:
    """A file is said to have no section only where it has none."""
    options: Options = {"forward": ["tcp:a:1"], "dialect": "agent", "router": "ws://h"}
    for text, said in (HOST_INI, ""), ("[host]\n", "x.ini has no section [host:NAME]; "):
        (fault,) = faults(tmp_path, text, options, environ={"AGENT_SECRET": "s"})
        assert fault.startswith(f"relay-host: {said}missing name (the agent's name): try: ")


def test_a_dialects_own_keys(tmp_path: Path) -> None:
    """They are in ``values``, and may be required, or make a common key optional."""
    text = "[host:box]\ndialect = agent\nrouter = ws://localhost\nallow = a:1, b:*\n"
    assert faults(tmp_path, text, None, environ={"AGENT_SECRET": "s"}) == [
        'x.ini:1: [host:box] name: is missing: the agent\'s name, like "name = box"'
    ]
    tunnel = only(examine(tmp_path, text + "name = box\n", None, environ={"AGENT_SECRET": "s"}))
    assert tunnel.doors == ()
    assert isinstance(tunnel.token, EnvironmentSecret)
    assert tunnel.values["allow"] == ("a:1", "b:*")
    assert tunnel.values["name"] == "box"
    assert "reconnect" not in tunnel.values


def test_options_of_other_dialects_are_faults(tmp_path: Path) -> None:
    """As is whatever nobody knows."""
    options: Options = {"name": "box", "forwrd": ["tcp:a:1"]}
    assert faults(tmp_path, HOST_INI, options) == [
        "option --name: dialect portal has no such key",
        'option --forwrd: unknown option; did you mean "forward"?',
    ]


def test_an_unknown_dialect(tmp_path: Path) -> None:
    """Its other keys cannot be judged."""
    options: Options = {"dialect": "portla", "forward": ["tcp:a:1"]}
    assert faults(tmp_path, None, options) == [
        'option --dialect: dialect "portla" is not installed (installed: agent, portal); '
        'did you mean "portal"?'
    ]


@pytest.mark.parametrize(
    ("environ", "origin"),
    [
        ({"RELAY_TOKEN": "a", "PORTAL_TOKEN": "b"}, "environment RELAY_TOKEN"),
        ({"PORTAL_TOKEN": "b"}, "environment PORTAL_TOKEN"),
        ({"RELAY_TOKEN_FILE": "other.token", "RELAY_TOKEN": "a"}, "{directory}/other.token"),
        ({"RELAY_TOKEN": " "}, "{directory}/web.token"),
    ],
)
def test_tokens_of_the_environment(tmp_path: Path, environ: dict[str, str], origin: str) -> None:
    """They outweigh the INI, ours before the original's."""
    token = only(examine(tmp_path, HOST_INI, None, environ=environ)).token
    assert token is not None
    assert token.origin == origin.format(directory=tmp_path)


def test_token_and_secret_are_one_thing(tmp_path: Path) -> None:
    """The one with more weight counts."""
    tunnel = only(examine(tmp_path, HOST_INI, {"secret-file": "other.token"}))
    assert tunnel.token is not None
    assert tunnel.token.origin == str(tmp_path / "other.token")
    assert faults(tmp_path, HOST_INI, {"secret-file": "web.token", "token-file": "web.token"}) == [
        "option --secret-file: says the same as option --token-file; keep one of the two"
    ]


def test_the_token_from_standard_input(tmp_path: Path) -> None:
    """One stream feeds every tunnel of the process."""
    tunnel = only(examine(tmp_path, HOST_INI, {"token-file": "-"}))
    assert isinstance(tunnel.token, StdinSecret)
    assert not tunnel.token.ready
    text = HOST_INI.replace("web.token", "-")
    reading = examine(tmp_path, text + text.replace("host:web", "host:b"))
    first, second = (tunnel.token for tunnel in reading.settings.tunnels)
    assert first is second


def test_proxies(tmp_path: Path) -> None:
    """The key, else the environment, else none; passwords are not explained."""
    environ = {"https_proxy": "me:hush@proxy.example.org:3128"}
    reading = examine(tmp_path, HOST_INI, None, environ=environ)
    assert only(reading).proxy == "http://me:hush@proxy.example.org:3128"
    assert "hush" not in repr(reading)
    found = {line.key: (line.value, line.origin) for line in reading.explained}
    assert found["proxy"] == ("http://***@proxy.example.org:3128", "environment https_proxy")
    assert only(examine(tmp_path, HOST_INI + "proxy = none\n", None, environ=environ)).proxy is None
    local = HOST_INI.replace("wss://ini.example.org", "ws://localhost:1")
    assert only(examine(tmp_path, local, None, environ={"http_proxy": "http://p:1"})).proxy is None
    explicit = only(examine(tmp_path, local, {"proxy": "http://p:1"}))
    assert explicit.proxy == "http://p:1"
    assert faults(tmp_path, HOST_INI, None, environ={"all_proxy": "ftp://p"}) == [
        "environment all_proxy: is no proxy, which is http://HOST:PORT, socks5://HOST:PORT or none"
    ]


def test_each_program_reads_its_own_sections(tmp_path: Path) -> None:
    """One file may serve both."""
    text = HOST_INI + "[client:ssh]\nrouter = ws://localhost\nlisten = tcp:0\n"
    host, client = (
        only(examine(tmp_path, text, None, role, environ={"RELAY_TOKEN": "t"})) for role in Role
    )
    assert (host.name, client.name) == ("web", "ssh")
    assert client.doors == (Door("default", "tcp:0"),)


def test_clients_may_listen_twice_for_one_service(tmp_path: Path) -> None:
    """Hosts may not forward one service to two places."""
    options: Options = {"listen": ["tcp:0", "unix:/x"], "router": "ws://h", "token-file": "-"}
    assert len(only(examine(tmp_path, None, options, Role.CLIENT)).doors) == 2


def test_all_faults_of_a_section_at_once(tmp_path: Path) -> None:
    """What is missing does not hide what is wrong."""
    (tmp_path / "host.ini").write_text(
        "[host:web]\nforward = tcp:127.0.0.1:80\nproxy = ftp://x\nca-file = gone.pem\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        examine_tunnels(Role.HOST, {"config": "host.ini"}, {}, tmp_path, PORTAL)
    keys = [fault.split("] ")[1].partition(":")[0] for fault in caught.value.faults]
    assert sorted(keys) == ["ca-file", "proxy", "router", "token-file"]
