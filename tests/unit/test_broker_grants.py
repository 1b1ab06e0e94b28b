"""What a grant allows, and how it ends: by revocation, or when it expires."""

from __future__ import annotations

import pytest

from relay.errors import Revoked, WrongName
from relay.vocabulary import (
    Answer,
    Call,
    CallKey,
    Enter,
    Grant,
    Join,
    Offer,
    OfferName,
    Reason,
    Role,
    TopicName,
)
from tests.fakes import ControlTalk, MemberTalk, MuxTalk, Talk, grant
from tests.unit.broker_desk import NAME, OTHER, Desk, Party, call, refusal

# -- grants ----------------------------------------------------------------------------------------


def test_a_grant_is_good_for_its_own_name_only(desk: Desk) -> None:
    """Offer, call and join are each checked, before the handshake and after it."""
    host = desk.host()
    desk.caller()
    (key,) = host.keys()
    for event in (Offer(NAME, Answer.ANNOUNCE), Call(NAME), Join(NAME, CallKey(key))):
        assert refusal(desk, event, grant(name=OTHER)) is WrongName
        party = desk.party(Talk(event), name=OTHER)
        assert party.reason is Reason.WRONG_NAME
    assert host.reason is None
    assert desk.accepter(key).reason is None


def test_a_grant_is_good_for_its_own_topic_only(desk: Desk) -> None:
    """Like offers and calls; and a topic can be revoked, whoever is in it."""
    room, other = TopicName("talk:room"), TopicName("talk:other")
    stranger = desk.party(MemberTalk(Enter(other)), name=room)
    assert stranger.reason is Reason.WRONG_NAME
    member = desk.party(MemberTalk(Enter(room)), name=room)
    elsewhere = desk.party(MemberTalk(Enter(other)))
    assert desk.broker.revoke(offer=room) == 1
    assert member.reason is Reason.REVOKED
    assert elsewhere.reason is None
    assert refusal(desk, Enter(room)) is Revoked


def test_nothing_may_be_asked_for_without_a_grant(desk: Desk) -> None:
    """A link that has shown no credential breaks the rules by asking."""
    host = desk.host()
    for event in (Offer(NAME, Answer.ANNOUNCE), Call(NAME), Enter(TopicName("talk:t"))):
        party = Party(desk, Talk(event), None)
        assert party.reason is Reason.PROTOCOL_ERROR
    assert host.keys() == []


def test_a_grant_may_end_its_links(desk: Desk) -> None:
    """At its expiry where the dialect says so, and not otherwise."""
    ends = Grant("talk", Role.HOST, "a", expires=50.0, ends_links=True)
    stays = Grant("talk", Role.HOST, "b", expires=50.0)
    one = Party(desk, ControlTalk(Offer(NAME, Answer.ANNOUNCE)), ends)
    two = Party(desk, ControlTalk(Offer(OTHER, Answer.ANNOUNCE)), stays)
    three = Party(desk, ControlTalk(), ends)
    three.link.lose()
    desk.world.passes(49.5)
    assert one.reason is None
    desk.world.passes(1)
    assert [one.reason, two.reason] == [Reason.EXPIRED, None]
    assert desk.world.clock.getDelayedCalls() == []


# -- revocation ------------------------------------------------------------------------------------


def test_a_revocation_ends_what_matches(desk: Desk) -> None:
    """By subject, offer or token, and dialect: those links end at once, the others stay."""

    def party(subject: str, name: OfferName, token_id: str) -> Party:
        its_grant = grant(Role.HOST, subject, name, token_id)
        return Party(desk, ControlTalk(Offer(name, Answer.ANNOUNCE)), its_grant)

    alice, bob = party("alice", NAME, "a"), party("bob", OTHER, "b")
    assert desk.broker.revoke(dialect="other", subject="alice") == 0
    assert desk.broker.revoke(subject="bob", token_id="a") == 0
    assert desk.broker.revoke(dialect="talk", token_id="a") == 1
    assert [alice.reason, bob.reason] == [Reason.REVOKED, None]
    assert desk.broker.revoke(offer=OTHER) == 1
    assert [alice.reason, bob.reason] == [Reason.REVOKED, Reason.REVOKED]
    three = party("carol", OfferName("talk:3"), "c")
    assert desk.broker.revoke(subject="carol") == 1
    assert three.reason is Reason.REVOKED


def test_a_revocation_refuses_new_links_until_its_end(desk: Desk) -> None:
    """Refused before the handshake and after it, for as long as was said, and only who is meant."""
    desk.broker.revoke(subject="alice", until=100)
    alice, bob = grant(subject="alice"), grant(subject="bob")
    for its_grant, expected in ((alice, Revoked), (bob, None)):
        assert refusal(desk, None, its_grant) is expected
        assert refusal(desk, Offer(NAME, Answer.ANNOUNCE), its_grant) is expected
    assert desk.party(Talk(Offer(NAME, Answer.ANNOUNCE)), "alice").reason is Reason.REVOKED
    desk.world.clock.advance(99.5)
    assert refusal(desk, None, alice) is Revoked
    desk.world.clock.advance(1)
    assert refusal(desk, None, alice) is None


def test_a_revoked_offer_is_meant_whoever_uses_it(desk: Desk) -> None:
    """Also where the grant itself names no offer: its host, its callers, and those to come."""
    host = desk.host()
    caller, accepter = desk.circuit()
    bystander = desk.party(ControlTalk(Offer(OTHER, Answer.ANNOUNCE)))
    client = desk.party(MuxTalk())
    assert desk.broker.revoke(offer=NAME) == 3
    assert {party.reason for party in (host, caller, accepter)} == {Reason.REVOKED}
    assert bystander.reason is None
    assert refusal(desk, Offer(NAME, Answer.ANNOUNCE)) is Revoked
    assert refusal(desk, Call(NAME)) is Revoked
    call(client, 1)
    assert client.frames(b"R") == [1]
    assert client.reason is None


def test_a_revocation_never_means_everybody(desk: Desk) -> None:
    """A dialect alone, or nothing at all, is a mistake."""
    host = desk.host()
    for dialect in (None, "talk"):
        with pytest.raises(ValueError, match="names a subject, an offer or a token"):
            desk.broker.revoke(dialect=dialect)
    assert host.reason is None
