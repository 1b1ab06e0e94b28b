"""``relay status`` tells what a router's admin address says."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from relay.commands.output import WrongUsage
from relay.commands.status import DEFAULT_ADMIN, Answer, admin_url, describe, find_url, understand
from relay.errors import RelayError
from relay.settings.model import Door
from tests.integration.portal_ours import RouterMaker, TunnelMaker
from tests.rawpeer import RawServer, connect
from tests.relay_command import relay, relay_beside

pytest_plugins = ["tests.integration.portal_fixtures"]

ADMIN = "tcp:0:interface=127.0.0.1"
EVERYWHERE = "tcp:0"
EMPTY = {"ready": True, "links": [], "offers": [], "circuits": [], "topics": []}


def arguments(**said: str) -> argparse.Namespace:
    """:returns: a command line that says this"""
    return argparse.Namespace(**{"admin": None, "config": None, "token_file": None, **said})


def admin_of(router: Any) -> str:
    """:returns: where our router's admin address is"""
    _, address = router.service.addresses[-1]
    return f"http://127.0.0.1:{address.port}"


async def ask(*words: str | Path) -> tuple[int, str, list[str]]:
    """:returns: exit status, standard output and the lines of standard error"""
    done = await relay_beside("status", *words)
    return done.returncode, done.stdout.decode(), done.stderr.decode().splitlines()


@pytest_twisted.ensureDeferred
async def test_host_and_circuit(start_router: RouterMaker, tunnels: TunnelMaker) -> None:
    """Links, offers and circuits are listed, as a table and as JSON."""
    router, ours = await start_router.start(admin=ADMIN)
    target = RawServer()
    door = Door("ssh", f"tcp:127.0.0.1:{await target.listen()}")
    portal = router.portal()
    await tunnels.host(router.url, portal.host_token, door)
    call = await portal.call()
    assert (await call.receive()).payload == b'"Connected"'
    status, out, err = await ask("--admin", admin_of(ours))
    assert (status, err) == (0, [])
    first, _, *tables = out.splitlines()
    assert first.startswith("ready: 3 links, 1 offer, 1 circuit, 0 pending calls, ")
    assert [line.split()[0] for line in tables if line.isupper()] == ["LINK", "OFFER", "OFFER"]
    assert sum(f"portal:{portal.portal_id}" in line for line in tables) == 2
    status, out, err = await ask("--admin", admin_of(ours), "--json")
    shown = json.loads(out)
    assert {link["role"] for link in shown["links"]} == {"host", "client"}
    assert shown["offers"][0]["services"] == ["ssh"]
    assert shown["circuits"][0]["bytes_up"] == 0
    call.drop()
    await target.close()


@pytest_twisted.ensureDeferred
async def test_token(start_router: RouterMaker, tmp_path: Path) -> None:
    """An address that other machines reach asks for the token, which the state directory has."""
    _, ours = await start_router.start(admin=EVERYWHERE)
    url = admin_of(ours)
    state_dir = ours.service.settings.state_dir
    token = state_dir / "admin.token"
    assert (await ask("--admin", url, "--token-file", token))[0] == 0
    config = tmp_path / "relay.ini"
    config.write_text(f"[router]\nlisten = tcp:1\nstate-dir = {state_dir}\n[dialect:portal]\n")
    assert (await ask("--admin", url, "--config", config))[0] == 0
    wrong = tmp_path / "wrong.token"
    for content, said in {
        "a" * 40: "does not take the token",
        "a\nb": "holds is no admin token",
    }.items():
        wrong.write_text(content)
        wrong.chmod(0o600)
        status, out, (line,) = await ask("--admin", url, "--token-file", wrong)
        assert (status, out) == (1, "")
        assert said in line
        assert content not in line
    missing = await ask("--admin", url, "--token-file", tmp_path / "none")
    assert missing[0] == 1
    assert "asks for a token" in missing[2][0]


@pytest_twisted.ensureDeferred
async def test_unix_socket(start_router: RouterMaker, tmp_path: Path) -> None:
    """An admin address on a Unix socket is found through the configuration."""
    path = tmp_path / "admin.sock"
    await start_router.start(admin=f"unix:{path}")
    config = tmp_path / "relay.ini"
    config.write_text(f"[router]\nlisten = tcp:1\nadmin = unix:{path}\n[dialect:portal]\n")
    assert (await ask("--config", config))[0] == 0


@pytest_twisted.ensureDeferred
async def test_not_the_admin_address(start_router: RouterMaker) -> None:
    """The public address of a router has no status."""
    router, _ = await start_router.start()
    status, out, (line,) = await ask("--admin", router.url.replace("ws", "http"))
    assert (status, out) == (1, "")
    assert "rather than the public one" in line


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:1", "Connection refused; is it running"),
        ("http://a..b:1", "that is no name of a host"),
        ("unix:/nonexistent/socket", "No such file or directory"),
    ],
)
def test_nobody_there(url: str, said: str) -> None:
    """A router that cannot be reached is told in one line: what, where and what to try."""
    done = relay("status", "--admin", url)
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"relay status: no router at {url}: {said}")


@pytest_twisted.ensureDeferred
async def test_no_http() -> None:
    """What does not speak HTTP is named as such."""
    server = RawServer()
    asked = ask("--admin", f"http://127.0.0.1:{await server.listen()}")
    running = Deferred.fromCoroutine(asked)
    peer = await server.accept()
    await peer.head()
    peer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    peer.drop()
    status, _, (line,) = await running
    assert status == 1
    assert "it does not answer in HTTP" in line
    await server.close()


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1", "127.0.0.1:1", "http://", "http://u:p@h"])
def test_wrong_url(url: str, tmp_path: Path) -> None:
    """What is no URL of an admin address is wrong usage."""
    with pytest.raises(WrongUsage, match="--admin: "):
        find_url(arguments(admin=url), {}, tmp_path)


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("tcp:9100:interface=127.0.0.1", "http://127.0.0.1:9100"),
        ("tcp:9100", "http://127.0.0.1:9100"),
        ("tcp:9100:interface=0.0.0.0", "http://127.0.0.1:9100"),
        ("tcp:port=9100:interface=10.0.0.7", "http://10.0.0.7:9100"),
        ("tcp6:9100", "http://[::1]:9100"),
        ("tcp6:9100:interface=\\:\\:1", "http://[::1]:9100"),
        ("unix:/run/relay/admin", "unix:/run/relay/admin"),
    ],
)
def test_url_of_endpoint(endpoint: str, url: str) -> None:
    """A server endpoint says where it is reached on this machine."""
    assert admin_url(endpoint) == url


@pytest.mark.parametrize("endpoint", ["tcp:0", "systemd:domain=INET:index=1"])
def test_endpoint_without_url(endpoint: str) -> None:
    """Where the endpoint does not tell, the log does."""
    with pytest.raises(RelayError, match="does not tell where to ask"):
        admin_url(endpoint)


def test_configuration(tmp_path: Path) -> None:
    """The configuration names the address; without one it is that of the shipped file."""
    environ = {"HOME": str(tmp_path)}
    assert find_url(arguments(), environ, tmp_path) == DEFAULT_ADMIN
    config = tmp_path / "relay.ini"
    config.write_text("[router]\nlisten = tcp:1\nadmin = tcp:7\n[dialect:portal]\n")
    assert find_url(arguments(config=str(config)), environ, tmp_path) == "http://127.0.0.1:7"
    config.write_text("[router]\nlisten = tcp:1\n[dialect:portal]\n")
    with pytest.raises(RelayError, match="has no admin address"):
        find_url(arguments(config=str(config)), environ, tmp_path)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"hello"),
        (200, b"[]"),
        (200, b"\xff"),
        (200, b'{"links": 7}'),
        (200, b'{"links": [1], "offers": [], "circuits": []}'),
        (500, json.dumps(EMPTY).encode()),
    ],
)
def test_strange_answers(status: int, body: bytes) -> None:
    """An answer that is no status is not taken for one."""
    with pytest.raises(RelayError, match="no router's status at http://h"):
        understand("http://h", Answer(status, body))


def test_strange_names() -> None:
    """Nothing in a stranger's name steers the terminal, and what is missing is a dash."""
    link = {"link": "a\x1b[2J\nb", "seconds": 7300.5, "subject": None}
    shown = describe({**EMPTY, "links": [link], "buffered_bytes": 3 * 1024**2})
    assert "\x1b" not in shown
    assert shown.splitlines()[-1].split() == ["a\\x1b[2J\\nb", "-", "-", "-", "2", "h"]
    assert "3.0 MiB in buffers" in shown


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"x": 1}', b'{"subject": 5}', b'{"subject": "a", "until": true}'],
)
@pytest_twisted.ensureDeferred
async def test_revocation_of_nothing(start_router: RouterMaker, body: bytes) -> None:
    """A revocation that cannot be understood is the caller's fault, and answered with 400."""
    _, ours = await start_router.start(admin=ADMIN)
    peer = await connect(int(admin_of(ours).rpartition(":")[2]))
    head = f"POST /api/v1/revoke HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    peer.write(head.encode() + body)
    answer = await peer.response()
    assert (answer.status, answer.header("X-Relay-Reason")) == (400, "protocol-error")
    peer.drop()
