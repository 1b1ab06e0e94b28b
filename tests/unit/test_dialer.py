"""What an answer that is no open WebSocket means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from twisted.internet.interfaces import IReactorTime
from twisted.internet.testing import MemoryReactorClock

from relay.errors import Misconfigured, NotARouter
from relay.links.dialer import Dialer, refusal
from relay.settings.model import TunnelSettings
from relay.vocabulary import Role

SETTINGS = TunnelSettings(
    Role.HOST, "web", "portal", "wss://r.example", None, (), None, None, None, "yes", 1, 0, 0
)


def test_wrong_keys_are_one_failure() -> None:
    """The text does not repeat this attempt's key, so that it is the same each time."""
    texts = {
        str(refusal(0, {}, f"HTTP Sec-WebSocket-Accept bogus value : expected {key}", {}))
        for key in ("mVhwTyHJ", "w+dlHhBK")
    }
    assert len(texts) == 1
    assert isinstance(refusal(0, {}, "Sec-WebSocket-Accept", {}), NotARouter)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (replace(SETTINGS, ca_file=Path(__file__)), "ca-file .*: holds no certificate in PEM"),
        (replace(SETTINGS, tls_name="ü..ü"), "is no valid name for a certificate"),
        (replace(SETTINGS, proxy="http://p:1", router="ws://ü"), "no host name that a proxy would"),
        (replace(SETTINGS, router="ws://a..b"), "invalid hostname: a..b"),
    ],
)
def test_settings_that_cannot_work(settings: TunnelSettings, why: str) -> None:
    """They are not said to be a passing loss, after which one tries again at once."""
    dialer = Dialer(settings, cast(IReactorTime, MemoryReactorClock()))
    with pytest.raises(Misconfigured, match=why) as failed:
        dialer.open("/", {}).send(None)
    assert not failed.value.passing
