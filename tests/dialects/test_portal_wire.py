"""Control messages and links of portal, byte by byte (sections 5 and 15)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.portal.data import (
    AccepterLink,
    CallerLink,
    ControlLink,
    EndpointControl,
    EndpointLink,
)
from relay.dialects.portal.wire import (
    CONNECTED,
    FINISH,
    MAX_NEXUS,
    Connected,
    Finish,
    Incoming,
    Status,
    encode_incoming,
    parse_control,
)
from relay.errors import ProtocolError, UnsupportedData
from relay.vocabulary import (
    Accept,
    Answer,
    Call,
    CallKey,
    Close,
    Data,
    Message,
    Offer,
    OfferName,
    Reason,
    Role,
)
from relay.vocabulary import Finish as FinishEvent

NEXUS = 11400714819323198485
INCOMING = (
    b'{"Incoming":{"client_name":"alice-laptop","service_name":"ssh","nexus":11400714819323198485}}'
)
NAME = OfferName("portal:1234")

# -- control messages ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'"Connected"', Connected()),
        (b'{"Connected":null}', Connected()),
        (b'{"Status":"router ready"}', Status("router ready")),
        (INCOMING, Incoming("alice-laptop", "ssh", NEXUS)),
        (
            b'{"Incoming":{"client_name":"","service_name":"ssh","nexus":7}}',
            Incoming("", "ssh", 7),
        ),
        (
            b'{"Incoming":{"nexus":7,"service_name":"ssh","client_name":"","extra":1}}',
            Incoming("", "ssh", 7),
        ),
        (b'{"Incoming":["","ssh",7]}', Incoming("", "ssh", 7)),
        (b' { "Incoming" : [ "" , "ssh" , 0 ] }\n', Incoming("", "ssh", 0)),
        (
            b'{"Incoming":["\xc3\xa9\\u00e9","ssh",18446744073709551615]}',
            Incoming("éé", "ssh", MAX_NEXUS),
        ),
        (b'"Finish"', Finish()),
    ],
)
def test_messages_of_the_specification(payload: bytes, expected: object) -> None:
    """The vectors, any order and white space, further members, and the positional form."""
    assert parse_control(payload) == expected


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"Connected",
        b'"connected"',
        b'"Status"',
        b'{"Connected":true}',
        b'{"Connected":0}',
        b'{"Finish":null}',
        b'{"Status":7}',
        b'{"Status":"a","Connected":null}',
        b'{"Incoming":{"client_name":"","service_name":"ssh","nexus":"7"}}',
        b'{"Incoming":{"client_name":"","service_name":"ssh","nexus":5.0}}',
        b'{"Incoming":{"client_name":"","service_name":"ssh","nexus":5e0}}',
        b'{"Incoming":{"client_name":"","service_name":"ssh","nexus":-1}}',
        b'{"Incoming":{"client_name":"","service_name":"ssh","nexus":true}}',
        b'{"Incoming":{"client_name":"","service_name":"ssh","nexus":18446744073709551616}}',
        b'{"Incoming":{"client_name":"","service_name":"ssh"}}',
        b'{"Incoming":{"client_name":null,"service_name":"ssh","nexus":7}}',
        b'{"Incoming":["","ssh"]}',
        b'{"Incoming":["","ssh",7,8]}',
        b'{"Incoming":"ssh"}',
        b'{"Unknown":1}',
        b"[]",
        b"7",
        b"null",
        b'"\xff"',
        b"[" * 100_000,
        b"9" * 10_000,
    ],
)
def test_what_is_malformed_or_unknown_is_ignored(payload: bytes) -> None:
    """As all of the original's peers do."""
    assert parse_control(payload) is None


@given(st.binary(max_size=200))
def test_no_bytes_are_too_bad(payload: bytes) -> None:
    """Reading never raises."""
    parse_control(payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["Incoming", "Connected", "Status", "client_name", "service_name", "nexus"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(JSON)
def test_no_value_is_too_bad(value: object) -> None:
    """Neither is any JSON value; what is read is well-formed."""
    control = parse_control(json.dumps(value).encode())
    if isinstance(control, Incoming):
        assert 0 <= control.nexus <= MAX_NEXUS


def test_what_we_send_is_compact_and_in_order() -> None:
    """Exactly the original's bytes: field order, no white space, raw UTF-8."""
    assert CONNECTED == b'"Connected"'
    assert FINISH == b'"Finish"'
    assert encode_incoming(Incoming("alice-laptop", "ssh", NEXUS)) == INCOMING
    assert encode_incoming(Incoming('é"\n', "a", 0)) == (
        b'{"Incoming":{"client_name":"\xc3\xa9\\"\\n","service_name":"a","nexus":0}}'
    )


@given(st.text(), st.text(), st.integers(0, MAX_NEXUS))
def test_incoming_survives_the_round_trip(client: str, service: str, nexus: int) -> None:
    """Names of any characters, numbers of all 64 bits."""
    incoming = Incoming(client, service, nexus)
    assert parse_control(encode_incoming(incoming)) == incoming


def test_half_a_character_does_not_stop_an_announcement() -> None:
    """A subject that is no proper text is replaced rather than refused."""
    sent = parse_control(encode_incoming(Incoming("a\ud800b", "ssh", 7)))
    assert sent == Incoming("a?b", "ssh", 7)


# -- links -----------------------------------------------------------------------------------------


def test_a_host_is_told_of_a_call() -> None:
    """One text message with caller, service and nexus; what the host says there is ignored."""
    link = ControlLink(Offer(NAME, Answer.ANNOUNCE))
    call = Call(NAME, "ssh", "alice-laptop", CallKey(str(NEXUS)))
    assert list(link.perform(call, 0.0)) == [Message(INCOMING, text=True)]
    assert list(link.opened(0.0)) == [Offer(NAME, Answer.ANNOUNCE)]
    for text in (True, False):
        assert list(link.receive(Message(b"anything", text=text), 0.0)) == []


def test_a_caller_is_told_once_and_may_speak_then() -> None:
    """``"Connected"`` first; payload before it breaks the rules."""
    link = CallerLink(NAME, "ssh", half_close=False)
    assert list(link.opened(0.0)) == [Call(NAME, "ssh")]
    with pytest.raises(ProtocolError):
        link.receive(Message(b"early"), 0.0)
    assert list(link.perform(Accept(), 0.0)) == [Message(b'"Connected"', text=True)]
    assert list(link.receive(Message(b"hi\n"), 0.0)) == [Data(b"hi\n")]


def test_text_is_not_payload() -> None:
    """Text on a data link ends it, unless it is the Finish that both ends asked for."""
    link = AccepterLink(NAME, CallKey("7"), half_close=False)
    assert link.drop_is_end
    for text in (b'"Finish"', b'"Connected"', b"x"):
        with pytest.raises(UnsupportedData):
            link.receive(Message(text, text=True), 0.0)
    ours = AccepterLink(NAME, CallKey("7"), half_close=True)
    assert not ours.drop_is_end
    assert list(ours.receive(Message(b'"Finish"', text=True), 0.0)) == [FinishEvent()]
    assert list(ours.perform(FinishEvent(), 0.0)) == [Message(b'"Finish"', text=True)]
    assert list(link.perform(FinishEvent(), 0.0)) == []


def test_our_client_waits_for_connected() -> None:
    """Payload before it is a fault; Status is ignored; a repetition means nothing."""
    link = EndpointLink(Role.CLIENT, half_close=False)
    assert list(link.receive(Message(b'{"Status":"x"}', text=True), 0.0)) == []
    with pytest.raises(ProtocolError):
        link.receive(Message(b"early"), 0.0)
    assert list(link.receive(Message(b'{"Connected":null}', text=True), 0.0)) == [Accept()]
    assert list(link.receive(Message(b'"Connected"', text=True), 0.0)) == []
    assert list(link.receive(Message(b"x"), 0.0)) == [Data(b"x")]


def test_our_host_hears_of_calls() -> None:
    """An Incoming of either form; binary and everything else is ignored."""
    link = EndpointControl(NAME)
    expected = [Call(NAME, "ssh", "alice-laptop", CallKey(str(NEXUS)))]
    assert list(link.receive(Message(INCOMING, text=True), 0.0)) == expected
    for message in (Message(INCOMING), Message(b'"Connected"', text=True), Message(b"", text=True)):
        assert list(link.receive(message, 0.0)) == []


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.FINISHED, 1000),
        (Reason.PEER_CLOSED, 1000),
        (Reason.REPLACED, 1001),
        (Reason.GOING_AWAY, 1012),
        (Reason.TOO_LARGE, 1009),
        (Reason.REVOKED, 1008),
        (Reason.LIMIT, 1013),
        (Reason.HOST_SILENT, 1011),
    ],
)
def test_ends_carry_code_and_word(reason: Reason, code: int) -> None:
    """The other side's own Close is passed on as it is, an empty one too."""
    link = AccepterLink(NAME, CallKey("7"), half_close=False)
    assert link.end(reason, None) == Close(code, reason.value)
    assert link.end(reason, Close(4000, "own")) == Close(4000, "own")
    assert link.end(reason, Close(None)) == Close(None)
