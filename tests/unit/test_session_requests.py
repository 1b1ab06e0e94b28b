"""What a peer asks for, and what is left of its link when that is refused."""

from __future__ import annotations

import pytest

from relay.core.stream import join
from relay.errors import HostAbsent, LimitReached, ProtocolError, RelayError, WrongName
from relay.vocabulary import Accept, Call, Close, Message, OfferName, Reason, Reset
from tests.fakes import FakeStream, MuxTalk, World
from tests.unit.session_room import Room, Says, SaysShared

NAME = OfferName("talk:x")
CALL = Call(NAME)


def test_requests_and_answers_reach_the_switch() -> None:
    """Whoever owns the session hears what the peer asks for, in order."""
    room = Room()
    room.open(Says([CALL, Accept(3)]))
    room.links[0].arrive(Message(b""))
    assert room.switches[0].requests == [CALL]
    assert room.switches[0].accepts == [3]


def test_a_refused_request_ends_a_dedicated_link() -> None:
    """The reason stands in the Close."""
    room = Room()
    room.open(Says([CALL]))
    room.switches[0].refuse_with = HostAbsent("nobody")
    room.links[0].arrive(Message(b""))
    room.pump()
    assert room.links[0].close_sent == Close(1000, "host-absent")
    assert room.loss() == (Reason.HOST_ABSENT, None, "nobody")


@pytest.mark.parametrize("error", [HostAbsent("nobody"), WrongName("no"), LimitReached("full")])
def test_a_refused_request_ends_one_stream_of_a_shared_link(error: RelayError) -> None:
    """The caller that asked for too much is told; the other callers of its link stay."""
    room = Room()
    talk = SaysShared([CALL._replace(stream=9)])
    session = room.open(talk)
    other = FakeStream()
    join("n", session.open_stream(1), other, room.world.wheel, lambda _: None)
    room.switches[0].refuse_with = error
    room.links[0].arrive(Message(b""))
    assert talk.told == [Reset(error.reason, 9)]
    assert session.reason is None
    assert other.reset_reason() is None


def test_a_broken_rule_ends_even_a_shared_link() -> None:
    """A peer that does not keep to its dialect is not trusted with other streams."""
    room = Room()
    room.open(SaysShared([CALL]))
    room.switches[0].refuse_with = ProtocolError("a call before its credential")
    room.links[0].arrive(Message(b""))
    assert room.loss()[0] is Reason.PROTOCOL_ERROR


def test_streams_per_link_are_limited() -> None:
    """One more than allowed is refused, and one that ended makes room."""
    room = Room(World(max_streams=2))
    session = room.open(MuxTalk())
    first = session.open_stream(1)
    assert session.open_stream(1) is first
    session.open_stream(2)
    with pytest.raises(LimitReached) as refused:
        session.open_stream(3)
    first.reset(Reason.FINISHED, None)
    session.open_stream(3)
    # callers read it, and a label has the host's address in it
    assert session.label not in refused.value.text
