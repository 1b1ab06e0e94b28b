"""Calls that a waiting link answers, or a new stream on the host's link, and many on one link.

Those that another link joins with a key: ``test_registry_calls``.
"""

from __future__ import annotations

import pytest

from relay.core.registry import WAITING_CALLS
from relay.errors import HostAbsent, ProtocolError
from relay.settings.model import Limits
from relay.vocabulary import Answer, Call, Data, Event, Offer, Outputs, Reason
from tests.fakes import MuxTalk, Talk, World
from tests.unit.broker_desk import LATE_S, NAME, OTHER, PENDING_S, Desk, call, refusal

# -- Answer.QUEUE ----------------------------------------------------------------------------------


def test_a_queue_answers_with_the_link_that_waited_longest(desk: Desk) -> None:
    """Each call takes one link; when none is left the host is absent, and may come back."""
    first, second = desk.responder(), desk.responder()
    one, two = desk.caller(), desk.caller()
    one.says(b"1")
    two.says(b"2")
    assert (first.payload(), second.payload()) == (b"1", b"2")
    assert one.accepted()
    assert refusal(desk, Call(NAME)) is HostAbsent
    third = desk.responder()
    desk.caller().says(b"3")
    assert third.payload() == b"3"


def test_a_responder_that_left_is_not_handed_out(desk: Desk) -> None:
    """Links that end while they wait leave the queue."""
    first, second = desk.responder(), desk.responder()
    first.link.lose()
    desk.caller().says(b"x")
    assert second.payload() == b"x"


def test_a_queue_has_a_cap(desk: Desk) -> None:
    """Registrations are counted, not circuits."""
    parties = [desk.responder() for _ in range(Limits().links_per_offer)]
    assert desk.responder().reason is Reason.LIMIT
    desk.caller()
    assert desk.responder().reason is None
    assert [party.reason for party in parties] == [None] * len(parties)


def test_a_used_up_queue_is_forgotten(desk: Desk) -> None:
    """After the circuit nothing of the name is left."""
    responder, caller = desk.responder(), desk.caller()
    caller.link.lose()
    assert responder.reason is Reason.LOST
    assert desk.is_clean()


def test_a_responder_is_not_lost_to_a_call_that_fails() -> None:
    """When memory is short the call is refused, and the link goes on waiting."""
    desk = Desk(world=World(buffered_bytes=100))
    desk.responder()
    holder = desk.party(MuxTalk())
    stream = holder.session.open_stream(1)
    holder.frame(b"D", 1, b"\2" + bytes(200))
    assert desk.caller().reason is Reason.LIMIT
    stream.reset(Reason.LOST, None)
    assert desk.caller().accepted()


def test_a_queue_may_be_one_whose_oldest_gives_way(desk: Desk) -> None:
    """One more than may wait makes the one that waited longest leave; nobody is refused."""
    links = [desk.party(Talk(Offer(NAME, Answer.QUEUE, waiting=3))) for _ in range(5)]
    ended = [link.reason for link in links]
    assert ended == [Reason.REPLACED, Reason.REPLACED, None, None, None]
    desk.caller().says(b"x")
    assert links[2].payload() == b"x"


def test_a_responder_is_told_whom_it_answers(desk: Desk) -> None:
    """It hears of the call, and what it says to that comes before all other payload."""

    class Early(Talk):
        """Has said something before there was anybody to hear it."""

        def perform(self, event: Event, now: float) -> Outputs:
            """Say it now."""
            early = Data(f"hello {event.origin}".encode()) if isinstance(event, Call) else None
            return (early,) if early else super().perform(event, now)

    responder = desk.party(Early(Offer(NAME, Answer.QUEUE)))
    caller = desk.party(Talk(Call(NAME, origin="the garden")))
    responder.says(b" and more")
    assert caller.payload() == b"hello the garden and more"


def test_a_responder_that_fails_at_its_call_is_passed_over(desk: Desk) -> None:
    """The call goes to the next one in turn."""

    class Broken(Talk):
        """Cannot be told of a call."""

        def perform(self, event: Event, now: float) -> Outputs:
            """:raises ProtocolError: at a call"""
            if isinstance(event, Call):
                raise ProtocolError("not now")
            return super().perform(event, now)

    broken, good = desk.party(Broken(Offer(NAME, Answer.QUEUE))), desk.responder()
    caller = desk.caller()
    caller.says(b"x")
    assert broken.reason is Reason.PROTOCOL_ERROR
    assert good.payload() == b"x"
    assert caller.accepted()


# -- calls that wait for a host to come ------------------------------------------------------------


def test_a_call_may_wait_for_a_host_to_come(desk: Desk) -> None:
    """It is answered by the first that does."""
    caller = desk.party(Talk(Call(NAME, waits_s=3)))
    assert refusal(desk, Call(NAME, waits_s=3)) is None
    assert refusal(desk, Call(NAME)) is HostAbsent
    responder = desk.responder()
    caller.says(b"x")
    assert responder.payload() == b"x"


@pytest.mark.parametrize("left", [False, True])
def test_a_call_waits_in_vain_only_so_long(desk: Desk, left: bool) -> None:
    """Then the host is absent, also where there was one before; nothing is left of either."""
    if left:
        desk.responder().link.lose()
    caller = desk.party(Talk(Call(NAME, waits_s=3)))
    desk.world.clock.advance(3 - LATE_S)
    assert caller.reason is None
    desk.world.clock.advance(2 * LATE_S)
    assert caller.reason is Reason.HOST_ABSENT
    assert desk.is_clean()


# -- Answer.STREAM ---------------------------------------------------------------------------------


def test_a_stream_answers_on_the_hosts_own_link(desk: Desk) -> None:
    """The host is told on a new stream, accepts on it, and bytes flow."""
    host, caller = desk.mux_host(), desk.caller()
    assert host.frames(b"O") == [1]
    assert not caller.accepted()
    host.frame(b"A", 1)
    assert caller.accepted()
    host.frame(b"D", 1, b"\2down")
    caller.says(b"up")
    assert caller.payload() == b"down"
    assert host.frames(b"D") == [1]


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        (b"R", b"target-refused", Reason.TARGET_REFUSED),
        (b"R", b"target-forbidden", Reason.TARGET_FORBIDDEN),
        (b"R", b"finished", Reason.TARGET_REFUSED),
        (b"F", b"", Reason.TARGET_REFUSED),
    ],
)
def test_a_host_may_refuse_a_call(desk: Desk, kind: bytes, body: bytes, reason: Reason) -> None:
    """The caller is told why; a stream that ends before it was accepted was refused."""
    host, caller = desk.mux_host(), desk.caller()
    host.frame(kind, 1, body)
    assert caller.reason is reason
    assert host.session.streams() == {}
    assert desk.broker.pending_calls() == 0
    assert host.reason is None


def test_a_host_hears_that_its_caller_left(desk: Desk) -> None:
    """The stream that was to answer is reset; accepting it late does nothing."""
    host, caller = desk.mux_host(), desk.caller()
    caller.link.lose()
    assert host.frames(b"R") == [1]
    host.frame(b"A", 1)
    assert desk.broker.circuits == set()
    host.link.lose()
    assert desk.is_clean()


def test_a_host_that_never_answers_is_told_of_the_end(desk: Desk) -> None:
    """After the pending time both sides of the call are over, and the link lives."""
    host, caller = desk.mux_host(), desk.caller()
    desk.world.passes(PENDING_S + LATE_S)
    assert caller.reason is Reason.HOST_SILENT
    assert host.frames(b"R") == [1]
    assert host.session.streams() == {}
    assert host.reason is None


def test_callers_of_a_host_that_is_lost_are_told_at_once(desk: Desk) -> None:
    """Calls on its link end with the link; those that waited go to its successor."""
    desk = Desk(Limits(pending_calls=1))
    host, told, waiting = desk.mux_host(), desk.caller(), desk.caller()
    host.link.lose()
    assert told.reason is Reason.LOST
    assert waiting.reason is None
    successor = desk.mux_host()
    successor.frame(b"A", 1)
    assert waiting.accepted()


def test_a_host_without_room_refuses_every_waiting_call() -> None:
    """However many wait: each is refused in turn, without recursion."""
    desk = Desk(Limits(pending_calls=1))
    host, first = desk.mux_host(), desk.caller()
    waiting = [desk.caller() for _ in range(WAITING_CALLS)]
    assert isinstance(host.talk, MuxTalk)
    host.talk.full = True
    host.frame(b"A", 1)
    assert first.accepted()
    assert {caller.reason for caller in waiting} == {Reason.PROTOCOL_ERROR}
    assert host.reason is None
    assert desk.broker.pending_calls() == 0


def test_an_accept_for_no_call_is_ignored(desk: Desk) -> None:
    """Twice, or for a stream that never was."""
    host, _ = desk.mux_host(), desk.caller()
    for stream in (1, 1, 7):
        host.frame(b"A", stream)
    assert len(desk.broker.circuits) == 1
    assert host.reason is None


# -- many calls on one link ------------------------------------------------------------------------


def test_calls_of_one_link_end_alone(desk: Desk) -> None:
    """Refused, timed out, or given up by its host: the other calls of the link go on."""
    host = desk.host()
    client = desk.party(MuxTalk())
    call(client, 1)
    desk.accepter(host.keys()[0])
    assert client.frames(b"A") == [1]
    call(client, 2, OTHER)
    assert client.frames(b"R") == [2]
    call(client, 3)
    desk.world.passes(PENDING_S + LATE_S)
    assert client.frames(b"R") == [2, 3]
    assert list(client.session.streams()) == [1]
    assert client.reason is None
    assert isinstance(client.talk, MuxTalk)
    assert client.talk.breaches == []


def test_a_stream_that_is_reset_by_its_host_spares_the_callers_link(desk: Desk) -> None:
    """A refusal on a host's stream ends one stream at the caller."""
    host, client = desk.mux_host(), desk.party(MuxTalk())
    call(client, 1)
    call(client, 2)
    host.frame(b"R", 1, b"target-refused")
    host.frame(b"A", 2)
    assert client.frames(b"R") == [1]
    assert client.frames(b"A") == [2]
    assert client.reason is None


@pytest.mark.parametrize("busy", ["pending", "joined"])
def test_a_stream_in_use_cannot_call_again(desk: Desk, busy: str) -> None:
    """``CallsTwice``: a second call on a live stream breaks the rules and ends that link alone."""
    host, client = desk.host(), desk.party(MuxTalk())
    call(client, 1)
    if busy == "joined":
        desk.accepter(host.keys()[0])
    call(client, 1)
    assert client.reason is Reason.PROTOCOL_ERROR
    assert host.reason is None
    assert desk.broker.pending_calls() == 0
    assert desk.broker.circuits == set()
