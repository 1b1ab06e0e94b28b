"""A websocktunnel host, ours or the original's, at a router made of bytes: sections 7 to 9.1."""

from __future__ import annotations

import base64
import hashlib

import pytest
import pytest_twisted

from tests.integration.websocktunnel_daemon import (
    BOTH_HOSTS,
    OUR_HOST,
    PUBLIC_URL,
    TUNNEL,
    HostDaemon,
    go_host_differs,
)
from tests.integration.websocktunnel_peers import HELLO, KiB, MiB
from tests.rawpeer import (
    MUX_WINDOW_BYTES,
    Mux,
    MuxLink,
    Op,
    RawServer,
    encode_mux,
    noise,
    request,
    together,
    until,
)
from tests.rawpeer.mux import credit

GET = request("GET", "/")
LARGEST_DAT_BYTES = 64 * KiB

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


async def still_serves(daemon: HostDaemon, link: MuxLink) -> None:
    """Check that a request passes and its stream ends."""
    stream, service = await daemon.call(link)
    stream.send(GET)
    assert await service.exactly(len(GET)) == GET
    service.write(HELLO)
    assert await stream.exactly(len(HELLO)) == HELLO
    stream.fin()
    await service.everything()
    await stream.finished()


# -- registration --------------------------------------------------------------------------------


@BOTH_HOSTS
@pytest_twisted.ensureDeferred
async def test_the_handshake(wst_daemon: HostDaemon) -> None:
    """It asks for the root with its token and its id, and offers nothing."""
    await wst_daemon.start()
    _, head = await wst_daemon.request()
    assert head.first_line == "GET / HTTP/1.1"
    assert head.header("x-websocktunnel-id") == TUNNEL
    assert (head.header("Authorization") or "").startswith("Bearer ey")
    assert (head.header("Upgrade") or "").lower() == "websocket"
    assert (head.header("Connection") or "").lower() == "upgrade"
    assert head.header("Sec-WebSocket-Version") == "13"
    assert len(base64.b64decode(head.header("Sec-WebSocket-Key") or "")) == 16
    for name in ("Origin", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Cookie"):
        assert head.header(name) is None


@BOTH_HOSTS
@pytest_twisted.ensureDeferred
async def test_the_url_file(wst_daemon: HostDaemon) -> None:
    """The URL that the router told stands in a file, without an end of line."""
    await wst_daemon.begin()
    path = wst_daemon.url_file
    text = await until(lambda: (path.exists() and path.read_text()) or None, "URL")
    assert text == PUBLIC_URL


@BOTH_HOSTS
@pytest_twisted.ensureDeferred
async def test_check_38_the_first_ping(wst_daemon: HostDaemon) -> None:
    """It asks for a sign of life at once, and gives one when asked."""
    link = await wst_daemon.begin()
    await link.until(lambda: link.pings or None, "Ping", 1.0)
    for payload in (b"", b"own", b"x" * 125):
        link.peer.send(Op.PING, payload)
        await link.until(lambda wanted=payload: wanted in link.pongs_seen or None, "Pong")  # type: ignore[misc]  # a default argument


# -- streams -------------------------------------------------------------------------------------


@BOTH_HOSTS
@pytest_twisted.ensureDeferred
async def test_a_request(wst_daemon: HostDaemon) -> None:
    """ACK comes first, then bytes pass both ways as they are, then FIN when the service ends."""
    link = await wst_daemon.begin()
    stream, service = await wst_daemon.call(link)
    assert link.frames[0].kind == Mux.ACK
    stream.send(GET)
    assert await service.exactly(len(GET)) == GET
    service.write(HELLO)
    assert await stream.exactly(len(HELLO)) == HELLO
    service.drop()
    await stream.finished()
    stream.fin()
    await still_serves(wst_daemon, link)
    assert stream.fins == 1
    assert link.of(Mux.SYN) == []


@BOTH_HOSTS
@pytest_twisted.ensureDeferred
async def test_the_routers_fin(wst_daemon: HostDaemon) -> None:
    """The router's FIN ends the connection to the service, and the stream with it."""
    link = await wst_daemon.begin()
    stream, service = await wst_daemon.call(link)
    stream.fin()
    await service.everything()
    await stream.finished()


@go_host_differs("closes the local connection in both directions at once")
@pytest_twisted.ensureDeferred
async def test_check_32_half_close(wst_daemon: HostDaemon) -> None:
    """After the router's FIN the service's answer still passes, through a window of 1024 bytes."""
    link = await wst_daemon.begin(refunds=False)
    stream, service = await wst_daemon.call(link)
    service.stays_half_open = True
    body = noise(1500)
    stream.send(body)
    stream.fin()
    assert await service.half_ended() == body
    service.write(body)
    service.half_close()
    assert await stream.finished() == body


@BOTH_HOSTS
@pytest_twisted.ensureDeferred
async def test_check_33_its_credit(wst_daemon: HostDaemon) -> None:
    """It sends the 4 MiB that it may assume, not one byte more, and goes on as ACKs come."""
    link = await wst_daemon.begin(refunds=False)
    stream, service = await wst_daemon.call(link)
    body = noise(2 * MUX_WINDOW_BYTES)
    writing = together(service.write_all(body))
    await link.until(lambda: stream.arrived == MUX_WINDOW_BYTES or None, "a full window")
    await still_serves(wst_daemon, link)
    assert stream.arrived == MUX_WINDOW_BYTES
    for _ in range(1024):
        stream.ack(4 * KiB)
    got = await stream.exactly(len(body))
    assert hashlib.sha256(got).digest() == hashlib.sha256(body).digest()
    await writing
    assert max(len(frame.payload) for frame in link.of(Mux.DAT)) <= LARGEST_DAT_BYTES


@BOTH_HOSTS
@pytest_twisted.ensureDeferred
async def test_what_it_grants(wst_daemon: HostDaemon) -> None:
    """It grants what the service took, and nothing else: a stopped service stops its stream."""
    link = await wst_daemon.begin()
    stream, service = await wst_daemon.call(link)
    service.pause()
    body = noise(16 * MiB)
    sending = together(stream.send_all(body, 30.0))
    await link.until(lambda: stream.credit == 0 or None, "the end of the credit")
    await still_serves(wst_daemon, link)
    assert not sending.called
    service.resume()
    got = await service.exactly(len(body), 30.0)
    assert hashlib.sha256(got).digest() == hashlib.sha256(body).digest()
    await sending
    assert 0 not in stream.acks[1:]


@BOTH_HOSTS
@pytest_twisted.ensureDeferred
async def test_check_32_many_streams(wst_daemon: HostDaemon) -> None:
    """100 streams at once, opened in one breath, keep their bytes apart."""
    link = await wst_daemon.begin()
    streams = [link.open() for _ in range(100)]
    for stream in streams:
        await stream.opened()
        stream.send(b"%04d" % stream.number)
    services = [await wst_daemon.target.accept() for _ in streams]
    for service in services:
        service.write(b"answer to " + await service.exactly(4))
    for stream in streams:
        assert await stream.exactly(14) == b"answer to %04d" % stream.number


@BOTH_HOSTS
@pytest.mark.parametrize("first", [0x7FFFFFFE, 0xFFFFFFFE])
@pytest_twisted.ensureDeferred
async def test_large_ids(wst_daemon: HostDaemon, first: int) -> None:
    """Ids are any 32 bits."""
    link = await wst_daemon.begin()
    link._next = first
    await still_serves(wst_daemon, link)
    assert {frame.stream for frame in link.frames} == {first}


@BOTH_HOSTS
@pytest_twisted.ensureDeferred
async def test_check_22_a_refused_target(wst_daemon: HostDaemon) -> None:
    """A service that is not there: ACK, ours says 502, and FIN; the link goes on."""
    nobody = RawServer()
    port = await nobody.listen()
    await nobody.close()
    await wst_daemon.start(target_port=port)
    link = await wst_daemon.link()
    for _ in range(2):
        stream = link.open()
        await stream.opened()
        stream.send(GET)
        if wst_daemon.is_ours:
            assert (await stream.head()).status == 502
        await stream.finished()
        stream.fin()
    assert link.close is None


@BOTH_HOSTS
@pytest_twisted.ensureDeferred
async def test_fragmented_messages(wst_daemon: HostDaemon) -> None:
    """A frame may come in fragments, with Pings between them."""
    link = await wst_daemon.begin()
    stream, service = await wst_daemon.call(link)
    message = encode_mux(Mux.DAT, stream.number, GET)
    link.peer.send(Op.BINARY, message[:2], fin=False)
    link.peer.send(Op.PING, b"between")
    link.peer.send(Op.CONTINUATION, message[2:9], fin=False)
    link.peer.send(Op.CONTINUATION, message[9:])
    assert await service.exactly(len(GET)) == GET


@BOTH_HOSTS
@pytest.mark.parametrize("sizes", [(1,) * 300, (MUX_WINDOW_BYTES,)], ids=["bytes", "4 MiB"])
@pytest_twisted.ensureDeferred
async def test_frames_of_any_size(wst_daemon: HostDaemon, sizes: tuple[int, ...]) -> None:
    """DAT of one byte and of a whole window arrive in order."""
    link = await wst_daemon.begin()
    stream, service = await wst_daemon.call(link)
    assert stream.acks[0] == MUX_WINDOW_BYTES or wst_daemon.is_ours
    parts = [noise(min(size, stream.acks[0])) for size in sizes]
    for part in parts:
        stream.send(part)
    body = b"".join(parts)
    assert await service.exactly(len(body)) == body


# -- faults --------------------------------------------------------------------------------------


@BOTH_HOSTS
@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x01\x02\x00\x00",
        b"\x04\x00\x00\x00\x00",
        b"\x01\x00\x00\x00\x00\xff",
        b"\x03\x00\x00\x00\x00\xff",
        b"\x02\x02\x00\x00\x00\x00\x00",
        b"\x02\x02\x00\x00\x00\x00\x00\x00\x00\x00",
        "text",
    ],
    ids=repr,
)
@pytest_twisted.ensureDeferred
async def test_check_35_bad_frames(wst_daemon: HostDaemon, message: bytes | str) -> None:
    """A bad frame of the router's ends the link with 1008."""
    link = await wst_daemon.begin()
    if isinstance(message, str):
        link.peer.send(Op.TEXT, message.encode())
    else:
        link.peer.send(Op.BINARY, message)
    assert (await link.refused()).code == 1008
    if wst_daemon.is_ours:
        await still_serves(wst_daemon, await wst_daemon.link())


@BOTH_HOSTS
@pytest_twisted.ensureDeferred
async def test_check_36_frames_to_ignore(wst_daemon: HostDaemon) -> None:
    """Frames for unknown ids, and a SYN for an id in use, change nothing."""
    link = await wst_daemon.begin()
    for number in (1001, 2**32 - 1):
        link.send(Mux.DAT, number, b"data")
        link.send(Mux.ACK, number, credit(7))
        link.send(Mux.FIN, number)
    stream, service = await wst_daemon.call(link)
    link.send(Mux.SYN, stream.number)
    link.send(Mux.SYN, stream.number)
    service.write(HELLO)
    assert await stream.exactly(len(HELLO)) == HELLO
    await still_serves(wst_daemon, link)
    assert wst_daemon.target.arrivals == 2


@OUR_HOST
@pytest_twisted.ensureDeferred
async def test_more_syns_than_a_go_peer_takes(wst_daemon: HostDaemon) -> None:
    """300 SYNs at once freeze nobody."""
    link = await wst_daemon.begin()
    streams = [link.open() for _ in range(300)]
    for stream in streams:
        await stream.opened()
        stream.fin()
    for stream in streams:
        await stream.finished()
    for _ in streams:
        (await wst_daemon.target.accept()).drop()
    await still_serves(wst_daemon, link)


@OUR_HOST
@pytest_twisted.ensureDeferred
async def test_data_right_behind_a_syn(wst_daemon: HostDaemon) -> None:
    """A router that does not wait for the ACK loses nothing, and an empty DAT does no harm."""
    link = await wst_daemon.begin()
    stream = link.open()
    link.send(Mux.DAT, stream.number)
    stream.send(GET)
    link.send(Mux.DAT, stream.number)
    service = await wst_daemon.target.accept()
    assert await service.exactly(len(GET)) == GET
    service.write(HELLO)
    assert await stream.exactly(len(HELLO)) == HELLO
