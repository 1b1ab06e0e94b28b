"""How our agent's tunnels end, and what they are between our own programs."""

from __future__ import annotations

import pytest

from relay.dialects.network_relay import serving
from relay.dialects.network_relay.messages import (
    encode_close,
    encode_initiate,
    encode_ok,
    encode_reset,
)
from relay.dialects.network_relay.serving import (
    ENDING,
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
)
from relay.dialects.network_relay.tunnels import WINDOW_BYTES
from relay.errors import ProtocolError
from relay.interfaces import Opening
from relay.vocabulary import (
    Accept,
    Credit,
    Data,
    Finish,
    Message,
    Reason,
    Reset,
)
from relay.wire.wsmux import encode_ack, encode_dat, encode_fin
from tests.dialects.network_relay_rooms import (
    asked,
    connected,
    inner,
    ours,
    without_keep_alive,
)
from tests.dialects.network_relay_samples import CALL, TARGET, texts
from tests.dialects.network_relay_vectors import (
    CONNECTION_ID,
    PING,
    V5,
    V12,
    V13,
)

# -- ends ------------------------------------------------------------------------------------------


def test_a_close_of_the_router_ends_the_tunnel_in_order() -> None:
    """Whatever its text; ours says why, where it is ours."""
    assert connected().hears(V13) == [Reset(Reason.PEER_CLOSED, 0)]
    said = encode_close(CONNECTION_ID, "overrun")
    assert connected().hears(said) == [Reset(Reason.PEER_CLOSED, 0)]
    assert connected(binary=True).hears(said) == [Reset(Reason.OVERRUN, 0)]


def test_a_target_that_broke_is_told_at_once() -> None:
    """In the words of the original."""
    talk = connected()
    assert talk.told(Reset(Reason.LOST, 0)) == list(texts(V12))
    assert without_keep_alive(talk.passes(LONGEST_PAUSE_S)) == []


def test_a_target_that_ended_in_order_is_told_after_a_pause() -> None:
    """A relay that is slow cuts what it has not delivered when it hears of a reset."""
    talk = connected()
    assert talk.told(Reset(Reason.FINISHED, 0)) == []
    assert talk.link.deadline() == talk.now + FIRST_PAUSE_S
    assert talk.passes(FIRST_PAUSE_S - 0.01) == []
    assert talk.passes(0.02) == list(texts(encode_reset(CONNECTION_ID, "finished")))
    assert without_keep_alive(talk.passes(100)) == []


@pytest.mark.parametrize(
    ("sent_s", "took_s", "pause_s"),
    [(10, 0, 10), (10, 4, 6), (10, 60, FIRST_PAUSE_S), (400, 0, LONGEST_PAUSE_S)],
)
def test_the_pause_is_as_long_as_a_slow_relay_needs(
    sent_s: int, took_s: int, pause_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what was sent, less the time that it took, within bounds."""
    monkeypatch.setattr(serving, "SLOW_BYTES_PER_S", 64)
    talk = connected()
    for _ in range(sent_s):
        talk.link.encode(Data(bytes(64), 0))
    talk.passes(took_s)
    talk.told(Reset(Reason.PEER_CLOSED, 0))
    assert without_keep_alive(talk.passes(pause_s - 0.01)) == []
    assert without_keep_alive(talk.passes(0.02)) == list(
        texts(encode_reset(CONNECTION_ID, "finished"))
    )


def test_a_close_within_the_pause_is_the_end() -> None:
    """There is nothing left to reset, nor to be said of what still comes."""
    talk = connected()
    talk.told(Reset(Reason.FINISHED, 0))
    assert talk.hears(V5, V13) == []
    assert without_keep_alive(talk.passes(LONGEST_PAUSE_S)) == []


def test_pauses_are_bounded_in_number() -> None:
    """Where too many wait, the next is told at once."""
    talk = ours()
    for number in range(ENDING + 1):
        talk.hears(encode_initiate(str(number), TARGET))
        talk.told(Accept(number))
    for number in range(ENDING):
        assert talk.told(Reset(Reason.FINISHED, number)) == []
    (told,) = talk.told(Reset(Reason.FINISHED, ENDING))
    assert inner(told)["connection_id"] == str(ENDING)
    due = without_keep_alive(talk.passes(FIRST_PAUSE_S))
    assert [inner(one)["connection_id"] for one in due] == [str(n) for n in range(ENDING)]


def test_no_half_close_for_an_original() -> None:
    """Neither credit nor the end of a direction is said."""
    talk = connected()
    assert not talk.link.carries.half_close
    assert talk.told(Finish(0)) == talk.told(Credit(5, 0)) == []


# -- between our own programs ----------------------------------------------------------------------


def test_our_own_router_is_granted_a_window() -> None:
    """And what it grants is known before anything is sent."""
    talk = asked(binary=True)
    assert talk.link.begin(CALL) == Opening(0, 1000)
    assert talk.told(Accept(0)) == list(texts(encode_ok(CONNECTION_ID, WINDOW_BYTES)))


def test_our_own_routers_number_is_the_streams() -> None:
    """Frames are known by it."""
    talk = ours(binary=True)
    call = talk.hears(encode_initiate("a", TARGET, 77, 5))[-1]
    assert call == CALL._replace(stream=77)
    talk.told(Accept(77))
    frames = (encode_dat(77, PING), encode_ack(77, 9), encode_fin(77), encode_dat(77, PING))
    assert talk.takes(*map(Message, frames)) == [Data(PING, 77), Credit(9, 77), Finish(77)]
    assert talk.link.encode(Data(PING, 77)) == Message(frames[0])
    assert talk.told(Finish(77)) == [Message(frames[2])]


def test_a_number_that_is_none_or_in_use_ends_the_link() -> None:
    """Frames could not be told apart."""
    for number in (None, 0):
        with pytest.raises(ProtocolError):
            connected(binary=True).hears(encode_initiate("other", TARGET, number, 5))


@pytest.mark.parametrize("reason", [Reason.FINISHED, Reason.LOST, Reason.OVERRUN])
def test_our_own_router_is_told_why_at_once(reason: Reason) -> None:
    """Payload goes before it, and nothing is cut."""
    talk = connected(binary=True)
    assert talk.told(Reset(reason, 0)) == list(texts(encode_reset(CONNECTION_ID, reason.value)))
    assert talk.told(Finish(0)) == talk.told(Credit(1, 0)) == []


def test_frames_before_the_answer_are_ignored() -> None:
    """A router that is ours sends none."""
    talk = asked(binary=True)
    frames = (encode_dat(0, PING), encode_ack(0, 9), encode_fin(0), encode_dat(9, PING))
    assert talk.takes(*map(Message, frames)) == []
    assert talk.told(Accept(0)) == list(texts(encode_ok(CONNECTION_ID, WINDOW_BYTES)))
