"""The tunnels of an agent's link, as the router sees them: payload, ends, and our own frames."""

from __future__ import annotations

import pytest

from relay.dialects.network_relay.agents import (
    GIVEN_UP_CALLS,
)
from relay.dialects.network_relay.messages import (
    encode_close,
    encode_error,
    encode_ok,
    encode_reset,
)
from relay.dialects.network_relay.tunnels import WINDOW_BYTES
from relay.errors import ProtocolError, UnsupportedData
from relay.vocabulary import (
    Accept,
    Close,
    Credit,
    Data,
    Finish,
    Hello,
    Message,
    Reason,
    Reset,
    SharedSecret,
)
from relay.wire.wsmux import encode_ack, encode_dat, encode_fin, encode_syn
from tests.dialects.network_relay_rooms import Agent, data, registered
from tests.dialects.network_relay_samples import AGENT, AGENT_SECRET, texts
from tests.dialects.network_relay_vectors import (
    B1,
    PING,
    V1,
    V2,
    V13,
    V14,
)

# -- payload and ends ------------------------------------------------------------------------------


def test_payload_goes_to_the_agent_as_one_message() -> None:
    """As the vector has it; an empty payload, too."""
    agent = registered()
    stream, ident, _ = agent.called()
    assert agent.link.encode(Data(PING, stream)) == Message(data(ident), text=True)
    assert agent.link.encode(Data(b"", stream)) == Message(data(ident, b""), text=True)


def test_base64_that_is_none_is_ignored() -> None:
    """The agent stays, and so does the tunnel."""
    agent = registered()
    stream, ident, _ = agent.called()
    bad = data(ident).replace(b"cGluZwo=", b"cGluZwo")
    assert agent.hears(encode_ok(ident), bad, data(ident)) == [Accept(stream), Data(PING, stream)]


@pytest.mark.parametrize("said", [B1, b"\xff", b'{"inner":{"kind":"nonesuch"}}', V2, V13])
def test_what_no_agent_says_ends_its_link(said: bytes) -> None:
    """Malformed, of unknown kind, or of the router's kinds."""
    with pytest.raises(ProtocolError):
        registered().hears(said)


def test_credit_and_finish_in_json_are_for_nobody_who_has_not_agreed() -> None:
    """An original's agent does not know them."""
    for kind in ("credit", "finish"):
        with pytest.raises(ProtocolError):
            registered().hears(
                b'{"inner":{"kind":"%s","connection_id":"","bytes":1}}' % kind.encode()
            )


def test_binary_that_was_not_agreed_ends_the_link() -> None:
    """Even where it is JSON."""
    with pytest.raises(UnsupportedData):
        registered().takes(Message(V14))


def test_a_reset_ends_the_tunnel_and_is_answered_by_a_close() -> None:
    """Once; the caller is told behind what the agent has said before, and the agent stays."""
    agent = registered()
    stream, ident, _ = agent.called()
    agent.hears(encode_ok(ident))
    assert agent.hears(data(ident), encode_reset(ident)) == [
        Data(PING, stream),
        *texts(encode_close(ident)),
        Reset(Reason.LOST, stream, None, "Connection reset while writing data"),
    ]
    assert agent.hears(encode_reset(ident), data(ident)) == []
    assert agent.told(Reset(Reason.LOST, stream)) == []


def test_a_reset_before_the_ok_is_a_refusal() -> None:
    """And a late ok opens nothing."""
    agent = registered()
    stream, ident, _ = agent.called()
    outputs = agent.hears(encode_reset(ident, "gone"))
    assert outputs[1:] == [Reset(Reason.TARGET_REFUSED, stream, None, "gone")]
    assert agent.hears(encode_ok(ident)) == []


def test_a_reset_in_order_is_told_as_such() -> None:
    """Our own agent has no other way to say that its target has ended."""
    agent = registered()
    stream, ident, _ = agent.called()
    agent.hears(encode_ok(ident))
    outputs = agent.hears(encode_reset(ident, "finished"))
    assert outputs[1:] == [Reset(Reason.FINISHED, stream, None, "finished")]


@pytest.mark.parametrize("reason", [Reason.PEER_CLOSED, Reason.OVERRUN, Reason.LOST])
def test_an_end_of_ours_is_one_close(reason: Reason) -> None:
    """As the vector has it, for an original whatever the reason; what comes late is ignored."""
    agent = registered()
    stream, ident, _ = agent.called()
    agent.hears(encode_ok(ident))
    assert agent.told(Reset(reason, stream)) == list(texts(encode_close(ident)))
    assert agent.told(Reset(reason, stream)) == []
    assert agent.hears(data(ident), encode_reset(ident), encode_ok(ident)) == []


def test_a_call_that_was_given_up_is_closed_again_by_a_late_ok() -> None:
    """An agent that was busy connecting may not have noticed; it is told once more, once."""
    agent = registered()
    stream, ident, _ = agent.called()
    assert agent.told(Reset(Reason.HOST_SILENT, stream)) == list(texts(encode_close(ident)))
    assert agent.hears(encode_ok(ident)) == list(texts(encode_close(ident)))
    assert agent.hears(encode_ok(ident)) == []


def test_a_call_that_was_given_up_and_is_refused_late_is_forgotten() -> None:
    """There is nothing to close."""
    agent = registered()
    stream, ident, _ = agent.called()
    agent.told(Reset(Reason.HOST_SILENT, stream))
    assert agent.hears(encode_error(ident, "no"), encode_ok(ident)) == []


def test_calls_that_were_given_up_are_remembered_within_bounds() -> None:
    """The oldest are forgotten: a late ok of theirs is ignored."""
    agent = registered()
    idents = []
    for _ in range(GIVEN_UP_CALLS + 1):
        stream, ident, _ = agent.called()
        agent.told(Reset(Reason.PEER_CLOSED, stream))
        idents.append(ident)
    assert agent.hears(encode_ok(idents[0])) == []
    assert agent.hears(encode_ok(idents[1])) == list(texts(encode_close(idents[1])))
    assert agent.hears(encode_ok(idents[-1])) == list(texts(encode_close(idents[-1])))


def test_an_end_before_credit_or_of_nothing_says_nothing() -> None:
    """Credit and Finish mean nothing to an original; unknown streams to nobody."""
    agent = registered()
    stream, _, _ = agent.called()
    assert agent.told(Credit(5, stream)) == agent.told(Finish(stream)) == []
    assert agent.told(Reset(Reason.LOST, 99)) == []


def test_ends_of_the_link() -> None:
    """1008 for a broken rule, 1009 for length, 1012 when we leave, 1013 for a taken name."""
    end = registered().link.end
    assert end(Reason.PROTOCOL_ERROR, Close(1002, "x")) == Close(1008, "protocol-error")
    assert end(Reason.TOO_LARGE, None) == Close(1009, "too-large")
    assert end(Reason.GOING_AWAY, None) == Close(1012, "going-away")
    assert end(Reason.LIMIT, None) == Close(1013, "limit")
    assert end(Reason.TOKEN_INVALID, None) == Close(1000, "token-invalid")


# -- between our own programs ----------------------------------------------------------------------


def test_our_own_agent_is_told_number_and_window() -> None:
    """The members that only ours know stand behind those of the original."""
    agent = registered(binary=True)
    stream, ident, members = agent.called()
    assert list(members)[-3:] == ["connection_id", "stream", "credit"]
    assert (members["stream"], members["credit"]) == (stream, WINDOW_BYTES)
    assert agent.hears(encode_ok(ident, 1000)) == [Credit(1000, stream), Accept(stream)]


def test_the_credit_of_an_agent_that_has_not_agreed_is_unknown_to_us() -> None:
    """An unknown member is ignored."""
    agent = registered()
    stream, ident, members = agent.called()
    assert not {"stream", "credit"} & members.keys()
    assert agent.hears(encode_ok(ident, 1000)) == [Accept(stream)]


def test_our_own_frames() -> None:
    """Payload, credit and the end of a direction, each by the stream's number."""
    agent = registered(binary=True)
    stream, ident, _ = agent.called()
    agent.hears(encode_ok(ident))
    frames = (encode_dat(stream, PING), encode_ack(stream, 7), encode_fin(stream))
    assert agent.takes(*map(Message, frames)) == [
        Data(PING, stream),
        Credit(7, stream),
        Finish(stream),
    ]
    assert agent.link.encode(Data(PING, stream)) == Message(frames[0])
    assert agent.told(Credit(7, stream)) == [Message(frames[1])]
    assert agent.told(Finish(stream)) == [Message(frames[2])]


def test_frames_of_streams_that_are_not_open_are_ignored() -> None:
    """Unknown, not answered yet, ended in that direction, or over."""
    agent = registered(binary=True)
    stream, ident, _ = agent.called()
    frames = [Message(encode_dat(stream, PING)), Message(encode_ack(stream, 7))]
    unknown = [Message(encode_dat(99, PING)), Message(encode_ack(99, 1)), Message(encode_fin(99))]
    fin = Message(encode_fin(stream))
    assert agent.takes(*unknown, *frames, fin) == []
    agent.hears(encode_ok(ident))
    assert agent.takes(fin, frames[0], fin, frames[1]) == [Finish(stream), Credit(7, stream)]
    agent.hears(encode_reset(ident))
    assert agent.takes(*frames, fin) == []
    assert agent.told(Credit(7, stream)) == agent.told(Finish(stream)) == []


def test_an_agent_opens_no_tunnels() -> None:
    """Nor says anything that is no frame."""
    for frame in (encode_syn(0), b"\x09\0\0\0\0", b"\0"):
        with pytest.raises(ProtocolError):
            registered(binary=True).takes(Message(frame))


@pytest.mark.parametrize("reason", [Reason.PEER_CLOSED, Reason.OVERRUN, Reason.FINISHED])
def test_our_own_agent_is_told_why(reason: Reason) -> None:
    """The text of ``connection_close`` is the reason's word."""
    agent = registered(binary=True)
    stream, ident, _ = agent.called()
    agent.hears(encode_ok(ident))
    assert agent.told(Reset(reason, stream)) == list(texts(encode_close(ident, reason.value)))


def test_our_own_agents_hello_is_a_shared_secret() -> None:
    """Judged with what the file has for that name."""
    assert Agent(binary=True).hears(V1) == [
        Hello(SharedSecret(AGENT, AGENT_SECRET, (AGENT_SECRET,)))
    ]


def test_payload_passes_unread_only_while_it_may() -> None:
    """Of a tunnel that is open and has not ended in that direction."""
    agent = registered(binary=True)
    stream, ident, _ = agent.called()
    frame = encode_dat(stream, PING)
    view = memoryview(bytearray(frame))

    def passes() -> object:
        return agent.link.payload_at(view, 0, len(frame))  # type: ignore[attr-defined]

    assert passes() is None
    agent.hears(encode_ok(ident))
    assert passes() == (stream, len(frame) - len(PING))
    assert agent.link.head(stream) + PING == frame  # type: ignore[attr-defined]
    agent.takes(Message(encode_fin(stream)))
    assert passes() is None
