"""How links and streams end: what goes out first, what follows no more, and who is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from relay.core.session import Session
from relay.core.stream import join
from relay.vocabulary import Close, Credit, Data, End, Ending, Event, Finish, Message, Reason, Reset
from tests.fakes import CreditTalk, Drop, FakeStream, MuxTalk, Talk
from tests.unit.session_room import Room, Says, SaysShared

# -- ends ------------------------------------------------------------------------------------------


def test_the_tail_goes_out_before_the_close() -> None:
    """A side that ends right after its payload costs none of it."""
    room = Room()
    room.joined(Talk(), Talk())
    room.links[0].arrive(Message(b"tail"), Close(1000, "bye"))
    room.pump()
    assert room.links[1].sent == [Message(b"tail")]
    assert room.links[1].close_sent == Close(1000, "bye")


def test_a_drop_is_an_end_where_the_dialect_says_so() -> None:
    """The same drop is an orderly end in one dialect and a loss in another."""
    for drop_is_end, reason in ((True, Reason.PEER_CLOSED), (False, Reason.LOST)):
        room = Room()
        room.joined(Talk(drop_is_end=drop_is_end), Talk())
        room.links[0].lose()
        assert room.loss(0)[0] is room.loss(1)[0] is reason


def test_nothing_follows_a_reset() -> None:
    """Payload and further ends behind a stream's Reset reach nobody."""
    room = Room()
    outputs: list[Event] = [
        Reset(Reason.LOST, 7),
        Data(b"late", 7),
        Finish(7),
        Reset(Reason.IDLE, 7),
    ]
    session = room.open(SaysShared(outputs))
    other = FakeStream()
    join("n", session.open_stream(7), other, room.world.wheel, lambda _: None)
    room.links[0].arrive(Message(b""))
    assert other.payload() == b""
    assert other.reset_reason() == "lost"
    assert session.reason is None


def test_nothing_follows_an_end() -> None:
    """What a conversation says behind End is neither delivered nor sent."""
    room = Room()
    room.joined(Says([End(Reason.FINISHED), Data(b"late"), Message(b"late")]), Talk())
    room.links[0].arrive(Message(b""))
    room.links[0].arrive(Message(b""))
    room.pump()
    assert room.links[0].sent == room.links[1].sent == []
    assert room.loss(0)[0] is Reason.FINISHED


def test_a_reset_of_a_dedicated_link_ends_it() -> None:
    """The only stream of a link takes the link with it."""
    room = Room()
    room.joined(Says([Reset(Reason.IDLE, close=Close(4001))]), Talk())
    room.links[0].arrive(Message(b""))
    room.pump()
    assert room.links[0].close_sent == Close(4001)
    assert room.loss(1)[0] is Reason.IDLE


@pytest.mark.parametrize("queued", [False, True])
def test_the_peer_that_reset_a_stream_hears_no_more_of_it(queued: bool) -> None:
    """Neither payload, credit, a Finish nor a Reset goes to a peer that ended the stream."""
    room = Room()
    talk = CreditTalk()
    session = room.open(talk)
    other = FakeStream()
    circuit = join("n", session.open_stream(5, 100), other, room.world.wheel, lambda _: None)
    if queued:
        other.stop_reading()
        room.links[0].arrive(Message(b"D\0\0\0\5\2" + bytes(900)))
    room.links[0].arrive(Message(b"R\0\0\0\5lost"))
    if queued:
        assert circuit.reason is None
        other.speak(b"too late")
        other.read_on()
        assert len(other.payload()) == 900
    assert circuit.reason is Reason.LOST
    room.pump()
    assert talk.breaches == []
    assert room.links[0].sent == []
    assert room.world.ledger.total == 0


def test_a_late_end_of_an_old_stream_spares_its_successor() -> None:
    """A stream number that the peer uses again is another stream."""
    room = Room()
    session = room.open(MuxTalk())
    old, new = FakeStream(), FakeStream()
    join("old", session.open_stream(5), old, room.world.wheel, lambda _: None)
    old.stop_reading()
    room.links[0].arrive(Message(b"D\0\0\0\5\2x"), Message(b"R\0\0\0\5lost"))
    join("new", session.open_stream(5), new, room.world.wheel, lambda _: None)
    old.hang_up()
    room.links[0].arrive(Message(b"D\0\0\0\5\2new"))
    assert new.payload() == b"new"
    assert list(session.streams()) == [5]


def test_credit_for_nobody_is_ignored() -> None:
    """Credit, a Finish or payload for a stream that is gone does no harm."""
    room = Room()
    session = room.open(SaysShared([Credit(5, 1), Finish(1), Data(b"x", 1), Reset(Reason.LOST, 1)]))
    room.links[0].arrive(Message(b""))
    assert session.reason is None


# -- waiting for the end ---------------------------------------------------------------------------


def ends_by_close(room: Room, session: Session) -> None:
    """The peer closes."""
    room.links[0].arrive(Close(4000, "bye"))


def ends_by_drop(room: Room, session: Session) -> None:
    """The connection breaks."""
    room.links[0].arrive(Drop())


def ends_by_us(room: Room, session: Session) -> None:
    """We end it."""
    session.close(Reason.GOING_AWAY)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (ends_by_close, Ending(Reason.PEER_CLOSED, Close(4000, "bye"))),
        (ends_by_drop, Ending(Reason.LOST)),
        (ends_by_us, Ending(Reason.GOING_AWAY)),
    ],
)
def test_everybody_who_waits_for_the_end_is_told(
    end: Callable[[Room, Session], None], expected: Ending
) -> None:
    """Reason and the peer's Close, the same for those who ask before and after."""
    room = Room()
    session = room.open(Talk())
    told: list[Ending] = []
    session.when_closed().addCallback(told.append)
    session.when_closed().addCallback(told.append)
    end(room, session)
    session.when_closed().addCallback(told.append)
    assert told == [expected] * 3
