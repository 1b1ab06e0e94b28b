"""``relay record``, ``play`` and ``monitor`` at our router and the original's: checks 49, 50."""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest_twisted
from twisted.internet.threads import deferToThread

from tests.integration.session_relay_peers import Router
from tests.integration.session_relay_places import PLACES, session_url
from tests.integration.session_relay_vectors import SECRET
from tests.integration.session_relay_wire import Member, fresh
from tests.rawpeer import noise, until
from tests.relay_command import END_S, environment, relay, relay_beside, started

RECORD = re.compile(rb"\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d))\] (.*)")
LAST = (b"the last of it", b"the last of it\n")
MESSAGES = 40
SIZES = (0, 1, 125, 126, 70_000)

pytest_plugins = [
    "tests.integration.session_relay_fixtures",
    "tests.integration.session_relay_place_fixtures",
]


def words(router: Router, topic: str, folder: Path, *scopes: str) -> list[str]:
    """:returns: the options that lead to a topic, with a token of these scopes"""
    token = folder / "member.token"
    token.write_text(router.token(topic, scopes))
    token.chmod(0o600)
    return ["--session", session_url(router, topic), "--token-file", str(token)]


async def is_heard(member: Member, written: Callable[[], bytes]) -> None:
    """Say something again and again until it is written down, and all that was said with it."""

    def said() -> bool | None:
        member.say("are you there?")
        return b"are you there?" in written() or None

    await until(said, "the recording", END_S)
    # an original would glue what comes next to what still waits there
    member.say("the last of it")
    await until(lambda: written().endswith(LAST) or None, "all of it", END_S)


async def waited(process: subprocess.Popen[bytes]) -> int:
    """:returns: the exit status of a process that is about to end"""
    status: int = await deferToThread(process.wait, END_S)
    return status


# -- record ------------------------------------------------------------------------------------


@PLACES
@pytest_twisted.ensureDeferred
async def test_check_49_text_and_another_file(place: Router, tmp_path: Path) -> None:
    """Text as it is, binary as base64, each with its time; SIGHUP begins the file anew."""
    topic, path = fresh("topic"), tmp_path / "log"
    path.write_bytes(b"before\n")
    member = await place.member(topic)
    options = words(place, topic, tmp_path, "read")
    with started("record", *options, "--file", str(path)) as process:
        await is_heard(member, path.read_bytes)
        member.say(b"\x00\xff")
        await until(lambda: b"AP8=" in path.read_bytes() or None, "the second message")
        moved = path.rename(tmp_path / "log.1")
        process.send_signal(signal.SIGHUP)
        await until(lambda: path.exists() or None, "the new file")
        member.say("behind")
        await until(lambda: b"behind" in path.read_bytes() or None, "the third message")
        process.send_signal(signal.SIGINT)
        assert await waited(process) == 0
    first, *lines = moved.read_bytes().splitlines()
    found = [RECORD.fullmatch(line) for line in [*lines, *path.read_bytes().splitlines()]]
    assert first == b"before"
    assert all(found)
    assert [one[2] for one in found if one][-2:] == [b"AP8=", b"behind"]


@PLACES
@pytest_twisted.ensureDeferred
async def test_check_49_payload_alone(place: Router, tmp_path: Path) -> None:
    """All that is said, byte by byte and nothing else, to standard output; SIGTERM ends it well."""
    topic, path = fresh("topic"), tmp_path / "payload"
    member = await place.member(topic)
    sent = [noise(SIZES[number % len(SIZES)]) for number in range(MESSAGES)]
    with (
        path.open("wb") as out,
        started(
            "record", *words(place, topic, tmp_path, "read"), "--mode", "binary", stdout=out
        ) as process,
    ):
        await is_heard(member, path.read_bytes)
        begun = path.read_bytes()
        for payload in sent:
            member.say(payload)
        size = len(begun) + sum(map(len, sent))
        await until(lambda: path.stat().st_size >= size or None, "all messages")
        process.send_signal(signal.SIGTERM)
        assert await waited(process) == 0
    assert path.read_bytes().endswith(b"".join(sent))


@PLACES
@pytest_twisted.ensureDeferred
async def test_a_refused_token_is_one_line(place: Router, tmp_path: Path) -> None:
    """Where, in the router's own words, and what to try; and status 1."""
    options = words(place, fresh("topic"), tmp_path, "read")
    options[1] = session_url(place, fresh("another"))
    ended = await relay_beside("record", *options)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    told = f"relay record: cannot reach {options[1]} (wrong-name: Token Wrong Topic); "
    assert line.startswith(told.encode())
    assert ended.stdout == b""


@PLACES
@pytest_twisted.ensureDeferred
async def test_a_full_disk_is_one_line(place: Router, tmp_path: Path) -> None:
    """Behind what was said of the link, and status 1."""
    topic = fresh("topic")
    member = await place.member(topic)
    options = words(place, topic, tmp_path, "read")
    with started("record", *options, "--file", "/dev/full") as process:

        def ended() -> bool | None:
            member.say("too much")
            return process.poll() is not None or None

        await until(ended, "the end", END_S)
        assert process.returncode == 1
        assert process.stderr is not None
        assert process.stderr.read().splitlines()[-1] == (
            b"relay record: cannot write to /dev/full: No space left on device; "
            b"make room there; what came until now is in the file"
        )


@PLACES
@pytest_twisted.ensureDeferred
async def test_a_link_that_was_cut_is_made_again(place: Router, tmp_path: Path) -> None:
    """With the token that stands in the file then."""
    topic, path = fresh("topic"), tmp_path / "log"
    path.touch()
    booking = fresh("bk")
    member = await place.member(topic)
    options = words(place, topic, tmp_path, "read")
    token = Path(options[3])
    token.write_text(place.token(topic, ("read",), booking))
    with started("record", *options, "--file", str(path)) as process:
        await is_heard(member, path.read_bytes)
        token.write_text(place.token(topic, ("read",)))
        await place.deny(booking, place.token("", ("relay:admin",), ""))
        path.write_bytes(b"")
        await is_heard(member, path.read_bytes)
        process.send_signal(signal.SIGINT)
        assert await waited(process) == 0


# -- play --------------------------------------------------------------------------------------


@PLACES
@pytest_twisted.ensureDeferred
async def test_a_file_is_played_to_its_last_message(place: Router, tmp_path: Path) -> None:
    """Everything arrives as text, in order; what is answered meets conditions and is logged."""
    topic = fresh("topic")
    member = await place.member(topic)
    file = tmp_path / "rig.play"
    file.write_text(
        "#+ begin\n|+> done\nhello\n[50ms] later\n<'\"done\":\\s*true',1,60s> bye\n[50ms] last\n"
    )
    options = [*words(place, topic, tmp_path, "read", "write"), "--log", "-", str(file)]
    with started("play", *options) as process:
        await member.hears("hello")
        member.say("something else")  # not beside the other: an original would glue them
        await member.hears("later")
        member.say('{"done": true}')
        await member.hears("bye")
        await member.hears("last")
        assert await waited(process) == 0
        assert process.stdout is not None
        found = [RECORD.fullmatch(line) for line in process.stdout.read().splitlines()]
    assert [one[2] for one in found if one] == [b"begin", b'{"done": true}']


@PLACES
@pytest_twisted.ensureDeferred
async def test_all_that_was_said_leaves(place: Router, tmp_path: Path) -> None:
    """However much it is, and though nothing waits behind it."""
    topic = fresh("topic")
    member = await place.member(topic)
    lines = [base64.b64encode(noise(3000)) for _ in range(100)]
    file = tmp_path / "much.play"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    with started("play", *words(place, topic, tmp_path, "write"), str(file)) as process:
        assert await member.payload(sum(map(len, lines))) == b"".join(lines)
        assert await waited(process) == 0


# -- monitor -----------------------------------------------------------------------------------


@PLACES
@pytest_twisted.ensureDeferred
async def test_check_50_latency(place: Router, tmp_path: Path) -> None:
    """A time stamp crosses unmodified and soon; with another secret there is nothing to see."""
    told = ["--audience", place.audience, "--topic", fresh("canary"), "--interval", "50ms"]
    secret = tmp_path / "router.secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    ended = await relay_beside("monitor", *told, "--secret-file", secret, "--once", "--json")
    assert ended.returncode == 0, ended
    seen = json.loads(ended.stdout)
    assert seen["ok"]
    assert 0 < seen["latency_s"] <= seen["threshold_s"] == 0.2
    secret.write_text(f"{SECRET}x")
    ended = await relay_beside("monitor", *told, "--secret-file", secret, "--once")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"relay monitor: cannot reach {place.audience}/".encode())
    assert b"(token-invalid: token invalid)" in ended.stderr


@PLACES
@pytest_twisted.ensureDeferred
async def test_misses_run_the_command(place: Router, tmp_path: Path) -> None:
    """Its variables expanded, without a shell; the monitor goes on until it is told to end."""
    mark = tmp_path / "mark"
    told = ["--audience", place.audience, "--topic", fresh("canary"), "--interval", "20ms"]
    told += ["--threshold", "1ns", "--no-retrigger-within", "60s", "--command", "touch $MARK"]
    env = environment(MARK=str(mark), RELAY_MONITOR_SECRET=SECRET)
    with started("monitor", *told, env=env) as process:
        await until(lambda: mark.exists() or None, "the command", END_S)
        process.send_signal(signal.SIGTERM)
        assert await waited(process) == 0
        assert process.stderr is not None
        levels = [json.loads(line)["level"] for line in process.stderr.read().splitlines()]
    assert levels == ["warn", "warn", "error", "warn"]


def test_nothing_is_sent_of_a_file_with_faults(tmp_path: Path) -> None:
    """It is looked through before anybody is asked for anything."""
    (tmp_path / "bad.play").write_text("fine\n[10] never\n")
    (tmp_path / "t").write_text("token")
    (tmp_path / "t").chmod(0o600)
    session = ["--session", "http://127.0.0.1:9/session/t", "--token-file", "t"]
    ended = relay("play", *session, "bad.play", folder=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"relay play: bad.play: line 2: the delay")
