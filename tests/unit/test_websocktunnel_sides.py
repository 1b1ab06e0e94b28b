"""The rules of wsmux for one side, kept by its conversations alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from relay.dialects.websocktunnel.mux import (
    SILENT_CALLS,
    SILENT_S,
    UNANSWERED_SYNS,
    RouterMux,
)
from relay.errors import CallGone, LimitReached, ProtocolError
from relay.vocabulary import (
    Accept,
    Call,
    Credit,
    End,
    Finish,
    Ping,
    Reason,
    Reset,
)
from relay.wire.wsmux import (
    WINDOW_BYTES,
    Frame,
    Kind,
    encode_ack,
    encode_dat,
    encode_fin,
    encode_syn,
)
from tests.unit.websocktunnel_peer import (
    CREDIT,
    NAME,
    OFFER,
    WINDOW,
    Peer,
    ack,
    fin,
    host,
    opened_router,
    router,
)

# -- the router's side -----------------------------------------------------------------------------


def test_a_router_asks_for_what_the_host_offers() -> None:
    """The offer is judged before the handshake is over, which tells the headers it was given."""
    mux = RouterMux(OFFER, {"X-Some": "header"})
    assert mux.intent == OFFER
    assert list(mux.opened(0)) == [Ping(), OFFER]
    assert mux.upgrade_headers == {"X-Some": "header"}


def test_streams_have_even_numbers_in_turn() -> None:
    """0, then 2; one that is over is not used again."""
    peer = router()
    assert [peer.call(), peer.call()] == [0, 2]
    assert peer.new()[0] == [Frame(Kind.SYN, 0), Frame(Kind.SYN, 2)]
    peer.says(encode_ack(0, 9), encode_fin(0))
    peer.does(Reset(Reason.FINISHED))
    assert peer.call() == 4


def test_numbers_wrap_and_skip_what_is_in_use() -> None:
    """Behind 2^32-2 comes 0, unless it is open, waits, drains, or was given up."""
    peer = router()
    for _ in range(4):
        peer.call()
    peer.says(encode_ack(0, 9), encode_ack(2, 9))
    peer.does(Reset(Reason.LOST, 2), Reset(Reason.LOST, 4))
    assert isinstance(peer.mux, RouterMux)
    peer.mux._next = 2**32 - 2
    assert [peer.call(), peer.call()] == [2**32 - 2, 8]


def test_the_first_ack_accepts() -> None:
    """Credit comes before the Accept, also where it is none; later ones are credit alone."""
    peer = router()
    peer.call()
    peer.call()
    peer.says(encode_ack(2, 0), encode_ack(0, 1024), encode_ack(0, 5))
    assert peer.new()[1] == [Credit(0, 2), Accept(2), Credit(1024, 0), Accept(0), Credit(5, 0)]


def test_nothing_is_said_of_a_stream_that_was_not_accepted() -> None:
    """Neither FIN nor ACK: an original breaks on them."""
    peer = router()
    peer.call()
    peer.new()
    peer.does(Finish(), Credit(5), Reset(Reason.PEER_CLOSED), Reset(Reason.PEER_CLOSED))
    assert peer.new() == ([], [])


def test_a_late_ack_is_answered_with_one_fin() -> None:
    """A stream that was given up is accepted after all: it drains, in a window of full size."""
    peer = router()
    peer.call()
    peer.does(Reset(Reason.HOST_SILENT))
    peer.new()
    peer.says(encode_dat(0, b"x"))
    assert peer.new() == ([], [])
    peer.says(encode_ack(0, 1024), encode_ack(0, 7), encode_dat(0, bytes(1024)))
    assert peer.new() == ([fin(), ack(WINDOW_BYTES)], [])
    peer.says(encode_fin(0), encode_ack(0, 1024))
    assert peer.new() == ([], [])


def test_a_stream_that_was_given_up_may_be_refused() -> None:
    """A FIN instead of an ACK: there is nothing to remember."""
    peer = router()
    peer.call()
    peer.does(Reset(Reason.HOST_SILENT))
    peer.says(encode_fin(0), encode_ack(0, 1024))
    assert peer.new() == ([Frame(Kind.SYN, 0)], [])


def test_a_fin_instead_of_an_ack_refuses() -> None:
    """The core hears of it; nothing is said of the stream any more."""
    peer = router()
    peer.call()
    peer.new()
    peer.says(encode_fin(0))
    assert peer.new() == ([], [Finish()])
    peer.does(Reset(Reason.TARGET_REFUSED))
    assert peer.new() == ([], [])


def test_a_host_opens_no_streams() -> None:
    """Its SYNs are never answered, whether the number is free or not."""
    peer = opened_router()
    peer.call()
    peer.new()
    peer.says(encode_syn(1), encode_syn(0), encode_syn(2), encode_dat(1, b"x"))
    assert peer.new() == ([], [])


@pytest.mark.parametrize("make", [router, host])
def test_payload_before_the_ack_breaks_the_rules(make: Callable[[], Peer]) -> None:
    """It could only be lost."""
    peer = make()
    if isinstance(peer.mux, RouterMux):
        peer.call()
    else:
        peer.says(encode_syn(0))
    with pytest.raises(ProtocolError):
        peer.says(encode_dat(0, b"x"))


def test_too_many_streams_that_wait_are_not_opened() -> None:
    """Those that were given up count: an original freezes at 200. An ACK, or a FIN, makes room."""
    peer = router()
    numbers = [peer.call() for _ in range(UNANSWERED_SYNS)]
    peer.does(Reset(Reason.PEER_CLOSED, numbers[0]))
    with pytest.raises(LimitReached):
        peer.mux.begin(Call(NAME))
    peer.says(encode_ack(numbers[0], 1024))
    peer.call()
    with pytest.raises(LimitReached):
        peer.mux.begin(Call(NAME))
    peer.says(encode_fin(numbers[1]))
    peer.call()


def test_a_host_that_accepts_nothing_is_given_up() -> None:
    """Several calls in a row, none of them accepted, and time enough: the link ends."""
    peer = router()
    for number in range(SILENT_CALLS):
        assert peer.mux.deadline() is None
        peer.now = 10.0 + number
        peer.does(Reset(Reason.PEER_CLOSED, peer.call()))
    assert peer.mux.deadline() == 10 + SILENT_S
    assert peer.mux.wake(9 + SILENT_S) == ()
    assert peer.mux.wake(10 + SILENT_S) == (End(Reason.HOST_SILENT),)


@pytest.mark.parametrize("late", [False, True])
def test_a_host_that_accepts_now_and_then_is_not_given_up(late: bool) -> None:
    """One ACK between, for a call that still waits or for one given up, and all is well."""
    peer = router()
    numbers = [peer.call() for _ in range(2 * SILENT_CALLS)]
    for number in numbers[:SILENT_CALLS]:
        peer.does(Reset(Reason.HOST_SILENT, number))
    peer.says(encode_ack(numbers[0] if late else numbers[-1], 1024))
    assert peer.mux.deadline() is None
    for number in numbers[SILENT_CALLS:-2]:
        peer.does(Reset(Reason.HOST_SILENT, number))
    assert peer.mux.deadline() is None


# -- our host's side -------------------------------------------------------------------------------


def test_a_syn_is_a_call() -> None:
    """Its stream begins with the credit that the router is known to give; an ACK opens it."""
    peer = host()
    peer.says(encode_syn(4), encode_syn(4))
    assert peer.new() == ([], [Call(NAME, stream=4)])
    opening = peer.mux.begin(Call(NAME, stream=4))
    assert opening == (4, CREDIT)
    peer.does(Accept(4), Accept(4))
    assert peer.new() == ([ack(WINDOW, 4)], [])
    with pytest.raises(CallGone):
        peer.mux.begin(Call(NAME, stream=4))
    with pytest.raises(CallGone):
        peer.mux.begin(Call(NAME, stream=6))


def test_a_refused_call_is_accepted_and_finished() -> None:
    """There is no other way to say no; what comes of it is dropped."""
    peer = host()
    peer.says(encode_syn(0))
    peer.new()
    peer.does(Finish(), Credit(1), Reset(Reason.TARGET_REFUSED), Reset(Reason.TARGET_REFUSED))
    assert peer.new() == ([ack(WINDOW), fin()], [])
    peer.says(encode_dat(0, bytes(WINDOW)), encode_fin(0))
    assert peer.new() == ([ack(WINDOW)], [])


def test_a_caller_that_leaves_before_it_is_answered_is_heard_afterwards() -> None:
    """A FIN before the ACK is told behind it; ACKs mean nothing yet."""
    peer = host()
    peer.says(encode_syn(0), encode_ack(0, 5), encode_fin(0), encode_fin(0))
    peer.new()
    peer.does(Accept(0))
    assert peer.new() == ([ack(WINDOW)], [Finish()])
    peer.says(encode_syn(2), encode_fin(2))
    peer.does(Reset(Reason.LIMIT, 2))
    assert peer.new()[0] == [ack(WINDOW, 2), fin(2)]
    peer.says(encode_syn(2))
    assert peer.new() == ([], [Call(NAME, stream=2)])


def test_more_calls_than_may_wait_are_refused_at_once() -> None:
    """The link goes on: whoever waits is still answered, and its place is free then."""
    peer = host()
    last = 2 * UNANSWERED_SYNS
    peer.says(*(encode_syn(number) for number in range(0, last, 2)))
    assert peer.new() == ([], [Call(NAME, stream=number) for number in range(0, last, 2)])
    peer.says(encode_syn(last))
    assert peer.new() == ([ack(WINDOW, last), fin(last)], [])
    peer.does(Accept(0))
    peer.says(encode_syn(last + 2))
    assert peer.new() == ([ack(WINDOW, 0)], [Call(NAME, stream=last + 2)])


def test_a_host_takes_no_calls_of_its_own() -> None:
    """Our hosts never open streams."""
    peer = host()
    peer.does(Call(NAME, stream=1))
    assert peer.new() == ([], [])
