"""The same requests to the original's access API and to ours: the same statuses and bodies.

Codes differ, and so do what Allow names, what is ours (CORS, reasons), and what the order of lists
is; where the original ends the connection without a word, ours answers.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from relay.measuring.processes import free_ports
from tests.dialects.session_relay_rooms import AUDIENCE, EXPIRES, SECRET, TARGET, token
from tests.integration.ini_services import Services, section, write
from tests.integration.portal_ours import first_port
from tests.integration.portal_peers import wait_for
from tests.integration.portal_programs import Program
from tests.rawpeer import Ended, Response, connect, read_response, request

FAMILY = "session-relay"
CODE = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ADMIN = token(booking_id="", topic="", prefix="", scopes=["relay:admin"])
NOBODY = token(booking_id="alike")
AHEAD_S = 60
JSON = "Content-Type: application/json"


class Doors(NamedTuple):
    """The ports of one router."""

    access: int
    socket: int


@pytest.fixture
def original(tmp_path: Path) -> Iterator[Doors]:
    """The original's router."""
    doors = Doors(*free_ports(2))
    environment = {
        "RELAY_AUDIENCE": AUDIENCE,
        "RELAY_URL": TARGET,
        "RELAY_SECRET": SECRET,
        "RELAY_PORT_ACCESS": str(doors.access),
        "RELAY_PORT_RELAY": str(doors.socket),
        "RELAY_LOG_FILE": "stdout",
        "RELAY_PROFILE": "false",
    }
    program = Program("relay", ["serve"], tmp_path, environment, FAMILY)
    try:
        wait_for(program.has_printed("Serving access"))
        yield doors
    finally:
        program.stop()


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Doors]:
    """Our router, with listeners of its own for both."""
    running = Services()
    write(tmp_path / "session.secret", SECRET)
    values = {
        "secret-file": "session.secret",
        "audience": AUDIENCE,
        "target": TARGET,
        "listen-access": "tcp:0:interface=127.0.0.1",
        "listen-relay": "tcp:0:interface=127.0.0.1",
    }
    router = {"listen": "tcp:0:interface=127.0.0.1", "state-dir": tmp_path, "drain-s": 0}
    limits = {"failed-logins-per-min": 0}
    service = wait_for(
        running.start_router(
            tmp_path,
            section("router", router),
            section("limits", limits),
            section(f"dialect:{FAMILY}", values),
        )
    )
    try:
        # the shared listener comes first
        access, socket = service.addresses[-2:]
        yield Doors(first_port([access]), first_port([socket]))
    finally:
        wait_for(running.stop())


async def asked(port: int, method: str, target: str, *headers: str, body: bytes = b"") -> Response:
    """:returns: the answer to one request"""
    peer = await connect(port)
    framing = [f"Content-Length: {len(body)}"] if body or method == "POST" else []
    peer.write(request(method, target, *headers, *framing, body=body))
    response = await read_response(peer, method=method)
    peer.drop()
    return response


def shown(response: Response) -> tuple[int, bytes, str | None]:
    """What is the same of both."""
    body = CODE.sub(b"CODE", response.body)
    if response.status == 405:
        body = body.replace(b"[POST,GET]", b"[GET,POST]")
    return response.status, body, response.header("Content-Type")


def auth(shown_token: str) -> str:
    """:returns: the header"""
    return f"Authorization: {shown_token}"


def requests() -> Iterator[tuple[str, str, tuple[str, ...], bytes]]:
    """Of each row of sections 3.2 to 3.4, and of what surrounds them."""
    now = int(time.time())
    session = "/session/rig07-st-data"
    some: tuple[dict[str, object], ...] = (
        {},
        {"exp": now - 10},
        {"iat": now + AHEAD_S},
        {"nbf": now + AHEAD_S},
        {"iat": 0, "nbf": 0},
        {"exp": 10**18},
        {"exp": "soon"},
        {"scopes": "read"},
        {"scopes": []},
        {"scopes": None},
        {"scopes": [""]},
        {"scopes": ["read", 5]},
        {"topic": ""},
        {"topic": None},
        {"topic": 5},
        {"topic": "other"},
        {"prefix": ""},
        {"prefix": "shell"},
        {"booking_id": ""},
        {"booking_id": None},
        {"booking_id": 5},
        {"aud": AUDIENCE},
        {"aud": f"{AUDIENCE}/"},
        {"aud": ["a", "<&>"]},
        {"aud": []},
        {"aud": 5},
        {"iss": 5},
        {"alg": "HS512"},
        {"alg": "HS384"},
    )
    for claims in some:
        yield "POST", session, (auth(token(**{"booking_id": "alike", **claims})),), b""
    yield "POST", session, (), b""
    yield "POST", session, ("Authorization: ",), b""
    yield "POST", session, (auth(f"Bearer {NOBODY}"),), b""
    yield "POST", session, (auth(NOBODY[:-3]),), b""
    for topic, path in (
        ("a/b", "a%2Fb"),
        ("a b", "a%20b"),
        ("a+b", "a+b"),
        ("é", "%C3%A9"),
        ('"', "%22"),
        ("a<&>b", "a%3C&%3Eb"),
        ("a;b", "a;b"),
        ("..", "%2E%2E"),
        ("a%2Fb", "a%252Fb"),
        ("\n\x7f\u2028\x00\b", "%0A%7F%E2%80%A8%00%08"),
        ("\ufffd", "%FF"),
    ):
        yield "POST", f"/session/{path}", (auth(token(booking_id="alike", topic=topic)),), b""
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        yield method, session, (), b""
    for path in ("/", "/x", "//x//y/", "/session/", "/session/a/b", "/status%2F", "/x<&>y", "/.."):
        yield "POST", path, (), b""
    for path in ("/bids/deny", "/bids/allow", "/status"):
        yield "PUT", path, (), b""
        for scopes in (["relay:admin"], ["read"], []):
            yield "GET", path, (auth(token(booking_id="", scopes=scopes)),), b""
    for path in ("//bids//deny/", "/./bids/deny", "/x/../bids/deny"):
        yield "GET", path, (auth(ADMIN),), b""
    for kind in (
        "text/plain",
        "TEXT/Plain; a=b",
        "junk",
        "a/",
        "/a",
        ";",
        "a b",
        "a/b; c",
        "a/b/c",
    ):
        yield "POST", session, (auth(NOBODY), f"Content-Type: {kind}"), b"{}"
    for kind in ('application/json; a="b', "application/json; c=d; c=e", "a/b;;c=d", "te<xt"):
        yield "POST", session, (auth(NOBODY), f"Content-Type: {kind}"), b"{}"
    yield "POST", session, (auth(NOBODY),), b"{}"
    yield "POST", session, (auth(NOBODY), JSON), b"junk"
    yield "POST", session, (auth(NOBODY), "Content-Type: application/json; charset=utf-8"), b"{}"
    yield "POST", session, (auth(NOBODY), "Content-Type: text/plain"), b""
    for accept in (
        "*/*",
        "application/*",
        "text/html",
        "text/html, application/json;q=0.1",
        "application/json;q=0",
        "application/json;q=bad",
        "application/json;charset=x;q=0",
        "text/html;level=1,application/json",
        "text/html,,application/json",
        "text/html */*",
        "Application/JSON",
        "*",
        ",,",
    ):
        yield "POST", session, (auth(NOBODY), f"Accept: {accept}"), b""
    for query in (
        "",
        f"exp={EXPIRES}",
        f"bid=&exp={EXPIRES}",
        f"bid=p;q&exp={EXPIRES}",
        f"bid=%zz&exp={EXPIRES}",
        "bid=x",
        "bid=x&exp=",
        "bid=x&exp=soon",
        "bid=x&exp=+5",
        "bid=x&exp=%2B5",
        "bid=x&exp=007",
        "bid=x&exp=-123",
        "bid=x&exp=1_000",
        "bid=x&exp=%22%3C%C3%A9",
        f"bid=x&exp={2**63}",
        f"bid=x&bid=denied&exp={EXPIRES}",
    ):
        for path in ("/bids/deny", "/bids/allow"):
            yield "POST", f"{path}?{query}", (auth(ADMIN),), b""
            yield "POST", f"{path}?{query}", (auth(token(scopes=["read"])),), b""
    yield "POST", f"/bids/deny?bid=alike&exp={EXPIRES}", (auth(ADMIN),), b""
    yield "GET", "/bids/deny", (auth(ADMIN),), b""
    yield "POST", session, (auth(NOBODY),), b""
    yield "POST", f"/bids/allow?bid=alike&exp={EXPIRES}", (auth(ADMIN),), b""
    yield "GET", "/bids/deny", (auth(ADMIN),), b""
    yield "POST", session, (auth(NOBODY),), b""


def in_order(answer: tuple[int, bytes, str | None]) -> tuple[int, bytes, str | None]:
    """The same, lists of bookings sorted: the original's have no order."""
    status, body, kind = answer
    if body.startswith(b'{"booking_ids":'):
        names = sorted(json.loads(body)["booking_ids"])
        body = json.dumps({"booking_ids": names}).encode()
    return status, body, kind


async def test_both_answer_alike(original: Doors, ours: Doors) -> None:
    """Byte for byte, in an order in which each request finds what the ones before have left."""
    for method, target, headers, body in requests():
        answers = []
        for doors in (original, ours):
            response = await asked(doors.access, method, target, *headers, body=body)
            assert response.header("Connection") == "close"
            answers.append(in_order(shown(response)))
        assert answers[1] == answers[0], (method, target, headers, body)


@pytest.mark.parametrize("missing", ["exp", "iat", "nbf"])
async def test_ours_answers_where_the_original_says_nothing(
    original: Doors, ours: Doors, missing: str
) -> None:
    """A token without one of its times."""
    header = auth(token(booking_id="alike", **{missing: None}))
    with pytest.raises(Ended):
        await asked(original.access, "POST", "/session/rig07-st-data", header)
    response = await asked(ours.access, "POST", "/session/rig07-st-data", header)
    assert (response.status, response.body) == (401, b'"Token Missing Required Claims"\n')


HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAECAwQFBgcICQoLDA0ODw==",
}


async def test_both_refuse_bad_handshakes_alike(original: Doors, ours: Doors) -> None:
    """Other types than sessions, other methods, and headers that are missing or wrong."""
    whole = tuple([f"{name}: {value}" for name, value in HANDSHAKE.items()])
    cases: list[tuple[str, str, tuple[str, ...]]] = [
        ("GET", "/shell/x", whole),
        ("GET", "/", whole),
        ("GET", "/status", ()),
        ("POST", "/shell/x", ()),
        ("GET", "/sess%20ion/x", whole),
        ("GET", "/session/x", ()),
        ("HEAD", "/session/x", ()),
        ("OPTIONS", "/session/x", ()),
        ("POST", "/session/x", whole),
    ]
    cases += [
        ("GET", "/session/x", tuple([line for line in whole if line != left_out]))
        for left_out in whole
    ]
    for method, target, headers in cases:
        answers = []
        for doors in (original, ours):
            response = await asked(doors.socket, method, target, *headers)
            answers.append(
                (
                    shown(response),
                    response.header("Sec-Websocket-Version"),
                    response.header("X-Content-Type-Options"),
                )
            )
        assert answers[1] == answers[0], (method, target, headers)
