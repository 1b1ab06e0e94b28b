"""Published calls that a topic answers: what callers and members hear, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest

from relay.core.member import STANDSTILL_S
from relay.core.publications import Publications
from relay.errors import LimitReached, RelayError, Revoked, WrongName
from relay.settings.model import Callee, Limits, Publication
from relay.vocabulary import (
    Call,
    Carries,
    Data,
    Enter,
    Message,
    OfferName,
    Outputs,
    Reason,
    TopicName,
)
from tests.fakes import BOTH, MemberTalk, MuxTalk, Talk, grant
from tests.unit.broker_desk import NAME, Desk, Party, call

ROOM = TopicName("far:room")
HALL = TopicName("far:hall")
ALL = Carries(boundaries=True, text=True)


class Words(Talk):
    """A caller for whom a text would be a word to the other end."""

    def encode(self, data: Data) -> Message:
        """:returns: a binary message, as nothing else may come here"""
        assert not data.text
        return super().encode(data)


def publish(
    desk: Desk, *clients: str, source: Callee | None = None, target: TopicName = ROOM
) -> None:
    """Publish ``target`` as NAME, and nothing else any more."""
    callee = Callee(OfferName(target), topic=True)
    one = Publication("room", source or Callee(NAME), callee, clients)
    desk.broker.publications = Publications([one])


def member(desk: Desk, topic: TopicName = ROOM, subject: str = "bk-1") -> Party:
    """A member of a topic."""
    return desk.party(MemberTalk(Enter(topic)), subject)


def caller(desk: Desk, talk: Talk | None = None, subject: str = "alice") -> Party:
    """Who calls NAME, without texts unless it says so."""
    return desk.party(talk or Words(Call(NAME, "cam")), subject)


def refused(desk: Desk, subject: str = "alice") -> RelayError | None:
    """How a call of NAME would be refused before the handshake is over."""
    try:
        desk.broker.judge(Call(NAME), grant(subject=subject))
    except RelayError as error:
        return error
    return None


# -- what is heard ---------------------------------------------------------------------------------


def test_a_topic_answers_at_once(desk: Desk) -> None:
    """Nobody else need be there; who comes later hears the caller, and is heard."""
    publish(desk)
    alice = caller(desk)
    assert alice.accepted()
    bob = member(desk)
    alice.says(b"up")
    bob.says(b"down")
    assert (bob.payload(), alice.payload()) == (b"up", b"down")
    assert not any(message.text for message in bob.link.sent)


def test_callers_hear_each_other(desk: Desk) -> None:
    """Two calls are two members; nobody hears an echo."""
    publish(desk)
    alice, bob = caller(desk), caller(desk, subject="bob")
    alice.says(b"one")
    bob.says(b"two")
    assert (alice.payload(), bob.payload()) == (b"two", b"one")


def test_each_chunk_is_a_message(desk: Desk) -> None:
    """As it came; one that came in parts is one."""
    publish(desk)
    alice, bob = caller(desk), member(desk)
    alice.says(b"a")
    alice.says(b"bc")
    alice.link.arrive(Message(b"d", final=False), Message(b"e"))
    bob.payload()
    assert bob.link.sent == [Message(b"a"), Message(b"bc"), Message(b"de")]


def test_a_text_is_payload_like_any_other(desk: Desk) -> None:
    """For callers whose side has none; others hear it as one, and say some."""
    publish(desk)
    alice, other = caller(desk), caller(desk, Talk(Call(NAME), ALL))
    bob = member(desk)
    bob.link.arrive(Message(b"fin", text=True))
    assert alice.payload() == b"fin"
    assert b"fin" in other.told()
    other.link.arrive(Message(b"said", text=True))
    assert bob.told() == [b"said"]
    assert alice.payload() == b"finsaid"


def test_a_call_on_a_shared_link(desk: Desk) -> None:
    """Each of its streams is a member, and the others stay when one leaves."""
    publish(desk)
    client = desk.party(MuxTalk(), "alice")
    call(client, 7)
    call(client, 9)
    assert client.frames(b"A") == [7, 9]
    client.frame(b"D", 7, b"\x02hello")
    assert client.frames(b"D") == [9]
    client.frame(b"R", 7, b"peer-closed")
    assert client.reason is None
    assert len(desk.broker.circuits) == len(desk.broker.topics[ROOM].members) == 1


# -- how it ends -----------------------------------------------------------------------------------


def test_who_says_no_more_still_hears(desk: Desk) -> None:
    """A half-close of the caller is the end of its writing."""
    publish(desk)
    alice, bob = caller(desk, Talk(Call(NAME), BOTH)), member(desk)
    alice.link.arrive(Message(b"fin", text=True))
    alice.says(b"too late")
    bob.says(b"still here?")
    desk.world.passes(600)
    bob.says(b"yes")
    assert alice.payload() == b"still here?yes"
    assert bob.payload() == b""


def test_the_end_of_the_caller_leaves_the_topic(desk: Desk) -> None:
    """Bytes are counted once, as a circuit's; nothing is left behind."""
    publish(desk)
    alice, bob = caller(desk), member(desk)
    alice.says(b"12345")
    bob.says(b"123")
    alice.payload()
    topic = desk.broker.topics[ROOM]
    (circuit,) = desk.broker.circuits
    assert (circuit.name, circuit.bytes(), topic.bytes()) == (ROOM, (5, 3), (3, 5))
    alice.link.lose()
    assert desk.metrics.circuits_total["far", Reason.LOST] == 1
    assert desk.metrics.bytes_total["far", "up"] == 5
    assert desk.metrics.bytes_total["far", "down"] == 3
    assert len(topic.members) == 1
    bob.link.lose()
    assert desk.metrics.bytes_total["far", "up"] == 8
    assert desk.is_clean()


def test_the_end_of_a_member_ends_no_caller(desk: Desk) -> None:
    """It waits for the next, as members do."""
    publish(desk)
    alice, bob = caller(desk), member(desk)
    bob.link.lose()
    assert alice.reason is None
    member(desk).says(b"I am new")
    assert alice.payload() == b"I am new"


def test_a_slow_caller_loses_messages(desk: Desk) -> None:
    """They are counted, and nobody waits for it."""
    publish(desk)
    alice, bob, other = caller(desk), member(desk), caller(desk, subject="bob")
    alice.link.stuck = True
    part = bytes(70_000)
    for _ in range(200):
        bob.says(part)
        other.payload()
    assert len(other.payload()) == 200 * len(part)
    assert desk.metrics.lost_messages_total["far"] == 200 - 1 - 128
    alice.link.stuck = False
    assert len(alice.payload()) == 129 * len(part)


def test_a_caller_that_takes_nothing_is_cut_off(desk: Desk) -> None:
    """As any member is; its circuit says why."""
    publish(desk)
    alice, bob = caller(desk), member(desk)
    alice.link.stuck = True
    bob.says(bytes(70_000))
    bob.says(b"and more")
    desk.world.passes(2 * STANDSTILL_S)
    assert alice.reason is Reason.OVERRUN
    assert desk.metrics.circuits_total["far", Reason.OVERRUN] == 1
    assert desk.world.ledger.total == 0
    bob.link.lose()
    assert desk.is_clean()


def test_a_caller_that_stays_silent_is_ended() -> None:
    """Where the router says so of circuits; members have no such limit."""
    desk = Desk(Limits(idle_s=60))
    publish(desk)
    alice, bob = caller(desk), member(desk)
    for _ in range(3):
        desk.world.passes(50)
        bob.says(b"x")
        alice.payload()
    assert len(desk.broker.circuits) == 1
    desk.world.passes(70)
    assert (alice.reason, bob.reason) == (Reason.IDLE, None)


def test_a_drain_waits_for_callers(desk: Desk) -> None:
    """As for any circuit, and for no member."""
    publish(desk)
    alice = caller(desk)
    member(desk)
    drained: list[bool] = []
    desk.broker.drain(lambda: drained.append(True))
    assert (alice.reason, drained) == (None, [])
    alice.link.lose()
    assert drained == [True]


@pytest.mark.parametrize(
    "which",
    [
        {"offer": NAME},
        {"offer": ROOM},
        {"subject": "alice"},
        {"offer": ROOM, "dialect": "far"},
        {"offer": NAME, "dialect": "talk"},
    ],
    ids=str,
)
def test_a_revocation_ends_the_call(desk: Desk, which: dict[str, Any]) -> None:
    """Of either name or of the caller; and the next one is refused."""
    publish(desk)
    alice = caller(desk)
    assert desk.broker.revoke(**which) == 1
    assert alice.reason is Reason.REVOKED
    assert not desk.broker.topics
    assert isinstance(refused(desk), Revoked)


def test_another_revocation_does_not(desk: Desk) -> None:
    """Of a subject of the topic's own dialect, or of another name."""
    publish(desk)
    alice = caller(desk)
    desk.broker.revoke(dialect="far", subject="alice")
    desk.broker.revoke(dialect="far", subject="")
    desk.broker.revoke(dialect="other", offer=ROOM)
    assert alice.reason is None


# -- who may ---------------------------------------------------------------------------------------


def test_only_those_who_are_named(desk: Desk) -> None:
    """Others enter nothing."""
    publish(desk, "alice")
    assert isinstance(refused(desk, "mallory"), WrongName)
    assert caller(desk, subject="mallory").reason is Reason.WRONG_NAME
    assert not desk.broker.topics
    assert refused(desk) is None


def test_a_full_router(desk: Desk) -> None:
    """No more callers are let in, who hear of no other name than their own."""
    publish(desk)
    desk.world.ledger.cap_bytes = 0
    error = refused(desk)
    assert isinstance(error, LimitReached)
    assert error.text == f"no more calls are taken for {NAME} now"
    assert caller(desk).reason is Reason.LIMIT
    assert not desk.broker.topics


def test_a_caller_that_ends_while_it_is_told(desk: Desk) -> None:
    """Nothing is left of it."""

    class FallsOver(Talk):
        def perform(self, event: Any, now: float) -> Outputs:
            raise RelayError("cannot say that")

    publish(desk)
    assert desk.party(FallsOver(Call(NAME))).reason is Reason.INTERNAL
    assert desk.is_clean()


@pytest.mark.parametrize(("reads", "writes"), [(True, False), (False, True)])
def test_one_topic_as_another(desk: Desk, reads: bool, writes: bool) -> None:
    """Who enters the one is a member of the other, and may do no more there."""
    publish(desk, "bk-1", source=Callee(OfferName(HALL), topic=True))
    one = desk.party(MemberTalk(Enter(HALL, reads, writes)), "bk-1")
    bob = member(desk)
    one.says(b"from there")
    bob.says(b"from here")
    assert (bob.payload(), one.payload()) == (
        b"from there" if writes else b"",
        b"from here" if reads else b"",
    )
    assert list(desk.broker.topics) == [ROOM]
    assert member(desk, HALL, "bk-2").reason is Reason.WRONG_NAME
