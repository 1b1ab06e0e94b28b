"""Fan-out: who hears whom, and what a slow reader costs."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from relay.core.member import ASSURED_BYTES, MESSAGE_BYTES, Member
from relay.core.session import Session
from relay.core.topic import Topic
from relay.interfaces import ICircuit, IStream
from relay.vocabulary import Data, Enter, Message, Reason, TopicName
from tests.fakes import FakeStream, FakeSwitch, MemberTalk, MemoryLink, World, pump

NAME = TopicName("talk:room")


class Hall:
    """A topic with small buffers, and its members."""

    def __init__(
        self, buffer_messages: int = 4, buffer_bytes: int = 1000, buffered_bytes: int = 1 << 28
    ) -> None:
        self.world = World(buffered_bytes)
        self.metrics = self.world.around.metrics
        self.emptied: list[Topic] = []
        self.topic = Topic(
            NAME,
            self.world.around,
            self.emptied.append,
            buffer_messages,
            buffer_bytes,
        )
        self.seats: dict[FakeStream, Member] = {}

    def enter(self, reads: bool = True, writes: bool = True) -> FakeStream:
        """A new member."""
        stream = FakeStream()
        self.seats[stream] = self.topic.enter(stream, Enter(NAME, reads, writes))
        return stream

    def lost(self) -> int:
        """Messages that were counted as lost, which topic and metrics agree on."""
        assert self.metrics.lost_messages_total["talk"] == self.topic.lost
        return self.topic.lost


def busy(member: FakeStream) -> None:
    """The member's link is full: it asks its seat to wait."""
    assert member.partner is not None
    member.partner.pause()


def free(member: FakeStream) -> None:
    """It takes more."""
    assert member.partner is not None
    member.partner.resume()


def heard(member: FakeStream) -> list[bytes]:
    """The messages that a member heard."""
    return [data.payload for data in member.heard]


def test_a_seat_is_a_partner_and_a_circuit() -> None:
    """What a stream in a topic talks to has all that streams and circuits have."""
    hall = Hall()
    member = hall.seats[hall.enter()]
    verifyObject(IStream, member)
    verifyObject(ICircuit, member)


def test_everybody_but_the_sender_hears() -> None:
    """A message reaches all other readers once, and its sender hears no echo."""
    hall = Hall()
    sender, one, other = hall.enter(), hall.enter(), hall.enter()
    sender.speak(b"hello", text=True)
    assert one.heard == other.heard == [Data(b"hello", text=True)]
    assert sender.heard == []


def test_scopes_are_kept() -> None:
    """Who may not write is not heard; who may not read hears nothing, his own echo included."""
    hall = Hall()
    reader, writer, both = hall.enter(writes=False), hall.enter(reads=False), hall.enter()
    reader.speak(b"from a reader")
    writer.speak(b"from a writer")
    both.speak(b"from both")
    assert heard(reader) == [b"from a writer", b"from both"]
    assert heard(writer) == []
    assert heard(both) == [b"from a writer"]


def test_parts_are_one_message() -> None:
    """Members hear whole messages, however they came, and never parts of two at once."""
    hall = Hall()
    one, two, reader = hall.enter(), hall.enter(), hall.enter(writes=False)
    one.speak(b"o", text=True, final=False)
    two.speak(b"two")
    one.speak(b"n", text=True, final=False)
    one.speak(b"e", text=True)
    assert reader.heard == [Data(b"two"), Data(b"one", text=True)]


def test_an_empty_message_is_a_message() -> None:
    """Nothing is something, also behind parts."""
    hall = Hall()
    writer, reader = hall.enter(), hall.enter()
    writer.speak(b"")
    writer.speak(b"a", final=False)
    writer.speak(b"")
    assert heard(reader) == [b"", b"a"]


def test_a_message_has_a_cap() -> None:
    """Exactly the cap passes; one byte more is lost, counted, and kept from growing."""
    hall = Hall(buffer_bytes=2 * MESSAGE_BYTES)
    writer, reader = hall.enter(), hall.enter()
    writer.speak(bytes(MESSAGE_BYTES - 1), final=False)
    writer.speak(b"x")
    assert [len(payload) for payload in heard(reader)] == [MESSAGE_BYTES]
    writer.speak(bytes(MESSAGE_BYTES), final=False)
    writer.speak(b"x", final=False)
    writer.speak(b"y")
    writer.speak(bytes(MESSAGE_BYTES + 1))
    writer.speak(b"next")
    assert heard(reader)[1:] == [b"next"]
    assert hall.lost() == 2


def test_a_slow_reader_loses_messages_and_slows_nobody() -> None:
    """It keeps the oldest of what it missed; the rest is counted, others hear all, nobody waits."""
    hall = Hall(buffer_messages=4)
    writer, slow, fast = hall.enter(), hall.enter(), hall.enter()
    busy(slow)
    for number in range(10):
        writer.speak(bytes([number]))
    assert heard(fast) == [bytes([number]) for number in range(10)]
    assert heard(slow) == []
    assert not writer.paused
    assert hall.lost() == hall.seats[slow].lost == 6
    free(slow)
    assert heard(slow) == [bytes([number]) for number in range(4)]
    writer.speak(b"now")
    assert heard(slow)[-1] == b"now"


def test_a_slow_reader_has_a_cap_in_bytes() -> None:
    """Few long messages fill a buffer as well as many short ones; one always fits."""
    hall = Hall(buffer_messages=100, buffer_bytes=1000)
    writer, slow = hall.enter(), hall.enter()
    busy(slow)
    writer.speak(bytes(5000))
    writer.speak(bytes(1))
    free(slow)
    assert [len(payload) for payload in heard(slow)] == [5000]
    busy(slow)
    for _ in range(3):
        writer.speak(bytes(400))
    assert hall.lost() == 2


def test_a_reader_that_pauses_while_it_catches_up_keeps_its_place() -> None:
    """What it does not take stays queued, in order, before what comes later."""
    hall = Hall()
    writer, slow = hall.enter(), hall.enter()
    busy(slow)
    for payload in (b"1", b"2", b"3"):
        writer.speak(payload)
    slow.refuses = True
    free(slow)
    assert heard(slow) == [b"1"]
    writer.speak(b"4")
    slow.refuses = False
    free(slow)
    assert heard(slow) == [b"1", b"2", b"3", b"4"]
    assert hall.lost() == 0


def test_who_has_finished_still_hears() -> None:
    """A Finish ends writing, not reading."""
    hall = Hall()
    one, other = hall.enter(), hall.enter()
    one.end()
    one.speak(b"after the end")
    other.speak(b"hello")
    assert heard(other) == []
    assert heard(one) == [b"hello"]


def test_who_has_left_is_forgotten() -> None:
    """A member that ended hears and keeps nothing; the topic of the last one is given up."""
    hall = Hall()
    one, other = hall.enter(), hall.enter()
    busy(one)
    other.speak(b"queued")
    one.hang_up(Reason.LOST)
    other.speak(b"hello")
    assert one.partner is None
    assert heard(one) == []
    assert hall.emptied == []
    other.hang_up()
    assert hall.emptied == [hall.topic]
    assert not hall.topic.readers
    assert not hall.topic.members


def test_what_waits_is_on_the_account() -> None:
    """For each slow reader, and of a message that is not whole yet; what was taken is not."""
    hall = Hall()
    writer, slow, fast = hall.enter(), hall.enter(), hall.enter()
    busy(slow)
    writer.speak(bytes(100))
    writer.speak(bytes(10), final=False)
    assert hall.world.ledger.total == 110
    writer.speak(bytes(20))
    assert hall.world.ledger.total == 130
    slow.refuses = True
    free(slow)
    assert hall.world.ledger.total == 30
    slow.hang_up()
    assert hall.world.ledger.total == 0
    writer.speak(bytes(10), final=False)
    writer.hang_up()
    assert hall.world.ledger.total == 0
    assert len(fast.payload()) == 130


def test_what_waits_for_many_is_counted_once() -> None:
    """It is there once, so that slow readers of one topic do not spend the memory of all."""
    hall = Hall(100, 1 << 20, buffered_bytes=1000)
    writer, fast, *slow = (hall.enter() for _ in range(22))
    for member in slow:
        busy(member)
    for _ in range(4):
        writer.speak(bytes(100), final=False)
        writer.speak(bytes(100))
    assert hall.world.ledger.total == 800
    assert hall.lost() == 0
    slow[0].hang_up()
    for member in slow[1:-1]:
        free(member)
    assert hall.world.ledger.total == 800
    free(slow[-1])
    assert hall.world.ledger.total == 0
    for member in (fast, *slow[1:]):
        assert member.payload() == bytes(800)


def test_slow_readers_leave_room_for_others() -> None:
    """One that has much waiting gets no more once half of the memory is spent; others still do."""
    hall = Hall(1000, 1 << 30, buffered_bytes=8 * ASSURED_BYTES)
    writer, greedy = hall.enter(), hall.enter()
    busy(greedy)
    for _ in range(20):
        writer.speak(bytes(ASSURED_BYTES // 2))
    assert hall.world.ledger.total == 4 * ASSURED_BYTES
    assert hall.lost() == hall.seats[greedy].lost == 12
    modest = hall.enter()
    busy(modest)
    writer.speak(bytes(ASSURED_BYTES // 2))
    writer.speak(bytes(ASSURED_BYTES // 2))
    assert hall.seats[modest].lost == 0
    writer.speak(b"too much")
    assert hall.seats[modest].lost == 1
    assert not hall.world.ledger.is_full()


def test_a_reader_that_stands_still_is_cut_off_when_memory_is_short() -> None:
    """Even if it writes meanwhile; one that still takes something stays, and so do writers."""
    hall = Hall(100, 1 << 20, buffered_bytes=4000)
    writer, stuck, slow = hall.enter(), hall.enter(), hall.enter()
    busy(stuck)
    busy(slow)
    for _ in range(14):
        writer.speak(bytes(500))
        stuck.speak(b"x", final=False)
        stuck.speak(b"y")
        slow.refuses = True
        free(slow)
        busy(slow)
        hall.world.passes(1)
        if stuck.reset_reason() is not None:
            break
    assert stuck.reset_reason() == "overrun"
    assert slow.reset_reason() is None
    assert writer.reset_reason() is None
    assert hall.seats[stuck] not in hall.topic.members
    assert hall.world.ledger.total == hall.seats[slow].held_bytes()


# -- over links ------------------------------------------------------------------------------------


def test_members_over_links() -> None:
    """A member whose link is full misses messages, and nobody else notices."""
    world, hall = World(), Hall(buffer_messages=2)
    links = [MemoryLink(buffer_bytes=10) for _ in range(3)]
    for number, link in enumerate(links):
        talk = MemberTalk(Enter(NAME))
        session = Session(link, talk, FakeSwitch(), world.around, f"member-{number}")
        session.opened()
        hall.topic.enter(session.open_stream(0), Enter(NAME))
    writer, slow, fast = links
    slow.stuck = True
    for number in range(10):
        writer.arrive(Message(bytes([number]) * 11))
        pump(fast)
    assert [message.payload[0] for message in fast.sent] == list(range(10))
    assert writer.reading
    slow.stuck = False
    pump(slow)
    assert [message.payload[0] for message in slow.sent] == [0, 1, 2]
    assert hall.lost() == 7
    assert writer.sent == []
