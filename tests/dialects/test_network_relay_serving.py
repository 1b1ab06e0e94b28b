"""Our agent's link to a router: what it says first, its tunnels, and how they end."""

from __future__ import annotations

import json

import pytest

from relay.dialects.network_relay.messages import (
    MESSAGE_BYTES,
    TO_AGENT_BYTES,
    data_head,
    encode_agent_start,
    encode_close,
    encode_data,
    encode_initiate,
    encode_ok,
)
from relay.dialects.network_relay.serving import (
    ASKED,
    EARLY_BYTES,
    KEEP_ALIVE_S,
    LONGEST_PAUSE_S,
    ServingLink,
)
from relay.dialects.network_relay.targets import Target
from relay.errors import CallGone, ProtocolError, TooLarge
from relay.interfaces import Opening
from relay.vocabulary import (
    Accept,
    Call,
    Data,
    Message,
    Reason,
    Reset,
    Role,
)
from tests.dialects.network_relay_rooms import (
    asked,
    connected,
    data,
    inner,
    ours,
    without_keep_alive,
)
from tests.dialects.network_relay_samples import AGENT, AGENT_SECRET, CALL, TARGET, texts
from tests.dialects.network_relay_vectors import (
    B1,
    CONNECTION_ID,
    PING,
    V1,
    V2,
    V3,
    V4,
    V5,
    V7,
    V13,
    V14,
)

# -- who we are ------------------------------------------------------------------------------------


def test_the_first_message_is_the_original_agents() -> None:
    """V1, byte for byte, and in text."""
    assert ours().first == list(texts(V1))


def test_why_the_last_attempt_failed_is_told() -> None:
    """In whatever letters."""
    assert ours("kein Weg \u00f6\n").first == list(
        texts(encode_agent_start(AGENT, AGENT_SECRET, "kein Weg \u00f6\n"))
    )


def test_the_secret_is_said_once_and_shown_never() -> None:
    """Nothing of it is left in the link."""
    link = ServingLink(AGENT, AGENT_SECRET)
    assert AGENT_SECRET not in repr(link)
    list(link.opened(0.0))
    assert AGENT_SECRET not in repr([getattr(link, name) for name in ServingLink.__slots__])
    assert link.role is Role.HOST


def test_a_keep_alive_goes_out_every_10_s() -> None:
    """From the start on."""
    talk = ours()
    assert talk.passes(KEEP_ALIVE_S - 0.1) == []
    assert talk.passes(0.2) == list(texts(V14))
    assert talk.passes(2 * KEEP_ALIVE_S) == list(texts(V14, V14))
    assert list(talk.link.wake(talk.now)) == []


def test_a_keep_alive_of_the_router_welcomes_us_once() -> None:
    """It is the first that can be known of a registration; later ones are ignored."""
    talk = ours()
    assert talk.hears(V14) == [Accept()]
    assert talk.hears(V14, V14) == []


def test_to_be_asked_is_a_welcome() -> None:
    """Who is not registered is not asked; only the first time says so."""
    talk = ours()
    assert talk.hears(V2, V14) == [Accept(), CALL]


# -- opening ---------------------------------------------------------------------------------------


def test_any_id_is_echoed_unchanged() -> None:
    """It need not be a UUID, nor ASCII."""
    for ident in ("", "x", '7/\u00f6 "\\', "A" * 1000):
        talk = ours()
        talk.hears(encode_initiate(ident, TARGET))
        assert talk.told(Accept(0)) == list(texts(encode_ok(ident)))
        assert talk.link.encode(Data(PING, 0)) == Message(data(ident), text=True)
        assert inner(talk.told(Reset(Reason.LOST, 0))[0])["connection_id"] == ident


def test_a_target_is_a_call_in_words_of_ours() -> None:
    """Whatever stands there."""
    for target in (Target("::1", 22), Target("db", 70000, "udp"), Target("", 0)):
        call = ours().hears(encode_initiate("a", target))[-1]
        assert isinstance(call, Call)
        assert Target.parse(call.service) == target


def test_an_answer_is_the_vector() -> None:
    """V3; afterwards there is nothing more to answer."""
    talk = asked()
    assert talk.link.begin(CALL) == Opening(0, 0)
    assert talk.told(Accept(0)) == list(texts(V3))
    assert talk.told(Accept(0)) == []
    with pytest.raises(CallGone):
        talk.link.begin(CALL)


def test_a_tunnel_that_was_closed_meanwhile_is_gone() -> None:
    """Whoever has connected for it learns so, and the router is told nothing more."""
    talk = asked()
    assert talk.hears(V13) == [Reset(Reason.PEER_CLOSED, 0)]
    with pytest.raises(CallGone):
        talk.link.begin(CALL)
    assert talk.told(Reset(Reason.NO_SUCH_OFFER, 0)) == talk.told(Accept(0)) == []


@pytest.mark.parametrize(
    ("reason", "why", "told"),
    [
        (Reason.TARGET_REFUSED, "Unsupported protocol: udp", "target-refused: Unsupported"),
        (Reason.TARGET_FORBIDDEN, "10.0.0.1:80 is not in the list", "target-forbidden: 10.0.0.1"),
        (Reason.LIMIT, "", "limit"),
        (Reason.TARGET_REFUSED, "target-refused: said already", "target-refused: said already"),
    ],
)
def test_a_refusal_is_one_error_with_the_reasons_word(reason: Reason, why: str, told: str) -> None:
    """In the shape of V4; nothing more is said of that id."""
    talk = asked()
    (output,) = talk.told(Reset(reason, 0, None, why))
    members = inner(output)
    assert list(members) == list(json.loads(V4)["inner"])
    assert members["kind"] == "initiate_connection_error"
    assert members["connection_id"] == CONNECTION_ID
    assert str(members["message"]).startswith(told)
    assert talk.told(Reset(reason, 0)) == []
    assert talk.hears(V5, V13) == []


def test_tunnels_that_are_being_connected_are_bounded() -> None:
    """One more is refused, with the word, until one of them was answered."""
    talk = ours()
    for number in range(ASKED):
        assert isinstance(talk.hears(encode_initiate(str(number), TARGET))[-1], Call)
    (refused,) = talk.hears(encode_initiate("more", TARGET))
    assert inner(refused)["kind"] == "initiate_connection_error"
    assert str(inner(refused)["message"]).startswith("limit: ")
    talk.told(Accept(3))
    assert isinstance(talk.hears(encode_initiate("more", TARGET))[-1], Call)


def test_an_id_that_is_used_again_replaces_the_older_tunnel() -> None:
    """The older one's target is closed, which the original forgets; neither is answered for."""
    talk = connected()
    assert talk.hears(V2) == [Reset(Reason.PEER_CLOSED, 0), CALL._replace(stream=1)]
    assert talk.hears(V2) == [Reset(Reason.PEER_CLOSED, 1), CALL._replace(stream=2)]
    assert talk.told(Accept(1)) == []
    assert talk.told(Accept(2)) == list(texts(V3))
    assert talk.hears(V5) == [Data(PING, 2)]
    assert talk.told(Reset(Reason.LOST, 0)) == []


def test_an_id_that_is_used_again_is_not_reset_for_the_older_tunnel() -> None:
    """What was due to be said of that one would end this one."""
    talk = connected()
    assert talk.told(Reset(Reason.FINISHED, 0)) == []
    assert talk.hears(V2) == [CALL._replace(stream=1)]
    assert without_keep_alive(talk.passes(LONGEST_PAUSE_S)) == []


# -- payload ---------------------------------------------------------------------------------------


def test_payload_before_the_connection_follows_it() -> None:
    """In order, behind the answer."""
    talk = asked()
    assert talk.hears(data(CONNECTION_ID, b"one "), data(CONNECTION_ID, b"two")) == []
    assert talk.told(Accept(0)) == [*texts(V3), Data(b"one two", 0)]
    assert talk.hears(V5) == [Data(PING, 0)]


def test_payload_before_the_connection_is_bounded() -> None:
    """More ends the tunnel, and no other; many empty messages cost nothing."""
    talk = asked()
    for _ in range(1000):
        assert talk.hears(data(CONNECTION_ID, b"")) == []
    assert talk.hears(data(CONNECTION_ID, bytes(EARLY_BYTES))) == []
    (refused,) = talk.hears(data(CONNECTION_ID, b"x"))
    assert inner(refused)["kind"] == "initiate_connection_error"
    assert str(inner(refused)["message"]).startswith("overrun: ")
    with pytest.raises(CallGone):
        talk.link.begin(CALL)


def test_what_is_said_of_unknown_ids_is_ignored() -> None:
    """Data and closes, twice, too."""
    talk = connected()
    unknown = (data("nonesuch"), encode_close("nonesuch"), encode_close("nonesuch"))
    assert talk.hears(*unknown, V13, V13, V5) == [Reset(Reason.PEER_CLOSED, 0)]


def test_base64_that_is_none_ends_its_tunnel_alone() -> None:
    """The router hears of a reset, or of a refusal where there was no answer yet."""
    bad = V5.replace(b"cGluZwo=", b"cGluZwo")
    outputs = connected().hears(bad)
    assert inner(outputs[0])["kind"] == "connection_reset"
    assert outputs[1:] == [Reset(Reason.PROTOCOL_ERROR, 0)]
    outputs = asked().hears(bad)
    assert inner(outputs[0])["kind"] == "initiate_connection_error"
    assert ours().hears(bad) == []


@pytest.mark.parametrize("said", [B1, b"\0", V3, V7, b'{"inner":{"kind":"nonesuch"}}'])
def test_what_no_router_says_ends_the_link(said: bytes) -> None:
    """Malformed, of unknown kind, or of somebody else's kinds."""
    with pytest.raises(ProtocolError):
        ours().hears(said)


def test_json_may_come_in_binary() -> None:
    """The original agent takes that, too."""
    talk = ours()
    assert talk.takes(Message(V2)) == [Accept(), CALL]


def test_the_longest_message_of_a_client_reaches_us() -> None:
    """A relay puts an id around what may have 16 MiB already; more is too large."""
    talk = connected()
    raw = bytes((MESSAGE_BYTES - len(encode_data(data_head(), b""))) // 4 * 3)
    assert len(encode_data(data_head(), raw)) > MESSAGE_BYTES - 8
    assert talk.hears(data(CONNECTION_ID, raw)) == [Data(raw, 0)]
    with pytest.raises(TooLarge):
        talk.hears(V14 + b" " * TO_AGENT_BYTES)
