"""Several links that one errand keeps as if they were one."""

from __future__ import annotations

import pytest

from relay.errors import RelayError
from relay.links.bundle import Bundle
from relay.vocabulary import Accept, Call, Ending, OfferName, Reason


def test_it_is_closed() -> None:
    """Its links are ended once, and everybody is told why, at whatever time they ask."""
    ended: list[Reason] = []
    bundle = Bundle(ended.append)
    told: list[Ending] = []
    bundle.when_closed().addCallback(told.append)
    bundle.close(Reason.GOING_AWAY)
    bundle.close(Reason.LOST)
    bundle.when_closed().addCallback(told.append)
    assert ended == [Reason.GOING_AWAY]
    assert told == [Ending(Reason.GOING_AWAY)] * 2


def test_it_is_over() -> None:
    """Whatever its links do then is theirs."""
    ended: list[Reason] = []
    bundle = Bundle(ended.append)
    told: list[Ending] = []
    bundle.when_closed().addCallback(told.append)
    bundle.over(Ending(Reason.LIMIT, text="no room"))
    bundle.over(Ending(Reason.LOST))
    bundle.close(Reason.LOST)
    assert ended == []
    assert told == [Ending(Reason.LIMIT, text="no room")]


def test_it_is_no_link() -> None:
    """Nothing can be said on it."""
    bundle = Bundle(lambda _: None)
    for use in (
        bundle.stream,
        lambda: bundle.answer(Call(OfferName("x:y"))),
        lambda: bundle.perform(Accept()),
    ):
        with pytest.raises(RelayError):
            use()
