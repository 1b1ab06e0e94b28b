"""The router's link to an agent: registration, tunnels, and what becomes of them."""

from __future__ import annotations

import uuid

import pytest

from relay.auth import verify
from relay.dialects.network_relay.agents import (
    KEEP_ALIVE_S,
    KNOWS_NO_KEEP_ALIVE,
    AgentLink,
)
from relay.dialects.network_relay.assembly import STRANGER_BYTES
from relay.dialects.network_relay.messages import (
    KEEP_ALIVE,
    MESSAGE_BYTES,
    encode_agent_start,
    encode_error,
    encode_ok,
    encode_reset,
)
from relay.dialects.network_relay.targets import Target
from relay.errors import AuthError, ProtocolError, TargetRefused, TooLarge, UnsupportedData
from relay.interfaces import IGreeting
from relay.vocabulary import (
    Accept,
    Answer,
    Call,
    Close,
    Data,
    Hello,
    Message,
    Offer,
    Reason,
    Reset,
    Rivalry,
    Role,
    Stands,
)
from relay.wire.wsmux import encode_ack, encode_dat, encode_fin
from tests.dialects.network_relay_rooms import Agent, data, inner, registered
from tests.dialects.network_relay_samples import AGENT, AGENT_SECRET, OFFER, texts
from tests.dialects.network_relay_vectors import (
    B1,
    CONNECTION_ID,
    PING,
    V1,
    V2,
    V5,
    V6,
    V13,
    V14,
)

# -- registration ----------------------------------------------------------------------------------


def test_an_agent_with_the_right_secret_is_registered_in_silence() -> None:
    """It keeps its name while it lives, and is not told so."""
    assert Agent().registers() == [Offer(OFFER, Answer.STREAM, Rivalry.LIVE_KEEPS)]


@pytest.mark.parametrize("binary", [False, True])
def test_our_own_agent_is_told_when_the_name_is_its_own(binary: bool) -> None:
    """Between our own programs a ``keep_alive`` says so, and not before no rival can have it."""
    agent = Agent(binary)
    assert agent.registers() == [Offer(OFFER, Answer.STREAM, Rivalry.LIVE_KEEPS)]
    assert agent.told(Stands(OFFER)) == ([*texts(V14)] if binary else [])


def test_a_grant_is_for_the_agents_own_name() -> None:
    """Nobody registers as somebody else."""
    agent = Agent()
    (hello,) = agent.hears(V1)
    assert isinstance(hello, Hello)
    grant = IGreeting(agent.link).grant(verify(hello.credential, 0.0))
    assert (grant.role, grant.subject, grant.name) == (Role.HOST, AGENT, OFFER)


@pytest.mark.parametrize(
    "start",
    [
        encode_agent_start(AGENT, "wrong"),
        encode_agent_start(AGENT, ""),
        encode_agent_start("nobody", AGENT_SECRET),
        encode_agent_start("", AGENT_SECRET),
        encode_agent_start("", ""),
    ],
)
def test_an_agent_that_is_not_listed_is_refused(start: bytes) -> None:
    """Wrong secret, unknown name and no name are one; nothing is said but a Close of 1000."""
    agent = Agent()
    (hello,) = agent.hears(start)
    assert isinstance(hello, Hello)
    with pytest.raises(AuthError):
        verify(hello.credential, 0.0)
    assert list(agent.told(Reset(Reason.TOKEN_INVALID))) == []
    assert agent.link.end(Reason.TOKEN_INVALID, None) == Close(1000, "token-invalid")
    assert agent.hears(start, V14) == []


@pytest.mark.parametrize("first", [V14, V5, V6, V13, V2, B1, b"", b"{", b"[]"])
def test_an_agent_that_begins_otherwise_is_not_heard(first: bytes) -> None:
    """Only a start will do; the error holds nothing of what was said."""
    with pytest.raises(ProtocolError) as raised:
        Agent().hears(first)
    assert "s3cr3t" not in str(raised.value)


def test_a_stranger_has_no_frames() -> None:
    """Agreed or not, what comes in binary before a start ends the link."""
    with pytest.raises(UnsupportedData):
        Agent().takes(Message(V1))
    for frame in (encode_dat(0, b"x"), encode_ack(0, 1), encode_fin(0)):
        with pytest.raises(ProtocolError):
            Agent(binary=True).takes(Message(frame))


def test_a_stranger_has_little_room_and_an_agent_more() -> None:
    """64 KiB for a start, 16 MiB for what follows, in parts too."""
    filler = b" " * (STRANGER_BYTES - len(V1))
    assert len(Agent().hears(V1 + filler)) == 1
    with pytest.raises(TooLarge):
        Agent().hears(V1 + filler + b" ")
    agent = registered()
    _, connection_id, _ = agent.called()
    long = data(connection_id, bytes(MESSAGE_BYTES // 4 * 3 - 1024))
    half = len(long) // 2
    parts = (Message(long[:half], True, False), Message(long[half:], True))
    assert len(agent.takes(*parts)) == 1
    rest = b" " * (MESSAGE_BYTES - len(long) + 1)
    with pytest.raises(TooLarge):
        agent.takes(parts[0], Message(long[half:] + rest, True, False))


def test_no_secret_is_kept_or_shown() -> None:
    """Neither the link nor what it yields has the secret in its repr."""
    agent = Agent()
    shown = repr((agent.hears(V1), agent.link))
    assert AGENT_SECRET not in shown
    kept = [getattr(agent.link, name, None) for name in AgentLink.__slots__]
    assert not [value for value in kept if AGENT_SECRET in str(getattr(value, "secret", value))]


def test_a_second_start_is_ignored() -> None:
    """With the same name, or another, right or wrong."""
    agent = registered()
    stream, connection_id, _ = agent.called()
    assert agent.hears(V1, encode_agent_start("other", "wrong")) == []
    assert agent.hears(encode_ok(connection_id)) == [Accept(stream)]


# -- keep_alive ------------------------------------------------------------------------------------


def test_a_keep_alive_goes_out_every_30_s() -> None:
    """From registration on, and not before."""
    agent = Agent()
    assert agent.link.deadline() is None
    agent.registers()
    assert agent.passes(KEEP_ALIVE_S - 0.1) == []
    assert agent.passes(0.2) == list(texts(V14))
    assert agent.passes(3 * KEEP_ALIVE_S) == list(texts(V14, V14, V14))


def test_to_be_woken_early_changes_nothing() -> None:
    """Only the time counts."""
    agent = registered()
    assert list(agent.link.wake(agent.now + 1)) == []
    assert agent.link.deadline() == agent.now + KEEP_ALIVE_S


@pytest.mark.parametrize("sentence", KNOWS_NO_KEEP_ALIVE)
def test_an_agent_too_old_for_a_keep_alive_gets_none(sentence: str) -> None:
    """It says so in the error of its last session, amid other text."""
    agent = registered(last_error=f"1 validation error\n  {sentence}: 'start' [type=union]")
    assert agent.link.deadline() is None
    assert agent.passes(1000) == []


def test_any_other_last_error_is_of_no_account() -> None:
    """An agent that was only refused is kept alive."""
    assert registered(last_error="[Errno 111] Connect call failed").passes(31) == list(texts(V14))


def test_what_an_agent_says_to_keep_alive_is_of_no_account() -> None:
    """It neither answers nor registers anything."""
    assert registered().hears(KEEP_ALIVE, KEEP_ALIVE) == []


# -- opening a tunnel ------------------------------------------------------------------------------


def test_a_call_becomes_initiate_connection() -> None:
    """In the order of the vectors, with the port as a number."""
    agent = registered()
    call = Call(OFFER, "127.0.0.1:22")
    stream = agent.link.begin(call).stream
    (told,) = agent.told(call._replace(stream=stream))
    connection_id = str(inner(told)["connection_id"])
    assert isinstance(told, Message)
    assert told.payload == V2.replace(CONNECTION_ID.encode(), connection_id.encode())


def test_each_tunnel_has_a_new_id() -> None:
    """A random UUID of version 4, in lower case with hyphens; numbers differ too."""
    agent = registered()
    calls = [agent.called() for _ in range(20)]
    for _, connection_id, _ in calls:
        read = uuid.UUID(connection_id)
        assert str(read) == connection_id == connection_id.lower()
        assert (read.version, read.variant) == (4, uuid.RFC_4122)
    assert len({stream for stream, _, _ in calls}) == len({ident for _, ident, _ in calls}) == 20


def test_any_target_is_passed_on_as_it_was_said() -> None:
    """What is no address, port or protocol is the agent's to judge."""
    for target in (Target("h\u00f6st/x", 70000, "udp"), Target("", -1), Target("::1", 0, "")):
        _, _, members = registered().called(target)
        assert (
            Target(
                str(members["target_ip"]),
                int(str(members["target_port"])),
                str(members["protocol"]),
            )
            == target
        )


def test_what_is_no_target_is_refused_before_the_agent_hears_of_it() -> None:
    """A call from another dialect may name anything."""
    with pytest.raises(TargetRefused):
        registered().link.begin(Call(OFFER, "ssh"))


def test_an_ok_accepts_once() -> None:
    """Who answers twice, in the same way or another, has answered."""
    agent = registered()
    stream, ident, _ = agent.called()
    assert agent.hears(encode_ok(ident)) == [Accept(stream)]
    assert agent.hears(encode_ok(ident), encode_error(ident, "no")) == []
    assert agent.hears(data(ident)) == [Data(PING, stream)]


def test_an_error_refuses_once_with_the_agents_text() -> None:
    """Nothing that is said of the tunnel afterwards counts."""
    agent = registered()
    stream, ident, _ = agent.called()
    text = "[Errno 111] Connect call failed ('127.0.0.1', 1) \u00e4\u4f60"
    assert agent.hears(encode_error(ident, text)) == [
        Reset(Reason.TARGET_REFUSED, stream, None, text)
    ]
    assert agent.hears(encode_ok(ident), encode_error(ident, text), data(ident)) == []
    assert agent.told(Reset(Reason.PEER_CLOSED, stream)) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("target-forbidden: 10.0.0.1:80 is not in this agent's list", Reason.TARGET_FORBIDDEN),
        ("limit: 1024 connections are being made already", Reason.LIMIT),
        ("limit", Reason.LIMIT),
        ("limits: are no word", Reason.TARGET_REFUSED),
        ("", Reason.TARGET_REFUSED),
        # what a router alone can know
        ("token-invalid: says the agent", Reason.TARGET_REFUSED),
        ("host-absent: says the agent", Reason.TARGET_REFUSED),
        # no refusal at all, or one of which a client would hear nothing
        ("finished", Reason.TARGET_REFUSED),
        ("internal: error", Reason.TARGET_REFUSED),
    ],
)
def test_a_reason_word_is_understood(text: str, reason: Reason) -> None:
    """Where our own agent begins with one; not one that would pass for the router's own."""
    agent = registered()
    stream, ident, _ = agent.called()
    assert agent.hears(encode_error(ident, text)) == [Reset(reason, stream, None, text)]


def test_answers_are_matched_by_id() -> None:
    """In whatever order they come."""
    agent = registered()
    first, second = agent.called(), agent.called()
    assert agent.hears(encode_ok(second[1]), encode_ok(first[1])) == [
        Accept(second[0]),
        Accept(first[0]),
    ]


def test_data_before_the_ok_is_the_tunnels() -> None:
    """The core keeps it until the caller has heard of the answer."""
    agent = registered()
    stream, ident, _ = agent.called()
    assert agent.hears(data(ident), encode_ok(ident), data(ident)) == [
        Data(PING, stream),
        Accept(stream),
        Data(PING, stream),
    ]


def test_what_is_said_of_others_is_ignored() -> None:
    """Ids that never were, those of another agent's link, and those that are over."""
    agent, other = registered(), registered()
    agent.called()
    for _ in range(3):
        _, foreign, _ = other.called()
    unknown = [foreign, "", "x" * 1000, "3F0C9A1E"]
    for ident in unknown:
        messages = (data(ident), encode_ok(ident), encode_error(ident, "e"), encode_reset(ident))
        assert agent.hears(*messages) == []
