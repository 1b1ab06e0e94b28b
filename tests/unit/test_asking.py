"""Questions to HTTP servers: what is written, and what is not waited for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from relay.errors import CannotConnect, Misconfigured, RelayError
from relay.links.asking import ANSWER_TIMEOUT_S, Asker, encode, redirected
from relay.links.origin import WEB_SCHEMES, Ways, place_of
from relay.outside import HttpAnswer
from relay.settings.model import TunnelSettings
from relay.vocabulary import Role

SETTINGS = TunnelSettings(
    Role.CLIENT, "lab", "talk", "", None, (), None, None, None, "yes", 1, 0, 0
)


def failure_of(asking: Deferred[HttpAnswer]) -> BaseException | None:
    """:returns: what a question has failed with"""
    failures: list[BaseException | None] = []

    def failed(failure: Failure) -> None:
        failures.append(failure.value)

    asking.addErrback(failed)
    return failures[0]


def test_a_server_that_never_answers() -> None:
    """It is given up after ten seconds, connecting included."""
    reactor = MemoryReactorClock()
    asker = Asker(Ways(replace(SETTINGS), reactor), reactor)
    asking: Deferred[HttpAnswer] = Deferred.fromCoroutine(
        asker.ask("GET", "http://127.0.0.1:1/", {}, 1)
    )
    reactor.advance(ANSWER_TIMEOUT_S)
    assert isinstance(failure_of(asking), CannotConnect)
    assert reactor.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://a.example", b"a.example"),
        ("http://a.example:80/", b"a.example"),
        ("http://a.example:443/", b"a.example:443"),
        ("https://a.example:443/", b"a.example"),
        ("https://[::1]/", b"[::1]"),
        ("https://[::1]:8443/", b"[::1]:8443"),
    ],
)
def test_the_host_that_is_asked(url: str, host: bytes) -> None:
    """A port that goes without saying is not said, as in Go and in browsers."""
    written = encode("POST", place_of(url, WEB_SCHEMES), {"Authorization": "t"})
    assert written.startswith(b"POST / HTTP/1.1\r\nHost: " + host + b"\r\n")
    assert b"\r\nAuthorization: t\r\n" in written
    assert b"\r\nContent-Length: 0\r\n" in written


@pytest.mark.parametrize("token", ["two\nlines", "\N{SNOWMAN}", "\0"])
def test_a_token_that_cannot_be_sent(token: str) -> None:
    """It is not repeated in what is said of it."""
    with pytest.raises(Misconfigured) as failed:
        encode("GET", place_of("http://a/", WEB_SCHEMES), {"Authorization": token})
    assert token not in failed.value.text


@pytest.mark.parametrize(
    ("location", "target"),
    [("/b", "/b"), ("b", "/a/b"), ("?q", "/a/x?q"), ("http://h.example/ü#f", "/%C3%BC")],
)
def test_where_a_redirection_leads(location: str, target: str) -> None:
    """To a path of the same server, whatever form it has."""
    place = place_of("http://h.example/a/x", WEB_SCHEMES)
    assert redirected(place, location).target == target


@pytest.mark.parametrize(
    "location",
    ["https://h.example/", "http://h.example:81/", "//evil.example/", "ftp://h/", "http://["],
)
def test_where_no_redirection_leads(location: str) -> None:
    """Another scheme, host or port is another server."""
    with pytest.raises(RelayError):
        redirected(place_of("http://h.example/", WEB_SCHEMES), location)
