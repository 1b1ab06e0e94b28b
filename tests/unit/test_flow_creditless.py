"""Streams without credit: a bounded buffer for each, then their link waits."""

from __future__ import annotations

from relay.core.flow.creditless import STALL_S, STREAM_BUFFER_BYTES
from relay.core.liveness import TICK_S
from relay.vocabulary import Data, Reason
from tests.fakes import World
from tests.unit.shared_link import Shared, creditless_link

CHUNK = 64 * 1024


def fill(shared: Shared, number: int, upto: int = STREAM_BUFFER_BYTES) -> int:
    """Send on one stream until its link stops reading. :returns: bytes that were taken."""
    sent = 0
    while shared.link.reading and sent <= 2 * upto:
        shared.data(number, bytes(CHUNK))
        sent += CHUNK
    return sent


def test_a_reader_that_stops_is_buffered_while_others_go_on() -> None:
    """Up to the cap a stalled stream costs its neighbours nothing."""
    shared = creditless_link()
    stalled, neighbour = shared.stream(1), shared.stream(2)
    stalled.stop_reading()
    for _ in range(STREAM_BUFFER_BYTES // 2 // CHUNK):
        shared.data(1, bytes(CHUNK))
        shared.data(2, bytes(CHUNK))
    assert len(neighbour.payload()) == STREAM_BUFFER_BYTES // 2
    assert shared.link.reading


def test_a_stream_that_stands_still_over_the_cap_is_overrun() -> None:
    """The link pauses at 8 MiB, for 2 s; then that stream ends, and the others go on."""
    shared = creditless_link()
    stalled, neighbour = shared.stream(1), shared.stream(2)
    stalled.stop_reading()
    taken = fill(shared, 1)
    assert STREAM_BUFFER_BYTES - CHUNK <= taken <= STREAM_BUFFER_BYTES + CHUNK
    shared.world.passes(STALL_S - TICK_S)
    assert not shared.link.reading
    assert stalled.reset_reason() is None
    shared.world.passes(2 * TICK_S)
    assert stalled.reset_reason() == "overrun"
    assert shared.sent(b"R") == [(1, b"overrun")]
    assert shared.link.reading
    assert shared.world.ledger.total == 0
    shared.data(2, b"still here")
    assert neighbour.payload() == b"still here"


def test_streams_that_stand_still_together_fill_no_more_than_the_process_may() -> None:
    """Each is far from its own cap: once their sum is reached, who stands still is overrun."""
    cap = STREAM_BUFFER_BYTES
    shared = creditless_link(World(buffered_bytes=cap))
    readers = [shared.stream(number) for number in range(4)]
    for reader in readers[:3]:
        reader.stop_reading()
    highest = 0
    for _ in range(100):
        for number in range(4):
            if shared.link.reading:
                shared.data(number, bytes(CHUNK))
            else:
                shared.world.passes(STALL_S + 2 * TICK_S)
            highest = max(highest, shared.world.ledger.total)
    assert cap <= highest <= cap + 2 * CHUNK
    assert "overrun" in [reader.reset_reason() for reader in readers[:3]]
    assert readers[3].reset_reason() is None
    assert shared.link.reading


def test_a_link_reads_on_when_others_made_room() -> None:
    """A stream below its own cap does not pay for a pressure that is over."""
    world = World(buffered_bytes=STREAM_BUFFER_BYTES)
    first, second = creditless_link(world), creditless_link(world)
    small, large = first.stream(1), second.stream(1)
    small.stop_reading()
    large.stop_reading()
    while not world.ledger.is_full():
        second.data(1, bytes(CHUNK))
    first.data(1, b"a little")
    assert not first.link.reading
    large.read_on()
    world.passes(STALL_S + 2 * TICK_S)
    assert first.link.reading
    assert small.reset_reason() is None
    small.read_on()
    assert small.payload() == b"a little"


def test_a_stream_that_still_drains_keeps_its_link_waiting() -> None:
    """A slow reader is waited for; below the cap the link reads on."""
    shared = creditless_link()
    slow = shared.stream(1)
    slow.stop_reading()
    taken = fill(shared, 1)
    for _ in range(10):
        shared.world.passes(STALL_S - TICK_S)
        slow.heard.clear()
        slow.refuses = True
        assert slow.partner is not None
        slow.partner.resume()  # takes one piece, then refuses again
        if shared.link.reading:
            break
    assert slow.reset_reason() is None
    assert shared.link.reading
    slow.read_on()
    assert shared.world.ledger.total == 0
    assert shared.circuits[1].bytes()[0] == taken


def test_one_of_two_full_streams_does_not_release_the_link() -> None:
    """The link reads on when the last of them has drained or ended."""
    shared = creditless_link()
    first, second = shared.stream(1), shared.stream(2)
    for number, reader in ((1, first), (2, second)):
        reader.stop_reading()
        shared.session.streams()[number].deliver(Data(bytes(STREAM_BUFFER_BYTES + 1)))
    first.read_on()
    assert not shared.link.reading
    shared.world.passes(STALL_S + 2 * TICK_S)
    assert second.reset_reason() == "overrun"
    assert first.reset_reason() is None
    assert shared.link.reading


def test_the_tail_of_a_stream_that_ended_does_not_hold_its_link() -> None:
    """After the peer's Reset the link reads on, and the slow reader gets all of the tail."""
    shared = creditless_link()
    slow = shared.stream(1)
    slow.stop_reading()
    taken = fill(shared, 1)
    shared.session.streams()[1].peer_reset(Reason.FINISHED, None)
    assert shared.link.reading
    shared.world.passes(5 * STALL_S)
    assert slow.reset_reason() is None
    slow.read_on()
    assert len(slow.payload()) == taken
    assert slow.reset_reason() == "finished"


def test_the_tail_survives_the_loss_of_its_link() -> None:
    """What had arrived is delivered before the end, however slow its reader."""
    shared = creditless_link()
    slow = shared.stream(1)
    slow.stop_reading()
    shared.data(1, b"tail")
    shared.link.lose()
    assert shared.session.reason is Reason.LOST
    assert slow.reset_reason() is None
    shared.world.passes(60)
    slow.read_on()
    assert slow.payload() == b"tail"
    assert slow.reset_reason() == "lost"
    assert shared.world.ledger.total == 0
