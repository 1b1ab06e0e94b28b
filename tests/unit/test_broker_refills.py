"""Published calls whose target has a pool of links: all taken just now, and soon there again."""

from __future__ import annotations

import itertools

from relay.core.publications import Publications
from relay.core.refills import EXPECTED_S, Refills
from relay.errors import HostAbsent
from relay.settings.model import Callee, Publication
from relay.vocabulary import Answer, Call, CallKey, Join, Offer, OfferName
from tests.fakes import ControlTalk, Talk
from tests.unit.broker_desk import NAME, OTHER, Desk, Party, refusal
from tests.unit.test_broker_viewers import Viewer

FAR = OfferName("far:app")


def queueing(desk: Desk) -> Party:
    """A host's link of another name that waits for one call."""
    return desk.party(Talk(Offer(OTHER, Answer.QUEUE, waiting=2)), "bob")


def refilled(desk: Desk, refill_s: float = 3.0) -> None:
    """Publish OTHER as NAME, whose calls wait while its links are taken."""
    one = Publication("web", Callee(NAME), Callee(OTHER), refill_s=refill_s)
    desk.broker.publications = Publications([one])


def test_a_call_waits_while_the_pool_refills(desk: Desk) -> None:
    """Where its links were taken a moment ago; the next that comes is its own."""
    refilled(desk)
    assert refusal(desk, Call(NAME)) is HostAbsent
    queueing(desk)
    assert desk.caller().accepted()
    assert refusal(desk, Call(NAME)) is None
    caller = desk.caller()
    caller.says(b"early")
    desk.world.passes(2.5)
    host = queueing(desk)
    assert caller.accepted()
    assert host.payload() == b"early"


def test_a_pool_that_does_not_refill(desk: Desk) -> None:
    """The call ends when it has waited; long afterwards none waits any more."""
    refilled(desk)
    queueing(desk).link.lose()
    viewer = Viewer(desk)
    desk.world.passes(2.5)
    assert viewer.told == []
    desk.world.passes(1)
    assert viewer.told == ["failed host-absent"]
    assert viewer.visit.errors[0].text == f"{NAME} did not answer within 3 s"
    assert desk.broker.pending_calls() == 0
    desk.world.passes(EXPECTED_S)
    assert refusal(desk, Call(NAME)) is HostAbsent


def test_other_pools_do_not_refill(desk: Desk) -> None:
    """Where the target's dialect does not say so, and where there is no pool."""
    refilled(desk, 0)
    queueing(desk).link.lose()
    assert refusal(desk, Call(NAME)) is HostAbsent
    refilled(desk)
    desk.world.passes(EXPECTED_S)
    desk.party(ControlTalk(Offer(OTHER, Answer.ANNOUNCE)), "bob").link.lose()
    assert refusal(desk, Call(NAME)) is HostAbsent


def test_names_that_ran_dry_are_bounded() -> None:
    """The one that did so first is forgotten first; a clock that is set back keeps nobody."""
    refills = Refills(2)
    for number, name in enumerate((NAME, OTHER, NAME, FAR)):
        refills.ran_dry(name, number)
    assert [refills.is_expected(name, 4) for name in (NAME, OTHER, FAR)] == [True, False, True]
    assert not refills.is_expected(FAR, 2)


def test_a_host_that_comes_while_a_call_waits_for_a_pool(desk: Desk) -> None:
    """It may be of another kind: the key that it is told joins, and nobody can guess it."""
    desk.bits = itertools.count(1_000_000)
    refilled(desk)
    queueing(desk).link.lose()
    caller = desk.caller()
    host = desk.party(ControlTalk(Offer(OTHER, Answer.ANNOUNCE)), "bob")
    (key,) = host.keys()
    desk.party(Talk(Join(OTHER, CallKey(key))), "bob")
    assert caller.accepted()
    assert int(key) >= 1_000_000
