"""Routers of session-relay under addresses that clients can really dial, whoever made them."""

from __future__ import annotations

import pytest

from tests.integration.session_relay_peers import Router

PLACES = pytest.mark.parametrize("place", ["ours", "go"], indirect=True)


def session_url(router: Router, topic: str) -> str:
    """:returns: where a session is asked for"""
    return f"{router.audience}/session/{topic}"
