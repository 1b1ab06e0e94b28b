"""Topics that are published: who enters one is a caller, whom a host answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay.core.publications import Publications
from relay.errors import HostAbsent, RelayError, Revoked, WrongName, WrongScope
from relay.settings.model import Callee, Publication
from relay.vocabulary import Answer, CallKey, Enter, Join, Message, Offer, OfferName, Reason
from relay.vocabulary import TopicName as Topic
from tests.fakes import ControlTalk, MemberTalk, Talk, grant, pump
from tests.unit.broker_desk import OTHER, PENDING_S, Desk, Party

ROOM = Topic("far:room")


def publish(desk: Desk, *clients: str, public: bool = False) -> None:
    """Publish the host's service as the topic, and nothing else any more."""
    source = Callee(OfferName(ROOM), topic=True)
    one = Publication("shell", source, Callee(OTHER, "sh"), clients, public)
    desk.broker.publications = Publications([one])


def host(desk: Desk) -> Party:
    """A host that is told of calls."""
    return desk.party(ControlTalk(Offer(OTHER, Answer.ANNOUNCE)), "bob")


def accepter(desk: Desk, party: Party) -> Party:
    """The host's link that joins the one call that it was told of."""
    (key,) = party.keys()
    return desk.party(Talk(Join(OTHER, CallKey(key))), "bob")


def enter(desk: Desk, subject: str = "bk-1", reads: bool = True, writes: bool = True) -> Party:
    """Who enters the topic."""
    return desk.party(MemberTalk(Enter(ROOM, reads, writes)), subject)


def refused(
    desk: Desk, subject: str = "bk-1", reads: bool = True, writes: bool = True
) -> RelayError | None:
    """How entering would be refused before the handshake is over."""
    try:
        desk.broker.judge(Enter(ROOM, reads, writes), grant(subject=subject, dialect="far"))
    except RelayError as error:
        return error
    return None


def test_who_enters_calls(desk: Desk) -> None:
    """It is joined with the host's service, one to one, and there is no topic."""
    far = host(desk)
    publish(desk, "bk-1")
    caller = enter(desk)
    callee = accepter(desk, far)
    caller.says(b"up")
    callee.says(b"down")
    assert (callee.payload(), caller.payload()) == (b"up", b"down")
    assert not desk.broker.topics
    (circuit,) = desk.broker.circuits
    assert circuit.name == f"{OTHER}/sh"


def test_what_is_said_early_waits(desk: Desk) -> None:
    """Until the host has accepted; no more is read meanwhile."""
    far = host(desk)
    publish(desk, "bk-1")
    caller = enter(desk)
    caller.says(b"hello")
    assert not caller.link.reading
    callee = accepter(desk, far)
    assert callee.payload() == b"hello"
    assert caller.link.reading


def test_the_host_is_told_whose_name_it_is(desk: Desk) -> None:
    """A booking of this dialect is no subject of the host's."""
    publish(desk, "bk-1")
    found = desk.broker.publications.find(Enter(ROOM), grant(subject="bk-1", dialect="far"))
    assert found is not None
    assert (found.caller, found.call.service) == ("far:bk-1", "sh")


def test_a_slow_host_stops_the_caller(desk: Desk) -> None:
    """Nothing is lost: a call is no topic."""
    far = host(desk)
    publish(desk, "bk-1")
    caller = enter(desk)
    callee = accepter(desk, far)
    callee.link.stuck = True
    for number in range(10):
        caller.says(bytes([number]) * 70_000)
    assert not caller.link.reading
    callee.link.stuck = False
    pump(caller.link, callee.link)
    assert len(callee.payload()) == 10 * 70_000
    assert not desk.metrics.lost_messages_total


@pytest.mark.parametrize(("reads", "writes"), [(True, False), (False, True)])
def test_a_call_takes_both_scopes(desk: Desk, reads: bool, writes: bool) -> None:
    """Who may do but one of the two is refused, whether there is a host or not."""
    publish(desk, "bk-1")
    error = refused(desk, reads=reads, writes=writes)
    assert isinstance(error, WrongScope)
    assert error.text == f"{ROOM} is for those alone who may both read and write"
    far = host(desk)
    assert enter(desk, reads=reads, writes=writes).reason is Reason.WRONG_SCOPE
    assert far.keys() == []


def test_only_the_bookings_that_are_named(desk: Desk) -> None:
    """And none without a name, unless everybody may."""
    host(desk)
    publish(desk, "bk-1")
    assert refused(desk) is None
    assert isinstance(refused(desk, "bk-2"), WrongName)
    assert isinstance(refused(desk, ""), WrongName)
    publish(desk)
    assert isinstance(refused(desk, ""), WrongName)
    publish(desk, public=True)
    assert refused(desk, "") is None


def test_an_absent_host(desk: Desk) -> None:
    """It is told before the handshake is over, and of no other name."""
    publish(desk, "bk-1")
    error = refused(desk)
    assert isinstance(error, HostAbsent)
    assert error.text == f"no host answers for {ROOM} now"
    far = host(desk)
    assert refused(desk) is None
    far.link.lose()
    assert enter(desk).reason is Reason.HOST_ABSENT


def test_a_silent_host(desk: Desk) -> None:
    """It is waited for as by any caller."""
    host(desk)
    publish(desk, "bk-1")
    caller = enter(desk)
    desk.world.passes(PENDING_S + 1)
    assert caller.reason is Reason.HOST_SILENT
    assert desk.broker.pending_calls() == 0


def test_the_end_of_the_host(desk: Desk) -> None:
    """It is the end of the link: there are no others to hear."""
    far = host(desk)
    publish(desk, "bk-1")
    caller = enter(desk)
    accepter(desk, far).link.lose()
    assert caller.reason is Reason.LOST


def test_the_end_of_the_caller(desk: Desk) -> None:
    """The host's link ends with it; a call that waits is given up."""
    far = host(desk)
    publish(desk, "bk-1")
    caller, callee = enter(desk), accepter(desk, far)
    caller.link.lose()
    assert callee.reason is Reason.LOST
    enter(desk).link.lose()
    assert desk.broker.pending_calls() == 0


def test_the_end_of_the_token(desk: Desk) -> None:
    """It ends the call, as it ends a member."""
    far = host(desk)
    publish(desk, "bk-1")
    talk = MemberTalk(Enter(ROOM))
    caller = desk.party(talk, "bk-1")
    ends = replace(grant(subject="bk-1"), expires=60.0, ends_links=True)
    caller.session.grant = ends
    desk.broker.add(caller.session)
    callee = accepter(desk, far)
    desk.world.passes(61)
    assert (caller.reason, callee.reason) == (Reason.EXPIRED, Reason.EXPIRED)


@pytest.mark.parametrize("which", ["booking", "topic", "host", "target"])
def test_a_revocation(desk: Desk, which: str) -> None:
    """Of the booking, of either name, or of the host, ends the call; and the next is refused."""
    far = host(desk)
    publish(desk, "bk-1")
    caller = enter(desk)
    callee = accepter(desk, far)
    desk.broker.revoke(
        subject={"booking": "bk-1", "host": "bob"}.get(which),
        offer={"topic": ROOM, "target": OTHER}.get(which),
    )
    assert caller.reason is callee.reason is Reason.REVOKED
    assert isinstance(refused(desk), Revoked | HostAbsent)


def test_members_that_are_there_stay(desk: Desk) -> None:
    """A reload makes callers of those who come, and members of those who come behind the next."""
    host(desk)
    old, one = enter(desk), enter(desk, "bk-2")
    publish(desk, "bk-1")
    enter(desk)
    old.says(b"still here")
    assert one.payload() == b"still here"
    desk.broker.publications = Publications()
    new = enter(desk)
    old.link.arrive(Message(b"welcome", text=True))
    assert new.told() == [b"welcome"]
