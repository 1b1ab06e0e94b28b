"""Targets that are longer than any name, as a client may say them."""

from __future__ import annotations

import pytest

from relay.dialects.network_relay.access import TARGET_CHARACTERS
from relay.dialects.network_relay.targets import Target
from relay.errors import TargetRefused
from relay.vocabulary import Message, Reset
from tests.dialects.network_relay_rooms import Caller


def test_the_longest_target_is_the_agents_to_judge() -> None:
    """Whether such a host can be found is not the router's business."""
    Caller().starts(Target("h" * (TARGET_CHARACTERS - len(":22")), 22))


@pytest.mark.parametrize(
    "target", [Target("h" * TARGET_CHARACTERS, 22), Target("h", 22, "\n" * TARGET_CHARACTERS)]
)
def test_no_agent_is_asked_for_more(target: Target) -> None:
    """A thousand calls that wait, or run, each keep their target's name."""
    caller = Caller()
    with pytest.raises(TargetRefused) as raised:
        caller.starts(target)
    (told,) = caller.told(Reset(raised.value.reason, 0, None, raised.value.text))
    assert isinstance(told, Message)
    assert told.payload.startswith(b'{"inner":{"kind":"error","message":"Error initiating conn')
    assert len(told.payload) < TARGET_CHARACTERS
