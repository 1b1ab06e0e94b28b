"""The websocktunnel router: checks 31-34, the multiplexer as a raw host sees it.

Each runs against our router, and against the original's server where that is at hand.
"""

from __future__ import annotations

import hashlib

import pytest
import pytest_twisted

from tests.integration.websocktunnel_peers import BOTH, HELLO, KiB, MiB, Router
from tests.rawpeer import (
    MUX_WINDOW_BYTES,
    Mux,
    Op,
    encode_mux,
    noise,
    read_response,
    together,
    until,
)

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


# -- ids and opening -----------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_31_ids(wst: Router) -> None:
    """Streams of the router have the ids 0, 2, 4 …, each its own, and no payload in SYN."""
    host = await wst.host()
    for number in (0, 2, 4):
        _, stream, _ = await host.exchange()
        assert stream.number == number
    await host.serves()
    assert [frame.stream for frame in host.link.of(Mux.SYN)] == [0, 2, 4, 6]


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_31_a_new_link_counts_afresh(wst: Router) -> None:
    """The ids of the next link begin at 0 again."""
    host = await wst.host()
    await host.serves()
    again = await wst.host(host.tunnel)
    _, stream, _ = await again.exchange()
    assert stream.number == 0


@BOTH
@pytest_twisted.ensureDeferred
async def test_nothing_before_the_ack(wst: Router) -> None:
    """Behind SYN the router sends nothing, ACK neither, until it was accepted."""
    host = await wst.host(window=None)
    viewer = await host.view("/", "Content-Length: 4", method="POST", body=b"body")
    silent = await host.link.accept()
    other = await host.view()
    accepted = await host.link.accept()
    accepted.accept()
    await accepted.head()
    accepted.respond(HELLO)
    await read_response(other)
    assert [f.kind for f in host.link.frames if f.stream == silent.number] == [Mux.SYN]
    silent.accept()
    assert (await silent.head()).first_line == "POST / HTTP/1.1"
    assert await silent.exactly(4) == b"body"
    silent.respond(HELLO)
    assert (await read_response(viewer)).status == 200


@BOTH
@pytest_twisted.ensureDeferred
async def test_acks_in_any_order(wst: Router) -> None:
    """Streams may be accepted in another order than they were asked for."""
    host = await wst.host(window=None)
    viewers = [await host.view(f"/{number}") for number in range(5)]
    streams = [await host.link.accept() for _ in viewers]
    for stream in reversed(streams):
        stream.accept()
        target = (await stream.head()).target.encode()
        stream.respond(HELLO.replace(b"hello", b"no %s" % target))
    answers = await together(*map(read_response, viewers))
    assert [answer.body for answer in answers] == [b"no /%d" % n for n in range(5)]


# -- credit --------------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_an_ack_of_0_accepts(wst: Router) -> None:
    """A stream accepted with 0 has no credit until the next ACK; another ACK of 0 is no fault."""
    host = await wst.host(window=0, refunds=False)
    viewer = await host.view()
    stream = await host.link.accept()
    await (await wst.host()).serves()
    assert stream.arrived == 0
    stream.ack(0)
    stream.ack(KiB)
    await stream.head()
    stream.respond(HELLO)
    assert (await read_response(viewer)).body == b"hello"


@BOTH
@pytest.mark.parametrize("count", [3000])
@pytest_twisted.ensureDeferred
async def test_credit_in_drops(wst: Router, count: int) -> None:
    """Credit of one byte at a time is spent byte by byte."""
    host = await wst.host(window=0, refunds=False)
    body = noise(count)
    await host.view("/", f"Content-Length: {count}", method="POST", body=body)
    stream = await host.link.accept()
    stream.ack(200)
    while b"\r\n\r\n" not in stream.received:  # the head is shorter than that and its neighbours
        stream.ack(1)
        await until(
            lambda: True if stream.arrived == stream.granted else None, "all that was granted"
        )
    await stream.head()
    for _ in range(count - len(stream.received)):
        stream.ack(1)
    assert await stream.exactly(count) == body


@BOTH
@pytest.mark.parametrize("window", [KiB, 4 * KiB])
@pytest_twisted.ensureDeferred
async def test_check_32_small_windows(wst: Router, window: int) -> None:
    """100 uploads at once pass windows smaller than they are, each answered with what came."""
    host = await wst.host(window=window)
    bodies = [noise(6000) for _ in range(100)]
    viewers = [
        await host.view("/", "Content-Length: 6000", method="POST", body=body) for body in bodies
    ]
    streams = [await host.link.accept() for _ in viewers]
    for stream in streams:
        await stream.head()
    for stream in streams:
        got = await stream.exactly(6000)
        stream.respond(b"HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n" + got)
    answers = await together(*map(read_response, viewers))
    assert {a.body for a in answers} == set(bodies)


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_33_credit_is_never_exceeded(wst: Router) -> None:
    """4 MiB pass a window of 4 KiB bit by bit, and never more than was granted."""
    host = await wst.host(window=4 * KiB)
    body = noise(4 * MiB)
    viewer = await host.view("/", f"Content-Length: {len(body)}", method="PUT")
    writing = together(viewer.write_all(body))
    stream = await host.link.accept()
    await stream.head()
    got = await stream.exactly(len(body), 30.0)
    await writing
    assert hashlib.sha256(got).digest() == hashlib.sha256(body).digest()


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_34_twelve_bytes(wst: Router) -> None:
    """A host that grants 12 bytes and never more gets exactly 12."""
    host = await wst.host(window=12, refunds=False)
    await host.view("/", "Content-Length: 4", method="POST", body=b"body")
    stream = await host.link.accept()
    assert await stream.exactly(12) == b"POST / HTTP/"
    other = await wst.host()
    await other.serves()
    await other.serves()
    assert (stream.arrived, stream.fins) == (12, 0)


@BOTH
@pytest_twisted.ensureDeferred
async def test_a_host_may_be_4_mib_ahead(wst: Router) -> None:
    """What a host sends without a single ACK, 4 MiB, is kept for a viewer that reads late."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    viewer.pause()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    size = MUX_WINDOW_BYTES - len(head % MUX_WINDOW_BYTES)
    body = noise(size)
    whole = head % size + body
    for start in range(0, len(whole), 32 * KiB):
        stream.send(whole[start : start + 32 * KiB])
    await host.serves()
    viewer.resume()
    answer = await read_response(viewer)
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(body).digest()


@BOTH
@pytest_twisted.ensureDeferred
async def test_a_host_may_send_it_in_one_frame(wst: Router) -> None:
    """A DAT of 4 MiB is as good as many, whole or in fragments."""
    host = await wst.host()
    body = noise(MUX_WINDOW_BYTES - 100)
    text = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    answer = await host.answer(text)
    assert answer.body == body
    viewer, stream, _ = await host.exchange()
    message = encode_mux(Mux.DAT, stream.number, HELLO)
    host.link.peer.send(Op.BINARY, message[:3], fin=False)
    host.link.peer.send(Op.PING, b"between")
    host.link.peer.send(Op.CONTINUATION, message[3:20], fin=False)
    host.link.peer.send(Op.CONTINUATION, message[20:])
    assert (await read_response(viewer)).body == b"hello"
    assert b"between" in host.link.pongs_seen


@BOTH
@pytest_twisted.ensureDeferred
async def test_acks_follow_the_viewer(wst: Router) -> None:
    """No byte is granted before it was sent, and in the end all are, but for a rest."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    body = noise(2 * MUX_WINDOW_BYTES)
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
    sending = together(stream.send_all(body))
    answer = await read_response(viewer)
    await sending
    assert answer.body == body
    await stream.finished()
    assert MUX_WINDOW_BYTES <= sum(stream.acks) <= len(body) + 200
