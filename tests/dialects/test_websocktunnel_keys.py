"""What a websocktunnel router and host are told, and what they make of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from relay.dialects.websocktunnel.keys import (
    CLIENT_KEYS,
    HOST_KEYS,
    ROUTER_KEYS,
    TRAITS,
    VERSION_BYTES,
    no_client,
    read_version,
    url_prefix,
    viewer_url,
)
from relay.errors import ConfigurationError, Misconfigured
from relay.settings import (
    CommandSecret,
    DialectKeys,
    EnvironmentSecret,
    MadeSecretFile,
    Options,
    StdinSecret,
    examine_router,
    examine_tunnels,
    ini,
)
from relay.settings.model import DialectSettings, Door, TunnelSettings
from relay.vocabulary import Role

KEYS = {"websocktunnel": DialectKeys(ROUTER_KEYS, HOST_KEYS, CLIENT_KEYS, TRAITS)}
ROUTER_INI = "[router]\nlisten = tcp:1\nstate-dir = state\n[dialect:websocktunnel]\n"
HOST_INI = """\
[host:lab]
dialect = websocktunnel
router = wss://r.example
id = demo~1.8080
forward = tcp:127.0.0.1:80
"""


@pytest.fixture(autouse=True)
def _no_system_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ini, "SYSTEM_DIRECTORY", tmp_path / "system")
    (tmp_path / "web.token").write_text("t" * 40)


def router(directory: Path, text: str = ROUTER_INI, **environ: str) -> DialectSettings:
    (directory / "relay.ini").write_text(text)
    reading = examine_router({"config": "relay.ini"}, environ, directory, KEYS)
    (dialect,) = reading.settings.dialects
    return dialect


def host(
    directory: Path,
    text: str = HOST_INI,
    options: Options | None = None,
    environ: Mapping[str, str] | None = None,
    role: Role = Role.HOST,
) -> TunnelSettings:
    (directory / "x.ini").write_text(text)
    given = {**(options or {}), "config": "x.ini"}
    (tunnel,) = examine_tunnels(role, given, environ or {}, directory, KEYS).settings.tunnels
    return tunnel


def faults(
    directory: Path, text: str, options: Options | None = None, role: Role = Role.HOST
) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        host(directory, text, options, role=role)
    return caught.value.faults


# -- the router ------------------------------------------------------------------------------------


def test_a_router_that_is_told_nothing(tmp_path: Path) -> None:
    """Both secrets are to be made, there is no audience, and peers are dead after 40 s."""
    settings = router(tmp_path)
    for key, name in (("secret-a-file", "-a"), ("secret-b-file", "-b")):
        source = settings.values[key]
        assert isinstance(source, MadeSecretFile)
        assert source.path == tmp_path / "state" / f"websocktunnel{name}.secret"
    assert settings.values["audience"] is None
    assert settings.values["original-statuses"] is False
    assert (settings.ping_s, settings.dead_s) == (20, 40)


def test_secrets_of_the_environment(tmp_path: Path) -> None:
    """The original's variables hold the secrets themselves."""
    settings = router(
        tmp_path, TASKCLUSTER_PROXY_SECRET_A="a" * 32, TASKCLUSTER_PROXY_SECRET_B="b" * 32
    )
    for key, letter in (("secret-a-file", "a"), ("secret-b-file", "b")):
        source = settings.values[key]
        assert isinstance(source, EnvironmentSecret)
        assert source.read().reveal() == letter * 32


def test_general_names_yield_to_the_ini(tmp_path: Path) -> None:
    """AUDIENCE and URL_PREFIX count only where the file is silent."""
    environ = {"AUDIENCE": "env", "URL_PREFIX": "https://env.example/"}
    settings = router(tmp_path, **environ)
    assert settings.values["audience"] == "env"
    assert url_prefix(settings, "http://public") == "https://env.example"
    settings = router(
        tmp_path, ROUTER_INI + "audience = ini\nurl-prefix = http://ini.example/base/\n", **environ
    )
    assert settings.values["audience"] == "ini"
    assert url_prefix(settings, "http://public") == "http://ini.example/base"


def test_liveness(tmp_path: Path) -> None:
    """What [limits] says counts for this dialect too, and so does its own section."""
    limits = "[limits]\nping-s = 5\ndead-s = 9\n"
    settings = router(tmp_path, limits + ROUTER_INI)
    assert (settings.ping_s, settings.dead_s) == (5, 9)
    settings = router(tmp_path, limits + ROUTER_INI + "dead-s = 30\n")
    assert (settings.ping_s, settings.dead_s) == (5, 30)
    with pytest.raises(ConfigurationError, match=r"dead-s \(40\) must be greater than ping-s"):
        router(tmp_path, "[limits]\nping-s = 42\n" + ROUTER_INI)


@pytest.mark.parametrize(
    ("prefix", "url"),
    [
        ("http://localhost", "http://localhost/myclient"),
        ("https://localhost/", "https://localhost/myclient"),
        ("http://somehost:1234/", "http://somehost:1234/myclient"),
        ("https://h/base", "https://h/base/myclient"),
        ("https://h//", "https://h//myclient"),
    ],
)
def test_viewer_url(tmp_path: Path, prefix: str, url: str) -> None:
    """One slash at the prefix's end goes, and the id follows."""
    settings = router(tmp_path, ROUTER_INI + f"url-prefix = {prefix}\n")
    assert viewer_url(url_prefix(settings, ""), "myclient") == url
    assert viewer_url(url_prefix(router(tmp_path), prefix), "myclient") == url


def test_an_id_is_appended_as_it_is() -> None:
    """Nothing in it is escaped, or unescaped."""
    assert viewer_url("http://h", "%41~100%") == "http://h/%41~100%"


def test_version_file(tmp_path: Path) -> None:
    """It is served where it is there, and its absence is no fault."""
    path = tmp_path / "version.json"
    text = ROUTER_INI + "version-file = version.json\n"
    assert read_version(router(tmp_path)) is None
    assert read_version(router(tmp_path, text)) is None
    path.write_bytes(b"{}")
    assert read_version(router(tmp_path, text)) == b"{}"
    path.write_bytes(b"x" * (VERSION_BYTES + 1))
    with pytest.raises(ConfigurationError, match="longer than"):
        read_version(router(tmp_path, text))
    path.unlink()
    os.mkdir(path)
    with pytest.raises(ConfigurationError, match="version-file"):
        read_version(router(tmp_path, text))


# -- the host --------------------------------------------------------------------------------------


def test_a_host(tmp_path: Path) -> None:
    """What it does not say has the dialect's defaults."""
    tunnel = host(tmp_path, HOST_INI + "token-file = web.token\nurl-file = url.txt\n")
    assert tunnel.values["id"] == "demo~1.8080"
    assert tunnel.values["url-file"] == tmp_path / "url.txt"
    assert tunnel.values["initial-credit-bytes"] == 4 << 20
    assert tunnel.doors == (Door("default", "tcp:127.0.0.1:80"),)
    assert (tunnel.ping_s, tunnel.dead_s) == (20, 40)


@pytest.mark.parametrize("text", ["a/b", "a b", "ä", "a?"])
def test_ids_that_are_none(tmp_path: Path, text: str) -> None:
    """They are told with the characters that would do."""
    wrong = HOST_INI.replace("demo~1.8080", text) + "token-file = web.token\n"
    assert faults(tmp_path, wrong) == [
        f'x.ini:4: [host:lab] id: "{text}" has other characters than A-Za-z0-9_~.%-'
    ]


def test_an_id_is_needed(tmp_path: Path) -> None:
    """A host without one says so, with an example."""
    wrong = HOST_INI.replace("id = demo~1.8080\n", "token-file = web.token\n")
    assert faults(tmp_path, wrong) == [
        "x.ini:1: [host:lab] id: is missing: the tunnel's id, the first part of its viewers' "
        'paths, like "id = my-tunnel"'
    ]


def test_one_service_a_tunnel(tmp_path: Path) -> None:
    """Viewers name a tunnel and no service, so that a second endpoint is a fault."""
    wrong = HOST_INI + "    tcp:127.0.0.1:81\ntoken-file = web.token\n"
    assert faults(tmp_path, wrong) == [
        'x.ini:6: [host:lab] forward: takes one value, and "tcp:127.0.0.1:81" is another'
    ]
    (fault,) = faults(
        tmp_path, HOST_INI + "token-file = web.token\n", {"forward": ["tcp:a:1", "tcp:b:2"]}
    )
    assert fault.startswith('option --forward: takes one value, and "tcp:b:2" is another')


def test_a_token_is_needed(tmp_path: Path) -> None:
    """A file, standard input, a variable or a command will do."""
    assert faults(tmp_path, HOST_INI) == [
        "x.ini:1: [host:lab] token-file: is missing: the token; '-' reads standard input, like "
        '"token-file = web.token"'
    ]
    assert isinstance(host(tmp_path, HOST_INI + "token-file = -\n").token, StdinSecret)
    told = host(tmp_path, environ={"RELAY_TOKEN": "t"}).token
    assert isinstance(told, EnvironmentSecret)
    (fault,) = faults(tmp_path, HOST_INI + "token-file = nowhere\n")
    assert 'make one with "relay token websocktunnel --id my-tunnel"' in fault
    assert "--dialect websocktunnel" in fault
    assert "--id my-tunnel --forward" in fault


def test_token_command(tmp_path: Path) -> None:
    """Words are split as a shell does, and nothing is run to read the settings."""
    text = HOST_INI + "token-command = fetch --for 'my tunnel' $HOME\n"
    source = host(tmp_path, text).token
    assert isinstance(source, CommandSecret)
    assert source.command == ("fetch", "--for", "my tunnel", "$HOME")
    assert source.directory == tmp_path
    with pytest.raises(ConfigurationError, match="has printed no token yet"):
        source.read()


@pytest.mark.parametrize(("command", "told"), [("fetch 'x", "quotation mark"), ("''", "program")])
def test_commands_that_are_none(tmp_path: Path, command: str, told: str) -> None:
    """The fault does not repeat them, since they may hold a password."""
    (fault,) = faults(tmp_path, HOST_INI + f"token-command = {command}\n")
    assert told in fault
    assert "fetch" not in fault


def test_what_is_explained_of_a_command(tmp_path: Path) -> None:
    """Its arguments are not shown."""
    (tmp_path / "x.ini").write_text(HOST_INI + "token-command = fetch --password hush\n")
    reading = examine_tunnels(Role.HOST, {"config": "x.ini"}, {}, tmp_path, KEYS)
    shown = {line.key: line.value for line in reading.explained}
    assert shown["token-command"] == "fetch ***"
    assert "hush" not in repr(reading)


def test_two_ways_to_a_token(tmp_path: Path) -> None:
    """A file and a command in one section contradict each other; a variable outweighs both."""
    text = HOST_INI + "token-command = fetch\ntoken-file = web.token\n"
    (fault,) = faults(tmp_path, text)
    assert "keep one of the two" in fault
    told = host(tmp_path, HOST_INI + "token-command = fetch\n", environ={"RELAY_TOKEN": "t"})
    assert isinstance(told.token, EnvironmentSecret)


def test_options_suffice_with_a_command(tmp_path: Path) -> None:
    """A tunnel of the options alone needs no file."""
    options: Options = {
        "dialect": "websocktunnel",
        "router": "ws://h",
        "id": "a",
        "token-command": "fetch",
        "forward": ["tcp:a:1"],
    }
    assert isinstance(host(tmp_path, HOST_INI, options).token, CommandSecret)


# -- no client -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("router_url", "shown"),
    [
        ("wss://r.example/", "https://r.example"),
        ("ws://r.example:8080", "http://r.example:8080"),
        ("https://r.example", "https://r.example"),
    ],
)
def test_a_client_is_told_the_url(tmp_path: Path, router_url: str, shown: str) -> None:
    """Viewers need no client: one sentence says so, and what to open."""
    text = f"[client:a]\ndialect = websocktunnel\nrouter = {router_url}\nid = demo\n"
    assert faults(tmp_path, text, role=Role.CLIENT) == [
        "x.ini:2: [client:a] dialect: dialect websocktunnel has no client: its viewers need none; "
        f"open {shown}/demo/ in a browser"
    ]


def test_a_client_that_says_nothing(tmp_path: Path) -> None:
    """Where router and id are not known, their places are shown."""
    (fault,) = faults(tmp_path, "[client:a]\ndialect = websocktunnel\n", role=Role.CLIENT)
    assert "https://ROUTER/ID/" in fault


def test_a_client_that_runs_all_the_same(tmp_path: Path) -> None:
    """Whoever runs one without reading settings is told the same."""
    tunnel = host(tmp_path, HOST_INI + "token-file = web.token\n")
    with pytest.raises(Misconfigured, match=r"open https://r\.example/demo~1\.8080/ in"):
        no_client(tunnel).send(None)
