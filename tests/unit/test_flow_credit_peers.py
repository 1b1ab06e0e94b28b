"""Streams with credit, and peers that grant little, stop granting, or are not wanted any more."""

from __future__ import annotations

import pytest

from relay.core.flow import CreditStream
from relay.core.flow.credit import TAIL_STALL_S
from relay.core.session import Session
from relay.errors import CallGone, LimitReached
from relay.interfaces import Opening
from relay.vocabulary import Call, Event, Message, OfferName, Reason
from tests.fakes import CreditTalk, FakeSwitch, MemoryLink, World, pump
from tests.unit.shared_link import Shared, credit_link

WINDOW = 1000
NAME = OfferName("talk:1")


def amount(value: int) -> bytes:
    """The body of a credit frame."""
    return value.to_bytes(4, "big")


def granted(shared: Shared) -> list[int]:
    """What was granted, grant by grant."""
    return [int.from_bytes(body, "big") for _, body in shared.sent(b"C")]


# -- windows ---------------------------------------------------------------------------------------


def test_a_peer_that_takes_little_is_refunded_early() -> None:
    """Its first grant may be all that it believes to have: refunds come at half of that."""
    shared = credit_link(WINDOW)
    shared.stream(1)
    shared.frame(b"C", 1, amount(10))
    for _ in range(10):
        shared.data(1, b"x")
    assert granted(shared) == [5, 5]
    shared.frame(b"C", 1, amount(900))
    shared.data(1, b"12345")
    assert granted(shared) == [5, 5, 5]


def test_a_peer_that_takes_nothing_at_first_is_refunded_at_once() -> None:
    """A first grant of 0 says nothing of what it believes: every byte is granted again."""
    shared = credit_link(WINDOW)
    shared.stream(1)
    shared.frame(b"C", 1, amount(0))
    shared.data(1, b"x")
    assert granted(shared) == [1]


def test_a_peer_that_takes_more_gets_no_larger_window() -> None:
    """Refunds come at half of ours, and one byte beyond ours breaks the rules."""
    shared = credit_link(WINDOW)
    shared.stream(1).stop_reading()
    shared.frame(b"C", 1, amount(4 * WINDOW))
    shared.data(1, bytes(WINDOW))
    assert granted(shared) == []
    shared.data(1, b"x")
    assert shared.session.reason is Reason.PROTOCOL_ERROR


def test_a_peer_whose_window_was_known_says_nothing_of_ours() -> None:
    """Where credit was there from the start, the first grant is a refund like all others."""
    shared = credit_link(WINDOW)
    shared.stream(1, credit=100)
    shared.frame(b"C", 1, amount(10))
    shared.data(1, bytes(499))
    assert granted(shared) == []


def test_a_conversation_may_state_its_own_window() -> None:
    """What its peers may send ahead is not what is configured."""
    talk = CreditTalk(window_bytes=WINDOW)
    talk.window_bytes = 4 * WINDOW
    shared = Shared(talk, World(window_bytes=WINDOW))
    shared.stream(1).stop_reading()
    shared.data(1, bytes(4 * WINDOW))
    assert shared.session.reason is None
    shared.data(1, b"x")
    assert shared.session.reason is Reason.PROTOCOL_ERROR


def test_refunds_do_not_pile_up_in_front_of_a_peer_that_does_not_read() -> None:
    """``NeverReads``, but writes: it is granted again what was taken once it reads."""
    world = World(window_bytes=WINDOW)
    shared = Shared(CreditTalk(window_bytes=WINDOW), world)
    shared.link._buffer_bytes = 100
    writer = shared.stream(1, credit=500)
    shared.stream(2)
    shared.frame(b"C", 2, amount(2))
    shared.link.stuck = True
    writer.speak(bytes(200))
    unsent = shared.link.unsent_bytes
    for _ in range(100):
        shared.data(2, b"x")
    assert shared.link.unsent_bytes == unsent
    shared.link.stuck = False
    assert shared.sent(b"C") == [(2, amount(100))]


def test_a_window_of_a_byte_is_a_window() -> None:
    """What a piece costs beside its payload ends no stream that keeps to its window."""
    shared = credit_link(1)
    reader = shared.stream(1)
    reader.stop_reading()
    shared.data(1, b"x")
    reader.read_on()
    assert reader.payload() == b"x"


def test_what_waits_is_not_copied_at_each_grant() -> None:
    """A peer that grants byte by byte costs no more than one that grants much."""
    shared = credit_link(WINDOW)
    writer = shared.stream(1)
    payload = bytes(range(200))
    writer.speak(payload)
    stream = shared.session.streams()[1]
    assert isinstance(stream, CreditStream)
    for taken in range(1, 200):
        shared.frame(b"C", 1, amount(1))
        assert stream._outbox[0].payload is payload
        assert stream.held_bytes() == shared.world.ledger.total == 200 - taken
    shared.frame(b"C", 1, amount(1000))
    writer.speak(b"next")
    assert shared.payload_sent(1) == payload + b"next"
    assert shared.world.ledger.total == 0


# -- ends ------------------------------------------------------------------------------------------


def test_a_tail_that_nobody_takes_is_dropped() -> None:
    """A stream that ends behind payload waits for credit that does not come, but not for ever."""
    shared = credit_link(WINDOW)
    writer = shared.stream(1)
    writer.speak(b"tail")
    writer.hang_up()
    shared.world.passes(TAIL_STALL_S - 1)
    assert shared.sent(b"R") == []
    shared.world.passes(2)
    assert shared.sent(b"R") == [(1, b"overrun")]
    assert shared.world.ledger.total == 0
    assert shared.session.streams() == {}
    assert shared.session.reason is None


def test_a_tail_that_is_taken_slowly_is_not_dropped() -> None:
    """Each grant gives it another while; its end is a clean one, and nothing fires behind it."""
    shared = credit_link(WINDOW)
    writer = shared.stream(1)
    writer.speak(b"tail")
    writer.hang_up()
    for _ in range(4):
        shared.world.passes(TAIL_STALL_S - 1)
        shared.frame(b"C", 1, amount(1))
    shared.world.passes(3 * TAIL_STALL_S)
    assert shared.payload_sent(1) == b"tail"
    assert shared.sent(b"R") == [(1, b"peer-closed")]
    assert shared.talk.breaches == []


def test_a_tail_ends_with_its_link() -> None:
    """Nobody waits for the credit of a link that is gone."""
    shared = credit_link(WINDOW)
    writer = shared.stream(1)
    writer.speak(b"tail")
    writer.hang_up()
    shared.link.lose()
    assert shared.world.ledger.total == 0
    shared.world.passes(2 * TAIL_STALL_S)


def test_a_writer_goes_on_while_the_tail_waits() -> None:
    """Who has to write before it reads again is granted credit for what nobody reads."""
    shared = credit_link(WINDOW)
    reader = shared.stream(1)
    reader.stop_reading()
    reader.speak(b"tail")
    shared.data(1, bytes(600))
    reader.hang_up()
    assert granted(shared) == [600]
    shared.data(1, bytes(800))
    assert granted(shared) == [600, 800]


@pytest.mark.parametrize("end", [False, True])
def test_what_was_not_taken_can_be_forgotten(end: bool) -> None:
    """An upload that nobody wants: it is dropped, its writer goes on, its end is told."""
    shared = credit_link(WINDOW)
    writer = shared.stream(1, credit=3)
    writer.speak(b"upload")
    if end:
        writer.end()
    assert writer.partner is not None
    assert writer.is_paused()
    writer.partner.forget_unsent()
    assert not writer.is_paused()
    assert shared.world.ledger.total == 0
    shared.frame(b"C", 1, amount(100))
    assert shared.payload_sent(1) == b"upl"
    assert len(shared.sent(b"F")) == end
    writer.partner.forget_unsent()
    assert shared.talk.breaches == []


# -- calls -----------------------------------------------------------------------------------------


class Answers(CreditTalk):
    """A host's conversation; each of its calls can be answered once."""

    def __init__(self) -> None:
        super().__init__()
        self.answered: set[int] = set()

    def begin(self, call: Call) -> Opening:
        """The call's own stream. :raises CallGone: at the second time"""
        if call.stream in self.answered:
            raise CallGone("answered before")
        self.answered.add(call.stream)
        return Opening(call.stream, 7)


def host(world: World, switch: FakeSwitch) -> tuple[Session, MemoryLink]:
    """A host's session, with the test as its router."""
    link = MemoryLink()
    session = Session(link, Answers(), switch, world.around, "host")
    session.opened()
    return session, link


def kinds(link: MemoryLink) -> list[bytes]:
    """What went out, by kind."""
    pump(link)
    return [message.payload[:1] for message in link.sent]


def test_a_host_answers_on_the_streams_of_its_link() -> None:
    """The call is accepted before anything else, and its stream has the credit it begins with."""
    session, link = host(World(), FakeSwitch())
    stream = session.answer(Call(NAME, stream=5))
    assert stream is session.streams()[5]
    assert kinds(link) == [b"A"]
    with pytest.raises(CallGone):
        session.answer(Call(NAME, stream=5))


def test_a_host_without_room_refuses() -> None:
    """The router is told, once, and the link goes on."""

    def answer(session: Session, event: Event) -> None:
        assert isinstance(event, Call)
        try:
            session.answer(event)
        except LimitReached:
            refused.append(event.stream)

    refused: list[int] = []
    switch = FakeSwitch()
    switch.on_request = answer
    session, link = host(World(max_streams=1), switch)
    for number in (1, 2):
        link.arrive(Message(b"O" + number.to_bytes(4, "big") + f"{NAME}\0".encode()))
    assert session.reason is None
    assert list(session.streams()) == [1]
    assert kinds(link) == [b"A", b"R"]
    assert refused == [2]
