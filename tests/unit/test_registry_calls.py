"""Calls until they are answered: announced, joined with a key, given up, or waiting in order.

The other ways to answer them: ``test_registry_answers``. The names: ``test_registry_offers``.
"""

from __future__ import annotations

from relay.core.registry import WAITING_CALLS
from relay.errors import CallGone, HostAbsent, LimitReached
from relay.settings.model import Limits
from relay.vocabulary import Answer, Call, CallKey, Join, Message, Offer, Reason
from tests.fakes import BOTH, ControlTalk, Talk
from tests.unit.broker_desk import LATE_S, NAME, OTHER, PENDING_S, Desk, refusal

# -- calls and joins -------------------------------------------------------------------------------


def test_a_call_is_announced_accepted_and_carried(desk: Desk) -> None:
    """The host hears of it, its accepting link joins, the caller is told first, and bytes flow."""
    host, caller = desk.host(), desk.caller()
    (key,) = host.keys()
    assert not caller.accepted()
    accepter = desk.accepter(key)
    accepter.says(b"down")
    caller.says(b"up")
    assert caller.told() == [b"accepted"]
    assert (caller.payload(), accepter.payload()) == (b"down", b"up")
    assert len(desk.broker.circuits) == 1
    assert desk.broker.pending_calls() == 0


def test_a_key_joins_once(desk: Desk) -> None:
    """The second link with the same key is refused, and the circuit of the first is untouched."""
    host, caller = desk.host(), desk.caller()
    (key,) = host.keys()
    first, second = desk.accepter(key), desk.accepter(key)
    assert first.reason is None
    assert second.reason is Reason.NO_SUCH_OFFER
    caller.says(b"x")
    assert first.payload() == b"x"


def test_a_key_is_good_for_its_own_name_only(desk: Desk) -> None:
    """Whoever guesses a key of another name gets nothing, whether or not that name stands."""
    host, caller = desk.host(), desk.caller()
    (key,) = host.keys()
    desk.party(ControlTalk(Offer(OTHER, Answer.ANNOUNCE)))
    assert desk.accepter(key, OTHER).reason is Reason.NO_SUCH_OFFER
    assert caller.reason is None
    assert desk.accepter(key).reason is None


def test_a_caller_that_left_is_forgotten(desk: Desk) -> None:
    """Its key joins nothing any more, and the host's link lives on."""
    host, caller = desk.host(), desk.caller()
    (key,) = host.keys()
    caller.link.arrive(Message(b"never mind"))
    caller.link.resume_reading()
    caller.link.lose()
    assert desk.broker.pending_calls() == 0
    assert refusal(desk, Join(NAME, CallKey(key))) is CallGone
    assert desk.accepter(key).reason is Reason.NO_SUCH_OFFER
    assert host.reason is None


def test_what_a_pending_caller_says_is_kept(desk: Desk) -> None:
    """Early payload, and an early Finish behind it, reach the host that accepts later."""
    host = desk.host()
    caller = desk.party(Talk(Call(NAME), BOTH))
    caller.says(b"early")
    caller.link.resume_reading()
    caller.link.arrive(Message(b"fin", text=True))
    (key,) = host.keys()
    accepter = desk.party(Talk(Join(NAME, CallKey(key)), BOTH))
    assert accepter.payload() == b"early"
    assert accepter.told() == [b"fin"]
    assert accepter.reason is None


def test_an_early_finish_is_told_once_there_is_somebody_to_tell(desk: Desk) -> None:
    """A caller that said nothing but its end waits for the answer."""
    host = desk.host()
    caller = desk.party(Talk(Call(NAME), BOTH))
    caller.link.arrive(Message(b"fin", text=True))
    (key,) = host.keys()
    accepter = desk.party(Talk(Join(NAME, CallKey(key)), BOTH))
    accepter.says(b"answer")
    assert accepter.told() == [b"fin"]
    assert caller.payload() == b"answer"


def test_an_old_key_survives_the_loss_of_its_control_link(desk: Desk) -> None:
    """A call that was announced can still be joined, by whoever holds the name's grant."""
    host, caller = desk.host(), desk.caller()
    (key,) = host.keys()
    host.link.lose()
    assert refusal(desk, Call(NAME)) is HostAbsent
    assert caller.reason is None
    assert desk.accepter(key).reason is None
    assert caller.accepted()


# -- unanswered calls ------------------------------------------------------------------------------


def test_unanswered_calls_are_bounded_and_wait_in_order() -> None:
    """100 are announced, 1000 more wait, the next is refused; answers let the oldest on."""
    desk = Desk()
    host = desk.host()
    callers = [desk.caller() for _ in range(Limits().pending_calls + WAITING_CALLS)]
    assert len(host.keys()) == Limits().pending_calls == 100
    assert refusal(desk, Call(NAME)) is LimitReached
    assert desk.caller().reason is Reason.LIMIT
    for key in host.keys()[:3]:
        desk.accepter(key)
    keys = host.keys()
    assert len(keys) == 103
    desk.accepter(keys[101])
    assert [number for number, caller in enumerate(callers) if caller.accepted()] == [0, 1, 2, 101]
    assert refusal(desk, Call(NAME)) is None


def test_a_waiting_caller_that_leaves_makes_room() -> None:
    """It is never announced."""
    desk = Desk(Limits(pending_calls=1))
    host = desk.host()
    _, leaves, stays = desk.caller(), desk.caller(), desk.caller()
    leaves.link.lose()
    desk.accepter(host.keys()[0])
    desk.accepter(host.keys()[1])
    assert stays.accepted()
    assert len(host.keys()) == 2


def test_a_silent_host_is_waited_for_within_bounds() -> None:
    """After 30 s an announced call ends with host-silent, a waiting one with limit; not earlier."""
    desk = Desk(Limits(pending_calls=1))
    host, announced, waiting = desk.host(), desk.caller(), desk.caller()
    desk.world.passes(PENDING_S - LATE_S)
    assert announced.reason is waiting.reason is None
    assert len(host.keys()) == 1
    desk.world.passes(2 * LATE_S)
    assert announced.reason is Reason.HOST_SILENT
    assert waiting.reason is Reason.LIMIT
    assert desk.metrics.refused_total["talk", Reason.HOST_SILENT] >= 1
    assert desk.broker.pending_calls() == 0
    assert desk.accepter(host.keys()[0]).reason is Reason.NO_SUCH_OFFER


def test_a_call_that_nobody_heard_of_ends_with_limit() -> None:
    """The host is not to blame for a call that was never announced."""
    desk = Desk(Limits(pending_calls=1, pending_s=10))
    host, _ = desk.host(), desk.caller()
    desk.world.passes(5)
    waiting = desk.caller()
    host.link.lose()
    desk.world.passes(10 + LATE_S)
    assert waiting.reason is Reason.LIMIT


def test_the_last_in_a_queue_does_not_blame_the_host() -> None:
    """A call of which the host was told only because those before it were given up."""
    desk = Desk(Limits(pending_calls=1, pending_s=10))
    host, first = desk.host(), desk.caller()
    desk.world.passes(1)
    second = desk.caller()
    desk.world.passes(9 + LATE_S)
    assert first.reason is Reason.HOST_SILENT
    assert len(host.keys()) == 2
    desk.world.passes(1)
    assert second.reason is Reason.LIMIT


def test_a_host_that_does_not_read_is_not_told_of_calls() -> None:
    """Calls that come and go leave nothing behind in front of it; those that stay are told."""
    desk = Desk()
    host = desk.host()
    host.session.pauseProducing()
    for _ in range(100):
        desk.caller().link.lose()
    stays = desk.caller()
    assert host.keys() == []
    host.session.resumeProducing()
    (key,) = host.keys()
    desk.accepter(key)
    assert stays.accepted()


def test_a_host_that_never_reads_is_silent() -> None:
    """Its callers are told so, although it was never told of them."""
    desk = Desk(Limits(pending_s=10))
    host = desk.host()
    host.session.pauseProducing()
    caller = desk.caller()
    desk.world.passes(10 + LATE_S)
    assert caller.reason is Reason.HOST_SILENT


def test_a_pending_time_of_zero_is_none() -> None:
    """0 means never, as for all times."""
    desk = Desk(Limits(pending_s=0))
    desk.host()
    caller = desk.caller()
    desk.world.passes(3600, step_s=10)
    assert caller.reason is None


def test_an_answered_call_has_no_deadline(desk: Desk) -> None:
    """A circuit is not ended by the timer of its call."""
    desk.host()
    caller, accepter = desk.circuit()
    desk.world.passes(3 * PENDING_S)
    assert caller.reason is accepter.reason is None
    assert desk.world.clock.getDelayedCalls() == []
