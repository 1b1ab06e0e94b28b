"""Who gets a name: registrations, what they offer, and rivals.

The calls for a name: ``test_registry_calls``.
"""

from __future__ import annotations

import pytest

from relay.core.rivals import FLAP_SPAN_S, MAX_HOLD_S
from relay.errors import HostAbsent, NoSuchOffer
from relay.settings.model import Limits
from relay.vocabulary import Answer, Call, Offer, Outputs, Reason, Rivalry
from tests.fakes import ControlTalk, MuxTalk, grant
from tests.unit.broker_desk import LATE_S, NAME, OTHER, Desk, refusal

# -- what is offered -------------------------------------------------------------------------------


def test_unknown_names_and_services_are_told_apart(desk: Desk) -> None:
    """No host at all; a host that does not offer the service, with what it does offer."""
    assert refusal(desk, Call(NAME, "web")) is HostAbsent
    desk.host(services=("web", "ssh"))
    assert refusal(desk, Call(NAME, "web")) is None
    with pytest.raises(NoSuchOffer, match=r"'ftp', only ssh, web"):
        desk.broker.judge(Call(NAME, "ftp"), grant())
    assert desk.caller("ftp").reason is Reason.NO_SUCH_OFFER


def test_a_host_that_names_no_services_is_asked_for_any(desk: Desk) -> None:
    """What the router does not know it does not judge."""
    host = desk.host(services=None)
    desk.caller("anything")
    assert len(host.keys()) == 1


# -- registrations ---------------------------------------------------------------------------------


def test_the_newest_registration_wins(desk: Desk) -> None:
    """The replaced one is told so, calls reach the new one, and its end withdraws nothing."""
    old, new = desk.host(), desk.host()
    assert old.reason is Reason.REPLACED
    assert old.told() == []
    assert old.link.close_sent is not None
    assert old.link.close_sent.text == "replaced"
    desk.caller()
    assert len(new.keys()) == 1
    assert desk.broker.offers() == {NAME: new.session}


@pytest.mark.parametrize("rivalry", list(Rivalry))
def test_an_offer_may_be_repeated(desk: Desk, rivalry: Rivalry) -> None:
    """A link that offers its own name again is no rival of itself."""
    offer = Offer(NAME, Answer.ANNOUNCE, rivalry)

    class OffersTwice(ControlTalk):
        def opened(self, now: float) -> Outputs:
            return (offer, offer)

    assert desk.party(OffersTwice(offer)).reason is None


def test_an_offer_that_came_later_is_withdrawn_too(desk: Desk) -> None:
    """A name that was offered within the conversation falls with its link, each of several."""
    agent = desk.party(MuxTalk())
    agent.frame(b"N", 0, NAME.encode())
    agent.frame(b"N", 0, OTHER.encode())
    assert set(desk.broker.offers()) == {NAME, OTHER}
    agent.link.lose()
    assert refusal(desk, Call(NAME)) is HostAbsent
    assert desk.is_clean()


def test_waiting_calls_go_to_the_next_host(desk: Desk) -> None:
    """A call that no host has heard of is announced to whoever registers next."""
    desk = Desk(Limits(pending_calls=1))
    first = desk.host()
    told, waiting = desk.caller(), desk.caller()
    first.link.lose()
    desk.accepter(first.keys()[0])
    assert told.accepted()
    second = desk.host()
    (key,) = second.keys()
    desk.accepter(key)
    assert waiting.accepted()


# -- rivals ----------------------------------------------------------------------------------------


def replaced(desk: Desk) -> float:
    """A newcomer replaces the live host. :returns: how long its handshake is held."""
    hold_s = desk.broker.hold_s(Offer(NAME, Answer.ANNOUNCE))
    desk.world.passes(hold_s)
    desk.host()
    return hold_s


def test_flapping_hosts_are_slowed_down(desk: Desk) -> None:
    """From the fourth replacement within 10 s: 1 s, doubling to 8 s; the newcomer still wins."""
    desk.host()
    holds = [replaced(desk) for _ in range(10)]
    assert holds == [0, 0, 0, 1, 2, 4, 8, 8, 8, 8]
    assert len(desk.broker.offers()) == 1


def test_slow_replacements_are_free(desk: Desk) -> None:
    """Three within ten seconds cost nothing, for ever."""
    desk.host()
    for _ in range(30):
        assert replaced(desk) == 0
        desk.world.passes(FLAP_SPAN_S / 3 + LATE_S)


def test_flapping_is_forgotten(desk: Desk) -> None:
    """After a quiet time replacements are free again."""
    desk.host()
    for _ in range(8):
        replaced(desk)
    desk.world.passes(FLAP_SPAN_S + 3 * MAX_HOLD_S)
    assert [replaced(desk) for _ in range(3)] == [0, 0, 0]


def test_only_live_registrations_are_rivals(desk: Desk) -> None:
    """A host that crashes and returns in a loop is not held."""
    for _ in range(10):
        assert desk.broker.hold_s(Offer(NAME, Answer.ANNOUNCE)) == 0
        desk.host().link.lose()


def test_only_newcomers_that_would_win_are_held(desk: Desk) -> None:
    """Neither other intents nor offers that cannot win wait."""
    desk.host()
    for _ in range(5):
        replaced(desk)
    assert desk.broker.hold_s(Offer(NAME, Answer.ANNOUNCE, Rivalry.LIVE_KEEPS)) == 0
    assert desk.broker.hold_s(Offer(OTHER, Answer.ANNOUNCE)) == 0
    assert desk.broker.hold_s(Call(NAME)) == 0
    assert desk.broker.hold_s(Offer(NAME, Answer.ANNOUNCE)) > 0
