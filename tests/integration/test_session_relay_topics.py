"""What members of a topic hear: checks 29 to 36."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.integration.session_relay_peers import (
    BOTH,
    LARGEST_BYTES,
    OURS,
    Router,
    Unnoticed,
    go_differs,
)
from tests.integration.session_relay_wire import Member, fresh
from tests.rawpeer import Op, noise, together

MANY = 8
LATIN = b"caf\xe9 \xff\xfe"
FLOOD_BYTES, PART_BYTES = 64 * 1024 * 1024, 64 * 1024
BURST = 50
LARGE_S = 20.0

pytest_plugins = ["tests.integration.session_relay_fixtures"]


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_29_everybody_else(sr: Router) -> None:
    """A message reaches all but who sent it, those with the same token included."""
    topic = fresh("topic")
    token = sr.token(topic)
    first, second = await sr.member(topic, token=token), await sr.member(topic, token=token)
    third = await sr.member(topic)
    for sayer, others in (
        (first, (second, third)),
        (second, (first, third)),
        (third, (first, second)),
    ):
        await sayer.passes(*others)


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_30_scopes(sr: Router) -> None:
    """What one that may only read says goes nowhere; one that may only write hears nothing."""
    topic = fresh("topic")
    reader = await sr.member(topic, ("read",))
    writer = await sr.member(topic, ("write",))
    both = await sr.member(topic)
    for count in range(3):
        reader.say(f"from a reader {count}")
    await reader.admitted()
    await writer.passes(reader, both)
    await both.passes(reader)
    await writer.admitted()
    await writer.passes(reader, both)


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_31_topics_are_apart(sr: Router) -> None:
    """Nobody hears another topic, also where one name begins another or differs in case."""
    stem = fresh("topic")
    names = [stem, stem.upper(), f"{stem}/a", f"{stem}/a/b", f"{stem}.a", f"{stem}-a", f"{stem}_"]
    pairs = [[await sr.member(name), await sr.member(name)] for name in names]
    for first, second in pairs:
        await first.passes(second)
    for first, second in pairs:
        await second.passes(first)


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_32_types(sr: Router) -> None:
    """Text, binary and nothing at all arrive as they were said, in order."""
    topic = fresh("topic")
    first, second = await sr.member(topic), await sr.member(topic)
    for payload in ("hello", b"\x00\xff", "", b"", "grüß Gott", noise(70_000), noise(126), "x"):
        first.say(payload)
        await second.hears(payload)


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_33_largest_message(sr: Router) -> None:
    """Ten MiB pass; a byte more ends who sent it, and is heard by nobody."""
    topic = fresh("topic")
    first, second = await sr.member(topic), await sr.member(topic)
    payload = noise(LARGEST_BYTES)
    sending = together(_sends(first, payload))
    assert await second.payload(LARGEST_BYTES, LARGE_S) == payload
    await sending
    sending = together(_sends(first, payload + b"x"))
    ending = await first.over(LARGE_S)
    assert ending.close is not None
    assert ending.close.code == 1009
    sending.addErrback(lambda _: None)
    await second.heard_nothing(await sr.member(topic))


async def _sends(member: Member, payload: bytes) -> None:
    member.say(payload)
    await member.peer.writable(LARGE_S)


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_33_largest_in_fragments(sr: Router) -> None:
    """What counts is the whole message, however it is cut."""
    topic = fresh("topic")
    first, second = await sr.member(topic), await sr.member(topic)
    part = noise(LARGEST_BYTES // 10)
    for number in range(10):
        first.peer.send(Op.CONTINUATION if number else Op.BINARY, part, fin=number == 9)
        await first.peer.writable(LARGE_S)
    assert await second.payload(LARGEST_BYTES, LARGE_S) == part * 10
    for number in range(11):
        first.peer.send(Op.CONTINUATION if number else Op.BINARY, part, fin=False)
    ending = await first.over(LARGE_S)
    assert ending.close is not None
    assert ending.close.code == 1009
    await second.heard_nothing(await sr.member(topic))


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_34_fragments(sr: Router) -> None:
    """A message in parts is one, also where a Ping comes between and the last part is empty."""
    topic = fresh("topic")
    first, second = await sr.member(topic), await sr.member(topic)
    for kind, parts in (
        (Op.TEXT, [b"one", b""]),
        (Op.BINARY, [b"", b"", b"x", b""]),
        (Op.BINARY, [noise(5000), noise(200_000), b""]),
    ):
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            first.peer.send(Op.CONTINUATION if number else kind, part, fin=last)
            if not last:
                first.peer.send(Op.PING, b"between")
        frame = await second.message()
        assert (frame.opcode, frame.payload) == (kind, b"".join(parts))
        for _ in parts[1:]:
            pong = await first.peer.receive()
            assert (pong.opcode, pong.payload) == (Op.PONG, b"between")


@BOTH
@pytest_twisted.ensureDeferred
async def test_one_byte_segments(sr: Router) -> None:
    """Frames that come byte by byte are messages like others."""
    topic = fresh("topic")
    first, second = await sr.member(topic), await sr.member(topic)
    whole = bytes([0x01, 0x83, 0, 0, 0, 0]) + b"abc" + bytes([0x80, 0x82, 1, 2, 3, 4]) + b"ec"
    for start in range(len(whole)):
        first.peer.write(whole[start : start + 1])
        await first.peer.writable()
    await second.hears("abcda")


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_35_no_utf8(sr: Router) -> None:
    """A text that is none in UTF-8 goes its way, and nobody is ended for it."""
    topic = fresh("topic")
    first, second = await sr.member(topic), await sr.member(topic)
    first.peer.send(Op.TEXT, LATIN)
    frame = await second.message()
    assert (frame.opcode, frame.payload) == (Op.TEXT, LATIN)
    first.peer.send(Op.TEXT, LATIN[:5], fin=False)
    first.peer.send(Op.CONTINUATION, LATIN[5:])
    frame = await second.message()
    assert (frame.opcode, frame.payload) == (Op.TEXT, LATIN)
    await second.passes(first)


@go_differs("what waits is glued together", always=False)
@pytest_twisted.ensureDeferred
async def test_burst_keeps_its_bounds(sr: Router) -> None:
    """Messages that are said at once, of both kinds, all arrive, each for itself."""
    topic = fresh("topic")
    first, second = await sr.member(topic), await sr.member(topic)
    said: list[str | bytes] = []
    for number in range(BURST):
        said += [f"text {number}", f"binary {number}".encode()]
    for payload in said:
        first.say(payload)
    for payload in said:
        await second.hears(payload)


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_36_stalled_reader(sr: Router) -> None:
    """A reader that does not read misses messages and stays; others hear all of them."""
    topic = fresh("topic")
    writer, reader = await sr.member(topic, ("write",)), await sr.member(topic, ("read",))
    still = await sr.member(topic, ("read",))
    still.peer.shrink()
    still.peer.pause()
    part = noise(PART_BYTES - 4)
    count = FLOOD_BYTES // PART_BYTES
    for number in range(count):
        said = number.to_bytes(4, "big") + part
        writer.say(said)
        assert await reader.payload(len(said)) == said
    still.peer.resume()
    numbers = []
    await writer.passes(reader, payload=b"the end".ljust(PART_BYTES))
    came = b""
    while True:
        came += (await still.message()).payload
        while len(came) >= PART_BYTES:
            message, came = came[:PART_BYTES], came[PART_BYTES:]
            if message[4:] == part:
                numbers.append(int.from_bytes(message[:4], "big"))
            else:
                # it may have been missed like others, but what is said now is not
                assert message == b"the end".ljust(PART_BYTES)
        if still.peer.nothing_came():
            await still.admitted()
            break
    assert numbers == sorted(set(numbers))
    assert numbers[:8] == list(range(8))
    assert len(numbers) < count
    await writer.passes(reader, still)


@OURS
@pytest_twisted.ensureDeferred
async def test_nobody_waits_for_a_crowd_that_stalls(sr: Router) -> None:
    """Readers that never read, many of them, hold neither the writer nor another topic."""
    topic = fresh("topic")
    async with Unnoticed(sr):
        crowd = [await sr.member(topic, ("read",)) for _ in range(MANY)]
        for one in crowd:
            one.peer.shrink()
            one.peer.pause()
        writer, reader = await sr.member(topic), await sr.member(topic)
        for number in range(FLOOD_BYTES // PART_BYTES // 2):
            await writer.passes(reader, payload=bytes([number % 256]) * PART_BYTES)


@BOTH
@pytest_twisted.ensureDeferred
async def test_close_is_echoed(sr: Router) -> None:
    """A member that closes gets its own code back, then the end; it is missed by nobody."""
    topic = fresh("topic")
    staying, other = await sr.member(topic), await sr.member(topic)
    for code in (1000, 1001, 4321):
        leaving = await sr.member(topic)
        leaving.peer.send_close(code)
        ending = await leaving.peer.ending(reply=False)
        assert ending.close is not None
        assert ending.close.code == code
    await staying.passes(other)


@BOTH
@pytest.mark.parametrize("leave", ["drop", "reset"])
@pytest_twisted.ensureDeferred
async def test_leaves_without_a_word(sr: Router, leave: str) -> None:
    """What a member said before it was gone is heard; the topic goes on without it."""
    topic = fresh("topic")
    staying = [await sr.member(topic) for _ in range(2)]
    leaving = await sr.member(topic)
    await leaving.passes(*staying)
    getattr(leaving.peer, leave)()
    await leaving.peer.gone()
    await staying[0].passes(staying[1])


@BOTH
@pytest_twisted.ensureDeferred
async def test_order_of_each_sender(sr: Router) -> None:
    """What several say at once arrives in the order of each."""
    topic = fresh("topic")
    reader = await sr.member(topic, ("read",))
    writers = [await sr.member(topic, ("write",)) for _ in range(MANY)]
    for number in range(4):
        for name, writer in enumerate(writers):
            writer.say(bytes([name, number]))
    came = await reader.payload(2 * 4 * MANY)
    pairs = [(came[at], came[at + 1]) for at in range(0, len(came), 2)]
    for name in range(MANY):
        assert [number for who, number in pairs if who == name] == [0, 1, 2, 3]
