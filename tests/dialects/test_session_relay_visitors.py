"""Who may speak to a session-relay host's local API: programs here, and no pages of elsewhere."""

from __future__ import annotations

import pytest

from relay.dialects.session_relay.host.visitors import ForeignPage, Visitors
from relay.http import Request


def asks(visitors: Visitors, host: str | None, *origins: str) -> None:
    """Ask, under a name, for a page."""
    named = () if host is None else (("host", host),)
    headers = (*named, *(("origin", origin) for origin in origins))
    visitors.check(Request("POST", "/api", "/api", "", headers, "::1"))


@pytest.mark.parametrize(
    ("host", "origins"),
    [
        (None, ()),
        ("", ()),
        ("localhost:8888", ()),
        ("LOCALHOST", ()),
        ("127.0.0.1:8888", ()),
        ("[::1]:8888", ()),
        ("192.0.2.7:8888", ()),
        ("[2001:db8::1]:8888", ()),
        ("relay-host:8888", ()),
        ("cam.localhost", ()),
        ("localhost:8888", ("http://localhost:3000",)),
        ("localhost:8888", ("http://127.0.0.1",)),
        ("localhost:8888", ("http://[::1]:3000",)),
        ("192.0.2.7:8888", ("http://192.0.2.7:8888",)),
    ],
)
def test_who_is_here_may(host: str | None, origins: tuple[str, ...]) -> None:
    """By any name that no stranger can have made to lead here."""
    asks(Visitors(()), host, *origins)


@pytest.mark.parametrize(
    ("host", "origins"),
    [
        ("rebound.example", ()),
        ("rebound.example:8888", ("http://rebound.example:8888",)),
        ("127.0.0.1.evil.example", ()),
        ("localhost.evil.example", ()),
        ("evil.example.", ()),
        ("[::1", ()),
        ("localhost", ("https://evil.example",)),
        ("localhost", ("null",)),
        ("localhost", ("",)),
        ("localhost", ("https://localhost.evil.example",)),
        ("localhost", ("https://localhost@evil.example",)),
        ("localhost", ("http://localhost", "https://evil.example")),
        ("localhost:8888", ("http://192.0.2.7:8888",)),
    ],
)
def test_a_page_of_elsewhere_may_not(host: str, origins: tuple[str, ...]) -> None:
    """Neither under its own name nor by a name that was made to lead here."""
    with pytest.raises(ForeignPage, match=r"origins can allow it") as refused:
        asks(Visitors(()), host, *origins)
    assert refused.value.status == 403


def test_settings_may_let_pages_in() -> None:
    """Those that are listed, under their name, too; or all of them."""
    some = Visitors(("https://lab.example/", "null"))
    asks(some, "localhost", "https://LAB.example")
    asks(some, "lab.example:8888", "https://lab.example")
    asks(some, "localhost", "null")
    with pytest.raises(ForeignPage):
        asks(some, "localhost", "https://evil.example")
    asks(Visitors(("*",)), "rebound.example", "https://evil.example")
