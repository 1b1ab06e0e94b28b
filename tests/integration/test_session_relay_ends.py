"""Recorders and hosts of session-relay at a router made of bytes: checks 42 to 48."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted

from tests.integration.portal_peers import wait_for
from tests.integration.session_relay_company import (
    START_S,
    Command,
    Company,
    Host,
    chunk,
)
from tests.integration.session_relay_lobby import Lobby
from tests.integration.session_relay_wire import Member, fresh
from tests.rawpeer import Op, noise, until

KINDS = pytest.mark.parametrize("kind", ["ours", "go"])
TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.AAAA"
WAITS_S = (1.0, 2.0, 4.0)
SLACK_S = 2.0
SILENCE_S = 75.0
HUGE_BYTES = 12 * 1024 * 1024
RULE = {
    "id": "d1",
    "stream": "/stream/cam",
    "destination": "https://relay.example.test/access/session/rig07-st-video",
    "token": "T",
}
ECHOED = (
    b'{"id":"d1","stream":"stream/cam",'
    b'"destination":"https://relay.example.test/access/session/rig07-st-video",'
    b'"token":"T","file":""}'
)
NOBODY = {"id": "", "stream": "", "destination": "", "token": "", "file": ""}
BURST = 50
ROUTES = ("destinations", "streams")
NO_RULES = (b"", b"{", b"[]", b"7", b"\xff", b"[" * 50_000)

pytest_plugins = ["tests.integration.session_relay_fixtures"]


def go_differs(reason: str) -> pytest.MarkDecorator:
    """The test is for both; the original is known to fail it."""
    mark = pytest.mark.xfail(reason=f"Go: {reason}", strict=True, raises=AssertionError)
    return pytest.mark.parametrize("kind", ["ours", pytest.param("go", marks=mark)])


@pytest.fixture
def lobby() -> Iterator[Lobby]:
    """A router made of bytes."""
    made = Lobby()
    wait_for(made.listen())
    yield made
    wait_for(made.close())


class Recording:
    """A recorder that writes down a topic of a lobby."""

    def __init__(self, company: Company, kind: str, lobby: Lobby, folder: Path) -> None:
        self.topic = fresh("topic")
        self.file = folder / f"{self.topic}.bin"
        self._lobby = lobby
        url = lobby.url(self.topic)
        self.command: Command = company.recorder(kind, url, TOKEN, self.file, "binary")

    async def asked_at(self, deadline_s: float = START_S) -> float:
        """:returns: when it asks for a session, which it is refused"""
        asked = await self._lobby.asked(self.topic, TOKEN, deadline_s)
        asked.refuse()
        return asked.at

    async def writes(self, size: int) -> bytes:
        """:returns: the file, once it has so many bytes"""

        def found() -> bytes | None:
            data = self.file.read_bytes() if self.file.exists() else b""
            return data if len(data) >= size else None

        return await until(found, lambda: f"{size} bytes; {self.command.said()}", START_S)


# -- clients -------------------------------------------------------------------------------------


@KINDS
@pytest_twisted.ensureDeferred
async def test_check_42_status_is_ignored(
    sr_company: Company, lobby: Lobby, kind: str, tmp_path: Path
) -> None:
    """An answer with a URI is good whatever its status; a link that is lost is made anew at once.

    The Close of a router is answered; its end is as good as any other.
    """
    recording = Recording(sr_company, kind, lobby, tmp_path)
    asked = await lobby.asked(recording.topic, TOKEN, START_S)
    guest = await lobby.let_in(asked, 418)
    said = b""
    for leave in ("drop", "reset", "send_close", "none"):
        guest.say(leave.encode())
        said += leave.encode()
        assert await recording.writes(len(said)) == said
        if leave == "none":
            break
        getattr(guest.peer, leave)()
        if leave == "send_close":
            await guest.peer.ending(leave=True)
        left = guest.peer.clock.seconds()
        asked = await lobby.asked(recording.topic, TOKEN)
        assert asked.at - left < SLACK_S
        guest = await lobby.let_in(asked)


@KINDS
@pytest_twisted.ensureDeferred
async def test_check_42_waits(sr_company: Company, lobby: Lobby, kind: str, tmp_path: Path) -> None:
    """Refusals of a link that stood once make the waits 1, 2 and 4 s."""
    recording = Recording(sr_company, kind, lobby, tmp_path)
    guest = await lobby.guest(recording.topic, TOKEN, START_S)
    guest.peer.drop()
    before = await recording.asked_at()
    for wait_s in WAITS_S:
        came = await recording.asked_at()
        assert wait_s * 0.7 <= came - before <= wait_s * 1.3 + SLACK_S
        before = came


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ours"])
@pytest_twisted.ensureDeferred
async def test_check_43_silence(
    sr_company: Company, lobby: Lobby, kind: str, tmp_path: Path
) -> None:
    """A router that says nothing for a minute has refused, as the original's does."""
    recording = Recording(sr_company, kind, lobby, tmp_path)
    await lobby.guest(recording.topic, TOKEN, START_S)
    await lobby.guest(recording.topic, TOKEN, SILENCE_S)


@KINDS
@pytest_twisted.ensureDeferred
async def test_check_43_pings(sr_company: Company, lobby: Lobby, kind: str, tmp_path: Path) -> None:
    """Pings are answered at once, with what they bring."""
    recording = Recording(sr_company, kind, lobby, tmp_path)
    guest = await lobby.guest(recording.topic, TOKEN, START_S)
    for payload in (b"", b"ping", bytes(125)):
        guest.peer.send(Op.PING, payload)
        frame = await guest.peer.receive()
        assert (frame.opcode, frame.payload, frame.masked) == (Op.PONG, payload, True)


@KINDS
@pytest_twisted.ensureDeferred
async def test_check_44_odd_messages(
    sr_company: Company, lobby: Lobby, kind: str, tmp_path: Path
) -> None:
    """Glued, mixed, large and fragmented messages, and texts that are none, are taken."""
    recording = Recording(sr_company, kind, lobby, tmp_path)
    guest = await lobby.guest(recording.topic, TOKEN, START_S)
    huge = noise(HUGE_BYTES)
    guest.peer.send(Op.TEXT, b"text\x00\xff\xfebinary")
    guest.peer.send(Op.TEXT, b"", fin=True)
    guest.peer.send(Op.BINARY, huge, fin=False)
    guest.peer.send(Op.CONTINUATION, b"")
    guest.peer.send(Op.TEXT, b"caf\xc3", fin=False)
    guest.peer.send(Op.PING, b"between")
    guest.peer.send(Op.CONTINUATION, b"\xa9")
    expected = b"text\x00\xff\xfebinary" + huge + b"caf\xc3\xa9"
    assert await recording.writes(len(expected)) == expected
    frame = await guest.peer.receive()
    assert (frame.opcode, frame.payload) == (Op.PONG, b"between")


# -- hosts ---------------------------------------------------------------------------------------


async def rule(host: Host, lobby: Lobby, stream: str, token: str = TOKEN) -> Member:
    """Let a stream or feed go to a lobby. :returns: the link"""
    topic = fresh("topic")
    await host.destination("d1", stream, lobby.url(topic), token)
    return await lobby.guest(topic, token, START_S)


@KINDS
@pytest_twisted.ensureDeferred
async def test_check_45_destinations(sr_company: Company, lobby: Lobby, kind: str) -> None:
    """A rule comes back with five fields and one slash less; a new one closes the old link.

    Ours shows no token that it was not just told.
    """
    host = await sr_company.host(kind)
    assert await host.ask("POST", "/api/destinations", RULE) == (200, ECHOED)
    shown = ECHOED.replace(b'"T"', b'"***"') if host.is_ours else ECHOED
    assert await host.ask("GET", "/api/destinations/d1") == (200, shown)
    assert await host.ask("DELETE", "/api/destinations/d1") == (200, b'"d1"')
    old = await rule(host, lobby, "data")
    new = await rule(host, lobby, "data", TOKEN + "B")
    frame = await old.peer.receive()
    assert (frame.opcode, frame.code, frame.reason) == (Op.CLOSE, 1000, "")
    await old.peer.gone()
    local = await host.feed("data")
    await host.carries(new, local, "hello")


@KINDS
@pytest_twisted.ensureDeferred
async def test_check_45_without_a_token(sr_company: Company, lobby: Lobby, kind: str) -> None:
    """A rule without a token names a WebSocket."""
    host = await sr_company.host(kind)
    local = await host.feed("data")
    await host.destination("d1", "data", f"ws://127.0.0.1:{lobby.port}/some/where?a=b")
    link = await lobby.dialled("/some/where?a=b")
    await host.carries(link, local, b"\x00")
    await host.carries(local, link, "answer")


@KINDS
@pytest_twisted.ensureDeferred
async def test_check_46_what_is_not_there(sr_company: Company, lobby: Lobby, kind: str) -> None:
    """Unknown rules read as empty ones, unknown streams not at all; all can be cleared."""
    host = await sr_company.host(kind)
    assert await host.told("GET", "/api/destinations/nobody") == NOBODY
    assert await host.told("DELETE", "/api/destinations/nobody") == "nobody"
    status, body = await host.ask("GET", "/api/streams/nobody")
    assert (status, body.strip()) == (404, b"Stream not found")
    link = await rule(host, lobby, "data")
    assert list(await host.told("GET", "/api/destinations/all")) == ["d1"]
    assert await host.told("DELETE", "/api/destinations/deleteAll") == "deleteAll"
    frame = await link.peer.receive()
    assert (frame.opcode, frame.code) == (Op.CLOSE, 1000)
    assert await host.told("GET", "/api/destinations/all") == {}
    await host.stream("stream/x", "a", "b")
    assert await host.told("GET", "/api/streams/stream/x") == ["a", "b"]
    assert await host.told("GET", "/api/streams/all") == {"stream/x": ["a", "b"]}
    assert await host.told("DELETE", "/api/streams/deleteAll") == "deleteAll"
    assert await host.told("GET", "/api/streams/all") == {}


@go_differs("``all`` is taken for a name")
@pytest_twisted.ensureDeferred
async def test_check_46_all(sr_company: Company, kind: str) -> None:
    """``all`` clears, too."""
    host = await sr_company.host(kind)
    await host.stream("stream/x", "a")
    await host.ask("DELETE", "/api/streams/all")
    assert await host.told("GET", "/api/streams/all") == {}


@KINDS
@pytest_twisted.ensureDeferred
async def test_check_47_feeds(sr_company: Company, lobby: Lobby, kind: str) -> None:
    """A destination on a feed is one of its members; types are kept."""
    host = await sr_company.host(kind)
    first = await host.feed("data")
    link = await rule(host, lobby, "data")
    for payload in ("text", b"binary", ""):
        await host.carries(first, link, payload)
        await host.carries(link, first, payload)
    if host.is_ours:
        second = await host.feed("data")
        await first.passes(second, link)
        await link.passes(first, second)
    assert first.peer.nothing_came()


@KINDS
@pytest_twisted.ensureDeferred
async def test_check_48_bytes(sr_company: Company, lobby: Lobby, kind: str) -> None:
    """Bytes that come with pauses are messages of their own."""
    host = await sr_company.host(kind)
    link = await rule(host, lobby, "camera")
    source = await host.source("camera")
    for part in (b"first", noise(1000), b"x"):
        source.write(chunk(part))
        await link.hears(part)


@go_differs("it never answers")
@pytest_twisted.ensureDeferred
async def test_check_48_answer(sr_company: Company, lobby: Lobby, kind: str) -> None:
    """A source that has sent all gets 200."""
    host = await sr_company.host(kind)
    link = await rule(host, lobby, "camera")
    source = await host.source("camera")
    source.write(chunk(b"all of it"))
    await link.hears(b"all of it")
    source.write(chunk(b""))
    head = await source.head(2.0)
    assert head.status == 200


@go_differs("a burst loses most of its messages")
@pytest_twisted.ensureDeferred
async def test_bursts_are_carried(sr_company: Company, lobby: Lobby, kind: str) -> None:
    """Fifty messages at once all come through, each way, each for itself."""
    host = await sr_company.host(kind)
    local = await host.feed("data")
    link = await rule(host, lobby, "data")
    for sayer, hearer in ((local, link), (link, local)):
        for number in range(BURST):
            sayer.say(f"message {number}")
        for number in range(BURST):
            await hearer.hears(f"message {number}", 2.0)


@pytest.mark.parametrize("kind", ["ours"])
@pytest_twisted.ensureDeferred
async def test_streams_that_go_before_their_destinations(
    sr_company: Company, lobby: Lobby, kind: str
) -> None:
    """A stream may go while a destination uses it, and that one behind it; the original's dies."""
    host = await sr_company.host(kind)
    await host.stream("stream/x", "a")
    link = await rule(host, lobby, "stream/x")
    local = await host.feed("a")
    await local.passes(link)
    assert await host.told("DELETE", "/api/streams/stream/x") == "stream/x"
    link = await rule(host, lobby, "stream/absent", TOKEN + "B")
    assert await host.told("DELETE", "/api/destinations/d1") == "d1"
    frame = await link.peer.receive()
    assert (frame.opcode, frame.code) == (Op.CLOSE, 1000)
    assert (await host.ask("GET", "/healthcheck"))[0] == 200


@pytest.mark.parametrize("kind", ["ours"])
@pytest.mark.parametrize(
    ("route", "body"),
    [
        *((route, body) for route in ROUTES for body in NO_RULES),
        ("destinations", b'{"id":7}'),
        ("streams", b'{"feeds":"a"}'),
        ("streams", b'{"feeds":[7]}'),
    ],
)
@pytest_twisted.ensureDeferred
async def test_rules_that_are_none(sr_company: Company, kind: str, route: str, body: bytes) -> None:
    """What is no rule is refused, and the host goes on."""
    host = await sr_company.host(kind)
    peer = await host.dial()
    head = f"POST /api/{route} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    peer.write(head.encode() + body)
    assert (await peer.response()).status in (400, 500)
    assert (await host.ask("GET", "/healthcheck"))[0] == 200
