"""Our router, host, recorder and monitor of session-relay beside the original's, in every mix."""

from __future__ import annotations

import base64
import re
import signal
import time
from pathlib import Path

import pytest
import pytest_twisted

from tests.integration.session_relay_company import (
    GO,
    MIXES,
    START_S,
    Company,
    chunk,
    joined,
    session_url,
)
from tests.integration.session_relay_vectors import SECRET
from tests.integration.session_relay_wire import fresh
from tests.rawpeer import Op, noise, until

EVERY_MIX = pytest.mark.parametrize("mix", MIXES)
RECORD = re.compile(
    r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)\] (.*)\n", re.DOTALL
)
WRITE_S = 5.0
BINARY = b"\x00\xff"
PARTS, PART_BYTES = 40, 20_000
STAMPS = 5
LATEST_NS = 200_000_000
"""The threshold of a monitor, unless it is told another."""

pytest_plugins = ["tests.integration.session_relay_fixtures"]


# -- hosts ---------------------------------------------------------------------------------------


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_feed_and_topic(sr_company: Company, mix: str) -> None:
    """What a local program says on a feed is heard on the topic, and the other way round."""
    router_kind, host_kind = mix.split("-")
    router, host = await sr_company.router(router_kind), await sr_company.host(host_kind)
    topic = fresh("topic")
    local, far = await host.feed("data"), await router.member(topic)
    token = router.token(topic)
    await host.destination("d1", "data", session_url(router, topic), token)
    await joined(router, topic, 2)
    for payload in ("hello", BINARY, noise(60_000), '{"set":"speed","to":3}'):
        await host.carries(local, far, payload)
        await host.carries(far, local, payload)


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_stream_of_feeds(sr_company: Company, mix: str) -> None:
    """A stream carries its feeds outward, those that it has now; nothing comes in by it."""
    router_kind, host_kind = mix.split("-")
    router, host = await sr_company.router(router_kind), await sr_company.host(host_kind)
    topic = fresh("topic")
    first, second = await host.feed("one"), await host.feed("two")
    far = await router.member(topic)
    await host.stream("stream/both", "one", "two")
    token = router.token(topic)
    await host.destination("d1", "stream/both", session_url(router, topic), token)
    await joined(router, topic, 2)
    await host.carries(first, far, "of one")
    await host.carries(second, far, "of the other")
    far.say("not for feeds")
    await host.stream("stream/both", "two")
    await host.carries(second, far, b"before")
    first.say("of a feed that it has no more")
    await first.admitted()
    await host.carries(second, far, b"behind")
    assert first.peer.nothing_came()
    assert second.peer.nothing_came()


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_bytes_of_a_source(sr_company: Company, mix: str) -> None:
    """Bytes that a source sends in parts arrive as they are, in binary messages."""
    router_kind, host_kind = mix.split("-")
    router, host = await sr_company.router(router_kind), await sr_company.host(host_kind)
    topic = fresh("topic")
    far = await router.member(topic, ("read",))
    await host.stream("stream/video", "camera")
    token = router.token(topic, ("write",))
    await host.destination("d1", "stream/video", session_url(router, topic), token)
    await joined(router, topic, 2)
    source = await host.source("camera")
    # each part has arrived before the next goes: the original loses what comes too fast
    for number in range(PARTS):
        part = noise(PART_BYTES + number)
        source.write(chunk(part))
        came = b""
        while len(came) < len(part):
            frame = await far.message()
            assert frame.opcode == Op.BINARY
            came += frame.payload
        assert came == part


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_host_comes_back(sr_company: Company, mix: str) -> None:
    """A host whose link ends at its token's end asks again; a rule with a new token opens one."""
    router_kind, host_kind = mix.split("-")
    router, host = await sr_company.router(router_kind), await sr_company.host(host_kind)
    topic = fresh("topic")
    local = await host.feed("data")
    short = router.token(topic, exp=int(time.time()) + 2)
    await host.destination("d1", "data", session_url(router, topic), short)
    await joined(router, topic, 1)
    await joined(router, topic, 0)
    await host.destination("d1", "data", session_url(router, topic), router.token(topic))
    await joined(router, topic, 1, START_S)
    far = await router.member(topic)
    await host.carries(local, far, "out")
    await host.carries(far, local, "in")


# -- recorders -----------------------------------------------------------------------------------


async def written(file: Path, size: int) -> bytes:
    """:returns: what is in the file once it has so many bytes. :raises Late:"""

    def found() -> bytes | None:
        data = file.read_bytes() if file.exists() else b""
        return data if len(data) >= size else None

    return await until(found, lambda: f"{size} bytes in {file.name}", WRITE_S)


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_check_49_text(sr_company: Company, mix: str, tmp_path: Path) -> None:
    """A record has the time and the text, or the bytes in base64; the file goes on with SIGHUP."""
    router_kind, recorder_kind = mix.split("-")
    router = await sr_company.router(router_kind)
    topic, file = fresh("topic"), tmp_path / "topic.log"
    file.write_text("before\n")
    token = router.token(topic, ("read",))
    recorder = sr_company.recorder(recorder_kind, session_url(router, topic), token, file)
    await joined(router, topic, 1, START_S)
    writer = await router.member(topic, ("write",))
    size = len("before\n")
    for payload in ('{"angle":12}', BINARY, "two\nlines"):
        writer.say(payload)
        expected = payload if isinstance(payload, str) else base64.b64encode(payload).decode()
        data = await written(file, size + len(f"[2026-01-01T09:30:00Z] {expected}\n"))
        record = RECORD.fullmatch(data[size:].decode())
        assert record
        assert record[1] == expected
        size = len(data)
    file.rename(tmp_path / "old.log")
    recorder.signal(signal.SIGHUP)
    await until(lambda: file.exists() or None, "a new file", WRITE_S)
    writer.say("behind")
    assert b"behind" in await written(file, 20)
    recorder.signal(signal.SIGINT)
    assert await recorder.exited() == 0


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_check_49_binary(sr_company: Company, mix: str, tmp_path: Path) -> None:
    """In binary mode the file has the payload alone, one behind the other."""
    router_kind, recorder_kind = mix.split("-")
    router = await sr_company.router(router_kind)
    topic, file = fresh("topic"), tmp_path / "topic.bin"
    token, url = router.token(topic, ("read",)), session_url(router, topic)
    recorder = sr_company.recorder(recorder_kind, url, token, file, " Binary ")
    await joined(router, topic, 1, START_S)
    writer = await router.member(topic, ("write",))
    said = b""
    for payload in (noise(1000), b"\n", noise(300_000)):
        writer.say(payload)
        said += payload
        assert await written(file, len(said)) == said
    recorder.signal(signal.SIGINT)
    assert await recorder.exited() == 0


# -- monitors ------------------------------------------------------------------------------------


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_check_50_monitor(sr_company: Company, mix: str, tmp_path: Path) -> None:
    """A monitor's time stamps cross the router alone, in time; it has nothing to complain of."""
    router_kind, monitor_kind = mix.split("-")
    router = await sr_company.router(router_kind)
    topic, alarm = fresh("topic"), tmp_path / "alarm"
    reader = await router.member(topic, ("read",))
    sr_company.run(
        monitor_kind,
        ["monitor"],
        ["monitor"],
        RELAY_MONITOR_AUDIENCE=router.audience,
        RELAY_MONITOR_SECRET=SECRET,
        RELAY_MONITOR_TOPIC=topic,
        RELAY_MONITOR_INTERVAL="100ms",
        RELAY_MONITOR_COMMAND=f"touch {alarm}",
    )
    for _ in range(STAMPS):
        frame = await reader.message(START_S)
        assert frame.opcode == Op.BINARY
        assert len(frame.payload) == 8
        assert 0 <= time.time_ns() - int.from_bytes(frame.payload, "big") < LATEST_NS
    assert not alarm.exists()


@pytest.mark.parametrize("monitor_kind", ["ours", GO])
@pytest_twisted.ensureDeferred
async def test_monitor_that_misses(sr_company: Company, monitor_kind: str, tmp_path: Path) -> None:
    """A monitor whose stamps are late again and again runs its command."""
    router = await sr_company.router(monitor_kind)
    alarm = tmp_path / "alarm"
    sr_company.run(
        monitor_kind,
        ["monitor"],
        ["monitor"],
        RELAY_MONITOR_AUDIENCE=router.audience,
        RELAY_MONITOR_SECRET=SECRET,
        RELAY_MONITOR_TOPIC=fresh("topic"),
        RELAY_MONITOR_INTERVAL="50ms",
        RELAY_MONITOR_THRESHOLD="1ns",
        RELAY_MONITOR_COMMAND=f"touch {alarm}",
    )
    await until(lambda: alarm.exists() or None, "the command", START_S)
