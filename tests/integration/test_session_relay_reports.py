"""Reports of session-relay: checks 39 to 41."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from typing import Any

import pytest
import pytest_twisted

from tests.integration.session_relay_ours import RouterMaker
from tests.integration.session_relay_peers import BOTH, OURS, Router, go_differs
from tests.integration.session_relay_vectors import V2, V3, V5, claims, sign
from tests.integration.session_relay_wire import Member, fresh
from tests.rawpeer import Late, Op

STATS = "stats"
KEYS = [
    "canRead",
    "canWrite",
    "connected",
    "expiresAt",
    "remoteAddr",
    "scopes",
    "topic",
    "userAgent",
]
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
EPOCH = "1970-01-01T00:00:00Z"
UPDATE = '{"cmd":"update"}'
REPORT_S = 3.0
"""What the tests' routers need at most: a second between reports, and one or two more."""

ASKED_S = 2.0
HALF_S = 0.5
ADDRESS, AGENT = "203.0.113.9", "probe/1"
LABELS = {"X-Forwarded-For": ADDRESS, "User-Agent": AGENT}
SELF = {
    "canRead": True,
    "canWrite": True,
    "expiresAt": EPOCH,
    "remoteAddr": "internal",
    "scopes": ["read", "stats", "write"],
    "topic": STATS,
    "userAgent": "crossbar",
}

pytest_plugins = ["tests.integration.session_relay_fixtures"]


async def report(member: Member, deadline_s: float = REPORT_S) -> list[dict[str, Any]]:
    """:returns: the next report, which has to be a text; commands are left out"""
    expiry = member.peer.clock.seconds() + deadline_s
    while True:
        frame = await member.message(expiry - member.peer.clock.seconds())
        assert frame.opcode == Op.TEXT
        if not frame.payload.startswith(b"["):
            continue
        value: list[dict[str, Any]] = json.loads(frame.payload)
        assert frame.payload.decode() == json.dumps(value, separators=(",", ":"))
        return value


def record(records: list[dict[str, Any]], topic: str) -> dict[str, Any]:
    """:returns: the only record of a topic"""
    (found,) = [one for one in records if one.get("topic") == topic]
    return found


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_39_reports(sr: Router) -> None:
    """A reader of ``stats`` is told again and again of each connection."""
    topic = fresh("topic")
    started, exp = int(time.time()), int(time.time()) + 1000
    await sr.member(topic, ("write", "read"), headers=LABELS, exp=exp)
    reader = await sr.member(STATS, token=V3, headers=LABELS)
    for _ in range(2):
        records = await report(reader)
        assert [list(one) for one in records] == [KEYS] * len(records)
        assert all(MOMENT.fullmatch(one["connected"]) for one in records)
        own = record(records, topic)
        connected = own.pop("connected")
        assert own == {
            "canRead": True,
            "canWrite": True,
            "expiresAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(exp)),
            "remoteAddr": ADDRESS,
            "scopes": ["write", "read"],
            "topic": topic,
            "userAgent": AGENT,
        }
        assert connected >= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started))
        (reporter,) = [one for one in records if one["userAgent"] == "crossbar"]
        del reporter["connected"]
        assert reporter == SELF


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_39_of_those_who_are_there(sr: Router) -> None:
    """Who may only read is told so, who has left is not told of any more."""
    topic, gone = fresh("topic"), fresh("topic")
    await sr.member(topic, ("read",), headers={"User-Agent": None})
    leaving = await sr.member(gone)
    reader = await sr.member(STATS, ("read",))
    records = await report(reader)
    own = record(records, topic)
    assert (own["canRead"], own["canWrite"], own["remoteAddr"]) == (True, False, "")
    assert record(records, gone)
    leaving.peer.drop()
    await leaving.peer.gone()
    await report(reader)
    assert gone not in {one["topic"] for one in await report(reader)}


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_40_on_demand(sr: Router) -> None:
    """Who may write on ``stats`` gets a report when it asks, and readers get on with that."""
    reader = await sr.member(STATS, ("read",))
    asking = await sr.member(STATS)
    await report(asking)
    for _ in range(2):
        asking.say(UPDATE)
        await report(asking, ASKED_S)
    await report(reader)


@go_differs("commands and forged reports are messages like others")
@pytest_twisted.ensureDeferred
async def test_check_40_nothing_else_passes(sr: Router) -> None:
    """Commands, forged reports and chatter of members reach nobody."""
    reader = await sr.member(STATS, ("read",))
    asking = await sr.member(STATS)
    await report(reader)
    for payload in ("[]", '[{"topic":"forged"}]', "chatter", b"\x00", UPDATE, '{"cmd":', "7"):
        asking.say(payload)
    for _ in range(2):
        frame = await reader.message(REPORT_S)
        assert frame.opcode == Op.TEXT
        assert frame.payload.startswith(b'[{"canRead":')
        assert b"forged" not in frame.payload


@OURS
@pytest_twisted.ensureDeferred
async def test_demands_are_bounded(sr: Router) -> None:
    """Reports come a second apart, however often they are asked for."""
    asking = await sr.member(STATS)
    await report(asking, 8.0)
    for _ in range(500):
        asking.say(UPDATE)
    await report(asking, ASKED_S)
    early = 0
    with suppress(Late):
        for _ in range(3):
            await report(asking, HALF_S)
            early += 1
    assert early <= 1


@pytest_twisted.ensureDeferred
async def test_readers_cannot_ask(start_sr: RouterMaker) -> None:
    """A command of one that may only read is not heard."""
    sr = await start_sr.start(dialect={"stats-every-s": 600})
    reader = await sr.member(STATS, ("read",))
    reader.say(UPDATE)
    with pytest.raises(Late):
        await report(reader, 2.5)


# -- status --------------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_41_status(sr: Router) -> None:
    """``/status`` tells the same in another form, without what is false or empty."""
    topic, plain = fresh("topic"), fresh("topic")
    exp = int(time.time()) + 1000
    await sr.member(topic, ("read",), headers=LABELS, exp=exp)
    await sr.member(plain, ("write",), headers={"User-Agent": None})
    records = (await sr.ask("GET", "/status", V5)).data()
    own = record(records, topic)
    assert MOMENT.fullmatch(own.pop("connected_at"))
    assert own == {
        "can_read": True,
        "expires_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(exp)),
        "remote_addr": ADDRESS,
        "scopes": ["read"],
        "topic": topic,
        "user_agent": AGENT,
    }
    keys = ["can_write", "connected_at", "expires_at", "scopes", "topic"]
    assert list(record(records, plain)) == keys
    (reporter,) = [one for one in records if one.get("user_agent") == "crossbar"]
    assert reporter["expires_at"] == EPOCH
    assert reporter["remote_addr"] == "internal"


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_41_scope(sr: Router) -> None:
    """Who has not the scope for it gets 401."""
    for token in (V2, sign(claims(scopes=["stats"])), sign(claims(scopes=["relay:admin"]))):
        answer = await sr.ask("GET", "/status", token)
        assert answer.is_handlers(401, "token missing relay:stats scope")
