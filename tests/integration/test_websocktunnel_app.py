"""A real application behind the tunnel: what viewers get is what it says, as it says it."""

from __future__ import annotations

import hashlib
import http.client
import json
import secrets
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from relay.measuring.processes import LOOPBACK
from tests.integration.websocktunnel_app_tunnels import TIMEOUT_S, Tunnel, prefixed
from tests.webapp.payload import BLOCK_BYTES, blocks, digest_of

pytest_plugins = ["tests.integration.websocktunnel_app_fixtures"]

BULK_BYTES = 64 * 1024 * 1024 + 12345
"""Of one upload or download; no multiple of anything, and many windows long."""

SMALL_BYTES = 100_000
VIEWERS = 200
SMALL_REQUESTS = 50
FRAMINGS = ("length", "chunked", "close")
EVENTS = 20
NOTE = b"behind the tunnel, whichever way\n"


# -- what comes and goes unchanged ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", "text/html"),
        ("index.html", "text/html"),
        ("static/style.css", "text/css"),
        ("static/dot.svg", "image/svg+xml"),
    ],
)
def test_files(tunnel: Tunnel, path: str, kind: str) -> None:
    """Files come whole, with the type and length that the application gives them."""
    answer = tunnel.ask(path)
    assert answer.status == 200
    assert answer.headers.get_content_type() == kind
    assert int(answer.headers["Content-Length"]) == len(answer.body) > 0


def test_conditional_requests(tunnel: Tunnel) -> None:
    """A 304 has no body, a range is a part, a HEAD has the length of what it does not carry."""
    whole = tunnel.ask("static/note.txt")
    assert (whole.status, whole.body) == (200, NOTE)
    unchanged = tunnel.ask("static/note.txt", If_Modified_Since=whole.headers["Last-Modified"])
    assert (unchanged.status, unchanged.body) == (304, b"")
    part = tunnel.ask("static/note.txt", Range="bytes=7-9")
    assert (part.status, part.body) == (206, NOTE[7:10])
    head = tunnel.ask("static/note.txt", "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(NOTE))


def test_refusals_of_the_application(tunnel: Tunnel) -> None:
    """Its own 404 is the viewer's 404, with its page."""
    answer = tunnel.ask("static/nothing")
    assert answer.status == 404
    assert b"No Such Resource" in answer.body


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_json(tunnel: Tunnel, method: str) -> None:
    """Method, target, headers and body arrive as they were sent, without the id."""
    body = json.dumps({"greeting": "grüß Gott"}).encode() if method != "GET" else None
    answer = tunnel.ask("json?a=b%2Fc&d", method, body, X_Own="kept", Authorization="Basic eA==")
    seen = json.loads(answer.body)
    assert (seen["method"], seen["target"]) == (method, "/json?a=b%2Fc&d")
    assert seen["text"].encode("latin-1") == (body or b"")
    expected = {"x-own": "kept", "authorization": "Basic eA==", **prefixed(tunnel, "json")}
    expected["host"] = f"{LOOPBACK}:{tunnel.port}"
    assert {name: seen["headers"][name] for name in expected} == {
        name: [value] for name, value in expected.items()
    }
    assert not [name for name in seen["headers"] if name.startswith("x-forwarded")]


def test_redirects_and_cookies(tunnel: Tunnel) -> None:
    """Location and every Set-Cookie come as they are; a viewer's Cookie reaches the application."""
    answer = tunnel.ask("redirect?to=static/note.txt")
    assert (answer.status, answer.headers["Location"]) == (302, "static/note.txt")
    answer = tunnel.ask("cookie", Cookie="first=0; other=x")
    assert json.loads(answer.body)["headers"]["cookie"] == ["first=0; other=x"]
    assert len(answer.headers.get_all("Set-Cookie") or ()) == 2


def test_one_connection_many_requests(tunnel: Tunnel) -> None:
    """A viewer's connection stays for all kinds of requests, one behind the other."""
    connection = tunnel.connect()
    connection.connect()
    first = connection.sock
    for number in range(10):
        body = secrets.token_bytes(number * 1000)
        seen = tunnel.ask_on(connection, "upload", "POST", body)
        assert json.loads(seen.body)["sha256"] == hashlib.sha256(body).hexdigest()
        assert tunnel.ask_on(connection, "static/note.txt", "HEAD").body == b""
        answer = tunnel.ask_on(connection, f"download?bytes={number}&framing=chunked")
        assert answer.body == next(blocks(number), b"")
        assert tunnel.ask_on(connection, "slow?s=0.01").status == 200
    assert connection.sock is first
    connection.close()


# -- as it comes ---------------------------------------------------------------------------------


def test_events_arrive_as_they_are_sent(tunnel: Tunnel) -> None:
    """Each event is heard before the next one is said, and the stream ends when it is ended."""
    connection = tunnel.connect()
    connection.request("GET", f"{tunnel.prefix}/events?room={tunnel.name}")
    stream = connection.getresponse()
    assert stream.msg.get_content_type() == "text/event-stream"
    assert next_event(stream) == "hello"
    for number in range(EVENTS):
        said = tunnel.ask(f"say?room={tunnel.name}", "POST", b"event %d" % number)
        assert json.loads(said.body) == {"listeners": 1}
        assert next_event(stream) == f"event {number}"
    tunnel.ask(f"say?room={tunnel.name}", "POST", b"end")
    assert stream.read() == b""
    connection.close()


def test_events_with_pauses(tunnel: Tunnel) -> None:
    """Nothing of a stream is lost that is mostly silent."""
    ticks = "".join(f"id: {number}\ndata: tick {number}\n\n" for number in range(1, 6))
    answer = tunnel.ask("events?count=5&pause=0.05")
    assert answer.body == b"retry: 100\ndata: hello\n\n" + ticks.encode()


def next_event(stream: http.client.HTTPResponse) -> str:
    """:returns: the data of the next event"""
    data = ""
    while (line := stream.readline()) != b"\n":
        assert line, "the stream has ended"
        if line.startswith(b"data: "):
            data = line[6:].decode().strip()
    return data


# -- bulk ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", FRAMINGS)
def test_download(tunnel: Tunnel, framing: str) -> None:
    """A long body comes bit by bit as it is, whatever says where it ends."""
    size, digest = fetch(tunnel, BULK_BYTES, framing)
    assert (size, digest) == (BULK_BYTES, digest_of(BULK_BYTES))


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_upload(tunnel: Tunnel, framing: str) -> None:
    """A long body goes bit by bit as it is, whatever says where it ends."""
    headers = {
        "length": {"Content-Length": str(BULK_BYTES)},
        "chunked": {"Transfer-Encoding": "chunked"},
    }[framing]
    connection = tunnel.connect()
    connection.request(
        "PUT",
        f"{tunnel.prefix}/upload",
        blocks(BULK_BYTES),
        headers,
        encode_chunked=framing == "chunked",
    )
    seen = json.loads(connection.getresponse().read())
    assert (seen["bytes"], seen["sha256"]) == (BULK_BYTES, digest_of(BULK_BYTES))
    connection.close()


def test_upload_that_asks_first(tunnel: Tunnel) -> None:
    """Who says ``Expect: 100-continue`` is told to go on, and then gets the real answer."""
    if not tunnel.has_our_router:
        return  # the original takes the application's 100 for its final answer (specification, 5.4)
    head = (
        f"PUT {tunnel.prefix}/upload HTTP/1.1\r\nHost: {LOOPBACK}\r\nConnection: close\r\n"
        f"Content-Length: {SMALL_BYTES}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection((LOOPBACK, tunnel.port), TIMEOUT_S) as viewer:
        viewer.sendall(head.encode())
        incoming = viewer.makefile("rb")
        assert incoming.readline().startswith(b"HTTP/1.1 100 ")
        assert incoming.readline() == b"\r\n"
        viewer.sendall(b"".join(blocks(SMALL_BYTES)))
        rest = incoming.read()
    assert rest.startswith(b"HTTP/1.1 200 ")
    assert digest_of(SMALL_BYTES).encode() in rest


def fetch(
    tunnel: Tunnel, size: int, framing: str = "length", started: Event | None = None
) -> tuple[int, str]:
    """:param started: set once something of the body is there
    :returns: size and digest of what came
    """
    connection = tunnel.connect()
    connection.request("GET", f"{tunnel.prefix}/download?bytes={size}&framing={framing}")
    answer = connection.getresponse()
    count, seen = 0, hashlib.sha256()
    while part := answer.read(BLOCK_BYTES):
        count += len(part)
        seen.update(part)
        if started is not None:
            started.set()
    connection.close()
    return count, seen.hexdigest()


# -- many at once --------------------------------------------------------------------------------


def test_many_viewers(tunnel: Tunnel) -> None:
    """200 viewers are before the application at the same time, and each gets an answer."""
    path = f"together?count={VIEWERS}&room={tunnel.name}"
    answers = list(at_once(VIEWERS, lambda _: tunnel.ask(path)))
    assert {(answer.status, answer.body) for answer in answers} == {(200, b"%d" % VIEWERS)}


def test_small_requests_beside_a_download(tunnel: Tunnel) -> None:
    """Fifty viewers ask and are answered while one download goes on; it comes whole as well."""
    started = Event()
    with ThreadPoolExecutor(1) as aside:
        bulk = aside.submit(fetch, tunnel, BULK_BYTES, "length", started)
        assert started.wait(TIMEOUT_S)
        small = list(at_once(SMALL_REQUESTS, lambda number: exchange(tunnel, number)))
        assert bulk.result(TIMEOUT_S) == (BULK_BYTES, digest_of(BULK_BYTES))
    assert small == list(range(SMALL_REQUESTS))


def exchange(tunnel: Tunnel, number: int) -> int:
    """:returns: the number, from the application"""
    answer = tunnel.ask(f"json?{number}", "POST", b"small")
    return int(json.loads(answer.body)["target"].partition("?")[2])


def at_once(count: int, errand: Any) -> Iterator[Any]:
    """:returns: the results of that many errands, each of which has a thread"""
    with ThreadPoolExecutor(count) as threads:
        yield from threads.map(errand, range(count))
