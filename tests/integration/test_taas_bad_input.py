"""Requests to a taas router that break the rules, or are odd: refused, and nobody else notices."""

from __future__ import annotations

import time

import pytest
import pytest_twisted

from tests.integration.taas_peers import BOTH, OURS, KiB, Router, host_of, original_differs, passes
from tests.integration.taas_wire import REGISTRAR, SERVERS, fresh, shown
from tests.rawpeer import PERFECT_HANDSHAKE

REFUSED = range(400, 600)
MOST_HEAD_LINES = 100
"""Of a thousand bytes each; the largest head is 32 KiB."""

ODD_HOSTS = {
    "empty": b"",
    "dots": b"....",
    "dot": f".{SERVERS}".encode(),
    "two-dots": f"a..b.{SERVERS}".encode(),
    "port-word": f"a.{SERVERS}:port".encode(),
    "port-huge": f"a.{SERVERS}:99999999999999".encode(),
    "two-ports": f"a.{SERVERS}:1:2".encode(),
    "slash": f"a/b.{SERVERS}".encode(),
    "at": f"user@a.{SERVERS}".encode(),
    "space": f"a b.{SERVERS}".encode(),
    "quote": f'a"b.{SERVERS}'.encode(),
    "markup": f"<script>.{SERVERS}".encode(),
    "percent": f"%61.{SERVERS}".encode(),
    "bytes": b"\xff\xfe." + SERVERS.encode(),
    "umlaut": f"küche.{SERVERS}".encode(),
    "long-label": b"a" * 300 + b"." + SERVERS.encode(),
    "very-long": b"a." * 3000 + SERVERS.encode(),
    "brackets": b"[::1",
    "list": f"a.{SERVERS}, b.{SERVERS}".encode(),
    "tab": f"\ta.{SERVERS}\t".encode(),
    "suffix": f"a.{SERVERS}.evil.example".encode(),
    "prefix": f"evil{SERVERS}".encode(),
}
ODD_CREDENTIALS = {
    "equals": b"TOTP ====",
    "quotes": b'TOTP """"""',
    "open-quote": b'TOTP username="abc',
    "commas": b"TOTP ,,,,,,",
    "bytes": b'TOTP username="\xff\xfe", response="123456"',
    "long-name": b'TOTP username="' + b"a" * 4000 + b'", response="123456"',
    "long-code": b'TOTP username="a", response="' + b"1" * 4000 + b'"',
    "arabic": 'TOTP username="a", response="١٢٣٤٥٦"'.encode(),
    "path": b'TOTP username="../../etc/passwd", response="123456"',
    "underscore": b'TOTP username="a_b", response="123456"',
    "crammed": b"TOTP " + b'a="b",' * 1000,
    "quoted-quote": b'TOTP username="a\\"b", response="123456"',
    "backslashes": b"TOTP " + b"\\" * 1000,
    "star": b'TOTP username="*", response="123456"',
}
NO_REQUESTS = {
    "two-hosts": f"GET / HTTP/1.1\r\nHost: {REGISTRAR}\r\nHost: a.{SERVERS}\r\n\r\n".encode(),
    "connect": f"CONNECT {REGISTRAR}:443 HTTP/1.1\r\nHost: {REGISTRAR}\r\n\r\n".encode(),
    "no-host": b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
}
UNPARSABLE = {
    "word": b"hello\r\n\r\n",
    "zeros": bytes(100) + b"\r\n\r\n",
    "tls-record": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "bad-length": f"PUT /x HTTP/1.1\r\nHost: {REGISTRAR}\r\nContent-Length: x\r\n\r\n".encode(),
    "both-lengths": f"PUT /x HTTP/1.1\r\nHost: {REGISTRAR}\r\nContent-Length: 3\r\n"
    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
    "control-character": f"PUT /register/x HTTP/1.1\r\nHost: {REGISTRAR}\r\n"
    'Authorization: TOTP username="a\x0bb"\r\n\r\n'.encode(),
}
NEVER_ANSWERED = "what cannot be parsed is never answered, and its connection stays"

pytest_plugins = ["tests.integration.taas_fixtures"]


@BOTH
@pytest.mark.parametrize("host", ODD_HOSTS.values(), ids=ODD_HOSTS.keys())
@pytest_twisted.ensureDeferred
async def test_odd_hosts(taas: Router, host: bytes) -> None:
    """A Host that names no label is refused, and nothing of it is sent back as it came."""
    answer = await taas.send(b"GET / HTTP/1.1\r\nConnection: close\r\nHost: " + host + b"\r\n\r\n")
    assert answer is None or answer.status in REFUSED
    if answer is not None and taas.is_ours:
        location = answer.header("Location") or ""
        assert all(character not in location for character in '<>"\r\n @')
    await taas.works()


@BOTH
@pytest.mark.parametrize("value", ODD_CREDENTIALS.values(), ids=ODD_CREDENTIALS.keys())
@pytest_twisted.ensureDeferred
async def test_odd_credentials(taas: Router, value: bytes) -> None:
    """Credentials of any bytes are refused."""
    head = f"PUT /register/x HTTP/1.1\r\nHost: {REGISTRAR}\r\nConnection: close\r\n".encode()
    answer = await taas.send(head + b"Authorization: " + value + b"\r\n\r\n")
    assert answer is None or answer.status in (400, 401)
    await taas.works()


@BOTH
@pytest.mark.parametrize("text", NO_REQUESTS.values(), ids=NO_REQUESTS.keys())
@pytest_twisted.ensureDeferred
async def test_no_requests(taas: Router, text: bytes) -> None:
    """What is no request of HTTP is refused, or the connection ends."""
    await is_refused(taas, text)


@original_differs(NEVER_ANSWERED)
@pytest.mark.parametrize("text", UNPARSABLE.values(), ids=UNPARSABLE.keys())
@pytest_twisted.ensureDeferred
async def test_unparsable(taas: Router, text: bytes) -> None:
    """What cannot be parsed is refused, or the connection ends."""
    await is_refused(taas, text)


async def is_refused(taas: Router, text: bytes) -> None:
    """Check that a request is refused, and that another is not."""
    answer = await taas.send(text)
    assert answer is None or answer.status in REFUSED
    await taas.works()


@original_differs(NEVER_ANSWERED)
@pytest_twisted.ensureDeferred
async def test_endless_head(taas: Router) -> None:
    """A head without an end is cut off, long before it costs much."""
    peer = await taas.knock()
    peer.write(f"GET / HTTP/1.1\r\nHost: {REGISTRAR}\r\n".encode())
    line = b"X-More: " + b"a" * 1000 + b"\r\n"
    for _ in range(MOST_HEAD_LINES):
        peer.write(line)
        await taas.settles()
        if not peer.nothing_came() or peer.end is not None:
            break
    else:
        raise AssertionError("a head without an end is read on")
    assert peer.left()[:12] in (b"HTTP/1.1 431", b"")
    await taas.works()


@OURS
@pytest_twisted.ensureDeferred
async def test_head_that_stops(taas: Router) -> None:
    """Whoever stops in a head holds up nobody."""
    for text in (b"", b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a"):
        peer = await taas.knock()
        peer.write(text)
    await taas.works()


@BOTH
@pytest_twisted.ensureDeferred
async def test_body_that_nobody_reads(taas: Router) -> None:
    """A body is no hindrance, however long it says that it will be."""
    who = fresh()
    credentials = f"Authorization: {shown(who.name, who.good_code(time.time()))}"
    path = f"/register/{who.label}"
    assert (
        await taas.ask("PUT", path, credentials, "Content-Length: 5", body=b"hello")
    ).status == 200
    longer = bytes(100 * KiB)
    lines = (credentials, f"Content-Length: {len(longer)}")
    assert (await taas.ask("PUT", path, *lines, body=longer)).status == 200
    await taas.works()


@BOTH
@pytest_twisted.ensureDeferred
async def test_upgrade(taas: Router) -> None:
    """A request that asks for a WebSocket is one like others."""
    who = fresh()
    await taas.responder(who)
    lines = [f"{name}: {value}" for name, value in PERFECT_HANDSHAKE.items()]
    assert (await taas.get("/", host_of(who.label), *lines)).status == 307
    assert (await taas.get("/", REGISTRAR, *lines)).status == 401


@BOTH
@pytest_twisted.ensureDeferred
async def test_absolute_target(taas: Router) -> None:
    """Host counts, whatever the target says (§3)."""
    who = fresh()
    await taas.responder(who)
    text = f"GET http://{host_of(who.label)}/ HTTP/1.1\r\nHost: {REGISTRAR}\r\n"
    answer = await taas.send(f"{text}Connection: close\r\n\r\n".encode())
    assert answer is not None
    assert answer.status == 401


@BOTH
@pytest_twisted.ensureDeferred
async def test_old_http(taas: Router) -> None:
    """HTTP/1.0 registers, and is redirected."""
    who = fresh()
    credentials = f"Authorization: {shown(who.name, who.good_code(time.time()))}"
    path = f"/register/{who.label}"
    answer = await taas.ask("PUT", path, credentials, version="HTTP/1.0")
    assert answer.status == 200
    hidden = await taas.dial(int(answer.body.partition(b":")[2]))
    await taas.settles()
    answer = await taas.ask("GET", "/", host=host_of(who.label), version="HTTP/1.0")
    assert answer.status == 307
    await passes(await taas.mobile(who.label), hidden)


@OURS
@pytest_twisted.ensureDeferred
async def test_odd_targets(taas: Router) -> None:
    """A target that is none, or would name another host, never makes a Location of another."""
    who = fresh()
    await taas.responder(who)
    host = host_of(who.label).encode()
    for target in (b"*", b"//evil.example/x", b"/x\x7f", b"/\xc3\xa9", b"@evil.example/", b"x"):
        text = b"GET " + target + b" HTTP/1.1\r\nConnection: close\r\nHost: " + host + b"\r\n\r\n"
        answer = await taas.send(text)
        if answer is not None and answer.status == 307:
            location = answer.header("Location") or ""
            assert location.startswith(f"{taas.scheme}://{host_of(who.label)}:")
            assert location.partition("://")[2].partition("/")[0].rpartition(":")[2].isdigit()
    await taas.works()
