"""The websocktunnel router: checks 14, 20, 21, 23 and 24, bodies of requests and of responses.

Each runs against our router, and against the original's server where that is at hand; what the
latter is known to fail is marked with the reason.
"""

from __future__ import annotations

import hashlib

import pytest
import pytest_twisted

from tests.integration.websocktunnel_peers import (
    BOTH,
    HELLO,
    OURS,
    KiB,
    MiB,
    Router,
    go_differs,
)
from tests.rawpeer import (
    MuxStream,
    noise,
    read_chunk,
    read_head,
    read_response,
    together,
)

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
PARALLEL = 200
PARALLEL_S = 20.0

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


# -- requests ------------------------------------------------------------------------------------


async def chunked_body(stream: MuxStream) -> tuple[bytes, list[str]]:
    """:returns: a request's chunked body, and its trailers"""

    async def line() -> bytes:
        text = b""
        while not text.endswith(b"\r\n"):
            text += await stream.exactly(1)
        return text[:-2]

    body, trailers = b"", []
    while size := int((await line()).partition(b";")[0], 16):
        body += await stream.exactly(size)
        assert await stream.exactly(2) == b"\r\n"
    while text := await line():
        trailers.append(text.decode())
    return body, trailers


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_14_a_small_window(wst: Router) -> None:
    """GET and POST pass a host whose window is 1024 bytes: bodies are the same at both ends."""
    host = await wst.host(window=KiB)
    body = noise(200 * KiB)
    viewer, stream, head = await host.exchange(
        "/", f"Content-Length: {len(body)}", method="POST", body=body
    )
    assert head.header("Content-Length") == str(len(body))
    assert await stream.exactly(len(body)) == body
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
    await stream.send_all(body)
    answer = await read_response(viewer)
    assert (answer.body, answer.whole) == (body, True)


@BOTH
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest_twisted.ensureDeferred
async def test_requests_without_a_body(wst: Router, method: str) -> None:
    """A POST, PUT or PATCH without a body says so."""
    host = await wst.host()
    _, _, head = await host.exchange("/", method=method)
    assert head.header("Content-Length") == "0"
    assert head.header("Transfer-Encoding") is None


@BOTH
@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS", "PROPFIND", "x-own"])
@pytest_twisted.ensureDeferred
async def test_methods(wst: Router, method: str) -> None:
    """Any method passes, in its case, and a body with it."""
    host = await wst.host()
    _, stream, head = await host.exchange("/", "Content-Length: 4", method=method, body=b"body")
    assert head.first_line == f"{method} / HTTP/1.1"
    assert await stream.exactly(4) == b"body"


@BOTH
@pytest_twisted.ensureDeferred
async def test_chunked_requests(wst: Router) -> None:
    """A chunked body passes chunk by chunk as it comes, its trailers behind it."""
    host = await wst.host()
    viewer, stream, head = await host.exchange(
        "/", "Transfer-Encoding: chunked", "Trailer: X-Sum", method="POST"
    )
    assert head.header("Transfer-Encoding") == "chunked"
    assert head.header("Content-Length") is None
    assert head.header("Trailer") == "X-Sum"
    viewer.write(b"5;ext=1\r\nfirst\r\n")
    assert b"first" in await stream.exactly(8)
    viewer.write(b"6\r\nsecond\r\n0\r\nX-Sum: 7\r\n\r\n")
    assert await stream.exactly(2) == b"\r\n"
    assert await chunked_body(stream) == (b"second", ["X-Sum: 7"])
    stream.respond(HELLO)
    assert (await read_response(viewer)).body == b"hello"


@BOTH
@pytest_twisted.ensureDeferred
async def test_100_continue(wst: Router) -> None:
    """Who expects a 100 gets one, from the router or from the host; the host sees the header."""
    host = await wst.host()
    viewer = await host.view("/", "Content-Length: 4", "Expect: 100-continue", method="PUT")
    stream = await host.link.accept()
    if wst.is_ours:
        # the body is asked for when the host is there to take it
        assert (await stream.head()).header("Expect") == "100-continue"
        stream.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert (await viewer.head()).status == 100
    viewer.write(b"body")
    if not wst.is_ours:
        assert (await stream.head()).header("Expect") == "100-continue"
    assert await stream.exactly(4) == b"body"
    stream.respond(HELLO)
    answer = await read_response(viewer)
    assert (answer.status, answer.body, answer.interim) == (200, b"hello", ())


@BOTH
@pytest_twisted.ensureDeferred
async def test_100_continue_without_the_hosts(wst: Router) -> None:
    """A host that says no 100 gets the body all the same."""
    host = await wst.host()
    viewer = await host.view("/", "Content-Length: 4", "Expect: 100-continue", method="PUT")
    stream = await host.link.accept()
    assert (await viewer.head()).status == 100
    viewer.write(b"body")
    await stream.head()
    assert await stream.exactly(4) == b"body"


@go_differs("takes an interim response for the final one")
@pytest.mark.parametrize("interim", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
@pytest_twisted.ensureDeferred
async def test_interim_responses(wst: Router, interim: bytes) -> None:
    """A 1xx of the host is not the final response."""
    host = await wst.host()
    answer = await host.answer(b"HTTP/1.1 " + interim + b"\r\nLink: </a>\r\n\r\n" + HELLO)
    assert (answer.status, answer.body) == (200, b"hello")


# -- responses -----------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_20_parts_as_they_come(wst: Router) -> None:
    """A viewer reads each part while the host has yet to go on, and the end behind the last."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    stream.send(CHUNKED + b"\r\n")
    head, _ = await read_head(viewer)
    assert head.status == 200
    for part in (b"one", b"two", b"three"):
        stream.send(b"%x\r\n%s\r\n" % (len(part), part))
        assert await read_chunk(viewer) == part
    stream.respond(b"0\r\n\r\n")
    assert await read_chunk(viewer) == b""


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_20_bytes_as_they_come(wst: Router) -> None:
    """A head that comes byte by byte, and a body of known length in parts, pass likewise."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    for byte in HELLO:
        stream.send(bytes([byte]))
    assert (await read_response(viewer)).body == b"hello"


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_21_many_viewers(wst: Router) -> None:
    """200 viewers at once on one host are all served, each with its own answer."""
    host = await wst.host()
    viewers = [await host.view(f"/{number}") for number in range(PARALLEL)]
    streams = [await host.link.accept(PARALLEL_S) for _ in viewers]
    for stream in streams:
        number = (await stream.head()).target[1:].encode()
        stream.respond(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(number) + number)
    answers = await together(*(read_response(each, deadline_s=PARALLEL_S) for each in viewers))
    assert [answer.body.decode() for answer in answers] == [str(n) for n in range(PARALLEL)]


@BOTH
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest_twisted.ensureDeferred
async def test_check_23_close_delimited(wst: Router, version: str) -> None:
    """A response that FIN ends is delivered whole, and its end is told."""
    host = await wst.host()
    body = noise(100 * KiB)
    viewer, stream, _ = await host.exchange()
    stream.send(f"HTTP/{version} 200 OK\r\n\r\n".encode())
    await stream.send_all(body)
    stream.fin()
    answer = await read_response(viewer)
    assert (answer.body, answer.whole) == (body, True)


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_23_chunked(wst: Router) -> None:
    """A chunked response is delivered whole, with or without FIN, and the connection is kept."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    stream.send(CHUNKED + b"\r\n5;ext\r\nhello\r\n1\r\n!\r\n0\r\n\r\n")
    answer = await read_response(viewer)
    assert (answer.body, answer.framing) == (b"hello!", "chunked")
    assert viewer.end is None


@BOTH
@pytest.mark.parametrize(
    ("method", "response"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", CHUNKED + b"\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    ],
    ids=["head", "head-chunked", "204", "304"],
)
@pytest_twisted.ensureDeferred
async def test_check_23_no_body(wst: Router, method: str, response: bytes) -> None:
    """HEAD, 204 and 304 have no body, whatever their headers say: the next answer follows."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange(method=method)
    stream.send(response)
    assert (await read_response(viewer, method=method)).body == b""
    await stream.finished()
    viewer.write(b"GET /__heartbeat__ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await read_response(viewer)).status == 200


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_24_no_fin_before_the_end(wst: Router) -> None:
    """The router says FIN when it has the whole response, and not before; then exactly once."""
    host = await wst.host()
    _, stream, _ = await host.exchange()
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
    # other viewers come and go meanwhile
    await host.serves()
    await host.serves()
    assert stream.fins == 0
    stream.send(b"def")
    await stream.finished()
    stream.fin()
    await host.serves()
    assert stream.fins == 1


@BOTH
@pytest_twisted.ensureDeferred
async def test_response_headers(wst: Router) -> None:
    """Headers and statuses pass; framing is the router's own, and ``Date`` is added."""
    host = await wst.host()
    fields = (
        b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nServer: app\r\nX-Own: \xe9\r\nConnection: close\r\n"
    )
    response = b"HTTP/1.1 418 Tea\r\n" + fields + b"Content-Length: 5\r\n\r\nhello"
    viewer, stream, _ = await host.exchange()
    stream.respond(response)
    answer = await read_response(viewer)
    assert answer.status == 418
    assert answer.head.headers_named("Set-Cookie") == ["a=1", "b=2"]
    assert (answer.header("Server"), answer.header("X-Own")) == ("app", "\xe9")
    assert answer.header("Date")
    assert answer.header("Connection") in (None, "keep-alive")
    assert answer.header("Content-Length") == "5"
    viewer.write(b"GET /__heartbeat__ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await read_response(viewer)).status == 200


@BOTH
@pytest_twisted.ensureDeferred
async def test_unknown_statuses(wst: Router) -> None:
    """A status that nobody knows passes; a date that is there is left alone."""
    date = "Thu, 01 Jan 2026 00:00:00 GMT"
    text = f"HTTP/1.1 299 Own\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n"
    answer = await (await wst.host()).answer(text.encode())
    assert (answer.status, answer.header("Date")) == (299, date)


@OURS
@pytest_twisted.ensureDeferred
async def test_the_first_byte_is_not_held_back(wst: Router) -> None:
    """Our router hands on heads and parts at once; the original waits for 100 ms each time."""
    host = await wst.host()
    clock = host.link.peer.clock
    viewer, stream, _ = await host.exchange()
    delays = []
    stream.send(CHUNKED + b"\r\n")
    start = clock.seconds()
    await read_head(viewer)
    delays.append(clock.seconds() - start)
    for _ in range(10):
        start = clock.seconds()
        stream.send(b"1\r\nx\r\n")
        await read_chunk(viewer)
        delays.append(clock.seconds() - start)
    assert sorted(delays)[len(delays) // 2] < 0.03, delays


@BOTH
@pytest.mark.parametrize("direction", ["upload", "download"])
@pytest_twisted.ensureDeferred
async def test_bulk(wst: Router, direction: str) -> None:
    """10 MiB pass bit by bit in either direction, within the credit that was granted."""
    host = await wst.host()
    body = noise(10 * MiB)
    digest = hashlib.sha256(body).digest()
    length = f"Content-Length: {len(body)}"
    if direction == "upload":
        viewer = await host.view("/", length, method="PUT")
        stream = await host.link.accept()
        writing = together(viewer.write_all(body))
        await stream.head()
        got = await stream.exactly(len(body), 30.0)
        assert hashlib.sha256(got).digest() == digest
        await writing
        stream.respond(HELLO)
        assert (await read_response(viewer)).body == b"hello"
        return
    viewer, stream, _ = await host.exchange()
    stream.send(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode())
    sending = together(stream.send_all(body, 30.0))
    answer = await read_response(viewer, deadline_s=30.0)
    await sending
    assert hashlib.sha256(answer.body).digest() == digest
