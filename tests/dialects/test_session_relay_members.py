"""Members of topics and reports on them, byte for byte (sections 3.5, 5.2, 5.4, 6 and 17)."""

from __future__ import annotations

import json
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.session_relay.bookings import AllowList
from relay.dialects.session_relay.members import (
    COMMAND_BYTES,
    LAST_S,
    MemberLink,
    Seat,
    StatsLink,
    asks_for_report,
)
from relay.dialects.session_relay.reports import REPORTER, Present, report, timestamp
from relay.dialects.session_relay.router import SessionRelayFace
from relay.faces import IServices, LinkInfo
from relay.vocabulary import Close, Data, Enter, Message, Passing, Reason, TopicName
from tests.dialects.session_relay_rooms import EXPIRES, NOW, TOPIC, V5, Room

WRITER = Seat(TOPIC, ("write", "read"), "", "Go-http-client/1.1", EXPIRES)
READER = Seat("stats", ("read",), "203.0.113.9", "probe/1", EXPIRES)
MIDNIGHT = 1_767_225_600
PRESENT = [
    Present(REPORTER, MIDNIGHT),
    Present(WRITER, MIDNIGHT + 310.9),
    Present(READER, MIDNIGHT + 451),
]
REPORT = (
    '[{"canRead":true,"canWrite":true,"connected":"2026-01-01T00:00:00Z",'
    '"expiresAt":"1970-01-01T00:00:00Z","remoteAddr":"internal",'
    '"scopes":["read","stats","write"],"topic":"stats","userAgent":"crossbar"},'
    '{"canRead":true,"canWrite":true,"connected":"2026-01-01T00:05:10Z",'
    '"expiresAt":"2100-01-01T00:00:00Z","remoteAddr":"","scopes":["write","read"],'
    '"topic":"rig07-st-data","userAgent":"Go-http-client/1.1"},'
    '{"canRead":true,"canWrite":false,"connected":"2026-01-01T00:07:31Z",'
    '"expiresAt":"2100-01-01T00:00:00Z","remoteAddr":"203.0.113.9","scopes":["read"],'
    '"topic":"stats","userAgent":"probe/1"}]'
)
STATUS = (
    '[{"can_read":true,"can_write":true,"connected_at":"2026-01-01T00:00:00Z",'
    '"expires_at":"1970-01-01T00:00:00Z","remote_addr":"internal",'
    '"scopes":["read","stats","write"],"topic":"stats","user_agent":"crossbar"},'
    '{"can_read":true,"can_write":true,"connected_at":"2026-01-01T00:05:10Z",'
    '"expires_at":"2100-01-01T00:00:00Z","scopes":["write","read"],"topic":"rig07-st-data",'
    '"user_agent":"Go-http-client/1.1"},'
    '{"can_read":true,"connected_at":"2026-01-01T00:07:31Z",'
    '"expires_at":"2100-01-01T00:00:00Z","remote_addr":"203.0.113.9","scopes":["read"],'
    '"topic":"stats","user_agent":"probe/1"}]\n'
)


def member(*scopes: str, topic: str = TOPIC) -> MemberLink:
    """A member with these scopes."""
    return MemberLink(Seat(topic, scopes, "", "", EXPIRES), {}, 128)


class Asker:
    """A member of the topic stats, and how often it asked for a report."""

    def __init__(self, *scopes: str) -> None:
        self.asked = 0
        self.link = StatsLink(Seat("stats", scopes, "", "", EXPIRES), {}, 128, self.ask)

    def ask(self) -> None:
        """Once more."""
        self.asked += 1

    def says(self, *payloads: bytes, text: bool = True) -> None:
        """One message, in parts."""
        for number, payload in enumerate(payloads, 1):
            message = Message(payload, text, final=number == len(payloads))
            assert list(self.link.receive(message, 0.0)) == []


# -- members ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scopes", "reads", "writes"),
    [(("read",), True, False), (("write",), False, True), (("x", "write", "read"), True, True)],
)
def test_scopes_say_what_a_member_may(scopes: tuple[str, ...], reads: bool, writes: bool) -> None:
    """It enters its topic with that, and with the configured buffer."""
    link = member(*scopes)
    expected = Enter(TopicName(f"session-relay:{TOPIC}"), reads, writes, 0, 128)
    assert list(link.opened(0.0)) == [expected]
    assert link.intent == expected


@given(st.binary(max_size=50), st.booleans(), st.booleans())
def test_messages_are_kept_as_they_are(payload: bytes, text: bool, final: bool) -> None:
    """Type, boundaries, and texts that are no UTF-8."""
    link = member("read", "write")
    message = Message(payload, text, final)
    (data,) = link.receive(message, 0.0)
    assert data == Data(payload, text=text, final=final)
    assert link.encode(data) == message
    assert not link.utf8
    assert link.passes is Passing.ALL


def test_an_end_is_told() -> None:
    """Where the original is just gone."""
    link = member("read")
    assert link.end(Reason.EXPIRED, None) == Close(1008, "expired")
    assert link.end(Reason.REVOKED, None) == Close(1008, "revoked")
    assert link.end(Reason.OVERRUN, None) == Close(1008, "overrun")
    assert link.end(Reason.LIMIT, None) == Close(1008, "limit")
    assert link.end(Reason.TOO_LARGE, None) == Close(1009, "too-large")
    assert link.end(Reason.GOING_AWAY, None) == Close(1012, "going-away")
    assert link.end(Reason.FINISHED, None) == Close(1000, "finished")


# -- the topic stats -------------------------------------------------------------------------------


def test_members_of_stats_never_write() -> None:
    """Reports cannot be forged, nor commands be heard by other readers."""
    link = Asker("read", "write").link
    assert link.intent == Enter(TopicName("session-relay:stats"), True, False, 0, 128)
    assert link.passes is Passing.NOTHING


@pytest.mark.parametrize(
    "command",
    [
        b'{"cmd":"update"}',
        b' { "CMD" : "update", "more": [1] } ',
        b'{"cmd":"x","Cmd":"update"}',
    ],
)
def test_a_writer_may_ask_for_a_report(command: bytes) -> None:
    """In text or binary, whole or in parts; a reader may not."""
    asker = Asker("write")
    asker.says(command)
    asker.says(command[:5], command[5:], text=False)
    assert asker.asked == 2
    reader = Asker("read")
    reader.says(command)
    assert reader.asked == 0


@pytest.mark.parametrize(
    "command",
    [
        b"",
        b"update",
        b"[]",
        b'{"cmd":"x"}',
        b'{"cmd":"update"',
        b'{"cmd":5}',
        b'{"cmd":"UPDATE"}',
        b'{"cmd":null,"CMD":"update"}',
        b"[" * 4000,
        b'{"cmd":"update"}' + b" " * COMMAND_BYTES,
    ],
)
def test_what_is_no_command_is_ignored(command: bytes) -> None:
    """However long, and the next one counts again."""
    asker = Asker("write")
    asker.says(command)
    asker.says(command, b"")
    assert asker.asked == 0
    asker.says(b'{"cmd":"update"}')
    assert asker.asked == 1


@given(st.binary(max_size=200))
def test_anything_may_be_said_to_the_router(payload: bytes) -> None:
    """It asks for a report or it does not."""
    assert asks_for_report(payload) in (True, False)


# -- reports ---------------------------------------------------------------------------------------


def test_a_report_is_that_of_the_vectors() -> None:
    """The reporter first, no line's end."""
    assert report(PRESENT).decode() == REPORT


def test_the_status_is_that_of_the_vectors() -> None:
    """Without what is false or empty."""
    room = Room()
    room.face.memory.started = MIDNIGHT
    room.services.broker.members = [
        LinkInfo(MemberLink(seat, {}), started) for seat, started in PRESENT[1:]
    ]
    response = room.ask("GET", "/status", V5)
    assert (response.status, response.body.decode()) == (200, STATUS)


def test_a_report_can_stand_in_a_page() -> None:
    """What HTML would take for its own is escaped."""
    seat = WRITER._replace(agent="<&>\u2028", scopes=())
    assert rb'"userAgent":"\u003c\u0026\u003e\u2028"' in report([Present(seat, 0)])
    assert b'"scopes":[]' in report([Present(seat, 0)])


SEATS = st.builds(
    Seat,
    st.text(max_size=9),
    st.lists(st.text(max_size=5), max_size=3).map(tuple),
    st.text(max_size=9),
    st.text(max_size=9),
    st.integers(0, 10**12),
)


@given(st.lists(st.builds(Present, SEATS, st.floats(0, 1e12)), max_size=3))
def test_any_report_is_json(present: list[Present]) -> None:
    """With one record for each member, and what it said of itself."""
    records = json.loads(report(present))
    assert [record["userAgent"] for record in records] == [seat.agent for seat, _ in present]
    assert [tuple(record["scopes"]) for record in records] == [s.scopes for s, _ in present]


def test_times_are_whole_seconds() -> None:
    """In UTC; beyond the calendar they are its end."""
    assert timestamp(0) == "1970-01-01T00:00:00Z"
    assert timestamp(NOW) == "2026-01-01T00:00:00Z"
    assert timestamp(10**18) == timestamp(LAST_S) == "9999-12-31T23:59:59Z"


class Resident:
    """The router's own part, which a test lets go on second by second."""

    def __init__(self) -> None:
        self.room = Room()
        self.face = self.room.face
        self._work = self.face.reside(cast(IServices, self.room.services))
        self._work.send(None)

    def seconds(self, count: int) -> int:
        """:returns: how many reports came in so many seconds"""
        published = self.room.services.broker.published
        before = len(published)
        for _ in range(count):
            self._work.send(None)
        return len(published) - before


def test_reports_come_as_often_as_configured() -> None:
    """Every 5 s, text, to the topic stats; to nobody where nobody hears them."""
    resident = Resident()
    assert [resident.seconds(5) for _ in range(3)] == [1, 1, 1]
    topic, message = resident.room.services.broker.published[0]
    assert topic == "session-relay:stats"
    assert message.text
    assert json.loads(message.payload)[0]["userAgent"] == "crossbar"
    resident.room.services.broker.is_heard = False
    assert resident.seconds(20) == 0


def test_a_report_that_is_asked_for_comes_within_a_second() -> None:
    """Once a second at most, however often."""
    resident = Resident()
    for _ in range(10):
        resident.face.memory.ask()
    assert [resident.seconds(1) for _ in range(2)] == [1, 0]


def test_a_reload_forgets_nothing() -> None:
    """Bookings, the reporter's age, and requests of links that were there before."""
    old, new = Resident(), Room()
    old.face.memory.allowed.put("a", EXPIRES, NOW)
    link = StatsLink(READER._replace(scopes=("write",)), {}, 0, old.face.memory.ask)
    placed = cast(SessionRelayFace, new.face.placed("listen-access"))
    new.face.remember(old.face)
    link.receive(Message(b'{"cmd":"update"}'), 0.0)
    for face in (new.face, placed):
        assert face.memory.asked
        assert face.memory.started == NOW
        assert face.memory.allowed.names(NOW) == ["a"]


# -- the allow list --------------------------------------------------------------------------------


def test_a_full_list_drops_what_ends_soonest() -> None:
    """The new one, too, where that is it."""
    allowed = AllowList(2)
    for name, expires in (("a", 300), ("b", 200), ("c", 400), ("d", 100)):
        allowed.put(name, expires, 0)
    assert allowed.names(0) == ["a", "c"]


BOOKINGS = st.tuples(st.sampled_from("abcdef"), st.integers(0, 30), st.booleans())


@given(st.lists(BOOKINGS, max_size=60))
def test_the_list_knows_the_last_word_on_each_booking(changes: list[tuple[str, int, bool]]) -> None:
    """Whatever was put and removed before; each ends behind its second."""
    allowed = AllowList()
    known: dict[str, int] = {}
    for name, expires, is_put in changes:
        if is_put:
            allowed.put(name, expires, 0)
            known[name] = expires
        else:
            allowed.remove(name)
            known.pop(name, None)
    for now in (0, 10, 31):
        expected = {name for name, expires in known.items() if expires >= now}
        assert set(allowed.names(now + 0.5)) == expected


def test_the_list_does_not_grow_by_being_told_again() -> None:
    """Ends that were replaced are swept out."""
    allowed = AllowList()
    for number in range(10_000):
        allowed.put("a", 100 + number % 2, 0)
    assert len(allowed._ends) <= 2 + 1024 + 1
