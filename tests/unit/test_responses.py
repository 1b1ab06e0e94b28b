"""Answers of the router itself: their status, their reason, and words for programs and people."""

from __future__ import annotations

import pytest

from relay.errors import (
    BadAnswer,
    BadRequest,
    ExpectationFailed,
    HostAbsent,
    LimitReached,
    MethodNotAllowed,
    NotFound,
    RelayError,
    TooLarge,
    UnknownCoding,
    UnknownVersion,
)
from relay.http import Request
from relay.links.responses import encode_response, page, phrase, plain_status, refusal, wants_html
from relay.vocabulary import Reason

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def request(*accept: str) -> Request:
    """A request with these ``Accept`` lines."""
    return Request("GET", "/", "/", "", tuple(("accept", value) for value in accept), "")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadRequest(), 400),
        (ExpectationFailed(), 417),
        (UnknownCoding(), 501),
        (UnknownVersion(), 505),
        (TooLarge(), 431),
        (NotFound(), 404),
        (MethodNotAllowed(), 405),
        (LimitReached(), 503),
        (BadAnswer(), 400),
    ],
)
def test_statuses(error: RelayError, status: int) -> None:
    """Where no dialect is there to choose one."""
    assert plain_status(error) == status


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ((), False),
        (("*/*",), False),
        (("text/*",), False),
        ((BROWSER,), True),
        (("TEXT/HTML; charset=utf-8",), True),
        (("text/plain", "text/html"), True),
        (("text/html;q=0.5, text/plain",), False),
        (("text/html;q=0.5, text/plain;q=0.5",), True),
        (("text/html;q=0",), False),
        (("text/html;q=x",), False),
        (("text/html;q=nan",), False),
        (("text/event-stream",), False),
        (("," * 5000 + "text/html",), False),
        (("",), False),
    ],
)
def test_who_gets_html(accept: tuple[str, ...], html: bool) -> None:
    """Browsers that open a page, not programs, and not scripts within a page."""
    assert wants_html(request(*accept)) is html


def test_a_sentence() -> None:
    """One line of text with its reason in a header; a HEAD gets the header only."""
    response = page(504, Reason.HOST_ABSENT, "no host is here <now>", False)
    assert response.body == b"no host is here <now>\n"
    whole = encode_response(response, False, False)
    assert whole.startswith(b"HTTP/1.1 504 Gateway Timeout\r\nX-Relay-Reason: host-absent\r\n")
    assert encode_response(response, False, True) + response.body == whole
    assert b"Content-Length: 22\r\n" in whole


def test_a_page() -> None:
    """HTML that needs nothing else, and in which no request can write."""
    error = HostAbsent('no "<script>alert(1)</script>" & co', retry_after_s=3)
    response = refusal(error, None, request(BROWSER))
    assert response.content_type == "text/html; charset=utf-8"
    assert b"<script" not in response.body
    assert b"No &quot;&lt;script&gt;alert(1)&lt;/script&gt;&quot; &amp; co" in response.body
    assert b"<code>host-absent</code>" in response.body
    assert b"<title>400 Bad Request</title>" in response.body
    assert ("X-Relay-Reason", "host-absent") in response.headers
    assert ("Retry-After", "3") in response.headers
    assert ("Vary", "Accept") in response.headers


def test_a_refusal_without_a_request() -> None:
    """A head that was not understood is answered with text."""
    response = refusal(MethodNotAllowed("only GET", "GET"), None)
    assert (response.status, response.body) == (405, b"only GET\n")
    assert ("Allow", "GET") in response.headers


def test_phrases() -> None:
    """The standard's, or what Go writes."""
    assert (phrase(404), phrase(299)) == ("Not Found", "status code 299")
