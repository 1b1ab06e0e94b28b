"""The access API, byte for byte (sections 3 and 17): statuses, bodies, order of checks."""

from __future__ import annotations

import pytest

from relay.faces import Route
from relay.http import Response
from tests.dialects.session_relay_rooms import (
    AUDIENCE,
    CODE,
    EXPIRES,
    NOW,
    TARGET,
    TOPIC,
    V1,
    V4,
    V5,
    V6,
    V7,
    V8,
    V9,
    V10,
    Room,
    request_of,
    token,
)

SESSION = f"/session/{TOPIC}"
URI = f'{{"uri":"{TARGET}/session/{TOPIC}?code={CODE}"}}\n'
UNAUTHENTICATED = '{"code":401,"message":"unauthenticated for invalid credentials"}'
INVALID = '{"code":500,"message":"token invalid"}'
MISSING = '"Token Missing Required Claims"\n'


def said(response: Response) -> tuple[int, str]:
    """Status and body; every answer with a body is JSON and ends its connection."""
    assert not response.keep
    assert response.content_type == ("application/json" if response.body else None)
    return response.status, response.body.decode()


def test_a_session_is_given_an_address_with_a_code() -> None:
    """V1 of section 17: 102 bytes; the code allows what the token does, for 30 s."""
    room = Room()
    response = room.ask("POST", SESSION, V1)
    assert said(response) == (200, URI)
    assert len(response.body) == 102
    ((grant, claims, lifetime_s),) = room.services.issued.values()
    assert lifetime_s == 30
    assert grant.subject == "rig07-host"
    assert grant.name == f"session-relay:{TOPIC}"
    assert grant.scopes == {"read", "write"}
    assert grant.expires == EXPIRES
    assert grant.ends_links
    assert claims["aud"] == [TARGET]


def test_one_token_can_be_revoked() -> None:
    """Its ``jti`` stands in the grants of the session, of the code and of who administers."""
    room = Room()
    room.ask("POST", SESSION, token(jti="t-1"))
    ((grant, claims, _),) = room.services.issued.values()
    assert grant.token_id == "t-1"
    route = Route("socket", (TOPIC,))
    assert room.face.grant(claims, request_of("GET", SESSION), route).token_id == "t-1"
    route = Route("bids/deny", ())
    claims = {**claims, "aud": AUDIENCE, "scopes": ["relay:admin"]}
    assert room.face.grant(claims, request_of("GET", "/bids/deny"), route).token_id == "t-1"


@pytest.mark.parametrize("shown", [None, ""])
def test_a_token_must_be_shown(shown: str | None) -> None:
    """Absent and empty are the same; 64 bytes."""
    assert said(Room().ask("POST", SESSION, shown)) == (401, UNAUTHENTICATED)
    assert len(UNAUTHENTICATED) == 64


@pytest.mark.parametrize(
    "shown",
    [
        f"Bearer {V1}",
        "x",
        V1[:-2] + "AA",
        V6,
        V9,
        token(iat=int(NOW) + 60),
        token(nbf=int(NOW) + 60),
        token(exp=int(NOW)),
        token(exp="soon"),
        token(exp=True),
        token(topic=5),
        token(scopes=["read", 5]),
        token(aud=5),
        token(booking_id=5),
        token(iss=5),
        token(jti=[]),
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + V1.split(".")[1] + ".",
    ],
)
def test_a_token_that_is_none_of_ours_is_a_500(shown: str) -> None:
    """Bearer, signature, times, types and ``none`` alike."""
    assert said(Room().ask("POST", SESSION, shown)) == (500, INVALID)


@pytest.mark.parametrize("shown", [V10, token(aud=AUDIENCE), token(iat=int(NOW), nbf=int(NOW))])
def test_other_good_tokens_are_taken(shown: str) -> None:
    """HS512, an audience that is one string, and one that begins now."""
    assert said(Room().ask("POST", SESSION, shown)) == (200, URI)


def test_the_audience_is_judged_byte_for_byte() -> None:
    """The refusal names both; V7 makes 123 bytes, and what HTML would take is escaped."""
    for audiences, shown in (
        (["https://other.example.test/access"], "https://other.example.test/access"),
        ([f"{AUDIENCE}/"], f"{AUDIENCE}/"),
        (["a", "b"], "a b"),
        (["<&>"], r"\u003c\u0026\u003e"),
        ([], ""),
        ("", ""),
        (None, ""),
    ):
        expected = f'{{"code":500,"message":"aud [{shown}] does not match this host {AUDIENCE}"}}'
        assert said(Room().ask("POST", SESSION, token(aud=audiences))) == (500, expected)
    assert len(Room().ask("POST", SESSION, V7).body) == 123


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", "/"),
        ("/x", "/x"),
        ("//x//y/", "//x//y/"),
        ("/session", "/session"),
        ("/session/", "/session/"),
        ("/session/a/b", "/session/a/b"),
        ("/session/..", "/session/.."),
        ("/status%2F", "/status%2F"),
        ("/%73tatus", "/%73tatus"),
        ("/x<&>y", r"/x%3C\u0026%3Ey"),
        ("/bids", "/bids"),
        ("/swagger.json", "/swagger.json"),
        ("/docs", "/docs"),
    ],
)
def test_an_unknown_path_is_named(path: str, shown: str) -> None:
    """As it came, before anything else is judged."""
    expected = f'{{"code":404,"message":"path {shown} was not found"}}'
    assert said(Room().ask("POST", path)) == (404, expected)


@pytest.mark.parametrize("path", ["/status/", "//status", "/./status", "/x/../status"])
def test_paths_are_cleaned(path: str) -> None:
    """Empty parts, dots and a slash at the end make no difference."""
    assert Room().ask("GET", path, V5).status == 200


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", SESSION, "POST"),
        ("HEAD", SESSION, "POST"),
        ("PUT", "/bids/deny", "GET,POST"),
        ("DELETE", "/bids/allow", "GET,POST"),
        ("POST", "/status", "GET"),
    ],
)
def test_a_wrong_method_is_named(method: str, path: str, allowed: str) -> None:
    """With those that are right, in the body and as ``Allow``; no token is asked for."""
    response = Room().ask(method, path)
    expected = f'{{"code":405,"message":"method {method} is not allowed, but [{allowed}] are"}}'
    assert said(response) == (405, expected)
    assert ("Allow", allowed) in response.headers


def test_a_path_must_be_encoded() -> None:
    """A percent sign without two digits behind it is a 400."""
    assert Room().ask("POST", "/session/%zz", V1).status == 400


# -- sessions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claims",
    [
        {"topic": ""},
        {"topic": None},
        {"prefix": ""},
        {"prefix": None},
        {"scopes": []},
        {"scopes": None},
        {"exp": None},
        {"iat": None},
        {"nbf": None},
    ],
)
def test_a_session_needs_claims(claims: dict[str, object]) -> None:
    """Without a time the original ends the connection; ours says the same as of other claims."""
    assert said(Room().ask("POST", SESSION, token(**claims))) == (401, MISSING)


def test_a_token_is_for_one_topic() -> None:
    """Another one in the path is a 401 of 20 bytes."""
    response = Room().ask("POST", "/session/rig08-st-data", V1)
    assert said(response) == (401, '"Token Wrong Topic"\n')
    assert len(response.body) == 20


@pytest.mark.parametrize(
    ("path", "topic", "shown"),
    [
        ("a%2Fb", "a/b", "a/b"),
        ("a%20b", "a b", "a b"),
        ("a+b", "a+b", "a+b"),
        ("%C3%A9", "é", "é"),
        ("%22", '"', r"\""),
        ("a%3Cb", "a<b", "a<b"),
        ("a;b", "a;b", "a;b"),
        ("%2E%2E", "..", ".."),
        ("a%252Fb", "a%2Fb", "a%2Fb"),
        ("%0A%7F%E2%80%A8%08", "\n\x7f\u2028\b", "\\n\x7f\\u2028\\b"),
    ],
)
def test_any_topic_is_given_an_address(path: str, topic: str, shown: str) -> None:
    """Decoded once, and put into the address as it is, even where no socket can be for it."""
    expected = f'{{"uri":"{TARGET}/session/{shown}?code={CODE}"}}\n'
    assert said(Room().ask("POST", f"/session/{path}", token(topic=topic))) == (200, expected)


def test_a_path_that_is_no_utf8_is_no_topic() -> None:
    """Nor is it that of the replacement character."""
    response = Room().ask("POST", "/session/%FF", token(topic="\ufffd"))
    assert said(response) == (401, '"Token Wrong Topic"\n')


def test_a_prefix_stands_in_the_address() -> None:
    """Also one that the relay socket will not know."""
    response = Room().ask("POST", SESSION, token(prefix="shell"))
    assert f"/ws/shell/{TOPIC}?".encode() in response.body


def test_a_booking_may_be_asked_for() -> None:
    """V8 names none: 66 bytes; where that is allowed the allow list has an empty entry."""
    expected = '{"code":"400","message":"empty bookingID field is not permitted"}\n'
    response = Room().ask("POST", SESSION, V8)
    assert said(response) == (400, expected)
    assert len(response.body) == 66
    room = Room(without_booking=True)
    assert said(room.ask("POST", SESSION, V8)) == (200, URI)
    assert said(room.ask("GET", "/bids/allow", V4)) == (200, '{"booking_ids":[""]}\n')


def test_a_code_does_not_outlive_its_token() -> None:
    """Of which ten seconds and a half are left."""
    room = Room()
    assert room.ask("POST", SESSION, token(exp=int(NOW) + 11)).status == 200
    ((_, _, lifetime_s),) = room.services.issued.values()
    assert lifetime_s == 10.5


def test_a_far_end_breaks_no_timer() -> None:
    """What lies behind the year 9999 ends there."""
    room = Room()
    assert room.ask("POST", SESSION, token(exp=10**18)).status == 200
    ((grant, _, _),) = room.services.issued.values()
    assert grant.expires == 253_402_300_799


def test_too_many_codes_are_a_503() -> None:
    """With a time to come again."""
    room = Room()
    room.services.next_codes = []
    response = room.ask("POST", SESSION, V1)
    assert said(response) == (503, '{"code":503,"message":"too many codes wait to be used"}')
    assert ("Retry-After", "5") in response.headers
    assert ("X-Relay-Reason", "limit") in response.headers
