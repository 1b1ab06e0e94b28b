"""Messages of network-relay, byte by byte (network-relay.md §3, §4 and §17)."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.network_relay.messages import (
    KEEP_ALIVE,
    START_OK,
    AgentStart,
    BadBase64,
    ClientStart,
    ConnectionClose,
    ConnectionReset,
    ErrorMessage,
    Finish,
    InitiateConnection,
    InitiateError,
    InitiateOk,
    KeepAlive,
    StartOk,
    TcpData,
    data_head,
    encode_agent_start,
    encode_client_error,
    encode_client_start,
    encode_close,
    encode_data,
    encode_error,
    encode_finish,
    encode_initiate,
    encode_ok,
    encode_reset,
    parse_from_agent,
    parse_from_client,
    parse_from_router_to_agent,
    parse_from_router_to_client,
)
from relay.dialects.network_relay.targets import Target
from relay.errors import ProtocolError
from tests.dialects import network_relay_vectors as vectors
from tests.dialects.network_relay_parsers import AGENT_LINK, CLIENT_LINK, PARSERS, Parse
from tests.dialects.network_relay_samples import TARGET

ID = vectors.CONNECTION_ID
UDP = "Unsupported protocol: udp"

# -- vectors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoded", "vector"),
    [
        (encode_agent_start("attic-pi", "s3cr3t-agent"), vectors.V1),
        (encode_initiate(ID, TARGET), vectors.V2),
        (encode_ok(ID), vectors.V3),
        (encode_error(ID, UDP), vectors.V4),
        (encode_data(data_head(ID), vectors.PING), vectors.V5),
        (encode_client_start("attic-pi", TARGET, "s3cr3t-client"), vectors.V6),
        (START_OK, vectors.V7),
        (encode_client_error("Invalid access client secret"), vectors.V8),
        (encode_client_error("Agent not registered"), vectors.V9),
        (encode_client_error(f"Error initiating connection: {UDP}"), vectors.V10),
        (encode_data(data_head(), vectors.PING), vectors.V11),
        (encode_reset(ID), vectors.V12),
        (encode_close(ID), vectors.V13),
        (KEEP_ALIVE, vectors.V14),
    ],
)
def test_what_we_send_is_what_originals_send(encoded: bytes, vector: bytes) -> None:
    """V1 to V14, byte for byte."""
    assert encoded == vector


@pytest.mark.parametrize(
    ("parse", "payload", "expected"),
    [
        (parse_from_agent, vectors.V1, AgentStart("attic-pi", "s3cr3t-agent", None)),
        (parse_from_router_to_agent, vectors.V2, InitiateConnection(ID, TARGET)),
        (parse_from_agent, vectors.V3, InitiateOk(ID)),
        (parse_from_agent, vectors.V4, InitiateError(ID, UDP)),
        (parse_from_agent, vectors.V5, TcpData(ID, b"ping\n")),
        (parse_from_router_to_agent, vectors.V5, TcpData(ID, b"ping\n")),
        (parse_from_client, vectors.V6, ClientStart("attic-pi", TARGET, "s3cr3t-client")),
        (parse_from_router_to_client, vectors.V7, StartOk()),
        (parse_from_router_to_client, vectors.V8, ErrorMessage("Invalid access client secret")),
        (parse_from_router_to_client, vectors.V9, ErrorMessage("Agent not registered")),
        (
            parse_from_router_to_client,
            vectors.V10,
            ErrorMessage(f"Error initiating connection: {UDP}"),
        ),
        (parse_from_client, vectors.V11, TcpData("", b"ping\n")),
        (parse_from_router_to_client, vectors.V11, TcpData("", b"ping\n")),
        (parse_from_agent, vectors.V12, ConnectionReset(ID, "Connection reset while writing data")),
        (
            parse_from_router_to_agent,
            vectors.V13,
            ConnectionClose(ID, "Connection closed by relay"),
        ),
        (parse_from_agent, vectors.V14, KeepAlive()),
        (parse_from_router_to_agent, vectors.V14, KeepAlive()),
        (parse_from_client, vectors.A1, ClientStart("attic-pi", Target("h", 22), "s3cr3t-client")),
        (parse_from_agent, vectors.A2, AgentStart("attic-pi", "s3cr3t-agent", None)),
        (parse_from_client, vectors.A3, TcpData("", b"hi")),
        (parse_from_router_to_client, vectors.A3, TcpData("", b"hi")),
    ],
)
def test_what_originals_send_is_read(parse: Parse, payload: bytes, expected: object) -> None:
    """V1 to V14 in their directions, and A1 to A3; being ours takes nothing away."""
    for ours in (False, True):
        message = parse(payload, ours)
        assert type(message) is type(expected)
        assert message == expected


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (vectors.B1, 'the message is no JSON object with an object "inner"'),
        (vectors.B2, "the message has no kind"),
        (vectors.B3, "unknown kind connection_close"),
        (vectors.B4, "target_port of start is missing or no integer of 64 bits"),
        (vectors.B5, "data_base64 of tcp_data is missing or no string"),
        (b'{"inner":{"kind":"tcp_data"}}', "data_base64 of tcp_data is missing or no string"),
        (b'{"inner":{"kind":"Start"}}', "unknown kind"),
        (b'{"inner":{"kind":"start"}}', "connection_target of start is missing or no string"),
        (b'{"inner":{"kind":["start"]}}', "the message has no kind"),
        (b'{"inner":["start"]}', 'the message is no JSON object with an object "inner"'),
    ],
)
def test_what_is_refused_is_named(payload: bytes, fault: str) -> None:
    """B1 to B5 and others: the error says which kind or member."""
    with pytest.raises(ProtocolError) as caught:
        parse_from_client(payload)
    assert caught.value.text == fault


# -- leniency --------------------------------------------------------------------------------------


def start(port: str) -> bytes:
    """:returns: a client's start; the port as JSON"""
    return (
        '{"inner":{"kind":"start","connection_target":"a","target_ip":"h",'
        f'"target_port":{port},"protocol":"tcp","secret":"s"}}}}'
    ).encode()


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ("22", 22),
        ("22.0", 22),
        ("2.2e1", 22),
        ("true", 1),
        ("false", 0),
        ("-0", 0),
        ("70000", 70000),
        ("-5", -5),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ('"22"', 22),
        ('"+22"', 22),
        ('"-022"', -22),
        ('"22.000"', 22),
        ('"0__1_0"', 10),
        (r'" \t\n\u0085\u00a0\u200322\u3000"', 22),
        ('"9223372036854775807"', 2**63 - 1),
    ],
)
def test_ports_are_read_as_the_original_reads_them(port: str, expected: int) -> None:
    """Numbers without a fraction, booleans, and texts as its validator takes them."""
    message = parse_from_client(start(port))
    assert isinstance(message, ClientStart)
    assert type(message.target.port) is int
    assert message.target.port == expected


@pytest.mark.parametrize(
    "port",
    [
        *("22.5", "null", "[22]", "{}", "NaN", "Infinity", "1e999", "1e19", "9223372036854775808"),
        *('""', '" "', '"22."', '".5"', '"22.5"', '"1e3"', '"0x16"', '"1__0"', '"_1"', '"1_"'),
        *(
            '"+-1"',
            '"--1"',
            '"- 1"',
            '"22.0_0"',
            '"0_.0"',
            '"true"',
            '"0-1"',
            '"9223372036854775808"',
        ),
        *('"\u0662\u0662"', r'"\u001f22"', r'"22\u0000"', r'"\u200b22"', '"' + "0" * 65 + '"'),
        *("9" * 5000, '"' + "9" * 5000 + '"'),
    ],
)
def test_other_ports_are_refused(port: str) -> None:
    """What the original refuses, what is longer than 64 bits, and texts beyond any reason."""
    with pytest.raises(ProtocolError):
        parse_from_client(start(port))


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", b""),
        ("aGk=", b"hi"),
        ("a G*k=", b"hi"),
        (r"aG\nk=", b"hi"),
        (r"aG\u006b=", b"hi"),
        (r"\/\/8=", b"\xff\xff"),
        ("-_aG-k_=", b"hi"),
        ("aGk=aGk=", b"hi"),
        ("aGl=", b"hi"),
        ("====", b""),
        ("=aGk=", b"hi"),
    ],
)
def test_base64_is_read_as_the_original_reads_it(text: str, data: bytes) -> None:
    """Other characters are skipped, and what stands behind the padding is dropped."""
    tail = f'"data_base64":"{text}"}}}}'
    for parse in CLIENT_LINK:
        payload = f'{{"inner":{{"kind":"tcp_data",{tail}'.encode()
        assert parse(payload, False) == TcpData("", data)
    for parse in AGENT_LINK:
        payload = f'{{"inner":{{"kind":"tcp_data","connection_id":"x",{tail}'.encode()
        assert parse(payload, False) == TcpData("x", data)


@pytest.mark.parametrize("text", ["Y", "YQ", "YQ=", "YWJjZ", "aGk", "é", "aGk=é", r"aGk=\u00e9"])
def test_base64_that_cannot_be_decoded_is_told_apart(text: str) -> None:
    """A router ignores it from an agent (§9), so that the error says whose payload it was."""
    payload = f'{{"inner":{{"kind":"tcp_data","connection_id":"x","data_base64":"{text}"}}}}'
    for parse in AGENT_LINK:
        with pytest.raises(BadBase64) as caught:
            parse(payload.encode(), False)
        assert caught.value.connection_id == "x"
    for parse in CLIENT_LINK:
        with pytest.raises(BadBase64) as caught:
            parse(payload.encode(), False)
        assert caught.value.connection_id == ""


def test_of_members_that_come_twice_the_last_counts() -> None:
    """As with the original, also for ``inner`` and ``kind``."""
    payload = (
        b'{"inner":7,"inner":{"kind":"start","kind":"tcp_data","data_base64":5,'
        b'"data_base64":"aGk="}}'
    )
    assert parse_from_client(payload) == TcpData("", b"hi")


@pytest.mark.parametrize(
    "connection_id",
    [
        "",
        "x",
        'a"b',
        "a\\b",
        '\\"',
        "a\nb",
        "\0",
        "\x7f",
        "é",
        "\N{GRINNING FACE}",
        '","',
        "/",
        "}}",
    ],
)
def test_an_id_is_any_text(connection_id: str) -> None:
    """It is echoed unchanged, whichever way the message takes (check 23)."""
    payload = encode_data(data_head(connection_id), b"hi")
    assert json.loads(payload)["inner"]["connection_id"] == connection_id
    for parse in AGENT_LINK:
        assert parse(payload, False) == TcpData(connection_id, b"hi")


# -- between our own -------------------------------------------------------------------------------


def test_what_is_only_ours_passes_between_our_own() -> None:
    """Finish, stream numbers and windows go there and come back."""
    for parse in CLIENT_LINK:
        assert type(parse(encode_finish(), True)) is Finish
    opening = InitiateConnection("x", TARGET, 0, 2**32 - 1)
    assert parse_from_router_to_agent(encode_initiate("x", TARGET, 0, 2**32 - 1), True) == opening
    assert parse_from_agent(encode_ok("x", 4096), True) == InitiateOk("x", 4096)


def test_what_is_only_ours_is_unknown_elsewhere() -> None:
    """Kinds are refused as the original does, members are ignored."""
    for parse in PARSERS:
        with pytest.raises(ProtocolError):
            parse(encode_finish(), False)
    opening = encode_initiate("x", TARGET, 1, 2)
    assert parse_from_router_to_agent(opening) == InitiateConnection("x", TARGET)
    assert parse_from_agent(encode_ok("x", 4096)) == InitiateOk("x")


@pytest.mark.parametrize("number", ["-1", "4294967296", "1.0", '"1"', "true", "null"])
def test_our_own_numbers_are_exact(number: str) -> None:
    """Integers from 0 to 2^32 - 1: nothing is lenient among ourselves."""
    payload = (
        f'{{"inner":{{"kind":"initiate_connection_ok","connection_id":"x","credit":{number}}}}}'
    )
    with pytest.raises(ProtocolError):
        parse_from_agent(payload.encode(), True)


def test_an_agent_finishes_in_binary() -> None:
    """Its links have many tunnels; ``finish`` in JSON is a client's alone."""
    for parse in AGENT_LINK:
        with pytest.raises(ProtocolError):
            parse(encode_finish(), True)


# -- round trips -----------------------------------------------------------------------------------

ANY_TARGET = st.builds(Target, st.text(), st.integers(-(2**63), 2**63 - 1), st.text())
NUMBER = st.none() | st.integers(0, 2**32 - 1)


@given(st.text(), st.binary(max_size=200))
def test_payload_survives_the_round_trip(connection_id: str, data: bytes) -> None:
    """Any bytes under any id; what we send is what the original would send."""
    payload = encode_data(data_head(connection_id), data)
    for parse in AGENT_LINK:
        assert parse(payload, False) == TcpData(connection_id, data)
    for parse in CLIENT_LINK:
        assert parse(encode_data(data_head(), data), False) == TcpData("", data)
    value = {"kind": "tcp_data", "connection_id": connection_id}
    value["data_base64"] = base64.b64encode(data).decode()
    plain = json.dumps({"inner": value}, ensure_ascii=False, separators=(",", ":"))
    assert payload == plain.encode()


@given(st.text(), st.text(), st.none() | st.text(), ANY_TARGET)
def test_logins_survive_the_round_trip(
    name: str, secret: str, last_error: str | None, target: Target
) -> None:
    """Names, secrets and targets of any characters."""
    agent = parse_from_agent(encode_agent_start(name, secret, last_error))
    assert agent == AgentStart(name, secret, last_error)
    client = parse_from_client(encode_client_start(name, target, secret))
    assert client == ClientStart(name, target, secret)


@given(st.text(), st.text(), ANY_TARGET, NUMBER, NUMBER)
def test_tunnels_survive_the_round_trip(
    connection_id: str, text: str, target: Target, stream: int | None, credit: int | None
) -> None:
    """All that opens and ends a tunnel."""
    opening = encode_initiate(connection_id, target, stream, credit)
    expected = InitiateConnection(connection_id, target, stream, credit)
    assert parse_from_router_to_agent(opening, True) == expected
    accepted = parse_from_agent(encode_ok(connection_id, credit), True)
    assert accepted == InitiateOk(connection_id, credit)
    refused = parse_from_agent(encode_error(connection_id, text))
    assert refused == InitiateError(connection_id, text)
    reset = parse_from_agent(encode_reset(connection_id, text))
    assert reset == ConnectionReset(connection_id, text)
    closed = parse_from_router_to_agent(encode_close(connection_id, text))
    assert closed == ConnectionClose(connection_id, text)
    assert parse_from_router_to_client(encode_client_error(text)) == ErrorMessage(text)
