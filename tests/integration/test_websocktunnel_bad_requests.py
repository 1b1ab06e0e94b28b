"""The websocktunnel router: requests that no viewer should send reach no host.

What two readers could take in two ways (RFC 9112 §11.2) is refused; the original is more lenient
here and there, which is marked.
"""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.integration.websocktunnel_ours import RouterMaker
from tests.integration.websocktunnel_peers import BOTH, HELLO, OURS, Host, KiB, Router, go_differs
from tests.rawpeer import RawPeer, Response, read_response

HEAD = b"POST /{id}/ HTTP/1.1\r\nHost: h\r\n"
HEAD_S = 0.5

REFUSED = {
    "two lengths": HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody!",
    "a list of lengths": HEAD + b"Content-Length: 4, 5\r\n\r\nbody!",
    "a signed length": HEAD + b"Content-Length: +4\r\n\r\nbody",
    "a negative length": HEAD + b"Content-Length: -4\r\n\r\nbody",
    "a hexadecimal length": HEAD + b"Content-Length: 0x4\r\n\r\nbody",
    "no length": HEAD + b"Content-Length: four\r\n\r\nbody",
    "a length with a blank": HEAD + b"Content-Length: 4 4\r\n\r\nbody",
    "a huge length": HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nbody",
    "space before the colon": HEAD + b"Content-Length : 4\r\n\r\nbody",
    "tab before the colon": HEAD + b"X-Own\t: 4\r\n\r\n",
    "no name": HEAD + b": x\r\n\r\n",
    "no colon": HEAD + b"nonsense\r\n\r\n",
    "a name with a blank": HEAD + b"X Own: 1\r\n\r\n",
    "a name with a NUL": HEAD + b"X\x00Own: 1\r\n\r\n",
    "a value with a NUL": HEAD + b"X-Own: a\x00b\r\n\r\n",
    "two hosts": HEAD + b"Host: other\r\n\r\n",
    "no such version": b"GET /{id}/ HTTP/9.9\r\nHost: h\r\n\r\n",
    "no version": b"GET /{id}/\r\nHost: h\r\n\r\n",
    "a blank in the target": b"GET /{id}/a b HTTP/1.1\r\nHost: h\r\n\r\n",
    "a bad method": b"G(T /{id}/ HTTP/1.1\r\nHost: h\r\n\r\n",
}
"""Refused with 400 (505 for a version) by both."""

REFUSED_BY_OURS = {
    "length and chunked": HEAD
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
    "chunked and length": HEAD
    + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "a folded line": HEAD + b"X-Own: a\r\n b\r\n\r\n",
    "a folded framing header": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "bare LF": b"POST /{id}/ HTTP/1.1\nHost: h\nContent-Length: 0\n\n",
    "bare LF within": HEAD + b"X-One: 1\nContent-Length: 0\r\n\r\n",
    "bare CR within": HEAD + b"X-One: 1\rX-Two: 2\r\n\r\n",
    "equal lengths in a list": HEAD + b"Content-Length: 4, 4\r\n\r\nbody",
    "chunked twice": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked under cover": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked of HTTP/1.0": b"POST /{id}/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}
"""Refused by ours, with 400 or 501; the original takes some of them."""

BAD_CHUNKS = {
    "no number": b"x\r\n",
    "a sign": b"+4\r\nbody\r\n",
    "a prefix": b"0x4\r\nbody\r\n",
    "a huge number": b"f" * 17 + b"\r\n",
    "too long": b"3\r\nbody\r\n",
    "bare LF": b"4\nbody\n",
    "a blank": b" 4\r\nbody\r\n",
}

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


async def refused(host: Host, text: bytes) -> Response:
    """:returns: the answer to a request, after which the connection must be over"""
    viewer = await host.router.dial()
    viewer.write(text.replace(b"{id}", host.tunnel.encode()))
    answer = await read_response(viewer)
    await viewer.gone()
    return answer


@BOTH
@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
@pytest_twisted.ensureDeferred
async def test_bad_heads(wst: Router, text: bytes) -> None:
    """A head that breaks the rules is refused, its connection ends, and the host hears nothing."""
    host = await wst.host()
    assert (await refused(host, text)).status in (400, 505)
    await host.serves()
    assert len(host.link.streams) == 1


@OURS
@pytest.mark.parametrize("text", REFUSED_BY_OURS.values(), ids=REFUSED_BY_OURS)
@pytest_twisted.ensureDeferred
async def test_ambiguous_heads(wst: Router, text: bytes) -> None:
    """What the original may take in some way is refused by ours likewise."""
    host = await wst.host()
    assert (await refused(host, text)).status in (400, 501)
    await host.serves()
    assert len(host.link.streams) == 1


@BOTH
@pytest_twisted.ensureDeferred
async def test_unknown_codings_and_expectations(wst: Router) -> None:
    """A coding that nobody knows is 501 or 400, another expectation than 100-continue 417."""
    host = await wst.host()
    coded = await refused(host, HEAD + b"Transfer-Encoding: gzip\r\n\r\n")
    assert coded.status in (400, 501)
    both = await refused(host, HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")
    assert both.status in (400, 501)
    viewer = await host.view("/", "Expect: 200-ok", "Content-Length: 0", method="PUT")
    assert (await read_response(viewer)).status == 417
    await host.serves()
    assert len(host.link.streams) == 1


@BOTH
@pytest.mark.parametrize("chunk", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
@pytest_twisted.ensureDeferred
async def test_bad_chunks(wst: Router, chunk: bytes) -> None:
    """A body whose chunks are wrong ends its request; no end of the body is made up."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange("/", "Transfer-Encoding: chunked", method="POST")
    viewer.write(chunk)
    if wst.is_ours:
        assert (await read_response(viewer)).status == 400
        left = await stream.finished()
        stream.fin()
    else:
        # what the original does of it is a matter of chunk and moment
        viewer.drop()
        await host.serves()
        left = bytes(stream.received)
    if chunk not in (b"4\nbody\n",):
        assert not left.endswith(b"0\r\n\r\n")
    await host.serves()


@OURS
@pytest.mark.parametrize("target", ["/nobody/", "/__heartbeat__", "/"])
@pytest_twisted.ensureDeferred
async def test_refused_requests_are_not_read_on(wst: Router, target: str) -> None:
    """A second request hidden in the body of the first is not answered."""
    inner = b"GET /__heartbeat__ HTTP/1.1\r\nHost: h\r\n\r\n"
    viewer = await wst.dial()
    viewer.write(
        f"POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(inner)}\r\n"
        f"Connection: close\r\n\r\n".encode()
        + inner
    )
    await read_response(viewer)
    await viewer.gone()
    assert viewer.left() == b""


@BOTH
@pytest_twisted.ensureDeferred
async def test_oversized_heads(wst: Router) -> None:
    """A head above the limit, which is 1 MiB for the original, is 431 and reaches nobody."""
    host = await wst.host()
    size = 33 * KiB if wst.is_ours else 1100 * KiB
    viewer = await wst.dial()
    viewer.write(
        f"GET /{host.tunnel}/ HTTP/1.1\r\nHost: h\r\nX-Long: {'x' * size}\r\n\r\n".encode()
    )
    assert (await read_response(viewer)).status == 431
    assert host.link.frames == []
    await host.serves()


@OURS
@pytest_twisted.ensureDeferred
async def test_heads_that_never_end(wst: Router) -> None:
    """A head without an end is refused at the limit: with a long target, line or many lines."""
    host = await wst.host()
    for text in (
        f"GET /{host.tunnel}/{'x' * 40 * KiB}",
        f"GET /{host.tunnel}/ HTTP/1.1\r\nX: {'x' * 40 * KiB}",
        f"GET /{host.tunnel}/ HTTP/1.1\r\n" + "X: y\r\n" * 8000,
        "x" * 40 * KiB,
    ):
        viewer = await wst.dial()
        viewer.write(text.encode())
        assert (await read_response(viewer)).status in (400, 414, 431)
    assert host.link.frames == []
    await host.serves()


@pytest_twisted.ensureDeferred
async def test_slow_heads(start_wst: RouterMaker) -> None:
    """A head that is not whole in time is given up, however often a byte of it comes."""
    wst = await start_wst.start(limits={"head-s": HEAD_S})
    host = await wst.host()
    silent, drips = await wst.dial(), await wst.dial()
    start = drips.clock.seconds()
    position = 0
    text = f"GET /{host.tunnel}/ HTTP/1.1\r\nX: {'y' * 1000}".encode()
    while drips.end is None and drips.nothing_came():
        drips.write(text[position : position + 1])
        position += 1
        try:
            await drips.until(lambda: drips.left() or None, "answer", 0.05)
        except AssertionError:
            continue
    assert HEAD_S <= drips.clock.seconds() - start < HEAD_S + 2.0
    if drips.left():
        assert (await read_response(drips)).status == 408
    await silent.gone()
    await host.serves()


@BOTH
@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody!",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["two lengths", "negative", "NUL"],
)
@pytest_twisted.ensureDeferred
async def test_bad_answers(wst: Router, response: bytes) -> None:
    """A host's answer that breaks the rules is no answer, and ends its stream alone."""
    await see_bad_answer(wst, response)


@go_differs("takes such answers, and a head of any length")
@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2**21 + b"\r\n\r\n",
    ],
    ids=["space before the colon", "2 MiB"],
)
@pytest_twisted.ensureDeferred
async def test_worse_answers(wst: Router, response: bytes) -> None:
    """Neither is one with a blank before a colon, nor one whose head is too long."""
    await see_bad_answer(wst, response)


async def see_bad_answer(wst: Router, response: bytes) -> None:
    """Check that a viewer is told, that the stream ends, and that the host serves on."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    stream.send(response)
    answer = await read_response(viewer)
    assert answer.status == wst.says(502)
    if wst.is_ours:
        await stream.finished()
    await host.serves()


@BOTH
@pytest_twisted.ensureDeferred
async def test_bytes_behind_an_answer(wst: Router) -> None:
    """What a host sends behind a whole answer reaches nobody, the next request least of all."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    stream.send(HELLO + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
    assert (await read_response(viewer)).body == b"hello"
    await stream.finished()
    stream.fin()
    again = await ask_again(viewer, host)
    assert again.body == b"hello"


async def ask_again(viewer: RawPeer, host: Host) -> Response:
    """:returns: the answer to a second request of a kept connection"""
    viewer.write(f"GET /{host.tunnel}/ HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    stream = await host.link.accept()
    stream.respond(HELLO)
    return await read_response(viewer)
