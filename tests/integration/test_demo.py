"""``relay demo`` shows a page through a tunnel, and leaves nothing behind."""

from __future__ import annotations

import json
import re
import signal
import socket
import urllib.error
import urllib.request
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.relay_command import environment, relay, started

URL = re.compile(r"http://127\.0\.0\.1:[0-9]+/")
START_S = 2.0
"""How long the demo may take to fetch its page; a busy machine gets the process's whole time."""


def fetch(url: str) -> bytes:
    """:returns: the body at ``url``"""
    with urllib.request.urlopen(url, timeout=5) as answer:
        body: bytes = answer.read()
    return body


def home(tmp_path: Path) -> dict[str, str]:
    """:returns: an environment whose temporary files go to ``tmp_path``"""
    return {"TMPDIR": str(tmp_path), "HOME": str(tmp_path / "nowhere")}


def test_once(tmp_path: Path) -> None:
    """The page comes through the tunnel, from any folder and without configuration."""
    done = relay("demo", "--once", folder=tmp_path, env=home(tmp_path))
    assert (done.returncode, done.stderr) == (0, b"")
    *urls, fetched = done.stdout.decode().splitlines()
    assert len(urls) == 4
    assert re.fullmatch(
        rf"fetched {URL.pattern} through the tunnel: 200, [0-9]{{4,}} bytes, [0-9]+ ms", fetched
    )
    assert list(tmp_path.iterdir()) == []


ALWAYS = {"page", "direct", "router", "admin"}
MORE = {"taas": {"named", "users"}}
"""URLs that a dialect has besides."""


@pytest.mark.parametrize("dialect", ["portal", "websocktunnel", "network-relay", "taas"])
def test_json(tmp_path: Path, dialect: str) -> None:
    """The result is also there as JSON, whatever tunnel it went through."""
    done = relay("demo", "--once", "--json", "--dialect", dialect, env=home(tmp_path))
    shown = json.loads(done.stdout)
    assert shown["dialect"] == dialect
    assert set(shown["urls"]) == ALWAYS | MORE.get(dialect, set())
    assert shown["fetched"]["status"] == 200
    assert shown["fetched"]["ms"] < START_S * 1000


def redirected(url: str) -> bytes:
    """:returns: the body where a redirect leads, whose names are all on loopback"""
    for _ in range(2):
        there = urlsplit(url)
        asking = HTTPConnection("127.0.0.1", there.port or 80, timeout=5)
        asking.request("GET", there.path, headers={"Host": there.netloc})
        answer = asking.getresponse()
        body = answer.read()
        asking.close()
        if answer.status == 200:
            return body
        assert answer.status == 307
        url = answer.headers["Location"]
        assert urlsplit(url).hostname == there.hostname
    raise AssertionError(url)


def test_a_thing_by_its_name(tmp_path: Path) -> None:
    """The page of taas is where its name is redirected to, too; the users page knows who it is."""
    with started("demo", "--dialect", "taas", "--json", env=environment(**home(tmp_path))) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        lines = iter(demo.stdout.readline, b"}\n")
        shown = json.loads(b"".join(lines) + b"}")
        urls = shown["urls"]
        page = fetch(urls["direct"])
        assert redirected(urls["named"]) == fetch(urls["page"]) == page
        assert urls["named"].encode() in page
        asked = urllib.request.Request(f"{urls['users']}?action=list", method="POST")
        with urllib.request.urlopen(asked, timeout=5) as answer:
            (entry,) = json.loads(answer.read())["result"]["entries"].values()
        assert entry["labels"] == ["web"]
        assert urls["named"].startswith(f"http://{entry['authParams']['name']}:")
        (config,) = tmp_path.glob("*/relay.ini")
        listed = relay("token", "taas", "list", "--config", config, env=home(tmp_path))
        assert listed.stdout.decode().split() == [entry["uuid"], "web"]
        demo.send_signal(signal.SIGINT)
        assert demo.wait(5) == 0
        assert demo.stderr.read() == b""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    """It goes on until somebody ends it, which is a success and leaves nothing behind."""
    with started("demo", env=environment(**home(tmp_path))) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline().decode() for _ in range(5)]
        page, direct = (URL.findall(line)[0] for line in lines[:2])
        assert page != direct
        assert fetch(page) == fetch(direct)
        assert b"relay demo" in fetch(page)
        before = json.loads(fetch(page + "figures.json"))
        fetch(page)
        after = json.loads(fetch(page + "figures.json"))
        assert after["dialect"] == "portal"
        assert after["bytes_down"] > before["bytes_down"] + 4000
        assert after["calls"] > before["calls"]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetch(page + "elsewhere")
        admin = lines[3].split()[-1]
        assert json.loads(fetch(admin))["ready"] is True
        with socket.create_connection(("127.0.0.1", int(page.rpartition(":")[2][:-1]))):
            process.send_signal(number)
            assert process.wait(5) == 0
        assert process.stderr.read() == b""
    assert list(tmp_path.iterdir()) == []


def test_port_in_use(tmp_path: Path) -> None:
    """A router that cannot listen is the only thing that is said."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = relay("demo", "--port", str(port), env=home(tmp_path))
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.decode().splitlines()
    assert f"cannot listen at 127.0.0.1:{port}" in line
    assert list(tmp_path.iterdir()) == []


def test_port_of_choice(tmp_path: Path) -> None:
    """The router listens where it is told to."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = relay("demo", "--once", "--port", str(port), env=home(tmp_path))
    assert f"ws://127.0.0.1:{port}\n" in done.stdout.decode()


@pytest.mark.parametrize("words", [["--port", "65536"], ["--dialect", "klingon"], ["now"]])
def test_wrong_usage(words: list[str]) -> None:
    """What it does not take is wrong usage."""
    assert relay("demo", *words).returncode == 2


def test_nobody_reads(tmp_path: Path) -> None:
    """A result that nobody reads ends it quietly."""
    with started("demo", env=environment(**home(tmp_path))) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(10) == 1
        assert process.stderr.read() == b""
    assert list(tmp_path.iterdir()) == []
