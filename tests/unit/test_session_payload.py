"""Payload through a session: in order, early, and no faster than it is read."""

from __future__ import annotations

import pytest

from relay.core.stream import join
from relay.vocabulary import Data, Message, Reason
from tests.fakes import HALF_CLOSE, FakeStream, MuxTalk, Talk
from tests.unit.session_room import Room, Says


def test_payload_crosses_a_circuit() -> None:
    """A message that arrives on one link leaves on the other, boundary and kind kept."""
    room = Room()
    room.joined(Talk(), Talk())
    room.links[0].arrive(Message(b"a", final=False), Message(b"b", text=True))
    room.pump()
    assert room.links[1].sent == [Message(b"a", final=False), Message(b"b", text=True)]


def test_payload_before_there_is_a_partner_is_kept() -> None:
    """A dedicated link that nobody has joined yet is read no further and loses nothing."""
    room = Room()
    session = room.open(Talk())
    stream = session.stream()
    room.links[0].arrive(Message(b"1"), Message(b"2"), Message(b"3"))
    assert not room.links[0].reading
    other = FakeStream()
    join("n", stream, other, room.world.wheel, lambda _: None)
    room.pump()
    assert [data.payload for data in other.heard] == [b"1", b"2", b"3"]
    assert room.links[0].reading


def test_early_payload_stops_at_a_partner_that_pauses() -> None:
    """What came early is delivered only as far as its reader takes it, and later in order."""
    room = Room()
    session = room.open(Says([Data(b"1"), Data(b"2"), Data(b"3")]))
    stream = session.stream()
    room.links[0].arrive(Message(b""))
    other = FakeStream()
    other.refuses = True
    join("n", stream, other, room.world.wheel, lambda _: None)
    assert other.payload() == b"1"
    assert not room.links[0].reading
    other.read_on()
    assert other.payload() == b"123"
    assert room.links[0].reading


@pytest.mark.parametrize("end", ["finish", "lost"])
@pytest.mark.parametrize("early", [b"", b"early"])
@pytest.mark.parametrize("shape", ["dedicated", "shared"])
def test_an_end_before_there_is_a_partner_is_kept(end: str, early: bytes, shape: str) -> None:
    """Early payload, then the early end: neither is lost, and the end comes behind."""
    room = Room()
    session = room.open(Talk(carries=HALF_CLOSE) if shape == "dedicated" else MuxTalk())
    stream = session.open_stream(0)
    if early:
        stream.deliver(Data(early))
    if end == "finish":
        stream.peer_finished()
    else:
        room.links[0].resume_reading()
        room.links[0].lose()
    other = FakeStream()
    circuit = join("n", stream, other, room.world.wheel, lambda _: None)
    assert other.payload() == early
    if end == "finish":
        assert "finish" in other.events
        assert circuit.reason is None
    else:
        assert other.reset_reason() == "lost"


def test_a_stream_of_a_session_that_is_over_is_over() -> None:
    """Whoever joins it is told at once, with the reason."""
    room = Room()
    session = room.open(Talk())
    room.links[0].lose()
    other = FakeStream()
    circuit = join("n", session.stream(), other, room.world.wheel, lambda _: None)
    assert circuit.reason is Reason.LOST
    assert other.reset_reason() == "lost"


def test_a_paused_reader_pauses_the_other_socket() -> None:
    """On dedicated links a full send buffer stops reading at the other side until it is empty."""
    room = Room()
    room.joined(Talk(), Talk())
    room.links[1].stuck = True
    for _ in range(10):
        room.links[0].arrive(Message(bytes(16 * 1024)))
    assert not room.links[0].reading
    assert room.links[1].most_unsent_bytes <= 5 * 16 * 1024
    room.links[1].stuck = False
    room.pump()
    assert room.links[0].reading
    assert len(room.links[1].sent) == 10


def test_a_stream_numbered_zero_keeps_its_number() -> None:
    """Payload is sent under the number of the stream it leaves on, whatever it came on."""
    room = Room()
    one, two = room.open(MuxTalk()), room.open(MuxTalk())
    join("n", one.open_stream(7), two.open_stream(0), room.world.wheel, lambda _: None)
    room.links[0].arrive(Message(b"D\0\0\0\7\2x"))
    room.pump()
    assert room.links[1].sent == [Message(b"D\0\0\0\0\2x")]
