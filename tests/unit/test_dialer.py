"""What an answer that is no open WebSocket means."""

from __future__ import annotations

from relay.errors import NotARouter
from relay.links.dialer import refusal


def test_wrong_keys_are_one_failure() -> None:
    """The text does not repeat this attempt's key, so that it is the same each time."""
    texts = {
        str(refusal(0, {}, f"HTTP Sec-WebSocket-Accept bogus value : expected {key}", {}))
        for key in ("mVhwTyHJ", "w+dlHhBK")
    }
    assert len(texts) == 1
    assert isinstance(refusal(0, {}, "Sec-WebSocket-Accept", {}), NotARouter)
