"""What the streams of a link share: its send buffer, and the account of all memory."""

from __future__ import annotations

import pytest
from zope.interface import implementer

from relay.core.liveness import TICK_S
from relay.core.stream import join
from relay.errors import LimitReached
from relay.interfaces import ICircuit, IStream
from relay.vocabulary import Close, Reason
from tests.fakes import FakeStream, World, pump
from tests.unit.shared_link import credit_link, creditless_link

# -- the link's send buffer ------------------------------------------------------------------------


def test_a_full_link_pauses_every_writer() -> None:
    """And streams that begin while it is full as well."""
    shared = creditless_link()
    early = shared.stream(1)
    shared.link.stuck = True
    early.speak(bytes(100 * 1024))
    assert early.is_paused()
    late = shared.stream(2)
    assert late.is_paused()
    shared.link.stuck = False
    pump(shared.link)
    assert not early.is_paused()
    assert not late.is_paused()


class Greedy(FakeStream):
    """Sends a chunk whenever it is let, and counts them."""

    chunks = 0

    def resume(self) -> None:
        """Speak until somebody asks for a pause."""
        super().resume()
        while not self.paused and self.partner is not None and self.chunks < 1000:
            self.chunks += 1
            self.speak(bytes(100 * 1024))


def test_a_link_that_fills_up_again_stops_the_round() -> None:
    """Of many greedy writers only as many go on as the buffer takes; then all wait again."""
    shared = creditless_link()
    shared.link.stuck = True
    writers = []
    for number in range(1, 21):
        writers.append(Greedy())
        stream = shared.session.open_stream(number)
        join("n", stream, writers[-1], shared.world.wheel, lambda _: None)
    assert [writer.chunks for writer in writers] == [1] + [0] * 19
    for _ in range(20):
        shared.link.stuck = False
        shared.link.step()
        shared.link.stuck = True
        assert shared.link.most_unsent_bytes <= 101 * 1024
        assert all(writer.is_paused() for writer in writers)


def test_writers_take_turns() -> None:
    """Each of many greedy writers gets its share of a slow link: nobody starves."""
    shared = creditless_link()
    shared.link.stuck = True
    writers = []
    for number in range(1, 6):
        writers.append(Greedy())
        stream = shared.session.open_stream(number)
        join("n", stream, writers[-1], shared.world.wheel, lambda _: None)
    for _ in range(50):
        shared.link.stuck = False
        shared.link.step()
        shared.link.stuck = True
    assert max(writer.chunks for writer in writers) - min(w.chunks for w in writers) <= 1


# -- the account -----------------------------------------------------------------------------------


def test_new_streams_are_refused_when_memory_is_short() -> None:
    """At the global cap nothing new begins, and what is there goes on."""
    shared = credit_link(1000, World(buffered_bytes=1500, window_bytes=1000))
    first, second = shared.stream(1), shared.stream(2)
    first.stop_reading()
    second.stop_reading()
    shared.data(1, bytes(1000))
    shared.data(2, bytes(1000))
    with pytest.raises(LimitReached):
        shared.session.open_stream(3)
    first.read_on()
    shared.session.open_stream(3)


def test_memory_pressure_ends_who_stands_still() -> None:
    """Above three quarters of the cap the stream that takes nothing for 10 s is overrun."""
    shared = credit_link(1000, World(buffered_bytes=1300, window_bytes=1000))
    stalled, neighbour = shared.stream(1), shared.stream(2)
    stalled.stop_reading()
    shared.data(1, bytes(1000))
    for _ in range(48):
        shared.world.passes(TICK_S)
        shared.data(2, bytes(100))
    assert stalled.reset_reason() == "overrun"
    assert neighbour.reset_reason() is None
    assert len(neighbour.payload()) == 4800


def test_traffic_one_way_does_not_hide_a_standstill_the_other_way() -> None:
    """``TricklesUp``: a client that never takes its download is overrun though it keeps sending."""
    shared = credit_link(1000, World(buffered_bytes=1300, window_bytes=1000))
    writer = shared.stream(1)
    writer.speak(bytes(1200))
    for _ in range(60):
        shared.world.passes(TICK_S)
        shared.data(1, b"x")
    assert writer.reset_reason() == "overrun"
    assert shared.world.ledger.total == 0


def test_what_a_pending_caller_said_is_forgotten_with_it() -> None:
    """A stream that ends before it had a partner leaves nothing on the account."""
    shared = credit_link()
    reader = FakeStream()
    stream = shared.session.open_stream(1)
    stream.circuit = _Nobody()
    shared.data(1, b"early")
    assert shared.world.ledger.total > 0
    shared.frame(b"R", 1, b"lost")
    assert shared.world.ledger.total == 0
    assert reader.heard == []


@implementer(ICircuit)
class _Nobody:
    """A circuit that does not care."""

    def finished(self, side: IStream) -> None:
        """Whatever."""

    def broken(
        self, side: IStream, reason: Reason, close: Close | None = None, text: str = ""
    ) -> None:
        """Whatever."""
