"""Links of a router: who waits, who is joined with whom, and every way in which that ends.

Specification: taas.md §6, §8, §9 and §14 to §16.
"""

from __future__ import annotations

import json

import pytest

from relay.dialects.taas.conversations import EARLY_BYTES
from relay.dialects.taas.fixed import RETRY_S
from relay.dialects.taas.hidden import OPEN_S
from relay.dialects.taas.notions import WAITING
from relay.errors import TokenMissing
from relay.vocabulary import Data, Message, Reason
from tests.conftest import Flush
from tests.dialects.taas_rooms import (
    CONFIG,
    HOST,
    MOBILE,
    OTHER_ID,
    STRANGER,
    Party,
    Room,
    port_of,
    stored,
)

FIXED = 62052


@pytest.fixture
def room() -> Room:
    """A router whose store has one record, with a fixed port."""
    room = Room()
    room.lists("alpha", f"gw.alpha:{FIXED}")
    return room


def pair(room: Room) -> tuple[Party, Party]:
    """A host's connection and a caller's, joined."""
    return room.responder(), room.mobile()


# -- hidden ports ------------------------------------------------------------------------------


def test_the_first_connection_takes_a_port(room: Room) -> None:
    """It listens no more, and who was let in along with the first is refused."""
    number = room.port()
    port = room.ports.open_ports[number]
    assert room.connect(number)
    assert room.connect(number) is None
    with pytest.raises(TokenMissing):
        port.welcome(HOST, 1)


def test_a_port_waits_for_its_time_and_no_longer(room: Room) -> None:
    """Half a minute."""
    first, second = room.port(), room.port()
    room.passes(OPEN_S - 0.5)
    assert room.connect(first)
    room.passes(1)
    assert room.connect(second) is None
    assert room.ports.open_ports == {}


def test_a_stranger_does_not_take_a_port(room: Room) -> None:
    """However often one connects; the host gets in afterwards."""
    number = room.port()
    for _ in range(5):
        assert room.connect(number, STRANGER) is None
    assert all(isinstance(error, TokenMissing) for error in room.refusals)
    assert room.connect(number, HOST)


def test_strangers_are_let_in_where_the_operator_permits_it() -> None:
    """For hosts that register by another way than they connect."""
    room = Room(CONFIG._replace(same_address=False))
    assert room.connect(room.port(), STRANGER)


def test_a_host_that_was_revoked_meanwhile_is_refused(room: Room) -> None:
    """Its port is spent."""
    number = room.port()
    room.broker.revoke("taas", offer="taas:alpha")
    assert room.connect(number) is None
    assert room.refusals[-1].reason is Reason.REVOKED
    assert room.ports.open_ports == {}


# -- the queue ---------------------------------------------------------------------------------


def test_callers_get_hosts_in_order(room: Room) -> None:
    """First come, first served; two of one port are two pairs."""
    hosts = [room.responder() for _ in range(3)]
    number = port_of(room.seek())
    for index, host in enumerate(hosts):
        caller = room.connected(number, MOBILE)
        caller.say(b"%d" % index)
        assert host.heard() == b"%d" % index
        host.say(b"back")
        assert caller.heard() == b"back"


def test_one_more_than_may_wait_pushes_out_the_oldest(room: Room) -> None:
    """Twenty-one wait; the oldest is sent a FIN, and nothing else."""
    hosts = [room.responder() for _ in range(WAITING)]
    assert [host.reason for host in hosts] == [None] * WAITING
    another = room.responder()
    assert [host.reason for host in hosts] == [Reason.REPLACED] + [None] * (WAITING - 1)
    assert hosts[0].heard_end()
    assert not hosts[0].was_reset()
    assert hosts[0].heard() == b""
    assert another.reason is None
    room.mobile().say(b"x")
    assert hosts[1].heard() == b"x"


@pytest.mark.parametrize("way", ["fin", "rst"])
def test_who_leaves_is_handed_to_nobody(room: Room, way: str) -> None:
    """A FIN while waiting is the end, and so is a RST."""
    hosts = [room.responder() for _ in range(3)]
    for host in (hosts[0], hosts[1]):
        getattr(host, way)()
        assert host.reason in (Reason.PEER_CLOSED, Reason.LOST)
    assert hosts[0].heard_end() == (way == "fin")
    room.mobile().say(b"x")
    assert [host.heard() for host in hosts] == [b"", b"", b"x"]


def test_two_ids_of_one_label_share_its_queue(room: Room) -> None:
    """In the order in which they connected."""
    room.records.texts[OTHER_ID] = stored("Alpha")
    mine, other = room.responder(), room.responder(subject=OTHER_ID)
    for host in (mine, other):
        room.mobile().say(b"x")
        assert host.heard() == b"x"


def test_what_a_host_says_early_is_kept(room: Room) -> None:
    """All of it, in order, and what follows behind it."""
    host = room.responder()
    host.say(b"early ")
    host.say(b"x" * (EARLY_BYTES - 6))
    caller = room.mobile()
    host.say(b" late")
    assert caller.heard() == b"early " + b"x" * (EARLY_BYTES - 6) + b" late"


def test_a_host_that_says_too_much_early_is_ended(room: Room) -> None:
    """Nobody was there to take it."""
    host = room.responder()
    host.say(b"x" * EARLY_BYTES)
    assert host.reason is None
    host.say(b"x")
    assert host.reason is Reason.OVERRUN
    assert host.heard_end()


def test_nothing_follows_the_end_of_a_host_that_waited(room: Room) -> None:
    """Whatever still comes, and whatever it is told."""
    conversation = room.responder().conversation
    conversation.receive(Message(b"x" * (EARLY_BYTES + 1), final=False), 1.0)
    for message in (Message(b"more", final=False), Message(b"")):
        assert list(conversation.receive(message, 1.0)) == []


# -- callers -----------------------------------------------------------------------------------


def test_a_caller_waits_a_moment_for_a_host(room: Room) -> None:
    """What it says meanwhile reaches the host, its FIN too."""
    room.responder()
    number = port_of(room.seek())
    room.connected(number, MOBILE)
    caller = room.connected(number, MOBILE)
    caller.say(b"hello")
    caller.fin()
    room.passes(2)
    assert caller.reason is None
    host = room.responder()
    assert caller.heard() == b""
    assert host.heard() == b"hello"
    assert host.heard_end()
    host.say(b"answer")
    host.fin()
    assert caller.heard() == b"answer"
    assert caller.reason is host.reason is Reason.FINISHED


def test_a_caller_without_a_host_is_sent_an_end(room: Room) -> None:
    """After three seconds, without an octet."""
    room.responder()
    number = port_of(room.seek())
    room.connected(number, MOBILE)
    caller = room.connected(number, MOBILE)
    room.passes(4)
    assert caller.reason is Reason.HOST_ABSENT
    assert caller.heard_end()
    assert caller.heard() == b""
    room.responder()
    assert room.connected(number, MOBILE).reason is None


def test_a_caller_that_left_takes_no_host(room: Room) -> None:
    """The host that comes next is there for the next caller."""
    room.responder()
    number = port_of(room.seek())
    room.connected(number, MOBILE)
    room.connected(number, MOBILE).rst()
    host = room.responder()
    room.connected(number, MOBILE).say(b"x")
    assert host.heard() == b"x"


# -- pairs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 1])
def test_each_direction_ends_by_itself(room: Room, first: int) -> None:
    """A FIN arrives as a FIN, while the reverse direction goes on."""
    parties = pair(room)
    one, other = parties[first], parties[1 - first]
    one.say(b"all of it")
    one.fin()
    assert (other.heard(), other.heard_end()) == (b"all of it", True)
    other.say(b"still going")
    assert (one.heard(), one.heard_end()) == (b"still going", False)
    other.fin()
    assert one.heard_end()
    assert one.reason is other.reason is Reason.FINISHED
    assert not one.was_reset()
    assert not other.was_reset()


@pytest.mark.parametrize("first", [0, 1])
def test_a_reset_of_one_is_a_reset_of_the_other(room: Room, first: int) -> None:
    """Nobody takes a part for the whole, and the router lives."""
    parties = pair(room)
    one, other = parties[first], parties[1 - first]
    one.say(b"a part")
    one.rst()
    assert other.was_reset()
    assert other.reason is Reason.LOST
    assert room.register().status == 200


def test_a_message_without_octets_is_no_end(room: Room) -> None:
    """As other dialects have them."""
    conversation = pair(room)[1].conversation
    assert conversation.encode(Data(b"")) == Message(b"", final=False)
    assert conversation.encode(Data(b"x")) == Message(b"x", final=True)


def test_a_revocation_ends_what_waits_and_what_is_joined(room: Room) -> None:
    """In order what waits, by a reset what has a partner."""
    host, caller = pair(room)
    waiting = room.responder()
    assert room.broker.revoke("taas", offer="taas:alpha") == 3
    assert host.was_reset()
    assert caller.was_reset()
    assert waiting.heard_end()
    assert not waiting.was_reset()


def test_a_drain_lets_pairs_go_on(room: Room) -> None:
    """Those that wait go at once."""
    host, caller = pair(room)
    waiting = room.responder()
    room.broker.drain(lambda: None)
    assert waiting.reason is Reason.GOING_AWAY
    caller.say(b"x")
    assert host.heard() == b"x"


# -- fixed ports -------------------------------------------------------------------------------


def test_a_fixed_port_opens_with_the_first_host(room: Room) -> None:
    """Who connects there is joined without a request, and pairings say so."""
    number = room.port("gw.alpha")
    assert FIXED not in room.ports.open_ports
    host = room.connected(number)
    caller = room.connected(FIXED, MOBILE)
    caller.say(b"SSH-2.0-x")
    assert host.heard() == b"SSH-2.0-x"
    (said,) = json.loads(room.register(method="GET", path="/pairings/gw.alpha").body)
    assert said["responder"] == f"https {HOST} 54300 PUT"
    assert said["initiator"].startswith(f"tcp {MOBILE} 4")
    assert set(said) == {"responder", "initiator", "timestamp"}
    room.responder("gw.alpha")
    assert room.connected(FIXED, MOBILE).reason is None


def test_a_fixed_port_that_is_in_use_harms_nobody(room: Room, expected_log_errors: Flush) -> None:
    """It is in the log, once; when it is free it is opened."""
    room.ports.foreign.add(FIXED)
    hosts = [room.responder("gw.alpha") for _ in range(5)]
    assert len(expected_log_errors()) == 1
    room.mobile("gw.alpha").say(b"x")
    assert hosts[0].heard() == b"x"
    room.passes(RETRY_S)
    room.responder("gw.alpha")
    assert not expected_log_errors()
    room.passes(RETRY_S)
    room.ports.foreign.clear()
    room.responder("gw.alpha")
    assert FIXED in room.ports.open_ports


def test_a_fixed_port_belongs_to_one_label(room: Room, expected_log_errors: Flush) -> None:
    """Another that wants it as well is complained of; the first one's goes on."""
    room.records.texts[OTHER_ID] = stored("x", f"gw.beta:{FIXED}")
    mine = room.responder("gw.alpha")
    room.responder("gw.beta", subject=OTHER_ID)
    (event,) = expected_log_errors()
    assert event["what"] == f"the fixed port of gw.beta:{FIXED} cannot be opened"
    room.connected(FIXED).say(b"x")
    assert mine.heard() == b"x"
