"""Bytes that are cut into messages where their sender pauses (session-relay.md §9.3, check 48)."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from relay.core.services import Timer
from relay.dialects.session_relay.host.cutting import MESSAGE_BYTES, PAUSE_S, Cutter
from relay.faces import ITimer


class Scissors:
    """A cutter, and its time.

    :ivar messages: what was cut
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.messages: list[bytes] = []
        self.cutter = Cutter(
            self.messages.append, lambda s, call: Timer(self.clock.callLater(s, call))
        )


def test_a_pause_ends_a_message() -> None:
    """Of a millisecond; what comes sooner belongs to it."""
    it = Scissors()
    it.cutter.write(b"a")
    it.clock.advance(PAUSE_S * 0.9)
    it.cutter.write(b"b")
    it.clock.advance(PAUSE_S * 0.9)
    assert it.messages == []
    it.clock.advance(PAUSE_S)
    assert it.messages == [b"ab"]
    it.clock.advance(1)
    assert it.messages == [b"ab"]
    assert it.clock.getDelayedCalls() == []


def test_bytes_that_lay_unread_belong_to_the_message() -> None:
    """We were busy for longer than a pause: what came meanwhile is read before it is cut."""
    due: list[Callable[[], None]] = []
    gone: list[int] = []
    messages: list[bytes] = []

    class LateTimer:
        def __init__(self, number: int) -> None:
            self._number = number

        def cancel(self) -> None:
            gone.append(self._number)

    def call_later(seconds: float, callback: Callable[[], None]) -> ITimer:
        due.append(callback)
        return cast(ITimer, LateTimer(len(due) - 1))

    cutter = Cutter(messages.append, call_later)
    cutter.write(b"a")
    due[0]()  # late; the reactor looks at its sockets before it makes the next call
    cutter.write(b"b")
    assert (messages, gone) == ([], [1])
    due[2]()
    due[3]()
    assert messages == [b"ab"]


def test_the_end_is_a_message() -> None:
    """In order or not; there are no empty ones."""
    for end in (Cutter.finish, Cutter.lost):
        it = Scissors()
        it.cutter.write(b"a")
        end(it.cutter)
        assert it.messages == [b"a"]
        assert it.clock.getDelayedCalls() == []
        Cutter.finish(Scissors().cutter)
        assert it.messages == [b"a"]


def test_more_than_a_message_takes_is_cut_at_once() -> None:
    """Nothing of it is lost, nor waits."""
    it = Scissors()
    data = bytes(range(256)) * 12_000
    it.cutter.write(data)
    assert [len(message) for message in it.messages] == [MESSAGE_BYTES] * 3
    it.cutter.write(b"rest")
    it.cutter.finish()
    assert b"".join(it.messages) == data + b"rest"


@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(0, 3), st.integers(MESSAGE_BYTES - 2, 2 * MESSAGE_BYTES + 2)),
            st.sampled_from([0.0, PAUSE_S / 2, PAUSE_S, 1.0]),
        ),
        max_size=6,
    )
)
def test_nothing_is_lost_or_changed(parts: list[tuple[int, float]]) -> None:
    """Whatever comes, and however long it takes; no message is empty or too long."""
    it = Scissors()
    sent = b""
    for number, (size, pause_s) in enumerate(parts):
        data = bytes([number]) * size
        sent += data
        it.cutter.write(data)
        it.clock.advance(pause_s)
        if pause_s >= PAUSE_S:
            assert b"".join(it.messages) == sent
    it.cutter.finish()
    assert b"".join(it.messages) == sent
    assert all(0 < len(message) <= MESSAGE_BYTES for message in it.messages)
    assert it.clock.getDelayedCalls() == []
