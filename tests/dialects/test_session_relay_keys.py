"""What a router, a host and a client of session-relay are told, and what relay check says of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import gettempdir

import pytest

from relay.commands.check import Report, check_file
from relay.dialects.session_relay.keys import (
    CLIENT_KEYS,
    HOST_KEYS,
    PUBLIC_URL,
    ROUTER_KEYS,
    TRAITS,
    audience_of,
    prefix_of,
    target_of,
)
from relay.errors import ConfigurationError
from relay.settings import DialectKeys, MadeSecretFile, examine_router, ini, read_tunnels
from relay.settings.listeners import listeners
from relay.settings.model import DialectSettings, RouterSettings, TunnelSettings, TunnelsSettings
from relay.settings.secrets import EnvironmentSecret
from relay.settings.values import Options
from relay.vocabulary import Role

KEYS = {"session-relay": DialectKeys(ROUTER_KEYS, HOST_KEYS, CLIENT_KEYS, TRAITS)}
SECTION = "[dialect:session-relay]\n"
ROUTER_INI = "[router]\nlisten = tcp:8080:interface=127.0.0.1\nstate-dir = state\n" + SECTION
ORIGINAL = {"RELAY_AUDIENCE": "https://r.example/access", "RELAY_URL": "wss://r.example/relay"}
HOST_INI = "[host:rig]\ndialect = session-relay\n"
RULE = "session = https://r.example/access/session/t\ntoken-file = a.token\n"
CLIENT_INI = f"[client:data]\ndialect = session-relay\n{RULE}listen = ws:8000\n"


@pytest.fixture(autouse=True)
def _no_system_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ini, "SYSTEM_DIRECTORY", tmp_path / "system")


def written(folder: Path, text: str) -> str:
    """An INI, and the token that it names."""
    (folder / "x.ini").write_text(text)
    (folder / "a.token").write_text("t" * 40)
    (folder / "a.token").chmod(0o600)
    return "x.ini"


def router(folder: Path, text: str | None = ROUTER_INI, **environ: str) -> RouterSettings:
    """A router's settings; without text nothing but its environment tells it anything."""
    options: Options = {} if text is None else {"config": written(folder, text)}
    return examine_router(options, environ, folder, KEYS).settings


def dialect(folder: Path, more: str = "", **environ: str) -> DialectSettings:
    """What the router is told of the dialect."""
    (one,) = router(folder, ROUTER_INI + more, **environ).dialects
    return one


def endpoints(settings: RouterSettings) -> list[str]:
    """Section, key and endpoint of all that listens."""
    return [f"{one.key} = {one.endpoint}" for one in listeners(settings, KEYS)]


def tunnels(
    folder: Path,
    text: str,
    options: Options | None = None,
    environ: Mapping[str, str] | None = None,
) -> TunnelsSettings:
    """The settings of hosts or clients."""
    role = Role.CLIENT if "[client" in text else Role.HOST
    told = {"config": written(folder, text), **(options or {})}
    return read_tunnels(role, told, environ or {}, folder, KEYS)


def tunnel(
    folder: Path,
    text: str,
    options: Options | None = None,
    environ: Mapping[str, str] | None = None,
) -> TunnelSettings:
    """The settings of the only section, or of the options."""
    (one,) = tunnels(folder, text, options, environ).tunnels
    return one


def checked(folder: Path, text: str) -> Report:
    """What relay check says."""
    return check_file(written(folder, text), {}, folder, KEYS)


# -- the router ------------------------------------------------------------------------------------


def test_what_nobody_says(tmp_path: Path) -> None:
    """The original's numbers, a secret that is made, and URLs below the public one."""
    one = dialect(tmp_path)
    assert (one.ping_s, one.dead_s) == (54, 60)
    assert one.values["buffer-messages"] == 128
    assert one.values["stats-every-s"] == 5
    assert one.values["allow-no-booking-id"] is False
    source = one.values["secret-file"]
    assert isinstance(source, MadeSecretFile)
    assert source.path == tmp_path / "state" / "session-relay.secret"
    assert [one.values[key] for key in ("listen-access", "listen-relay", "origins")] == [None] * 3
    assert audience_of(one.values, "https://r.example") == "https://r.example/access"
    assert target_of(one.values, "https://r.example/") == "wss://r.example/ws"
    assert target_of({PUBLIC_URL: "http://[::1]:8080"}) == "ws://[::1]:8080/ws"
    assert audience_of({}) == target_of({}) == ""


def test_the_originals_variables(tmp_path: Path) -> None:
    """They outweigh the file; the secret is the variable's own text."""
    environ = {
        **ORIGINAL,
        "RELAY_SECRET": "s" * 40,
        "RELAY_PORT_ACCESS": "3300",
        "RELAY_PORT_RELAY": "3301",
        "RELAY_ALLOW_NO_BOOKING_ID": "T",
        "RELAY_BUFFER_SIZE": "7",
        "RELAY_STATS_EVERY": "1m1.5s",
        "RELAY_TIDY_EVERY": "5m",
    }
    more = "audience = https://other.example\nbuffer-messages = 9\nlisten-access = tcp:1\n"
    values = dialect(tmp_path, more, **environ).values
    secret = values["secret-file"]
    assert isinstance(secret, EnvironmentSecret)
    assert secret.read().reveal() == "s" * 40
    assert values["audience"] == audience_of(values, "http://h") == ORIGINAL["RELAY_AUDIENCE"]
    assert values["target"] == target_of(values, "http://h") == ORIGINAL["RELAY_URL"]
    assert values["listen-access"] == ("tcp:3300",)
    assert values["listen-relay"] == ("tcp:3301",)
    assert values["allow-no-booking-id"] is True
    assert values["buffer-messages"] == 7
    assert values["stats-every-s"] == 61.5


@pytest.mark.parametrize(
    ("text", "size"), [("1", 1), ("512", 512), ("0", 256), ("513", 256), ("-1", 256), ("x", 256)]
)
def test_buffer_sizes_of_the_variable(tmp_path: Path, text: str, size: int) -> None:
    """What is out of range becomes 256, as there."""
    assert dialect(tmp_path, RELAY_BUFFER_SIZE=text).values["buffer-messages"] == size


@pytest.mark.parametrize(("text", "seconds"), [("5s", 5), ("300ms", 1), ("-3s", 1), ("1h", 3600)])
def test_periods_of_the_variable(tmp_path: Path, text: str, seconds: float) -> None:
    """They are Go's durations, and a second at least."""
    assert dialect(tmp_path, RELAY_STATS_EVERY=text).values["stats-every-s"] == seconds


@pytest.mark.parametrize("text", ["yes", "on", "0", "f", "TrUe"])
def test_booleans_of_the_variable(tmp_path: Path, text: str) -> None:
    """What Go does not read as true is false."""
    more = "allow-no-booking-id = yes\n"
    one = dialect(tmp_path, more, RELAY_ALLOW_NO_BOOKING_ID=text)
    assert one.values["allow-no-booking-id"] is False


@pytest.mark.parametrize(
    ("variable", "text", "key", "told"),
    [
        ("RELAY_STATS_EVERY", "5", "stats-every-s", "no duration"),
        ("RELAY_PORT_ACCESS", "http", "listen-access", '"http" is not a port'),
        ("RELAY_PORT_RELAY", "70000", "listen-relay", "not a number from 0 to 65535"),
        ("RELAY_URL", "https://r.example", "target", 'unknown scheme "https"'),
        ("RELAY_LOG_FORMAT", "xml", "log-format", '"xml" is none of text or json'),
    ],
)
def test_variables_that_are_wrong(
    tmp_path: Path, variable: str, text: str, key: str, told: str
) -> None:
    """One line names the variable, and says what is wrong."""
    with pytest.raises(ConfigurationError) as caught:
        router(tmp_path, **{variable: text})
    (fault,) = caught.value.faults
    assert fault.startswith(f"environment {variable}: ")
    assert told in fault


def test_the_originals_ports(tmp_path: Path) -> None:
    """In the original's environment they are its own, unless somebody says a listener."""
    access = "[dialect:session-relay] listen-access = tcp:"
    relay = "[dialect:session-relay] listen-relay = tcp:"
    assert endpoints(router(tmp_path, SECTION, **ORIGINAL)) == [f"{access}3000", f"{relay}3001"]
    one = router(tmp_path, SECTION, **ORIGINAL, RELAY_PORT_RELAY="81")
    assert endpoints(one) == [f"{access}3000", f"{relay}81"]
    without_file = endpoints(router(tmp_path, None, **ORIGINAL))
    assert without_file == [f"{access}3000", f"{relay}3001"]
    assert endpoints(router(tmp_path, ROUTER_INI, **ORIGINAL)) == [
        "[router] listen = tcp:8080:interface=127.0.0.1"
    ]
    own = "[dialect:session-relay] listen = tcp:1"
    assert endpoints(router(tmp_path, SECTION + "listen = tcp:1\n", **ORIGINAL)) == [own]
    with pytest.raises(ConfigurationError, match="has no listener"):
        router(tmp_path, SECTION, RELAY_AUDIENCE="https://r.example/access")


def test_the_ports_defaults_are_explained(tmp_path: Path) -> None:
    """Who said so is told, as of every value."""
    told = examine_router({"config": written(tmp_path, SECTION)}, ORIGINAL, tmp_path, KEYS)
    lines = {line.key: (line.value, line.origin) for line in told.explained}
    assert lines["listen-relay"] == ("tcp:3001", "default beside RELAY_AUDIENCE")


def test_the_log(tmp_path: Path) -> None:
    """Its format and its file come from the original's variables, too."""
    one = router(tmp_path, RELAY_LOG_FORMAT="json", RELAY_LOG_LEVEL="trace", RELAY_LOG_FILE="r.log")
    assert (one.log_format, one.log_level, one.log_file) == ("json", "debug", tmp_path / "r.log")
    for text in ("", "stdout"):
        assert router(tmp_path, RELAY_LOG_FILE=text).log_file is None


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("https://r.example/access", "/access"),
        ("https://r.example/r0/access/", "/r0/access"),
        ("https://r.example", ""),
        ("https://r.example/", ""),
        ("access.example", "/other"),
    ],
)
def test_prefixes(url: str, prefix: str) -> None:
    """A URL's path is the route on shared listeners; what is no URL has none to give."""
    assert prefix_of(url, "/other") == prefix


def test_what_a_router_opens(tmp_path: Path) -> None:
    """To whom, under which names, and what of it is hardly meant."""
    report = checked(tmp_path, ROUTER_INI)
    assert report.faults == report.warnings == []
    assert report.lines[1:5] == [
        "session-relay: whoever has a token for a topic can hear it or write to it, as the token "
        "says, until it expires or its booking is cancelled",
        "session-relay: tokens are for public-url/access",
        "session-relay: relay sockets are at the ws form of public-url/ws/session/",
        "session-relay: pages of any origin may use it in a browser, with a token of their own",
    ]
    more = (
        "audience = lab\norigins = https://a.example, http://b:1\nallow-no-booking-id = yes\n"
        "listen-relay = tcp:3001:interface=127.0.0.1\n"
    )
    report = checked(tmp_path, ROUTER_INI + more)
    assert "session-relay: tokens are for lab" in report.lines
    only = "in a browser, only pages of https://a.example and http://b:1 may use it"
    assert f"session-relay: {only}" in report.lines
    assert report.warnings == [
        "session-relay: audience lab is no URL; the access API is served at /access",
        "session-relay: tokens without a booking id are taken, and nobody can cancel those",
        "session-relay: listen-relay without target: others are told a URL below public-url",
    ]


def test_a_target_that_leads_nowhere(tmp_path: Path) -> None:
    """What is written behind a query is no path."""
    assert checked(tmp_path, ROUTER_INI + "target = wss://r.example/ws?x=y\n").warnings == [
        "session-relay: target wss://r.example/ws?x=y has a query: the URLs made of it lead nowhere"
    ]


def test_a_short_secret(tmp_path: Path) -> None:
    """It is warned about, as everywhere."""
    (tmp_path / "s").write_text("short")
    (tmp_path / "s").chmod(0o600)
    (warning,) = checked(tmp_path, ROUTER_INI + "secret-file = s\n").warnings
    assert "the secret has 5 bytes; fewer than 32 can be guessed" in warning


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
