"""Streams with credit: windows are honoured, refunded and enforced."""

from __future__ import annotations

import pytest

from relay.core.flow.credit import MOST_WINDOWS
from relay.core.flow.shared import ITEM_BYTES, MERGE_BYTES
from relay.vocabulary import Reason
from tests.fakes import BOTH, HALF_CLOSE, CreditTalk, FakeStream, World
from tests.unit.shared_link import WINDOW, Shared, credit_link

# -- receiving -------------------------------------------------------------------------------------


def test_a_consumer_that_reads_is_refunded_at_half_a_window() -> None:
    """Small pieces are paid back together, once they amount to half a window."""
    shared = credit_link(1000)
    shared.stream(1)
    shared.data(1, bytes(499))
    assert shared.sent(b"C") == []
    shared.data(1, bytes(1))
    assert shared.sent(b"C") == [(1, (500).to_bytes(4, "big"))]
    shared.data(1, bytes(600))
    assert shared.sent(b"C")[1:] == [(1, (600).to_bytes(4, "big"))]


def test_a_consumer_that_stops_is_refunded_nothing() -> None:
    """What a paused reader has not taken is kept, in order, and its writer runs dry."""
    shared = credit_link(1000)
    reader = shared.stream(1)
    reader.stop_reading()
    shared.data(1, b"a" * 600)
    shared.data(1, b"b" * 400)
    assert reader.payload() == b""
    assert shared.sent(b"C") == []
    reader.read_on()
    assert reader.payload() == b"a" * 600 + b"b" * 400
    assert sum(int.from_bytes(body, "big") for _, body in shared.sent(b"C")) == 1000


def test_a_stalled_stream_stops_its_own_writer_and_nobody_else() -> None:
    """The link is never paused; a neighbour goes through window after window meanwhile."""
    shared = credit_link(1000)
    stalled, neighbour = shared.stream(1), shared.stream(2)
    stalled.stop_reading()
    shared.data(1, bytes(1000))
    for _ in range(50):
        shared.data(2, bytes(1000))
    assert len(neighbour.payload()) == 50_000
    assert shared.link.reading
    assert shared.session.reason is None


def test_exceeds_its_window_breaks_the_rules() -> None:
    """A peer that sends one byte more than granted ends its link."""
    shared = credit_link(1000)
    shared.stream(1).stop_reading()
    shared.data(1, bytes(1000))
    assert shared.session.reason is None
    shared.data(1, b"x")
    assert shared.session.reason is Reason.PROTOCOL_ERROR


def test_grants_beyond_belief_break_the_rules() -> None:
    """Credit whose sum passes 2^32-1 ends the link."""
    shared = credit_link()
    shared.stream(1)
    shared.frame(b"C", 1, b"\xff\xff\xff\xff")
    assert shared.session.reason is None
    shared.frame(b"C", 1, b"\0\0\0\1")
    assert shared.session.reason is Reason.PROTOCOL_ERROR


def test_memory_of_a_stalled_stream_is_a_window() -> None:
    """The account holds one window and the cost of its pieces, and is empty after the end."""
    shared = credit_link(WINDOW)
    reader = shared.stream(1)
    reader.stop_reading()
    shared.data(1, bytes(WINDOW))
    assert WINDOW <= shared.world.ledger.total <= WINDOW + ITEM_BYTES
    reader.hang_up()
    assert shared.world.ledger.total == 0


def test_crumbs_of_a_byte_stream_are_put_together() -> None:
    """A window of single bytes does not cost a hundred times its size."""
    shared = Shared(CreditTalk(window_bytes=8192, carries=HALF_CLOSE), World(window_bytes=8192))
    reader = shared.stream(1)
    reader.stop_reading()
    for number in range(8192):
        shared.data(1, bytes([number % 251]))
    assert shared.world.ledger.total <= 8192 + 3 * ITEM_BYTES
    reader.read_on()
    assert reader.payload() == bytes(number % 251 for number in range(8192))
    assert max(len(data.payload) for data in reader.heard) <= MERGE_BYTES


def test_messages_keep_their_boundaries_while_they_wait() -> None:
    """Where both sides keep boundaries, nothing is put together but the parts of one message."""
    shared = credit_link()
    reader = shared.stream(1, BOTH)
    reader.stop_reading()
    shared.data(1, b"one")
    shared.data(1, b"tw", final=False)
    shared.data(1, b"o")
    shared.data(1, b"")
    shared.data(1, b"text", text=True)
    reader.read_on()
    assert [(data.payload, data.final, data.text) for data in reader.heard] == [
        (b"one", True, False),
        (b"two", True, False),
        (b"", True, False),
        (b"text", True, True),
    ]


def test_endless_empty_messages_end_their_stream() -> None:
    """``FloodsWithNothing``: messages without payload pass every window, but not for ever."""
    shared = credit_link(1000)
    flooded, neighbour = shared.stream(1, BOTH), shared.stream(2, BOTH)
    flooded.stop_reading()
    for _ in range(MOST_WINDOWS * 1000 // ITEM_BYTES + 2):
        shared.data(1, b"")
    assert flooded.reset_reason() == "overrun"
    assert shared.sent(b"R") == [(1, b"overrun")]
    assert shared.world.ledger.total == 0
    shared.data(2, b"still here")
    assert neighbour.payload() == b"still here"


# -- sending ---------------------------------------------------------------------------------------


def test_payload_waits_for_credit() -> None:
    """Only what was granted goes out, in frames that are not too long; the writer is paused."""
    shared = credit_link(world=World(frame_bytes=100))
    writer = shared.stream(1, credit=250)
    writer.speak(b"".join(bytes([n]) * 100 for n in range(6)))
    frames = shared.sent(b"D")
    assert [len(body) - 1 for _, body in frames] == [100, 100, 50]
    assert writer.is_paused()
    shared.frame(b"C", 1, (250).to_bytes(4, "big"))
    assert writer.is_paused()
    shared.frame(b"C", 1, (100).to_bytes(4, "big"))
    assert not writer.is_paused()
    assert shared.payload_sent(1) == b"".join(bytes([n]) * 100 for n in range(6))


def test_only_the_last_frame_of_a_message_is_its_end() -> None:
    """A message that is cut by frame size or credit keeps its boundary and its kind."""
    shared = credit_link(world=World(frame_bytes=4))
    writer = shared.stream(1, credit=6)
    writer.speak(b"0123456789", text=True)
    shared.frame(b"C", 1, (100).to_bytes(4, "big"))
    assert [body[0] for _, body in shared.sent(b"D")] == [1, 1, 3]
    assert shared.payload_sent(1) == b"0123456789"


@pytest.mark.parametrize("credit", [0, 4])
def test_an_empty_message_is_a_message(credit: int) -> None:
    """A boundary without payload passes, needs no credit, and keeps its place."""
    shared = credit_link()
    writer = shared.stream(1, BOTH, credit=credit)
    writer.speak(b"four", final=False)
    writer.speak(b"")
    shared.frame(b"C", 1, (4).to_bytes(4, "big"))
    assert [body for _, body in shared.sent(b"D")] == [b"\0four", b"\2"]


def test_the_outbox_is_bounded() -> None:
    """A writer that honours its pause leaves one chunk behind; all of it is on the account."""
    shared = credit_link()
    writer = shared.stream(1)
    written = 0
    while not writer.is_paused():
        writer.speak(bytes(1000))
        written += 1
    assert written == 1
    assert shared.world.ledger.total == 1000
    writer.hang_up(Reason.LOST)
    assert shared.world.ledger.total == 0


def test_ends_wait_behind_payload_that_waits() -> None:
    """A Finish, and likewise a clean Reset, goes out behind the last byte."""
    for end, kind in ((FakeStream.end, b"F"), (FakeStream.hang_up, b"R")):
        shared = credit_link()
        writer = shared.stream(1)
        writer.speak(b"tail")
        end(writer)
        assert shared.sent(kind) == []
        shared.frame(b"C", 1, (2).to_bytes(4, "big"))
        assert shared.sent(kind) == []
        shared.frame(b"C", 1, (2).to_bytes(4, "big"))
        assert shared.payload_sent(1) == b"tail"
        assert len(shared.sent(kind)) == 1
        assert shared.link.sent[-1].payload[:1] == kind
        assert shared.talk.breaches == []


def test_an_unclean_end_does_not_wait() -> None:
    """After a loss nobody waits for credit: the peer is told, the rest is dropped."""
    shared = credit_link()
    writer = shared.stream(1)
    writer.speak(b"tail")
    writer.hang_up(Reason.LOST)
    assert shared.sent(b"R") == [(1, b"lost")]
    assert shared.world.ledger.total == 0


def test_what_comes_for_a_stream_that_waits_to_end_is_dropped() -> None:
    """Its peer may still send, and reset it, without anything being kept."""
    shared = credit_link()
    writer = shared.stream(1)
    writer.stop_reading()
    writer.speak(b"tail")
    writer.hang_up()
    shared.data(1, bytes(500))
    assert shared.world.ledger.total == 4
    shared.frame(b"R", 1, b"lost")
    assert shared.world.ledger.total == 0
    assert shared.session.streams() == {}
    assert shared.talk.breaches == []


def test_a_writer_goes_on_when_its_reader_has_left() -> None:
    """A peer that resets a stream releases who waited for its credit."""
    shared = credit_link()
    writer = shared.stream(1)
    writer.stop_reading()
    shared.data(1, b"unread")
    writer.speak(b"tail")
    assert writer.is_paused()
    shared.frame(b"R", 1, b"lost")
    assert not writer.is_paused()
    writer.speak(b"into the void")
    writer.read_on()
    assert writer.payload() == b"unread"
    assert writer.reset_reason() == "lost"
