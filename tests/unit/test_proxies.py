"""Whose word on a caller's address is believed."""

from __future__ import annotations

import pytest

from relay.http import Request
from relay.proxies import TrustedProxies

PROXY = "127.0.0.1"


def asked(*forwarded: str) -> Request:
    """:returns: a request with these ``X-Forwarded-For`` headers"""
    headers = tuple(("x-forwarded-for", value) for value in forwarded)
    return Request("GET", "/", "/", "", headers, "")


@pytest.mark.parametrize(
    ("forwarded", "believed"),
    [
        ((), PROXY),
        (("192.0.2.1",), "192.0.2.1"),
        (("198.51.100.9, 192.0.2.1",), "192.0.2.1"),
        (("198.51.100.9", "192.0.2.1, 10.1.2.3"), "192.0.2.1"),
        (("10.0.0.1, 10.0.0.2",), "10.0.0.1"),
        (("192.0.2.1, unknown",), PROXY),
        (("192.0.2.1, 10.0.0.2, 10.0.0.256",), PROXY),
        (("2001:db8::1",), "2001:db8::1"),
        (("::ffff:192.0.2.1",), "192.0.2.1"),
    ],
)
def test_the_first_address_that_nobody_vouches_beyond(
    forwarded: tuple[str, ...], believed: str
) -> None:
    """From the right, for as long as trusted proxies report."""
    proxies = TrustedProxies([PROXY, "10.0.0.0/8"])
    assert proxies.believed_peer(PROXY, asked(*forwarded)) == believed


def test_a_stranger_is_not_believed() -> None:
    """Who is not listed speaks for himself alone, and so does everybody where nobody is."""
    assert TrustedProxies([PROXY]).believed_peer("192.0.2.7", asked("1.2.3.4")) == "192.0.2.7"
    assert TrustedProxies([]).believed_peer(PROXY, asked("1.2.3.4")) == PROXY


def test_a_proxy_at_a_socket_for_both_families() -> None:
    """There IPv4 comes as ``::ffff:a.b.c.d``, as at relay-router.socket: it is the same proxy."""
    proxies = TrustedProxies([PROXY, "10.0.0.0/8"])
    assert proxies.is_trusted(f"::ffff:{PROXY}")
    assert proxies.is_trusted("::ffff:10.9.8.7")
    assert TrustedProxies([f"::ffff:{PROXY}"]).is_trusted(PROXY)
    assert not proxies.is_trusted("::ffff:192.0.2.1")
    assert proxies.believed_peer(f"::ffff:{PROXY}", asked("192.0.2.1")) == "192.0.2.1"


def test_a_caller_at_a_socket_for_both_families() -> None:
    """He has one name in the log, whichever socket he came to."""
    assert TrustedProxies([]).believed_peer("::ffff:192.0.2.1", asked()) == "192.0.2.1"
    assert TrustedProxies([]).believed_peer("local", asked()) == "local"
