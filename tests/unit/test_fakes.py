"""What the tests stand on: the fakes are what they stand in for."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyClass, verifyObject

from relay.core.stream import join
from relay.interfaces import ICircuit, IConversation, ILink, ILinkReceiver, IStream
from relay.vocabulary import Close, Message
from tests.fakes import ControlTalk, CreditTalk, FakeStream, MemoryLink, MuxTalk, Talk, pump
from tests.unit.session_room import Room, Says


@pytest.mark.parametrize("talk", [Talk(), ControlTalk(), MuxTalk(), CreditTalk(), Says()])
def test_fake_conversations_are_conversations(talk: Talk) -> None:
    """What the tests stand on has the methods and attributes of the real thing."""
    verifyObject(IConversation, talk)


def test_fake_links_and_streams_are_real_enough() -> None:
    """Likewise the link, the streams, the circuit and the session."""
    room = Room()
    session = room.open(Talk())
    verifyObject(ILink, room.links[0])
    verifyObject(ILinkReceiver, session)
    verifyObject(IStream, FakeStream())
    for stream in (session.stream(), room.open(MuxTalk()).open_stream(1)):
        verifyObject(IStream, stream)
    circuit = join("n", FakeStream(), FakeStream(), room.world.wheel, lambda _: None)
    verifyObject(ICircuit, circuit)
    verifyClass(ICircuit, type(circuit))


def test_after_a_close_a_link_sends_nothing() -> None:
    """The tail goes out first, the Close behind it, and nothing after it."""
    link = MemoryLink()
    link.stuck = True
    link.send_message(Message(b"tail"))
    link.close(Close(1000))
    link.send_message(Message(b"too late"))
    assert link.has_unsent()
    link.stuck = False
    pump(link)
    assert link.sent == [Message(b"tail")]
    assert link.close_sent == Close(1000)
