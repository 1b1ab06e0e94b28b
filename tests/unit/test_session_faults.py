"""Whose fault ends what: faults of a peer, and our own."""

from __future__ import annotations

import pytest

from relay.errors import ProtocolError, RelayError, UnsupportedData
from relay.vocabulary import Close, Data, Event, Granted, Message, Outputs, Reason
from tests.conftest import Flush
from tests.fakes import HALF_CLOSE, Talk, grant
from tests.unit.session_room import Room, Says


class Fails(Talk):
    """Raises what it is given, wherever it is asked to ``fail``."""

    def __init__(self, where: str, error: Exception) -> None:
        super().__init__()
        self.where = where
        self.error = error

    def _maybe(self, where: str) -> None:
        if where == self.where:
            raise self.error

    def opened(self, now: float) -> Outputs:
        """Perhaps fail."""
        self._maybe("opened")
        return super().opened(now)

    def receive(self, message: Message, now: float) -> Outputs:
        """Perhaps fail."""
        self._maybe("receive")
        return super().receive(message, now)

    def perform(self, event: Event, now: float) -> Outputs:
        """Perhaps fail."""
        self._maybe("perform")
        return super().perform(event, now)

    def encode(self, data: Data) -> Message:
        """Perhaps fail."""
        self._maybe("encode")
        return super().encode(data)

    def wake(self, now: float) -> Outputs:
        """Perhaps fail."""
        self._maybe("wake")
        return super().wake(now)

    def deadline(self) -> float | None:
        """At once, where waking fails."""
        return 1.0 if self.where == "wake" else None

    def end(self, reason: Reason, close: Close | None) -> Close | None:
        """Perhaps fail."""
        self._maybe("end")
        return super().end(reason, close)


def test_a_peers_fault_ends_its_link_alone() -> None:
    """The link ends with the fault's code and word; other links of the process do not notice."""
    room = Room()
    room.open(Fails("receive", UnsupportedData("text, where only binary belongs")))
    bystander = room.open(Talk())
    room.links[0].arrive(Message(b"x"))
    room.pump()
    assert room.links[0].close_sent == Close(1003, "protocol-error")
    assert room.loss(0) == (Reason.PROTOCOL_ERROR, None, "text, where only binary belongs")
    assert bystander.reason is None


@pytest.mark.parametrize("where", ["opened", "receive", "wake"])
def test_our_own_fault_ends_its_link_alone(where: str, expected_log_errors: Flush) -> None:
    """Anything unexpected is logged and ends that link with ``internal``, and no other."""
    room = Room()
    bystander = room.open(Talk())
    room.open(Fails(where, KeyError("unexpected")))
    room.links[1].arrive(Message(b"x"))
    room.world.passes(2)
    assert room.loss()[0] is Reason.INTERNAL
    assert len(expected_log_errors(KeyError)) == 1
    assert bystander.reason is None


@pytest.mark.parametrize("error", [ProtocolError("no"), KeyError("unexpected")])
@pytest.mark.parametrize("where", ["encode", "perform"])
def test_a_fault_in_sending_ends_the_receiving_link(
    where: str, error: Exception, expected_log_errors: Flush
) -> None:
    """The sender is not to blame for what happens behind its partner: it is told of an end."""
    room = Room()
    talk = Fails(where, error)
    talk.carries = HALF_CLOSE
    _, receiver = room.joined(Talk(carries=HALF_CLOSE), talk)
    room.links[0].arrive(Message(b"x"))
    room.links[0].arrive(Message(b"fin", text=True))
    expected = Reason.PROTOCOL_ERROR if isinstance(error, RelayError) else Reason.INTERNAL
    assert receiver.reason is expected
    assert room.loss(0) == (expected, None, "")
    assert len(expected_log_errors(KeyError)) == isinstance(error, KeyError)


def test_a_conversation_without_a_word_for_its_end_is_dropped(expected_log_errors: Flush) -> None:
    """A fault while ending leaves no half-dead link behind."""
    room = Room()
    session = room.open(Fails("end", KeyError("unexpected")))
    session.end(Reason.IDLE)
    assert room.links[0].aborted
    assert room.loss()[0] is Reason.IDLE
    expected_log_errors(KeyError)


def test_an_event_without_meaning_is_a_protocol_error() -> None:
    """A conversation that says what only the core may say ends its link."""
    room = Room()
    room.open(Says([Granted(grant())]))
    room.links[0].arrive(Message(b""))
    assert room.loss()[0] is Reason.PROTOCOL_ERROR


def test_a_conversation_may_prefer_a_drop() -> None:
    """Where no Close tells of the end, the connection is dropped."""

    class Drops(Talk):
        def end(self, reason: Reason, close: Close | None) -> Close | None:
            return None

    room = Room()
    room.open(Drops()).end(Reason.IDLE)
    assert room.links[0].aborted
