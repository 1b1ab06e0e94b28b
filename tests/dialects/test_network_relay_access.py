"""A client's link, as the router and our own client see it."""

from __future__ import annotations

import pytest

from relay.auth import verify
from relay.dialects.network_relay.access import AccessLink, CallingLink
from relay.dialects.network_relay.assembly import STRANGER_BYTES
from relay.dialects.network_relay.credentials import Client
from relay.dialects.network_relay.messages import (
    MESSAGE_BYTES,
    encode_client_error,
    encode_client_start,
    encode_finish,
)
from relay.dialects.network_relay.targets import Target
from relay.errors import AuthError, ProtocolError, TooLarge, UnsupportedData, WrongScope
from relay.interfaces import IGreeting
from relay.vocabulary import (
    Accept,
    Call,
    Close,
    Data,
    End,
    Finish,
    Hello,
    Message,
    OfferName,
    Passing,
    Reason,
    Reset,
    Role,
    SharedSecret,
)
from tests.dialects.network_relay_rooms import Caller, Talk, greeted
from tests.dialects.network_relay_samples import AGENT, CLIENT_SECRET, OFFER, TARGET, texts
from tests.dialects.network_relay_vectors import (
    A1,
    A3,
    B1,
    B2,
    B3,
    B4,
    B5,
    PING,
    V1,
    V5,
    V6,
    V7,
    V8,
    V9,
    V10,
    V11,
    V14,
)

NO_BASE64 = V11.replace(b"cGluZwo=", b"cGluZwo")
NAMED = Client("alice", CLIENT_SECRET, (AGENT,), ("127.0.0.1:22", "10.0.0.0/24:*"))


def opened(binary: bool = False) -> Caller:
    """A client whose tunnel stands."""
    caller = Caller(binary=binary)
    caller.starts()
    caller.told(Accept())
    return caller


# -- the router's end: who it is, and what it may --------------------------------------------------


def test_a_client_calls_with_its_start() -> None:
    """Agent and target as it said them."""
    caller = Caller()
    assert greeted(caller, caller.hears(V6)) == [Call(OFFER, str(TARGET))]


def test_a_start_is_read_as_the_original_reads_it() -> None:
    """In any order, with white space, unknown members and the port as a string."""
    caller = Caller()
    assert greeted(caller, caller.hears(A1)) == [Call(OFFER, "h:22")]


def test_any_target_of_any_agent_may_be_called_without_limits() -> None:
    """As with the original; whether it can be is the agent's to say."""
    for target in (Target("::1", 70000, "udp"), Target("", -1), Target("h\u00f6st", 1)):
        caller = Caller()
        assert caller.starts(target, "any body") == [
            Call(OfferName("network-relay:any body"), str(target))
        ]


def test_a_grant_has_the_clients_name() -> None:
    """Empty for those of the flat list."""
    for client in (NAMED, Client("", CLIENT_SECRET)):
        caller = Caller(client)
        (hello,) = caller.hears(V6)
        assert hello == Hello(SharedSecret(client.name, CLIENT_SECRET, (CLIENT_SECRET,)))
        assert isinstance(hello, Hello)
        grant = IGreeting(caller.link).grant(verify(hello.credential, 0.0))
        assert (grant.role, grant.subject, grant.name) == (Role.CLIENT, client.name, None)


@pytest.mark.parametrize(
    ("agent", "target"),
    [
        ("other", Target("127.0.0.1", 22)),
        (AGENT.upper(), Target("127.0.0.1", 22)),
        (AGENT, Target("127.0.0.1", 23)),
        (AGENT, Target("127.0.0.1", 22, "udp")),
        (AGENT, Target("10.0.1.1", 80)),
        (AGENT, Target("10.0.0.1", 0)),
        (AGENT, Target("localhost", 22)),
        (AGENT, Target("", 22)),
    ],
)
def test_a_named_client_has_its_rights_and_no_others(agent: str, target: Target) -> None:
    """The agent never hears of it; the error names neither list nor secret."""
    caller = Caller(NAMED)
    with pytest.raises(WrongScope) as raised:
        caller.starts(target, agent)
    assert CLIENT_SECRET not in raised.value.text
    (told,) = caller.told(Reset(raised.value.reason, 0, None, raised.value.text))
    assert isinstance(told, Message)
    assert (
        b'"message":"Error initiating connection: wrong-scope: this client may not' in told.payload
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_a_named_client_may_what_is_listed(host: str) -> None:
    """However the address is written."""
    target = Target(host, 22)
    assert Caller(NAMED).starts(target) == [Call(OFFER, str(target))]


# -- the router's end: refusals --------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["wrong", "", CLIENT_SECRET + " ", CLIENT_SECRET.upper()])
def test_a_wrong_secret_is_v8_and_1000(secret: str) -> None:
    """Even where the agent is unknown; what follows in the pipe is not read any more."""
    caller = Caller()
    (hello,) = caller.hears(encode_client_start("nobody", TARGET, secret))
    assert isinstance(hello, Hello)
    with pytest.raises(AuthError) as raised:
        verify(hello.credential, 0.0)
    assert caller.hears(V11, B1, V6) == []
    assert caller.told(Reset(raised.value.reason, 0, None, raised.value.text)) == list(texts(V8))
    assert caller.link.end(raised.value.reason, None) == Close(1000, raised.value.reason.value)


def test_an_unknown_agent_is_v9_and_1000() -> None:
    """The text says no more, whoever is asked."""
    caller = Caller()
    caller.starts()
    absent = Reset(Reason.HOST_ABSENT, 0, None, "no host is registered as network-relay:attic-pi")
    assert caller.told(absent) == list(texts(V9))
    assert caller.link.end(Reason.HOST_ABSENT, None) == Close(1000, "host-absent")


def test_an_agents_error_is_v10() -> None:
    """The fixed text, then the agent's, in any letters."""
    caller = Caller()
    caller.starts()
    refused = Reset(Reason.TARGET_REFUSED, 0, None, "Unsupported protocol: udp")
    assert caller.told(refused) == list(texts(V10))
    caller = Caller()
    caller.starts()
    (told,) = caller.told(refused._replace(text='\u00e4\u4f60\U0001f600 "\\\n'))
    assert (
        told
        == texts(encode_client_error('Error initiating connection: \u00e4\u4f60\U0001f600 "\\\n'))[
            0
        ]
    )


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.INTERNAL])
def test_every_refusal_is_told_once_and_never_behind_start_ok(reason: Reason) -> None:
    """A bare Close would be a traceback of the original client."""
    refusal = Reset(reason, 0, None, "")
    caller = Caller()
    caller.starts()
    (told,) = caller.told(refusal)
    assert isinstance(told, Message)
    assert told.payload.startswith(b'{"inner":{"kind":"error","message":"')
    assert caller.told(refusal) == []
    assert opened().told(refusal) == []
    assert list(Caller().told(refusal)) == [told]


def test_a_client_that_begins_otherwise_is_not_heard() -> None:
    """Only a start will do; it is told so, and the error holds no secret."""
    for first in (V11, V1, V5, V14, B1, B2, B3, B4, B5, b"", b"{"):
        with pytest.raises(ProtocolError) as raised:
            Caller().hears(first)
        assert "s3cr3t" not in raised.value.text
    with pytest.raises(UnsupportedData):
        Caller().takes(Message(V6))


def test_a_stranger_has_little_room_and_a_client_more() -> None:
    """64 KiB for a start, 16 MiB for what follows."""
    filler = b" " * (STRANGER_BYTES - len(V6))
    assert len(Caller().hears(V6 + filler)) == 1
    with pytest.raises(TooLarge):
        Caller().hears(V6 + filler + b" ")
    assert len(opened().hears(V11 + b" " * (MESSAGE_BYTES - len(V11)))) == 1
    with pytest.raises(TooLarge):
        opened().hears(V11 + b" " * (MESSAGE_BYTES - len(V11) + 1))


def test_no_secret_is_kept_or_shown() -> None:
    """Of the link, its outputs, and our own client's link once it has begun."""
    caller = Caller()
    assert CLIENT_SECRET not in repr((caller.hears(V6), caller.link, caller.client))
    assert CLIENT_SECRET not in tuple(getattr(caller.link, "_start", ()))
    calling = CallingLink(AGENT, TARGET, CLIENT_SECRET)
    assert CLIENT_SECRET not in repr(calling)
    list(calling.opened(0.0))
    assert CLIENT_SECRET not in repr(calling._start)


# -- the router's end: the tunnel ------------------------------------------------------------------


def test_an_answer_is_start_ok() -> None:
    """V7, and payload as V11 in both directions."""
    caller = Caller()
    caller.starts()
    assert caller.told(Accept()) == list(texts(V7))
    assert caller.hears(V11, A3) == [Data(PING), Data(b"hi")]
    assert caller.link.encode(Data(PING)) == texts(V11)[0]


def test_what_is_pipelined_behind_start_is_payload() -> None:
    """The core keeps it until there is an answer."""
    caller = Caller()
    caller.starts()
    assert caller.hears(V11) == [Data(PING)]


def test_a_second_start_is_ignored() -> None:
    """Right or wrong, before the answer or behind it."""
    caller = Caller()
    caller.starts()
    assert caller.hears(V6, encode_client_start("x", TARGET, "wrong")) == []
    assert opened().hears(V6, V11) == [Data(PING)]


@pytest.mark.parametrize("said", [B1, B2, B3, B5, V1, V14, V7, NO_BASE64, b"\xff"])
def test_what_no_client_says_ends_the_tunnel(said: bytes) -> None:
    """Base64 that is none, too."""
    with pytest.raises(ProtocolError):
        opened().hears(said)


def test_binary_and_finish_that_were_not_agreed_end_the_tunnel() -> None:
    """An original sends neither."""
    with pytest.raises(UnsupportedData):
        opened().takes(Message(b"payload"))
    with pytest.raises(ProtocolError):
        opened().hears(encode_finish())
    assert opened().told(Finish()) == []


def test_ends_of_the_link() -> None:
    """1000 but for the client's own faults, and for what this router has decided."""
    end = opened().link.end
    assert end(Reason.PROTOCOL_ERROR, Close(1002, "x")) == Close(1008, "protocol-error")
    assert end(Reason.TOO_LARGE, Close(1009, "x")) == Close(1009, "too-large")
    assert end(Reason.GOING_AWAY, None) == Close(1012, "going-away")
    assert end(Reason.OVERRUN, None) == Close(1013, "overrun")
    assert end(Reason.LOST, None) == Close(1000, "lost")


def test_whatever_its_agent_does_a_client_hears_1000() -> None:
    """It broke no rule, and this router does not leave."""
    end = opened().link.end
    assert end(Reason.PROTOCOL_ERROR, None) == Close(1000, "protocol-error")
    assert end(Reason.TOO_LARGE, None) == Close(1000, "too-large")
    assert end(Reason.GOING_AWAY, Close(1001, "bye")) == Close(1000, "going-away")
    assert end(Reason.LOST, Close(1011, "")) == Close(1000, "lost")


def test_a_clients_drop_is_its_end() -> None:
    """OpenSSH ends its helper by a signal; a router that drops is lost."""
    assert AccessLink.drop_is_end
    assert not CallingLink.drop_is_end


# -- between our own programs ----------------------------------------------------------------------


def test_agreed_payload_is_binary_as_it_is() -> None:
    """In both directions, in parts, with the end of each."""
    caller = opened(binary=True)
    assert caller.link.passes is Passing.BINARY
    assert caller.link.carries.half_close
    parts = (Message(b"ab", final=False), Message(b"c"))
    assert caller.takes(*parts) == [Data(b"ab", final=False), Data(b"c")]
    assert caller.hears(encode_finish()) == [Finish()]
    assert caller.link.encode(Data(b"x", final=False)) == Message(b"x", final=False)
    assert caller.told(Finish()) == list(texts(encode_finish()))


def test_agreed_payload_before_the_answer_ends_the_link() -> None:
    """Our own client waits; a stranger even more so."""
    caller = Caller(binary=True)
    with pytest.raises(ProtocolError):
        caller.takes(Message(b"payload"))
    caller.starts()
    with pytest.raises(ProtocolError):
        caller.takes(Message(b"payload"))


# -- our own client's end --------------------------------------------------------------------------


def ours(binary: bool = False) -> Talk:
    """Our client's link, begun."""
    return Talk(CallingLink(AGENT, TARGET, CLIENT_SECRET, binary))


def test_our_client_begins_as_the_original() -> None:
    """V6, byte for byte, once."""
    talk = ours()
    assert talk.first == list(texts(V6))


def test_our_client_is_accepted_once() -> None:
    """Payload follows; an error behind it is ignored."""
    talk = ours()
    assert talk.hears(V7, V11, V7, V9, V11) == [Accept(), Data(PING), Data(PING)]


def test_json_may_come_in_binary_to_our_client() -> None:
    """The original takes that, too."""
    assert ours().takes(Message(V7), Message(V11)) == [Accept(), Data(PING)]


@pytest.mark.parametrize(
    ("said", "reason", "shown"),
    [
        (V8, Reason.TOKEN_INVALID, "Invalid access client secret"),
        (V9, Reason.HOST_ABSENT, "Agent not registered"),
        (V10, Reason.TARGET_REFUSED, "Error initiating connection: Unsupported protocol: udp"),
        (
            encode_client_error("Error initiating connection: target-forbidden: h:1 is not listed"),
            Reason.TARGET_FORBIDDEN,
            "Error initiating connection: h:1 is not listed",
        ),
        (encode_client_error("overrun: x"), Reason.OVERRUN, "overrun: x"),
        (encode_client_error(""), Reason.TARGET_REFUSED, ""),
        (
            encode_client_error("Error initiating connection: token-invalid: x"),
            Reason.TARGET_REFUSED,
            "Error initiating connection: token-invalid: x",
        ),
    ],
)
def test_our_client_learns_why_it_is_refused(said: bytes, reason: Reason, shown: str) -> None:
    """Through whatever relay; the text is kept for the user."""
    assert ours().hears(said) == [End(reason, None, shown)]


@pytest.mark.parametrize("said", [B1, V14, V6, NO_BASE64, encode_finish()])
def test_what_no_router_says_ends_our_clients_link(said: bytes) -> None:
    """Before the answer and behind it."""
    for before in ((), (V7,)):
        with pytest.raises(ProtocolError):
            ours().hears(*before, said)


def test_our_client_and_our_router_agree() -> None:
    """Payload is binary behind ``start_ok``, and not before."""
    talk = ours(binary=True)
    with pytest.raises(ProtocolError):
        talk.takes(Message(b"early"))
    talk = ours(binary=True)
    assert talk.hears(V7) == [Accept()]
    assert talk.takes(Message(PING), *texts(encode_finish())) == [Data(PING), Finish()]
    assert talk.link.encode(Data(PING)) == Message(PING)
    assert talk.told(Finish()) == list(texts(encode_finish()))
