"""What runs once a call is answered, the topics, and how a router drains."""

from __future__ import annotations

import pytest

from relay.errors import GoingAway, RelayError
from relay.settings.model import Limits
from relay.vocabulary import Call, Enter, Event, Message, Outputs, Reason, TopicName
from tests.fakes import MemberTalk, MemoryLink, MuxTalk, Talk, grant
from tests.unit.broker_desk import NAME, Desk, call

# -- circuits --------------------------------------------------------------------------------------


def test_the_end_of_a_circuit_is_counted(desk: Desk) -> None:
    """Bytes both ways, the reason, and nothing is left behind."""
    host = desk.host()
    caller, accepter = desk.circuit()
    caller.says(b"12345")
    accepter.says(b"123")
    caller.link.lose()
    assert accepter.reason is Reason.LOST
    assert desk.metrics.circuits_total["talk", Reason.LOST] == 1
    assert desk.metrics.bytes_total["talk", "up"] == 5
    assert desk.metrics.bytes_total["talk", "down"] == 3
    host.link.lose()
    assert desk.is_clean()


def test_circuits_survive_the_loss_of_a_control_link(desk: Desk) -> None:
    """What was joined does not depend on the registration."""
    host = desk.host()
    caller, accepter = desk.circuit()
    host.link.lose()
    caller.says(b"still")
    assert accepter.payload() == b"still"


def test_a_caller_that_ends_while_it_is_told_leaves_no_circuit(desk: Desk) -> None:
    """``FallsOverAtAccepted``: its host's link is ended, and nothing is counted as running."""

    class FallsOver(Talk):
        def perform(self, event: Event, now: float) -> Outputs:
            raise RelayError("cannot say that")

    host = desk.host()
    caller = desk.party(FallsOver(Call(NAME)))
    (key,) = host.keys()
    accepter = desk.accepter(key)
    assert caller.reason is accepter.reason is Reason.INTERNAL
    assert desk.broker.circuits == set()


# -- topics ----------------------------------------------------------------------------------------


def test_members_of_a_topic_hear_each_other(desk: Desk) -> None:
    """Entering is all it takes; the topic is forgotten with its last member."""
    topic = TopicName("talk:room")
    one, other = desk.party(MemberTalk(Enter(topic))), desk.party(MemberTalk(Enter(topic)))
    elsewhere = desk.party(MemberTalk(Enter(TopicName("talk:other"))))
    one.says(b"hello")
    assert other.payload() == b"hello"
    assert one.payload() == elsewhere.payload() == b""
    for member in (one, other, elsewhere):
        member.link.lose()
    assert desk.is_clean()


# -- draining --------------------------------------------------------------------------------------


def test_draining_tells_hosts_and_waits_for_circuits(desk: Desk) -> None:
    """Control links and pending calls end with going-away; circuits run to their end."""
    host = desk.host()
    caller, accepter = desk.circuit()
    pending = desk.caller()
    drained: list[bool] = []
    desk.broker.drain(lambda: drained.append(True))
    assert host.reason is pending.reason is Reason.GOING_AWAY
    assert caller.reason is accepter.reason is None
    assert drained == []
    caller.says(b"still")
    assert accepter.payload() == b"still"
    caller.link.lose()
    assert drained == [True]
    assert desk.is_clean()


def test_a_draining_router_takes_nothing_new(desk: Desk) -> None:
    """New links are refused with a time to come back, new calls of old links with a reset."""
    desk.mux_host()
    client = desk.party(MuxTalk())
    call(client, 1)
    host = next(iter(desk.broker.offers().values()))
    assert isinstance(host.link, MemoryLink)
    host.link.arrive(Message(b"A\0\0\0\1"))
    desk.broker.drain(lambda: None)
    with pytest.raises(GoingAway) as refused:
        desk.broker.judge(Call(NAME), grant())
    assert refused.value.retry_after_s == 1
    call(client, 2)
    assert client.frames(b"R") == [2]
    assert client.reason is None


def test_draining_an_idle_router_is_over_at_once(desk: Desk) -> None:
    """Nothing is waited for when there is nothing to wait for."""
    drained: list[bool] = []
    desk.broker.drain(lambda: drained.append(True))
    assert drained == [True]


def test_draining_announces_nobody_else() -> None:
    """Calls that end for it do not let waiting ones through to a host that is told to go."""
    desk = Desk(Limits(pending_calls=1))
    host, callers = desk.host(), [desk.caller() for _ in range(3)]
    desk.broker.drain(lambda: None)
    assert len(host.keys()) == 1
    assert {caller.reason for caller in callers} == {Reason.GOING_AWAY}


def test_what_is_left_can_be_ended(desk: Desk) -> None:
    """At the deadline every link ends, and nothing is remembered."""
    desk.host()
    caller, accepter = desk.circuit()
    desk.broker.drain(lambda: None)
    desk.broker.end_all()
    assert caller.reason is accepter.reason is Reason.GOING_AWAY
    assert desk.is_clean()
