"""What a router of session-relay is told, and what relay check says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.dialects.session_relay.keys import (
    PUBLIC_URL,
    audience_of,
    prefix_of,
    target_of,
)
from relay.errors import ConfigurationError
from relay.settings import MadeSecretFile, examine_router, ini
from relay.settings.secrets import EnvironmentSecret
from tests.dialects.session_relay_inis import (
    KEYS,
    ORIGINAL,
    ROUTER_INI,
    SECTION,
    checked,
    dialect,
    endpoints,
    router,
    written,
)


@pytest.fixture(autouse=True)
def _no_system_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ini, "SYSTEM_DIRECTORY", tmp_path / "system")


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
