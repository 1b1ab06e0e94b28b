"""From text to value: every kind of key, endpoints and URLs among them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.settings.endpoints import (
    check_client,
    check_door,
    check_server,
    is_loopback,
    reach,
    same_port,
    split_endpoint,
)
from relay.settings.faults import Faults, Piece, Place, Said, Wrong
from relay.settings.kinds import Kinds, shown
from relay.settings.model import Door
from relay.settings.schema import Key, Kind
from relay.settings.secrets import EnvironmentSecret, SecretFile, StdinSecret
from relay.settings.urls import check_proxy, check_url, masked, proxy_variable

URL_SCHEMES = ("wss", "ws", "https", "http")


def parse(key: Key, *texts: str, base: Path = Path("/base"), secret: bool = False) -> object:
    place = Place("environment X", "environment X", base)
    faults = Faults()
    said = Said(place, tuple(Piece(text, place) for text in texts), secret)
    value = Kinds(faults, "/home/me", "remedy").parse(key, said)
    if faults.lines:
        raise Wrong(faults.lines)
    return value


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Kind.TEXT, "a b", "a b"),
        (Kind.INTEGER, "0", 0),
        (Kind.SECONDS, "2.5", 2.5),
        (Kind.BYTES, "17", 17),
        (Kind.BYTES, "4 MiB", 4 << 20),
        (Kind.BYTES, "1gib", 1 << 30),
        (Kind.BOOLEAN, "On", True),
        (Kind.BOOLEAN, "0", False),
        (Kind.PATH, "a/b", Path("/base/a/b")),
        (Kind.PATH, "/a", Path("/a")),
        (Kind.PATH, "~/a", Path("/home/me/a")),
        (Kind.LIST, "a, b,,c", ("a", "b", "c")),
        (Kind.SERVER_ENDPOINTS, "tcp:0", ("tcp:0",)),
        (Kind.DOORS, "a-b_1=tcp:h:1", (Door("a-b_1", "tcp:h:1"),)),
        (Kind.DOORS, "tcp:host=h:port=1", (Door("", "tcp:host=h:port=1"),)),
        (Kind.SERVER_DOORS, "web = tcp:0", (Door("web", "tcp:0"),)),
    ],
)
def test_kinds(kind: Kind, text: str, value: object) -> None:
    """Each kind's text becomes the type that the schema names."""
    assert parse(Key("k", kind, "help"), text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.INTEGER, "-1"),
        (Kind.INTEGER, "٣"),
        (Kind.INTEGER, "9" * 5000),
        (Kind.SECONDS, "inf"),
        (Kind.SECONDS, "1e3"),
        (Kind.SECONDS, "."),
        (Kind.BYTES, "1 KB"),
        (Kind.BYTES, "many"),
        (Kind.BOOLEAN, "maybe"),
        (Kind.DOORS, "web="),
        (Kind.DOORS, "a.b=tcp:h:1"),
    ],
)
def test_wrong_texts(kind: Kind, text: str) -> None:
    """They are faults."""
    with pytest.raises(Wrong):
        parse(Key("k", kind, "help"), text)


def test_choices_have_aliases_and_no_case() -> None:
    """The originals' words for log levels are understood."""
    key = Key("k", Kind.CHOICE, "", choices=("warn", "info"), aliases=(("warning", "warn"),))
    assert parse(key, "WARNING") == "warn"
    with pytest.raises(Wrong, match='did you mean "warning"'):
        parse(key, "warnin")


def test_secrets_become_sources(tmp_path: Path) -> None:
    """A file, standard input, or a variable that holds the secret itself."""
    key = Key("k", Kind.SECRET_FILE, "")
    (tmp_path / "s").write_text("secret")
    assert isinstance(parse(key, "s", base=tmp_path), SecretFile)
    assert isinstance(parse(key, "-"), StdinSecret)
    source = parse(key, "secret", secret=True)
    assert isinstance(source, EnvironmentSecret)
    assert source.origin == "environment X"
    with pytest.raises(Wrong, match="nowhere does not exist; remedy"):
        parse(key, "nowhere", base=tmp_path)
    with pytest.raises(Wrong) as caught:
        parse(key, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl")
    assert "eyJ" not in str(caught.value)
    with pytest.raises(Wrong, match="is a directory"):
        parse(key, ".", base=tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(Wrong, match="is empty"):
        parse(key, "empty", base=tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert isinstance(parse(key, "pipe", base=tmp_path), SecretFile)


def test_values_are_shown_as_an_ini_has_them() -> None:
    """Secrets are not."""
    assert shown(True) == "yes"
    assert shown(65536, Kind.BYTES) == "64 KiB"
    assert shown(1025, Kind.BYTES) == "1025"
    assert shown(1024) == "1024"
    assert shown(20.0) == "20"
    assert shown((Door("a", "b"), Door("", "c"))) == "a=b, c"
    assert shown(EnvironmentSecret("X", "hush")) == "***"
    assert shown(SecretFile(Path("/s"))) == "/s"
    assert shown(None) == ""


@pytest.mark.parametrize(
    "text",
    [
        "tcp:0",
        "tcp:port=80:interface=127.0.0.1",
        "tcp6:8080:interface=\\:\\:1",
        "unix:/run/x:mode=660",
        "ssl:443:privateKey=k.pem",
        "systemd:domain=INET:index=0",
        "stdio:",
        "stdio",
        "onion:80:controlPort=9051",
        "relay:wss\\://relay.example.org",
    ],
)
def test_server_endpoints(text: str) -> None:
    """Kinds that Twisted's plugins may know pass too."""
    assert check_server(text) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("tpc:8080", '"tcp"'),
        ("TCP:8080", '"tcp"'),
        ("8080", "tcp:8080"),
        ("127.0.0.1:8080", '"tcp:8080:interface=127.0.0.1"'),
        ("localhost:8080", '"tcp:8080:interface=127.0.0.1"'),
        ("myhost:8080", '"tcp:8080"'),
        ("[::1]:8080", '"tcp6:8080:interface=\\:\\:1"'),
        ("tcp:", "names no port"),
        ("tcp:x", '"x" is not a number'),
        ("tcp:65536", '"65536" is not a number'),
        ("tcp:80, tcp:81", "without a comma"),
        ("http://x", "is a URL"),
        ("ws:8080", "a WebSocket door is of no use here"),
        ("tcp:80\\", "ends with a backslash"),
        ("unx:/run/x", '"unix"'),
        ("", "is no endpoint"),
    ],
)
def test_wrong_server_endpoints(text: str, hint: str) -> None:
    """They are told with the nearest spelling that would be right."""
    with pytest.raises(Wrong) as caught:
        check_server(text)
    assert hint in str(caught.value)


def test_numbers_in_a_range() -> None:
    """What is outside is told with both ends."""
    key = Key("k", Kind.INTEGER, "", least=1, most=512)
    assert (parse(key, "1"), parse(key, "512")) == (1, 512)
    for text in ("0", "513"):
        with pytest.raises(Wrong, match=f"{text} is not a number from 1 to 512"):
            parse(key, text)
    with pytest.raises(Wrong, match=r"0\.5 is not a number from 1 on"):
        parse(Key("k", Kind.SECONDS, "", least=1), "0.5")


@pytest.mark.parametrize(
    "text",
    [
        "tcp:myserver:80",
        "tcp:host=a:port=1",
        "tcp:a:port=1",
        "tcp:host=a:1",
        "tls:a:443",
        "unix:/x",
    ],
)
def test_client_endpoints(text: str) -> None:
    """Every spelling that Twisted documents passes."""
    assert check_client(text) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("127.0.0.1:22", '"tcp:127.0.0.1:22"'),
        ("myserver:22", '"tcp:myserver:22"'),
        ("[::1]:22", '"tcp:\\:\\:1:22"'),
        ("tcp:22", "names no host"),
        ("tcp:myserver", "names no port"),
        ("tcp:myserver:http", "is not a number"),
        ("systemd", "is no endpoint"),
        ("tcp:a:1:timout=3", 'unknown argument "timout"; did you mean "timeout"?'),
        ("tcp:a:1:timeout=3s", 'timeout "3s" is not a number'),
        ("tcp:a:1:2:3:4", "more parts than tcp:host:port:timeout:bindAddress"),
        ("unix:", "names no file"),
    ],
)
def test_wrong_client_endpoints(text: str, hint: str) -> None:
    """They are told with the nearest spelling that would be right."""
    with pytest.raises(Wrong) as caught:
        check_client(text)
    assert hint in str(caught.value)


@given(st.text(max_size=40))
def test_endpoints_never_fail_otherwise(text: str) -> None:
    """Any text is an endpoint or Wrong."""
    for check in (check_server, check_client, check_door):
        try:
            endpoint = split_endpoint(check(text))
        except Wrong:
            continue
        assert endpoint.kind
        reach(text)
        is_loopback(text)
        same_port(text, "tcp:80")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("tcp:0:interfce=127.0.0.1", 'unknown argument "interfce"; did you mean "interface"?'),
        ("tcp:0:backlog=x", 'backlog "x" is not a number'),
        ("unix:/x:mod=600", 'did you mean "mode"?'),
        ("unix:mode=600", "names no file"),
        ("systemd:domain=INETX:index=0", "is none of INET6, INET, UNIX"),
        ("systemd:domain=INET", "needs one of index and name"),
    ],
)
def test_wrong_server_arguments(text: str, hint: str) -> None:
    """What Twisted would stumble over is found before anything starts."""
    with pytest.raises(Wrong) as caught:
        check_server(text)
    assert hint in str(caught.value)


def test_reach() -> None:
    """What a listener is open to, in words."""
    assert reach("tcp:80:interface=127.0.0.1") == "loopback only"
    assert reach("tcp:80") == "every interface"
    assert reach("tcp:80:interface=0.0.0.0") == "every interface"
    assert reach("tcp6:80:interface=\\:\\:") == "every interface"
    assert reach("tcp6:80:interface=\\:\\:1") == "loopback only"
    assert reach("tcp:80:interface=10.0.0.1") == "interface 10.0.0.1"
    assert reach("unix:/x") == "this machine only"
    assert reach("systemd:domain=INET:index=0") == "as systemd decides"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("tcp:80", "tcp:80", True),
        ("tcp:80", "ssl:80:interface=10.0.0.1", True),
        ("tcp:80:interface=10.0.0.2", "tcp:80:interface=10.0.0.1", False),
        ("tcp:0", "tcp:0", False),
        ("tcp:80", "tcp6:80", False),
        ("unix:/x", "unix:/x", True),
        ("unix:/x", "tcp:80", False),
        ("stdio", "stdio", False),
    ],
)
def test_same_port(one: str, other: str, same: bool) -> None:
    """Listeners that cannot both be there are recognised."""
    assert same_port(one, other) is same
    assert same_port(other, one) is same


@pytest.mark.parametrize(
    "url",
    ["wss://relay.example.org", "ws://[::1]:80/x?y=1", "http://h:65535/", "https://bücher.example"],
)
def test_urls(url: str) -> None:
    """Routers may stand below a path."""
    assert check_url(url, URL_SCHEMES) == url


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("relay.example.org", '"wss://relay.example.org"'),
        ("localhost:8080", '"wss://localhost:8080"'),
        ("wsss://h", 'did you mean "wss"'),
        ("ws://", "names no host"),
        ("ws://h:70000", "is no URL"),
        ("ws://h:0", "names no port but 0"),
        ("ws://h:x", "is no URL"),
        ("ws://[::1", "is no URL"),
        ("ws://a b", "white space"),
        ("ws://h/#x", "nothing may follow #"),
        ("ws://token@h", "token-file"),
    ],
)
def test_wrong_urls(url: str, hint: str) -> None:
    """They are told with what to write instead."""
    with pytest.raises(Wrong) as caught:
        check_url(url, URL_SCHEMES)
    assert hint in str(caught.value)


@given(st.text(max_size=40))
def test_urls_never_fail_otherwise(text: str) -> None:
    """Any text is a URL or Wrong."""
    for check in (lambda: check_url(text, URL_SCHEMES), lambda: check_proxy(text)):
        with contextlib.suppress(Wrong):
            check()


def test_proxies() -> None:
    """Their passwords are never repeated."""
    assert check_proxy("none") is None
    assert check_proxy("socks5://h:1080") == "socks5://h:1080"
    with pytest.raises(Wrong) as caught:
        check_proxy("ftp://me:hush@h")
    assert "hush" not in str(caught.value)
    assert masked("http://me:hu@sh@h:1") == "http://***@h:1"
    assert masked("http://h:1") == "http://h:1"


@pytest.mark.parametrize(
    ("url", "environ", "variable"),
    [
        ("wss://r.example", {"https_proxy": "p"}, "https_proxy"),
        ("wss://r.example", {"HTTPS_PROXY": "p", "all_proxy": "q"}, "HTTPS_PROXY"),
        ("wss://r.example", {"http_proxy": "p"}, None),
        ("ws://r.example", {"http_proxy": "p"}, "http_proxy"),
        ("ws://r.example", {"ALL_PROXY": "p"}, "ALL_PROXY"),
        ("ws://localhost:1", {"http_proxy": "p"}, None),
        ("ws://127.3.2.1", {"http_proxy": "p"}, None),
        ("ws://[::1]", {"http_proxy": "p"}, None),
        ("ws://r.example", {"http_proxy": "p", "no_proxy": "r.example"}, None),
        ("ws://a.r.example", {"http_proxy": "p", "no_proxy": "x, .R.example"}, None),
        ("ws://a.r.example", {"http_proxy": "p", "no_proxy": "*.r.example"}, None),
        ("ws://rr.example", {"http_proxy": "p", "no_proxy": "r.example,"}, "http_proxy"),
        ("ws://r.example", {"http_proxy": "p", "NO_PROXY": "*"}, None),
        ("ws://10.1.2.3", {"http_proxy": "p", "no_proxy": "10.0.0.0/8"}, None),
        ("ws://10.1.2.3", {"http_proxy": "p", "no_proxy": "2001:db8::/32"}, "http_proxy"),
        ("ws://r.example", {"http_proxy": " "}, None),
    ],
)
def test_proxies_of_the_environment(
    url: str, environ: dict[str, str], variable: str | None
) -> None:
    """As other programs read these variables; loopback is never proxied."""
    assert proxy_variable(url, environ) == variable
