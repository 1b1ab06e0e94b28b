"""Messages of network-relay that nobody should send (network-relay.md §3 and §9)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.network_relay.messages import (
    MESSAGE_BYTES,
    SHOWN_TEXT_CHARACTERS,
    VALUES,
    AgentStart,
    ClientStart,
    ErrorMessage,
    InitiateError,
    KeepAlive,
    TcpData,
    data_head,
    encode_client_error,
    encode_error,
    parse_from_agent,
    parse_from_client,
    parse_from_router_to_client,
)
from relay.errors import ProtocolError, TooLarge
from tests.dialects import network_relay_vectors as vectors
from tests.dialects.network_relay_parsers import AGENT_LINK, CLIENT_LINK, PARSERS, Parse
from tests.dialects.network_relay_samples import TARGET

# -- the common form -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behind", "data"),
    [
        ("aGk=", b"hi"),
        ('aGk=","x":"', b"hi"),
        ('aGk=","data_base64":"eWE=', b"ya"),
        ('aGk=" , "data_base64":"eWE=', b"ya"),
    ],
)
def test_what_begins_like_the_common_form_may_go_on_otherwise(behind: str, data: bytes) -> None:
    """The fast way takes nothing for payload that JSON does not."""
    assert parse_from_client((data_head().decode() + behind + '"}}').encode()) == TcpData("", data)


@pytest.mark.parametrize(
    "behind", ['"}}', '"}', '""}', '"} }x', '"}}}', '"}},', '"}}\0', "", "}}", '"x"}}', '"\\"}}']
)
def test_what_is_cut_or_goes_on_is_refused(behind: str) -> None:
    """Of the common form, too, nothing may be missing or too much."""
    for head, parsers in ((data_head(), CLIENT_LINK), (data_head("x"), AGENT_LINK)):
        payload = head[:-1] + behind.encode()
        for parse in parsers:
            with pytest.raises(ProtocolError):
                parse(payload, False)


# -- anything --------------------------------------------------------------------------------------

KINDS = [
    *("start", "tcp_data", "keep_alive", "initiate_connection", "initiate_connection_ok"),
    *("initiate_connection_error", "connection_reset", "connection_close", "start_ok", "error"),
    *("credit", "finish", "other"),
]
MEMBERS = [
    *("kind", "inner", "name", "secret", "last_error", "connection_id", "message", "data_base64"),
    *("target_ip", "target_port", "protocol", "connection_target", "bytes", "stream", "credit"),
]
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4)
    ),
    max_leaves=6,
)
INNER = st.fixed_dictionaries(
    {"kind": st.sampled_from(KINDS)},
    optional={name: st.text(max_size=5) | VALUE for name in MEMBERS if name != "kind"},
)


def read(payload: bytes) -> None:
    """Let all parsers read it, as anybody's and as ours."""
    for parse in PARSERS:
        for ours in (False, True):
            try:
                parse(payload, ours)
            except ProtocolError:
                continue


@given(st.binary(max_size=200))
def test_no_bytes_are_too_bad(payload: bytes) -> None:
    """Only ProtocolError is raised."""
    read(payload)


@given(INNER | VALUE)
def test_no_value_is_too_bad(inner: object) -> None:
    """Neither does any JSON value raise anything else."""
    read(json.dumps({"inner": inner}).encode())


@given(st.sampled_from([data_head(), data_head("x"), data_head('"')]), st.binary(max_size=40))
def test_nothing_behind_a_common_head_is_too_bad(head: bytes, behind: bytes) -> None:
    """The fast way says what JSON says, of broken messages as well."""
    for payload in (head + behind, head + behind + b'"}}', head[: -len(behind) or None] + b'"}}'):
        for parse in PARSERS:
            assert outcome(parse, payload) == outcome(parse, b" " + payload)


@given(st.data())
def test_changed_messages_are_read_the_same_both_ways(data: st.DataObject) -> None:
    """One byte replaced, doubled or left out: fast way and JSON agree."""
    vector = data.draw(st.sampled_from([vectors.V5, vectors.V11]))
    place = data.draw(st.integers(0, len(vector)))
    byte = data.draw(st.sampled_from([b"", b'"', b"\\", b"=", b"}", b",", b" ", b"A", b"\xff"]))
    payload = vector[:place] + byte + vector[place + data.draw(st.integers(0, 2)) :]
    for parse in PARSERS:
        assert outcome(parse, payload) == outcome(parse, b" " + payload)


def outcome(parse: Parse, payload: bytes) -> object:
    """:returns: the message, or the class of the error; white space first keeps off the fast way"""
    try:
        return parse(payload, False)
    except ProtocolError as error:
        return type(error)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"\xff",
        b'{"inner":{"kind":"keep_alive"}}\0',
        b'\xef\xbb\xbf{"inner":{"kind":"keep_alive"}}',
        '{"inner":{"kind":"keep_alive"}}'.encode("utf-16"),
        b"[" * 10_000,
        b'{"inner":{"kind":"keep_alive","x":' + b"[" * 5000 + b"]" * 5000 + b"}}",
        b'{"inner":' * 5000,
        b'{"inner":{"kind":"keep_alive","x":' + b"9" * 10_000 + b"}}",
        b'{"inner":{"kind":"keep_alive","x":"\\ud800"}}',
        b'{"inner":{"kind":"keep_alive","\\uDC00":1}}',
        b'{"inner":{"kind":"keep_alive","x":"\\ud800","x":""}}',
        b'{"inner":{"kind":"keep_alive","x":"\xed\xa0\x80"}}',
        b'{"inner":{"kind":"keep_alive","x":"\n"}}',
    ],
)
def test_what_is_no_proper_json_is_refused(payload: bytes) -> None:
    """Cut or deeply nested, of another encoding, or with half a character anywhere."""
    for parse in AGENT_LINK:
        with pytest.raises(ProtocolError):
            parse(payload, True)


def test_whole_characters_are_no_halves() -> None:
    """A pair of escapes is one character, and an escaped backslash begins none."""
    payload = rb'{"inner":{"kind":"error","message":"\ud83d\ude00 \\ud800"}}'
    message = ErrorMessage("\N{GRINNING FACE} \\ud800")
    assert parse_from_router_to_client(payload) == message


def test_the_longest_message_is_read_and_no_longer_one() -> None:
    """16 MiB, of the common form or not."""
    head, tail = data_head("x"), b'"}}'
    room = MESSAGE_BYTES - len(head) - len(tail)
    encoded = b"A" * (room // 4 * 4)
    data = bytes(len(encoded) // 4 * 3)
    for payload in (head + encoded + tail, head + encoded + b'"' + b" " * (room % 4) + b"}}"):
        assert parse_from_agent(payload) == TcpData("x", data)
    for payload in (head + encoded + b"AAAA" + tail, b"{" + b" " * MESSAGE_BYTES):
        with pytest.raises(TooLarge):
            parse_from_agent(payload)


def test_values_are_counted_before_they_are_made() -> None:
    """Many small values take a hundred times their length."""
    head = b'{"inner":{"kind":"keep_alive"},"x":['
    most = VALUES - sum(map(head.count, (b",", b"[", b"{")))
    assert parse_from_agent(head + b"0," * most + b"0]}") == KeepAlive()
    for many in (b"0," * most + b"0,0", b"{}," * VALUES + b"0", b"[" * VALUES + b"]" * VALUES):
        with pytest.raises(TooLarge):
            parse_from_agent(head + many + b"]}")


# -- what we say of it -----------------------------------------------------------------------------


def test_half_a_character_does_not_stop_a_message() -> None:
    """Texts of the operating system may hold one; it is replaced."""
    sent = parse_from_agent(encode_error("x", "no \udcff here"))
    assert sent == InitiateError("x", "no ? here")


def test_a_refusal_fits_into_what_a_client_takes() -> None:
    """1 MiB, whatever an agent has to say and however it is escaped."""
    payload = encode_client_error("\x01" * 2 * SHOWN_TEXT_CHARACTERS)
    assert len(payload) < 1024 * 1024
    assert parse_from_router_to_client(payload) == ErrorMessage("\x01" * SHOWN_TEXT_CHARACTERS)


# -- secrets ---------------------------------------------------------------------------------------


def test_no_secret_and_no_payload_is_shown() -> None:
    """Neither by a message, nor by the error of one that is wrong, nor by what led to that."""
    for shown in (
        repr(AgentStart("attic-pi", "hunter2", None)),
        repr(ClientStart("attic-pi", TARGET, "hunter2")),
        repr(TcpData("x", b"hunter2")),
        f"{AgentStart('attic-pi', 'hunter2', None)} {ClientStart('attic-pi', TARGET, 'hunter2')}",
    ):
        assert "hunter2" not in shown
        assert "attic-pi" in shown or "7 bytes" in shown
    for payload in (
        b'{"inner":{"kind":"start","secret":"hunter2"}}',
        b'{"inner":{"kind":"start","secret":"hunter2"}',
        b'{"inner":{"kind":"Hunter2","secret":"hunter2"}}',
        b'{"inner":{"kind":"tcp_data","data_base64":"hunter2"}}',
        b'{"inner":{"kind":"start","connection_target":"a","target_ip":"h","target_port":"Hunter2"}}',
    ):
        with pytest.raises(ProtocolError) as caught:
            parse_from_client(payload)
        assert "unter2" not in repr(caught.value) + repr(caught.value.__context__)
        assert not isinstance(caught.value.__context__, json.JSONDecodeError)
