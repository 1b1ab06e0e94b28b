"""What bodies, answers and pages the access API takes (sections 3.1 and 15)."""

from __future__ import annotations

import pytest

from relay.errors import BadRequest, GoingAway, LimitReached, TooLarge
from relay.http import Response
from tests.dialects.session_relay_rooms import (
    BEGINS,
    CODE,
    EXPIRES,
    NOW,
    TARGET,
    TOPIC,
    V1,
    V2,
    V6,
    V7,
    Room,
    request_of,
    token,
)

SESSION = f"/session/{TOPIC}"
URI = f'{{"uri":"{TARGET}/session/{TOPIC}?code={CODE}"}}\n'
DENY = f"/bids/deny?bid=bk-42&exp={EXPIRES}"


def said(response: Response) -> tuple[int, str]:
    """Status and body; every answer with a body is JSON and ends its connection."""
    assert not response.keep
    assert response.content_type == ("application/json" if response.body else None)
    return response.status, response.body.decode()


# -- bodies and types ------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"{}", b"junk"])
def test_a_body_is_never_read(body: bytes) -> None:
    """Whatever calls itself JSON passes, whatever answer is wanted."""
    kinds = {"content_type": "application/JSON; charset=utf-8", "accept": "text/html"}
    assert said(Room().ask("POST", SESSION, V1, body, **kinds)) == (200, URI)


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("text/plain", "text/plain"),
        ("TEXT/Plain; charset=x", "text/plain"),
        ("junk", "junk"),
        ("", "application/octet-stream"),
        (None, "application/octet-stream"),
        ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded"),
    ],
)
def test_a_body_of_another_kind_is_a_415(header: str | None, named: str) -> None:
    """Also where a scope is missing; but not without a body."""
    message = rf"unsupported media type \"{named}\", only [application/json] are allowed"
    kind = {} if header is None else {"content_type": header}
    refused = Room().ask("POST", DENY, V2, b"{}", **kind)
    assert said(refused) == (415, f'{{"code":415,"message":"{message}"}}')
    assert Room().ask("POST", SESSION, V1, b"", **kind).status == 200


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("a/", "expected token after slash"),
        ("/a", "no media type"),
        (";", "no media type"),
        ("a b", "expected slash after first token"),
        ("a/b; c", "invalid media parameter"),
        ("a/b;;c=d", "invalid media parameter"),
        (r"application/json; a=\\\"b", "invalid media parameter"),
        ("application/json; c=d; c=e", "duplicate parameter name"),
        ("a/b/c;;", "unexpected content after media subtype"),
        ("application/json, text/plain", "unexpected content after media subtype"),
        (r"te\u003cxt", "expected slash after first token"),
    ],
)
def test_a_type_that_cannot_be_read_is_a_400(header: str, why: str) -> None:
    """The original's reasons."""
    sent = header.replace(r"\u003c", "<").replace(r"\\\"", '"')
    expected = f'parsing Content-Type header from \\"{header}\\" failed, because mime: {why}'
    refused = Room().ask("POST", SESSION, V1, b"{}", content_type=sent)
    assert said(refused) == (400, f'{{"code":400,"message":"{expected}"}}')


@pytest.mark.parametrize(
    "accept",
    [
        "",
        ",,",
        "*/*",
        "application/*",
        "text/html, application/json;q=0.1",
        "application/json; charset=utf-8",
        "application/json;q=bad",
        "application/json;q=2",
        "text/html;level=1,application/json",
    ],
)
def test_whoever_takes_json_is_answered(accept: str) -> None:
    """However it is said, and where it is said badly."""
    assert Room().ask("POST", SESSION, V1, accept=accept).status == 200


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "garbage",
        "*",
        "*/json",
        "Application/JSON",
        "application/json;q=0",
        "application/json ;q=0.000",
        "application/json;charset=x;q=0",
        "text/html;q=0.5;level=1, */*;q=0",
        "text/html */*",
        "text/html,,application/json",
    ],
)
def test_whoever_takes_none_is_not(accept: str) -> None:
    """A 406, unless a body came."""
    message = "unsupported media type requested, only [application/json] are available"
    refused = Room().ask("POST", SESSION, V1, accept=accept)
    assert said(refused) == (406, f'{{"code":406,"message":"{message}"}}')


# -- browsers, and what all answers have -----------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        (SESSION, "POST, OPTIONS"),
        ("/bids/deny", "GET, POST, OPTIONS"),
        ("/bids/allow", "GET, POST, OPTIONS"),
        ("/status", "GET, OPTIONS"),
    ],
)
def test_a_browser_may_ask_first(path: str, methods: str) -> None:
    """Without a token: 204, with methods and headers."""
    response = Room().ask("OPTIONS", path)
    assert said(response) == (204, "")
    headers = dict(response.headers)
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Access-Control-Allow-Methods"] == methods
    assert headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
    assert Room().ask("OPTIONS", "/x").status == 404


@pytest.mark.parametrize(
    ("method", "target", "shown"),
    [("POST", SESSION, V1), ("POST", SESSION, None), ("GET", SESSION, V1), ("GET", "/x", None)],
)
def test_every_answer_may_be_seen_by_pages(method: str, target: str, shown: str | None) -> None:
    """Of any origin, or of those that are listed."""
    origin = "https://Lab.example.org"
    response = Room().ask(method, target, shown, origin=origin)
    assert ("Access-Control-Allow-Origin", "*") in response.headers
    listed = Room(origins=("https://lab.example.org",))
    response = listed.ask(method, target, shown, origin=origin)
    assert ("Access-Control-Allow-Origin", origin) in response.headers
    assert ("Vary", "Origin") in response.headers
    response = listed.ask(method, target, shown, origin="https://evil.example.org")
    assert "Access-Control-Allow-Origin" not in dict(response.headers)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (LimitReached("full"), 503),
        (GoingAway("drains"), 503),
        (TooLarge("the body is over 65536 bytes"), 413),
        (BadRequest("no such thing"), 400),
    ],
)
def test_what_the_core_refuses_reads_the_same(
    error: LimitReached | GoingAway | TooLarge | BadRequest, status: int
) -> None:
    """The framework's form, the reason in a header."""
    response = Room().face.refusal(error, request_of("POST", SESSION))
    assert said(response) == (status, f'{{"code":{status},"message":"{error.text}"}}')
    assert ("X-Relay-Reason", error.reason.value) in response.headers


def test_a_reason_stands_in_a_header() -> None:
    """What the log says of it, too."""
    for shown, reason in (
        (None, "token-missing"),
        (V6, "token-expired"),
        (V7, "token-invalid"),
        (token(topic="other"), "wrong-name"),
    ):
        response = Room().ask("POST", SESSION, shown)
        assert ("X-Relay-Reason", reason) in response.headers
    assert ("X-Relay-Reason", "wrong-scope") in Room().ask("GET", "/status", V2).headers


def test_a_token_that_begins_before_time_itself_is_taken() -> None:
    """Zero is a time like any other."""
    assert Room().ask("POST", SESSION, token(iat=0, nbf=0)).status == 200
    assert BEGINS < NOW
