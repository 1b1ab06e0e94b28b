"""The rules of wsmux that hold on both sides, kept by its conversations alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zope.interface.verify import verifyClass, verifyObject

from relay.dialects.websocktunnel.mux import (
    DRAINING_STREAMS,
    RouterMux,
)
from relay.errors import ProtocolError
from relay.interfaces import IConversation
from relay.vocabulary import (
    Accept,
    Call,
    Close,
    Credit,
    Data,
    Event,
    Finish,
    Message,
    Reason,
    Reset,
    Shape,
)
from relay.wire.wsmux import (
    WINDOW_BYTES,
    encode_ack,
    encode_dat,
    encode_fin,
    encode_syn,
)
from tests.unit.websocktunnel_peer import (
    NAME,
    WINDOW,
    Observer,
    Peer,
    ack,
    fin,
    host,
    opened_host,
    opened_router,
    router,
)


@pytest.mark.parametrize("make", [router, host])
def test_they_are_conversations(make: Callable[[], Peer]) -> None:
    """All that the core asks of a link of many streams, whose peer may end with a bare drop."""
    mux = make().mux
    verifyObject(IConversation, mux)
    verifyClass(IConversation, type(mux))
    assert mux.shape is Shape.CREDIT
    assert mux.carries.half_close
    assert mux.drop_is_end
    assert mux.dead_timer
    assert not mux.whole_messages
    assert mux.message_bytes == mux.frame_bytes == 4 * 1024 * 1024 + 5
    assert mux.deadline() is None
    assert list(mux.wake(1e9)) == []


def test_windows() -> None:
    """An original takes 4 MiB for granted; our host grants what it was told to."""
    assert router().mux.window_bytes == WINDOW_BYTES
    assert host().mux.window_bytes == WINDOW


@pytest.mark.parametrize("make", [router, host])
@pytest.mark.parametrize(
    ("reason", "close"),
    [
        (Reason.PROTOCOL_ERROR, Close(1008, "protocol-error")),
        (Reason.REPLACED, Close(1001, "replaced")),
        (Reason.GOING_AWAY, Close(1012, "going-away")),
        (Reason.TOO_LARGE, Close(1009, "too-large")),
        (Reason.HOST_SILENT, Close(1011, "host-silent")),
        (Reason.FINISHED, Close(1000, "finished")),
    ],
)
def test_how_a_link_ends(make: Callable[[], Peer], reason: Reason, close: Close) -> None:
    """With a code and the reason's word; whatever broke the rules, it is 1008."""
    assert make().mux.end(reason, None) == close
    assert make().mux.end(Reason.PROTOCOL_ERROR, Close(1002, "x")) == Close(1008, "protocol-error")
    assert make().mux.end(Reason.LOST, Close(4000, "x")) == Close(4000, "x")


@pytest.mark.parametrize("make", [router, host, opened_router, opened_host])
def test_unknown_streams_are_ignored(make: Callable[[], Peer]) -> None:
    """Frames of streams that never were, or are over, change nothing; nor does an empty DAT."""
    peer = make()
    peer.says(encode_dat(6, b"x"), encode_ack(6, 7), encode_fin(6))
    peer.says(bytes([0, 0, 0, 0, 0]))
    peer.does(Finish(6), Credit(5, 6), Reset(Reason.LOST, 6))
    assert peer.new() == ([], [])


@pytest.mark.parametrize("make", [opened_router, opened_host])
def test_a_stream_carries_payload_credit_and_ends(make: Callable[[], Peer]) -> None:
    """Each way, each once; each side may still send when the other has finished."""
    peer = make()
    peer.says(encode_dat(0, b"hi"), encode_ack(0, 18), encode_ack(0, 0))
    assert peer.new() == ([], [Data(b"hi"), Credit(18)])
    assert peer.mux.encode(Data(b"hi", 0)) == Message(b"\0\0\0\0\0hi")
    peer.does(Credit(2))
    peer.does(Finish(), Finish())
    assert peer.new() == ([ack(2), fin()], [])
    peer.says(encode_dat(0, b"echo"), encode_ack(0, 1), encode_fin(0), encode_fin(0))
    assert peer.new() == ([], [Data(b"echo"), Credit(1), Finish()])
    peer.does(Reset(Reason.FINISHED), Reset(Reason.FINISHED))
    assert peer.new() == ([], [])


@pytest.mark.parametrize("make", [opened_router, opened_host])
def test_payload_behind_a_fin_is_dropped(make: Callable[[], Peer]) -> None:
    """Who said that no more comes is not heard any more, nor granted anything."""
    peer = make()
    peer.says(encode_dat(0, b"hi"), encode_fin(0), encode_dat(0, b"x"))
    peer.does(Credit(2))
    assert peer.new() == ([], [Data(b"hi"), Finish()])
    peer.does(Reset(Reason.FINISHED))
    assert peer.new() == ([fin()], [])
    peer.says(encode_dat(0, b"x"), encode_fin(0))
    assert peer.new() == ([], [])


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("make", [opened_router, opened_host])
def test_a_stream_that_is_reset_drains(make: Callable[[], Peer], finished: bool) -> None:
    """One FIN; what was not taken is granted again; what comes is dropped, until the peer's FIN."""
    peer = make()
    window = peer.mux.window_bytes
    assert window is not None
    peer.says(encode_dat(0, bytes(600)))
    peer.does(Credit(500))
    if finished:
        peer.does(Finish())
    peer.new()
    peer.does(Reset(Reason.LOST))
    assert peer.new()[0] == ([] if finished else [fin()])
    half = window // 2
    peer.says(encode_dat(0, bytes(half - 101)))
    assert peer.new() == ([], [])
    peer.says(encode_dat(0, b"x"), encode_ack(0, 5), encode_syn(0))
    peer.does(Finish(), Credit(1), Reset(Reason.LOST))
    assert peer.new() == ([ack(half)], [])
    peer.says(encode_fin(0), encode_dat(0, bytes(half)))
    assert peer.new() == ([], [])


def test_streams_that_drain_for_ever_are_forgotten() -> None:
    """An original router sometimes forgets a FIN: the oldest such stream is not remembered."""
    peer = host()
    for number in range(DRAINING_STREAMS + 1):
        peer.says(encode_syn(number))
        peer.does(Accept(number), Reset(Reason.LOST, number))
    peer.new()
    peer.says(encode_syn(1))
    assert peer.new() == ([], [])
    peer.says(encode_syn(0))
    assert peer.new() == ([], [Call(NAME, stream=0)])


@pytest.mark.parametrize("make", [router, host])
def test_bad_frames_break_the_rules(make: Callable[[], Peer]) -> None:
    """Text, and what is no frame."""
    for message in (Message(b"\1\0\0\0\0", text=True), Message(b"\4\0\0\0\0"), Message(b"")):
        with pytest.raises(ProtocolError):
            make().mux.receive(message, 0)


# -- whatever comes --------------------------------------------------------------------------------

NUMBERS = st.integers(0, 3).map(lambda number: 2 * number)
WIRE = st.one_of(
    NUMBERS.map(encode_syn),
    NUMBERS.map(encode_fin),
    st.builds(encode_ack, NUMBERS, st.integers(0, 3000)),
    st.builds(encode_dat, NUMBERS, st.binary(max_size=20)),
    st.binary(max_size=10),
)
WISHES = st.one_of(
    st.just("call"),
    st.builds(Accept, NUMBERS),
    st.builds(Finish, NUMBERS),
    st.builds(lambda number: Reset(Reason.LOST, number), NUMBERS),
)


@settings(deadline=None)
@given(st.sampled_from([router, host]), st.lists(st.one_of(WIRE, WISHES), max_size=50))
def test_whatever_comes_the_rules_are_kept(
    make: Callable[[], Peer], steps: list[bytes | str | Event]
) -> None:
    """In any order: one FIN each, ACKs on open streams alone, one SYN each, no other error."""
    peer = make()
    is_router = isinstance(peer.mux, RouterMux)
    for step in steps:
        try:
            if isinstance(step, bytes):
                peer.says(step)
            elif isinstance(step, str):
                if is_router:
                    peer.call()
            elif not isinstance(step, Accept) or not is_router:
                peer.does(step)
        except ProtocolError:
            break
        Observer(is_router).check(peer.sent)
