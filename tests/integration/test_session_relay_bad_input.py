"""Members and callers of session-relay who break the rules end, and nobody else notices."""

from __future__ import annotations

from contextlib import suppress

import pytest
import pytest_twisted

from tests.integration.session_relay_peers import BOTH, OURS, Router, Unnoticed, go_differs
from tests.integration.session_relay_vectors import TOPIC, V2, V4, claims, sign
from tests.integration.session_relay_wire import Member, fresh
from tests.rawpeer import (
    Ended,
    Frame,
    Late,
    Op,
    RawPeer,
    close_body,
    encode_frame,
    noise,
    together,
)

MASK = b"\x01\x02\x03\x04"
ENDLESS_BYTES = 2 * 1024 * 1024
PART_BYTES = 64 * 1024
ENDING_S = 15.0
STALLED_S = 1.0
FLOOD = 300
MANY_CODES = 2000
BROKEN = (1002, 1003, 1007, 1008, 1009)

pytest_plugins = ["tests.integration.session_relay_fixtures"]


def masked(opcode: int, payload: bytes = b"", **more: object) -> bytes:
    """:returns: a frame as a client sends it"""
    return encode_frame(opcode, payload, mask=MASK, **more)  # type: ignore[arg-type]  # as named


BAD_FRAMES = {
    "unmasked": encode_frame(Op.TEXT, b"hello"),
    "unmasked-ping": encode_frame(Op.PING, b"hello"),
    "rsv1": masked(Op.TEXT, b"hello", rsv=4),
    "rsv3": masked(Op.BINARY, b"hello", rsv=1),
    "opcode-3": masked(3, b"hello"),
    "opcode-15": masked(15, b""),
    "continuation-of-nothing": masked(Op.CONTINUATION, b"hello"),
    "message-within-message": masked(Op.TEXT, b"a", fin=False) + masked(Op.TEXT, b"b"),
    "ping-in-parts": masked(Op.PING, b"a", fin=False),
    "long-ping": masked(Op.PING, bytes(126)),
    "close-of-one-byte": masked(Op.CLOSE, b"\x03"),
    "close-with-a-code-that-is-none": masked(Op.CLOSE, close_body(1005)),
    "endless-length": masked(Op.BINARY, b"", length=(1 << 63) + 5, length_bits=64),
    "huge-length": masked(Op.BINARY, b"x" * 100, length=1 << 40, length_bits=64),
}


@BOTH
@pytest.mark.parametrize("data", BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
@pytest_twisted.ensureDeferred
async def test_frames_that_are_none(sr: Router, data: bytes) -> None:
    """A member that breaks RFC 6455 ends; what it said before is heard, nothing else is."""
    topic = fresh("topic")
    async with Unnoticed(sr):
        reader, rude = await sr.member(topic, ("read",)), await sr.member(topic)
        await rude.passes(reader)
        rude.peer.write(data)
        ending = await rude.over()
        assert ending.frames == []
        if sr.is_ours:
            assert ending.close is not None
            assert ending.close.code in BROKEN
        await reader.heard_nothing(await sr.member(topic))


@BOTH
@pytest_twisted.ensureDeferred
async def test_half_a_message_and_gone(sr: Router) -> None:
    """Who leaves in the midst of a message has said nothing."""
    topic = fresh("topic")
    async with Unnoticed(sr):
        reader = await sr.member(topic, ("read",))
        for half in (
            masked(Op.TEXT, b"hello")[:-2],
            masked(Op.TEXT, b"hello", fin=False),
            masked(Op.BINARY, noise(100_000))[:70_000],
        ):
            for leave in ("drop", "reset"):
                rude = await sr.member(topic)
                rude.peer.write(half)
                await rude.peer.writable()
                getattr(rude.peer, leave)()
                await rude.peer.gone()
        await reader.heard_nothing(await sr.member(topic))


@BOTH
@pytest_twisted.ensureDeferred
async def test_speaks_before_the_101(sr: Router) -> None:
    """What is sent in one breath with the handshake breaks nothing, heard or not."""
    topic = fresh("topic")
    async with Unnoticed(sr):
        code = await sr.code(topic)
        peer = await sr.dial(sr.door)
        lines = (
            f"GET {sr.door[1]}/session/{topic}?code={code} HTTP/1.1",
            "Host: relay.example.test",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==",
        )
        peer.write("\r\n".join((*lines, "", "")).encode() + masked(Op.TEXT, b"early"))
        with suppress(Ended):
            assert (await peer.response()).status == 101


# -- heads ---------------------------------------------------------------------------------------


async def refused(peer: RawPeer, statuses: tuple[int, ...]) -> None:
    """Wait for a refusal, or the end."""
    with suppress(Ended):
        head = await peer.response(ENDING_S)
        assert head.status in statuses, head
    await peer.gone(ENDING_S)


@BOTH
@pytest.mark.parametrize("where", ["access", "door"])
@pytest_twisted.ensureDeferred
async def test_endless_head(sr: Router, where: str) -> None:
    """A head that does not end is bounded."""
    async with Unnoticed(sr):
        peer = await sr.dial(getattr(sr, where))
        peer.write(b"GET / HTTP/1.1\r\n")
        with suppress(Ended):
            for _ in range(ENDLESS_BYTES // PART_BYTES):
                await peer.writable(ENDING_S)
                peer.write(b"X-Filler: " + b"x" * PART_BYTES + b"\r\n")
        await refused(peer, (400, 431))


@BOTH
@pytest.mark.parametrize("where", ["access", "door"])
@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /session/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        noise(300) + b"\r\n\r\n",
    ],
    ids=["blank", "word", "method", "version", "percent", "header", "tls", "noise"],
)
@pytest_twisted.ensureDeferred
async def test_requests_that_are_none(sr: Router, where: str, data: bytes) -> None:
    """What is no request ends with a refusal, or without a word."""
    async with Unnoticed(sr):
        peer = await sr.dial(getattr(sr, where))
        peer.write(data)
        peer.half_close()
        with suppress(Ended):
            head = await peer.response()
            assert head.status in (400, 401, 404, 405, 426, 431, 501, 505), head


@BOTH
@pytest.mark.parametrize(
    "path",
    [
        "/session/",
        "/session/a%00b",
        "/session/" + "x" * 3000,
        "/session/%F0%9F%8E%A5",
        "/session/a%2F..%2Fb",
        "/session/..%2f..%2fbids%2fdeny",
        "/bids/deny?bid=" + "b" * 3000 + "&exp=soon",
        "/bids/deny?bid=%FF%FE&exp=1",
        "/bids/deny?bid=x&bid=y&exp=1&exp=2",
    ],
)
@pytest_twisted.ensureDeferred
async def test_odd_paths(sr: Router, path: str) -> None:
    """Odd characters and lengths in a path get an answer of the usual form."""
    async with Unnoticed(sr):
        answer = await sr.ask("POST", path, V4, headers={"Content-Length": "0"})
        assert answer.status in (400, 401, 404, 414, 422), answer


@OURS
@pytest.mark.parametrize(
    "name", ["a b", "a:b", "a~b", "grüße", "a?b", "a#b", "%41", "a//b", "a/../b"]
)
@pytest_twisted.ensureDeferred
async def test_odd_topics(sr: Router, name: str) -> None:
    """A topic that no path can name gets a session at most, and opens nothing else's."""
    async with Unnoticed(sr):
        topic = f"{fresh('odd')}{name}"
        answer = await sr.session(topic, sr.token(topic))
        if answer.status != 200:
            assert 400 <= answer.status < 500
            return
        path = answer.data()["uri"].removeprefix(sr.target).encode().decode("latin-1")
        if " " not in path:
            _, head = await sr.knock(path)
            assert head.status in (101, 301, 400, 401, 404)


# -- floods --------------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_flood_of_session_requests(sr: Router) -> None:
    """Hundreds of requests at the same time, good and bad, are answered each."""
    async with Unnoticed(sr):
        late = sign(claims(exp=1))
        asked = [sr.session(TOPIC, (V2, late, V4)[number % 3]) for number in range(FLOOD)]
        answers = await together(*asked)
        assert [one.status for one in answers] == [200, 500, 401] * (FLOOD // 3)


@OURS
@pytest_twisted.ensureDeferred
async def test_flood_of_codes(sr: Router) -> None:
    """Codes that nobody shows are bounded, or given all; who comes behind is served."""
    async with Unnoticed(sr):
        for _ in range(MANY_CODES // FLOOD):
            answers = await together(*(sr.session(TOPIC, V2) for _ in range(FLOOD)))
            assert {one.status for one in answers} <= {200, 429, 503}


@BOTH
@pytest_twisted.ensureDeferred
async def test_flood_of_pings(sr: Router) -> None:
    """A member that pings without end gets its Pongs, and others hear each other meanwhile."""
    topic = fresh("topic")
    async with Unnoticed(sr):
        rude = await sr.member(topic)
        for number in range(FLOOD):
            rude.peer.send(Op.PING, number.to_bytes(4, "big"))
        for number in range(FLOOD):
            frame = await rude.peer.receive()
            assert (frame.opcode, frame.payload) == (Op.PONG, number.to_bytes(4, "big"))


KEPT_PONG_BYTES = 16 * 1024 * 1024
"""Those in the buffers of two kernels, most of them; fifty times a million bytes are asked for."""


@BOTH
@pytest_twisted.ensureDeferred
async def test_pings_and_never_reads(sr: Router) -> None:
    """For one that pings and reads nothing only so many Pongs are kept; it may be ended, too."""
    async with Unnoticed(sr):
        rude = await sr.member(fresh("topic"))
        rude.peer.shrink()
        rude.peer.pause()
        ping = masked(Op.PING, bytes(125)) * 500
        with suppress(Ended, Late):
            for _ in range(800):
                await rude.peer.writable(STALLED_S)
                rude.peer.write(ping)
        rude.peer.resume()
        pongs = 0
        with suppress(Ended, Late):
            while True:
                pongs += len((await rude.peer.receive(1.0)).payload)
        assert pongs <= KEPT_PONG_BYTES


@go_differs("memory grows with the messages, whatever their size")
@pytest_twisted.ensureDeferred
async def test_unread_giants(sr: Router) -> None:
    """Of the largest messages only so many wait for a reader that reads nothing."""
    topic = fresh("topic")
    writer, reader = await sr.member(topic), await sr.member(topic, ("read",))
    reader.peer.shrink()
    reader.peer.pause()
    giant = noise(8 * 1024 * 1024)
    for _ in range(16):
        writer.say(giant)
        await writer.peer.writable(ENDING_S)
    await writer.admitted()
    reader.peer.resume()
    came: list[Frame] = []
    with suppress(Late):
        while True:
            came.append(await reader.message(2.0))
    assert sum(len(one.payload) for one in came) <= 72 * 1024 * 1024
    assert all(one.payload == giant for one in came)


@OURS
@pytest_twisted.ensureDeferred
async def test_wrong_codes(sr: Router) -> None:
    """Many wrong codes leave the right one good."""
    topic = fresh("topic")
    code = await sr.code(topic)
    for _ in range(60):
        _, head = await sr.enter(topic, "00000000-0000-4000-8000-000000000000")
        assert head.status == 401
    peer, head = await sr.enter(topic, code)
    assert head.status == 101
    await Member(peer).admitted()
