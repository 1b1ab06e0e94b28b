"""Fan-out of what nobody reads: from the buffer it came in to sockets, in frames built once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relay.core.member import LOOK_S, MESSAGE_BYTES, STANDSTILL_S, Member
from relay.core.stream import Circuit, join
from relay.core.topic import Topic
from relay.outlets import Buffer, IBroadcastOutlet, IInlet, IOutlet, Span
from relay.vocabulary import Data, Enter, Reason, TopicName
from relay.wire.wsframe import TEXT, FrameReader
from tests.fakes import FakeStream, World

NAME = TopicName("talk:video")


@implementer(IBroadcastOutlet)
class Socket:
    """A server's WebSocket: takes frames, and says what messages they are.

    :ivar full: whether the kernel takes no more
    """

    def __init__(self, stream: Watcher, masks: bool) -> None:
        self.masks = masks
        self.full = False
        self.writes = 0
        self._stream = stream
        self._wire = bytearray()

    def put_frames(self, parts: Sequence[Buffer]) -> None:
        """Take frames; a full socket asks for a pause."""
        self.writes += 1
        for part in parts:
            self._wire += part
        if self.full and self._stream.partner is not None:
            self._stream.partner.pause()

    def put(self, view: memoryview, spans: Sequence[Span], text: bool) -> bool:
        """Nobody is joined with one alone here."""
        raise AssertionError

    def room(self) -> int:
        """:returns: any"""
        return 1

    def feed(self, source: IInlet | None) -> None:
        """Nobody waits."""

    def messages(self) -> list[tuple[bytes, bool]]:
        """:returns: payload and whether it is a text"""
        view = memoryview(self._wire)
        reader, start, taken = FrameReader(masked=False), 0, []
        while (piece := reader.take(view, start, len(view))) is not None:
            opcode, first, start, final = piece
            assert final
            taken.append((bytes(view[first:start]), opcode == TEXT))
        assert not reader.head
        return taken


class Watcher(FakeStream):
    """A member whose link is a socket in the cut-through gear."""

    def __init__(self, masks: bool = False) -> None:
        super().__init__()
        self.socket = Socket(self, masks)

    def outlet(self) -> Socket:
        """:returns: its socket"""
        return self.socket

    def messages(self) -> list[tuple[bytes, bool]]:
        """:returns: what it heard, by either way"""
        return self.socket.messages() or [(data.payload, data.text) for data in self.heard]


class Studio:
    """A topic with one writer whose payload comes unread."""

    def __init__(self, buffer_messages: int = 128, buffered_bytes: int = 1 << 28) -> None:
        self.world = World(buffered_bytes)
        self.topic = Topic(NAME, self.world.around, lambda _: None, buffer_messages)
        self.camera = Watcher()
        self.seat = self.enter(self.camera, reads=False)

    def enter(self, stream: Watcher, reads: bool = True) -> Member:
        """A new member. :returns: its seat"""
        return self.topic.enter(stream, Enter(NAME, reads))

    def invite(self, stream: Watcher) -> Circuit:
        """A caller whom the topic answers."""
        guest = self.topic.invite(stream, Enter(NAME))
        return join("n", stream, guest, self.world.wheel, lambda _: None)

    def say(self, *payloads: bytes, text: bool = False) -> None:
        """Whole messages come in one read."""
        view = memoryview(bytearray(b"".join(payloads)))
        ends = list(itertools.accumulate(map(len, payloads)))
        starts = [0, *ends[:-1]]
        assert self.seat.put(view, [(a, b, True) for a, b in zip(starts, ends, strict=True)], text)
        view[:] = bytes(len(view))  # the buffer is used again at once


def test_a_seat_takes_what_is_not_read() -> None:
    """A seat is an outlet, and so is what stands for a socket here."""
    studio = Studio()
    verifyObject(IOutlet, studio.seat)
    verifyObject(IBroadcastOutlet, Watcher().socket)


def test_what_comes_at_once_goes_out_at_once() -> None:
    """Two messages of one read are one write to each reader, of the very same bytes."""
    studio = Studio()
    one, other = Watcher(), Watcher()
    studio.enter(one)
    studio.enter(other)
    studio.say(b"first", b"second")
    assert one.messages() == other.messages() == [(b"first", False), (b"second", False)]
    assert one.socket.writes == other.socket.writes == 1
    assert studio.topic.readers[0].bytes_out == 11


def test_a_lone_reader_gets_large_messages_in_parts() -> None:
    """What needs no copy is not copied, and still is the same message."""
    studio = Studio()
    lone = Watcher()
    studio.enter(lone)
    studio.say(bytes(range(256)) * 256, text=True)
    assert lone.messages() == [(bytes(range(256)) * 256, True)]


def test_who_masks_is_sent_messages() -> None:
    """A link of our own to another router masks each frame with keys of its own."""
    studio = Studio()
    link, plain = Watcher(masks=True), Watcher()
    studio.enter(link)
    studio.enter(plain)
    studio.say(b"hello", text=True)
    assert link.heard == [Data(b"hello", text=True)]
    assert plain.messages() == [(b"hello", True)]


def test_a_caller_hears_no_texts() -> None:
    """Frames are built once for members, and once for callers whose side knows no texts."""
    studio = Studio()
    watcher, callers = Watcher(), [Watcher(), Watcher(), Watcher(masks=True)]
    studio.enter(watcher)
    for caller in callers:
        studio.invite(caller)
    studio.say(b"one", b"two", text=True)
    studio.say(b"three")
    said = [b"one", b"two", b"three"]
    for caller in callers:
        assert caller.messages() == [(payload, False) for payload in said]
    assert watcher.messages() == [(payload, payload != b"three") for payload in said]


def test_a_caller_that_stands_still_ends_its_circuit() -> None:
    """The seat goes with it, and what waited there."""
    studio = Studio()
    stuck = Watcher()
    stuck.untaken = 1000
    circuit = studio.invite(stuck)
    stuck.partner.pause()  # type: ignore[union-attr]  # it has one
    studio.say(b"waits")
    studio.world.passes(STANDSTILL_S + LOOK_S)
    assert stuck.reset_reason() == "overrun"
    assert circuit.reason is Reason.OVERRUN
    assert studio.world.ledger.total == 0
    assert [member.stream for member in studio.topic.members] == [studio.camera]


def test_a_writer_without_the_right_is_not_heard() -> None:
    """What it says is dropped where it came."""
    studio = Studio()
    watcher = Watcher()
    studio.topic.enter(watcher, Enter(NAME))
    mute = studio.topic.enter(Watcher(), Enter(NAME, writes=False))
    assert mute.put(memoryview(b"psst"), [(0, 4, True)], True)
    assert watcher.messages() == []


def test_a_message_that_is_too_long_is_lost_and_nothing_else() -> None:
    """Parts above the cap are not kept; the next message passes."""
    studio = Studio()
    watcher = Watcher()
    studio.enter(watcher)
    view = memoryview(bytes(MESSAGE_BYTES))
    assert studio.seat.put(view, [(0, MESSAGE_BYTES, False)], False)
    assert studio.seat.held_bytes() == MESSAGE_BYTES
    assert studio.seat.put(view, [(0, 1, False), (0, 1, True), (0, 2, True)], False)
    assert watcher.messages() == [(bytes(2), False)]
    assert studio.topic.lost == 1
    assert studio.world.ledger.total == 0


def test_what_is_short_is_not_gathered_and_not_queued() -> None:
    """With the memory of the process spent, messages are lost rather than kept."""
    studio = Studio(buffered_bytes=100)
    slow, quick = Watcher(), Watcher()
    seat = studio.enter(slow)
    studio.enter(quick)
    seat.pause()
    studio.say(bytes(100))
    studio.say(b"no room")
    assert seat.lost == 1
    view = memoryview(b"part")
    studio.seat.put(view, [(0, 4, False)], False)
    studio.seat.put(view, [(0, 4, True)], False)
    assert studio.topic.lost == 2
    assert [len(payload) for payload, _ in quick.messages()] == [100, 7]
    seat.resume()
    assert [len(payload) for payload, _ in slow.messages()] == [100]
    assert studio.world.ledger.total == 0


def test_what_waited_goes_out_together() -> None:
    """A reader that takes more gets what waited in few writes, kinds and order kept."""
    studio = Studio()
    slow = Watcher()
    seat = studio.enter(slow)
    seat.pause()
    for number in range(6):
        studio.say(bytes([number]), text=number in (3, 4))
    seat.resume()
    assert slow.messages() == [(bytes([number]), number in (3, 4)) for number in range(6)]
    assert slow.socket.writes == 3
    assert seat.held_bytes() == 0


def test_a_reader_that_takes_nothing_is_cut_off() -> None:
    """After ten seconds in which nothing of what is on its way was taken; not before."""
    studio = Studio()
    stuck = Watcher()
    seat = studio.enter(stuck)
    stuck.untaken = 1000
    seat.pause()
    studio.world.passes(STANDSTILL_S - 1)
    assert stuck.reset_reason() is None
    studio.world.passes(LOOK_S + 1)
    assert stuck.reset_reason() == "overrun"
    assert seat not in studio.topic.members


def test_a_reader_that_takes_little_stays() -> None:
    """However slow it is, it is alive."""
    studio = Studio()
    slow = Watcher()
    seat = studio.enter(slow)
    slow.untaken = 1000
    seat.pause()
    for _ in range(20):
        studio.world.passes(STANDSTILL_S / 2)
        slow.untaken -= 1
    assert slow.reset_reason() is None
    seat.resume()
    studio.world.passes(10 * STANDSTILL_S)
    assert slow.reset_reason() is None


def test_a_seat_that_is_given_up_watches_nobody() -> None:
    """No timer goes on for a member that left while it was busy."""
    studio = Studio()
    slow = Watcher()
    seat = studio.enter(slow)
    seat.pause()
    slow.hang_up()
    studio.world.passes(10 * STANDSTILL_S)
    assert slow.reset_reason() is None


def turn(seat: Member) -> None:
    """Let a busy reader go on, or an idle one be busy."""
    if seat.is_paused():
        seat.resume()
    else:
        seat.pause()


MESSAGES = st.lists(st.tuples(st.binary(max_size=40), st.booleans()), min_size=1, max_size=30)


@given(MESSAGES, st.lists(st.integers(1, 50), min_size=1, max_size=9), st.randoms())
def test_all_readers_hear_the_same(
    messages: list[tuple[bytes, bool]], cuts: list[int], random: Random
) -> None:
    """However reads cut messages, and by whichever way readers are reached."""
    studio = Studio()
    watchers = [Watcher(), Watcher(masks=True), Watcher()]
    seats = [studio.enter(watcher) for watcher in watchers]
    sizes = itertools.cycle(cuts)
    for payload, text in messages:
        view, start = memoryview(bytearray(payload)), 0
        while (end := start + next(sizes)) < len(payload):
            studio.seat.put(view, [(start, end, False)], text)
            start = end
            turn(random.choice(seats))
        apart = random.choice((True, False))
        studio.seat.put(view, [(start, len(payload), not apart)], text)
        if apart:
            studio.seat.put(view, [(0, 0, True)], text)
    for seat in seats:
        seat.resume()
    assert [watcher.messages() for watcher in watchers] == [messages] * 3
    assert studio.world.ledger.total == 0


@given(MESSAGES, st.data())
def test_losses_are_counted_and_nothing_else_is_lost(
    messages: list[tuple[bytes, bool]], data: st.DataObject
) -> None:
    """What a slow reader hears is in order, and with what it lost it is all that was said."""
    studio = Studio(buffer_messages=3)
    slow = Watcher()
    seat = studio.enter(slow)
    for payload, text in messages:
        studio.say(payload, text=text)
        if data.draw(st.booleans()):
            turn(seat)
    seat.resume()
    heard = slow.messages()
    rest = iter(messages)
    assert all(message in rest for message in heard)
    assert len(heard) + seat.lost == len(messages)
    assert studio.topic.lost == seat.lost
