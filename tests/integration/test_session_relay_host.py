"""Hosts of session-relay between local sockets and a router, ours beside the original.

Specification: session-relay.md §9, checks 45 to 48.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import pytest_twisted

from relay.dialects.session_relay.host.cutting import MESSAGE_BYTES
from tests.conftest import Flush
from tests.integration.session_relay_hosts import (
    BOTH,
    OURS,
    admit,
    go_differs,
    host_of,
    message,
    pass_between,
)
from tests.rawpeer import DEADLINE_S, Late, Op, RawPeer, connect, read_response, request

REQUESTS = (
    ("GET", "/healthcheck", b""),
    ("HEAD", "/healthcheck", b""),
    ("POST", "/healthcheck", b""),
    ("GET", "/", b""),
    ("GET", "/api", b""),
    ("DELETE", "/api", b"x"),
    ("GET", "/api/", b""),
    ("GET", "/api/feeds", b""),
    ("OPTIONS", "/api/streams", b""),
    ("PATCH", "/api/destinations", b"{}"),
    ("GET", "/api/destinations", b""),
    ("GET", "/api/destinations/all", b""),
    ("POST", "/api/destinations", b'{"id":"a<b&c\\u2028\\b\\f\\n\\u0001\\ud800\x7f\xff"}'),
    ("UPDATE", "/api/destinations", b'{"ID":"1","Stream":"//f","file":null,"more":[1]}'),
    ("PUT", "/api/destinations", b"null"),
    ("POST", "/api/destinations", b'{"id":"deleteAll"}'),
    ("GET", "/api/destinations/all", b""),
    ("GET", "/api/destinations/1", b""),
    ("GET", "/api/destinations/nope", b""),
    ("GET", "/api/destinations/a%2Fb", b""),
    ("GET", "/api/destinations//b", b""),
    ("GET", "/api/destinations/./b?x=1", b""),
    ("DELETE", "/api/destinations/nope", b""),
    ("DELETE", "/api/destinations/deleteAll", b""),
    ("GET", "/api/destinations/all", b""),
    ("POST", "/api/streams", b'{"stream":"/stream/x","feeds":["b","a",null]}'),
    ("POST", "/api/streams", b'{"stream":"q"}'),
    ("PUT", "/api/streams", b'{"stream":"z","feeds":[]}'),
    ("POST", "/api/streams", b'{"stream":"deleteAll","feeds":["a"]}'),
    ("GET", "/api/streams/all", b""),
    ("GET", "/api/streams/stream/x", b""),
    ("GET", "/api/streams/q", b""),
    ("GET", "/api/streams/nope", b""),
    ("DELETE", "/api/streams/q", b""),
    ("GET", "/api/streams/q", b""),
    ("DELETE", "/api/streams/deleteAll", b""),
    ("GET", "/api/streams/all", b""),
)

NO_RULES = (b"", b"{", b'{"id":1}', b"[1]", b'"x"', b'{"id":"1"} x', b'{"feeds":"a","id":[]}')

COMMANDS = (
    b'{"verb":"healthcheck"}',
    b'{"VERB":"healthcheck"}',
    b'{"verb":"add","what":"destination","rule":{"id":"1","stream":"/f","destination":"ws://a&b"}}',
    b'{"verb":"add","what":"stream","rule":{"stream":"/stream/x","feeds":["a"]}}',
    b'{"verb":"list","what":"destination","which":"1"}',
    b'{"verb":"list","what":"destination","which":"all"}',
    b'{"verb":"list","what":"destination","which":"nope"}',
    b'{"verb":"list","what":"destination"}',
    b'{"verb":"list","what":"stream","which":"stream/x"}',
    b'{"verb":"list","what":"stream","which":"nope"}',
    b'{"verb":"list","what":"stream","which":"all"}',
    b'{"verb":"list","what":"stream"}',
    b'{"verb":"delete","what":"stream","which":"stream/x"}',
    b'{"verb":"delete","what":"stream","which":"all"}',
    b'{"verb":"delete","what":"destination","which":"apiRule"}',
    b'{"verb":"delete","what":"destination","which":"a&b"}',
    b'{"verb":"delete","what":"destination"}',
    b'{"verb":"delete","what":"destination","which":"all"}',
    b'{"verb":"Add","what":"stream","rule":{}}',
    b'{"verb":1}',
    b"nothing like it",
    b"null",
)


async def answered(local: RawPeer, command: bytes) -> tuple[int, bytes]:
    """Command until it is answered: the original has no queue, and loses some. :raises Late:"""
    for deadline_s in (0.5, 0.5, 0.5, 0.5, DEADLINE_S):
        local.send(Op.TEXT, command)
        try:
            return await message(local, deadline_s)
        except Late as error:
            late = error
    raise late


@pytest_twisted.ensureDeferred
async def test_the_api_answers_as_the_original(tmp_path: Path, expected_log_errors: Flush) -> None:
    """The same requests in the same order: status, type, place and body are the same bytes."""
    answers = []
    for kind in ("go", "ours"):
        async with host_of(kind, tmp_path) as host:
            mine = []
            for method, target, body in REQUESTS:
                answer = await host.ask(method, target, body)
                told = [answer.header(name) for name in ("Content-Type", "Location")]
                mine.append((method, target, answer.status, *told, answer.body))
            for body in NO_RULES:
                for target in ("/api/destinations", "/api/streams"):
                    answer = await host.ask("POST", target, body)
                    mine.append((body, target, answer.status, answer.header("Content-Type")))
            answers.append(mine)
    assert answers[1] == answers[0]
    expected_log_errors()  # rules without a destination cannot be connected


@pytest_twisted.ensureDeferred
async def test_commands_are_answered_as_by_the_original(
    tmp_path: Path, expected_log_errors: Flush
) -> None:
    """The same commands in the same order: the same bytes, as texts."""
    answers = []
    for kind in ("go", "ours"):
        async with host_of(kind, tmp_path) as host:
            local = await host.member("api")
            mine = []
            for command in COMMANDS:
                mine.append((command, *await answered(local, command)))
            answers.append(mine)
    assert answers[1] == answers[0]
    expected_log_errors()  # as above


@BOTH
@pytest_twisted.ensureDeferred
async def test_the_same_id_replaces(tmp_path: Path, kind: str) -> None:
    """Five fields come back, less one slash; the old link ends with 1000 (check 45)."""
    async with host_of(kind, tmp_path) as host:
        old = await host.destination("f")
        rule = {"id": "1", "stream": "//g", "destination": host.url("/new"), "more": ""}
        added = await host.says("POST", "/api/destinations", rule)
        assert added == {
            "id": "1", "stream": "/g", "destination": host.url("/new"), "token": "", "file": "",
        }  # fmt: skip
        ending = await old.ending()
        assert ending.close is not None
        assert ending.close.payload[:2] == b"\x03\xe8"
        _, asked = await host.router.accept_upgrade()
        assert asked.first_line == "GET /new HTTP/1.1"


@BOTH
@pytest_twisted.ensureDeferred
async def test_a_session_is_asked_for_with_the_bare_token(tmp_path: Path, kind: str) -> None:
    """And what it answers is dialled at once (§8)."""
    async with host_of(kind, tmp_path) as host:
        session = host.url("/session/t", "http")
        rule = {"id": "1", "stream": "f", "destination": session, "token": "eyJ.a.b"}
        await host.says("POST", "/api/destinations", rule)
        peer, asked = await host.router.accept_request()
        assert asked.first_line == "POST /session/t HTTP/1.1"
        assert asked.header("Authorization") == "eyJ.a.b"
        await admit(peer, asked, host.url("/session/t?code=1"))
        far, asked = await host.router.accept_upgrade()
        assert asked.first_line == "GET /session/t?code=1 HTTP/1.1"
        assert asked.header("Authorization") is None
        await host.is_heard(far)
        await pass_between(await host.member("f"), far, b"out")


@go_differs("has no queue, so that it loses messages now and then", always=False)
@pytest_twisted.ensureDeferred
async def test_a_feed_goes_both_ways(tmp_path: Path, kind: str) -> None:
    """Between local sockets and the destination, kinds kept, without echo (check 47)."""
    async with host_of(kind, tmp_path) as host:
        far = await host.destination("f")
        one, two = await host.member("f"), await host.member("f")
        one.send(Op.BINARY, b"\0out")
        assert await message(far) == await message(two) == (Op.BINARY, b"\0out")
        far.send(Op.TEXT, b"in")
        assert await message(one) == await message(two) == (Op.TEXT, b"in")
        assert far.nothing_came()


@BOTH
@pytest_twisted.ensureDeferred
async def test_a_stream_goes_out_only(tmp_path: Path, kind: str) -> None:
    """It has what its feeds have, as the rule changes, on the same link (check 47)."""
    async with host_of(kind, tmp_path) as host:
        await host.says("POST", "/api/streams", {"stream": "stream/x", "feeds": ["a", "b"]})
        far = await host.destination("stream/x")
        a, b, c = [await host.member(feed) for feed in "abc"]
        await pass_between(a, far, b"of a")
        await pass_between(b, far, b"of b")
        far.send(Op.TEXT, b"not in")
        await host.says("POST", "/api/streams", {"stream": "stream/x", "feeds": ["c"]})
        a.send(Op.TEXT, b"nobody hears")
        await host.is_heard(far)
        await pass_between(c, far, b"of c")
        assert a.nothing_came()
        assert b.nothing_came()
        assert c.nothing_came()
        assert len(host.router.peers) == 1


@BOTH
@pytest_twisted.ensureDeferred
async def test_bytes_are_cut_at_pauses(tmp_path: Path, kind: str) -> None:
    """Each is a binary message of what came in one go (check 48)."""
    async with host_of(kind, tmp_path) as host:
        far = await host.destination("video")
        sender = await connect(host.port)
        head = request("POST", "/ts/video", "Transfer-Encoding: chunked", host="localhost")
        sender.write(head)
        for size in (188, 376, 60_000):
            frame = b"\x47" * size
            sender.write(b"%x\r\n%s\r\n" % (size, frame))
            assert await message(far) == (Op.BINARY, frame)
        sender.drop()


@go_differs("never answers, even after the body ends")
@pytest_twisted.ensureDeferred
async def test_a_body_that_ends_is_answered(tmp_path: Path, kind: str) -> None:
    """By an empty 200, whatever the method; one without a body is no message."""
    async with host_of(kind, tmp_path) as host:
        far = await host.destination("video")
        for method in ("POST", "PUT"):
            sender = await connect(host.port)
            lines = ("Content-Length: 3", "Connection: close")
            sender.write(request(method, "/ts/video", *lines, body=b"abc", host="localhost"))
            answer = await read_response(sender, deadline_s=3.0)
            assert (answer.status, answer.body) == (200, b"")
            assert await message(far) == (Op.BINARY, b"abc")
        assert far.nothing_came()


@go_differs("drops what comes beyond 1 024 000 bytes without a pause", always=False)
@pytest_twisted.ensureDeferred
async def test_nothing_of_a_large_frame_is_lost(tmp_path: Path, kind: str) -> None:
    """It goes in as many messages as it needs, the first of them full."""
    async with host_of(kind, tmp_path) as host:
        far = await host.destination("video")
        data = bytes(range(256)) * 12_000
        sender = await connect(host.port)
        lines = (f"Content-Length: {len(data)}", "Connection: close")
        sender.write(request("POST", "/ts/video", *lines, host="localhost"))
        await sender.write_all(data)
        came = b""
        while len(came) < len(data):
            kind_of, payload = await message(far, 5.0)
            assert kind_of == Op.BINARY
            assert len(payload) <= MESSAGE_BYTES
            came += payload
        assert came == data


@go_differs("has no queue, so that 13 of 50 get through")
@pytest_twisted.ensureDeferred
async def test_a_burst_is_not_lost(tmp_path: Path, kind: str) -> None:
    """In either direction, and in order."""
    async with host_of(kind, tmp_path) as host:
        far, local = await host.destination("f"), await host.member("f")
        said = [b"%d" % number for number in range(50)]
        for one, other in ((local, far), (far, local)):
            for payload in said:
                one.send(Op.TEXT, payload)
            assert [(await message(other, 3.0))[1] for _ in said] == said


@OURS
@pytest_twisted.ensureDeferred
async def test_rules_may_go_in_any_order(tmp_path: Path, kind: str) -> None:
    """A stream's before its destination's, which ends the original."""
    async with host_of(kind, tmp_path) as host:
        await host.says("POST", "/api/streams", {"stream": "stream/x", "feeds": ["a"]})
        far = await host.destination("stream/x")
        await host.says("DELETE", "/api/streams/stream/x")
        again = await host.destination("stream/x")
        await far.ending()
        await host.says("DELETE", "/api/destinations/1")
        await again.ending()
        assert await host.says("GET", "/api/destinations/all") == {}


@OURS
@pytest_twisted.ensureDeferred
async def test_a_link_that_ends_is_made_again(tmp_path: Path, kind: str) -> None:
    """At once; what was said meanwhile is gone, and what is said next arrives."""
    async with host_of(kind, tmp_path) as host:
        far, local = await host.destination("f"), await host.member("f")
        far.reset()
        far, _ = await host.router.accept_upgrade()
        await host.is_heard(far)
        await pass_between(local, far, b"here again")
        await pass_between(far, local, b"and back")


@OURS
@pytest_twisted.ensureDeferred
async def test_pages_of_elsewhere_are_refused(tmp_path: Path, kind: str) -> None:
    """At the API, at feeds of bytes, and before a socket stands."""
    async with host_of(kind, tmp_path) as host:
        evil = "Origin: https://evil.example"
        for target in ("/api/destinations", "/ts/video", "/ws/api"):
            answer = await host.ask("POST", target, b"{}", evil)
            assert answer.status == 403
            assert b"https://evil.example" in answer.body
        assert (await host.upgrade("/ws/api", evil))[1].status == 403
        assert (await host.upgrade("/ws/api", name="rebound.example"))[1].status == 403


@OURS
@pytest_twisted.ensureDeferred
async def test_a_body_that_is_too_long_is_refused(tmp_path: Path, kind: str) -> None:
    """Of a rule; nothing is collected beyond the bound."""
    async with host_of(kind, tmp_path) as host:
        body = json.dumps({"id": "x" * 70_000}).encode()
        answer = await host.ask("POST", "/api/destinations", body)
        assert (answer.status, answer.body) == (413, b"the body is over 65536 bytes\n")
        assert await host.says("GET", "/api/destinations/all") == {}


@pytest.mark.parametrize("null", [True, False])
@BOTH
@pytest_twisted.ensureDeferred
async def test_the_subprotocol_null(tmp_path: Path, kind: str, null: bool) -> None:
    """It is taken where it is offered, alone; any local page may come."""
    async with host_of(kind, tmp_path) as host:
        offered = ("Sec-WebSocket-Protocol: null",) if null else ()
        _, answer = await host.upgrade("/ws/f", "Origin: http://localhost:3000", *offered)
        assert answer.status == 101
        assert answer.header("Sec-WebSocket-Protocol") == ("null" if null else None)
