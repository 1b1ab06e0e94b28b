"""Denying and allowing bookings, byte for byte (sections 3.4, 5.5 and 17)."""

from __future__ import annotations

import pytest

from relay.http import Response
from tests.dialects.session_relay_rooms import (
    CODE,
    EXPIRES,
    NOW,
    TARGET,
    TOPIC,
    V2,
    V4,
    V5,
    Room,
    privileged,
    token,
)

SESSION = f"/session/{TOPIC}"
URI = f'{{"uri":"{TARGET}/session/{TOPIC}?code={CODE}"}}\n'
DENY = f"/bids/deny?bid=bk-42&exp={EXPIRES}"
ALLOW = f"/bids/allow?bid=bk-42&exp={EXPIRES}"
NO_ADMIN = '{"code":"401","message":"token missing relay:admin scope"}\n'
NO_ADMIN_TO_DENY = (
    '{"code":"401","message":"is token missing relay:admin scope? missing relay:admin Scope"}\n'
)


def said(response: Response) -> tuple[int, str]:
    """Status and body; every answer with a body is JSON and ends its connection."""
    assert not response.keep
    assert response.content_type == ("application/json" if response.body else None)
    return response.status, response.body.decode()


# -- bookings --------------------------------------------------------------------------------------


def test_a_booking_is_denied() -> None:
    """The vectors: 204 without a type, listed, and refused afterwards with 102 bytes."""
    room = Room()
    assert room.ask("POST", SESSION, V2).status == 200
    assert said(room.ask("GET", "/bids/allow", V4)) == (200, '{"booking_ids":["bk-42"]}\n')
    assert said(room.ask("POST", DENY, V4)) == (204, "")
    listed = room.ask("GET", "/bids/deny", V4)
    assert said(listed) == (200, '{"booking_ids":["bk-42"]}\n')
    assert len(listed.body) == 26
    assert said(room.ask("GET", "/bids/allow", V4)) == (200, '{"booking_ids":[]}\n')
    refused = room.ask("POST", SESSION, V2)
    expected = (
        '{"code":"400","message":"bookingID has been deny-listed, '
        'probably because the session was cancelled"}\n'
    )
    assert said(refused) == (400, expected)
    assert len(refused.body) == 102
    assert room.services.broker.denied == {"bk-42": EXPIRES}


def test_a_denied_booking_may_be_allowed_again() -> None:
    """Then it is on the other list, and a session is let in."""
    room = Room()
    room.ask("POST", DENY, V4)
    assert said(room.ask("POST", ALLOW, V4)) == (204, "")
    assert said(room.ask("GET", "/bids/deny", V4)) == (200, '{"booking_ids":[]}\n')
    assert said(room.ask("GET", "/bids/allow", V4)) == (200, '{"booking_ids":["bk-42"]}\n')
    assert said(room.ask("POST", SESSION, V2)) == (200, URI)


def test_lists_forget_what_is_over() -> None:
    """At its second, where the original waits for five minutes."""
    room = Room()
    room.ask("POST", f"/bids/allow?bid=a&exp={int(NOW)}", V4)
    room.ask("POST", f"/bids/deny?bid=b&exp={int(NOW) + 1}", V4)
    assert said(room.ask("GET", "/bids/allow", V4)) == (200, '{"booking_ids":["a"]}\n')
    room.services.clock += 1
    assert said(room.ask("GET", "/bids/allow", V4)) == (200, '{"booking_ids":[]}\n')
    assert said(room.ask("GET", "/bids/deny", V4)) == (200, '{"booking_ids":[]}\n')


@pytest.mark.parametrize("path", ["/bids/deny", "/bids/allow"])
@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("", 602, "bid in query is required"),
        (f"exp={EXPIRES}", 602, "bid in query is required"),
        (f"bid=&exp={EXPIRES}", 602, "bid in query is required"),
        (f"BID=x&exp={EXPIRES}", 602, "bid in query is required"),
        (f"bid=p;q&exp={EXPIRES}", 602, "bid in query is required"),
        (f"bid=%zz&exp={EXPIRES}", 602, "bid in query is required"),
        ("bid=x", 602, "exp in query is required"),
        ("bid=x&exp=", 602, "exp in query is required"),
        ("bid=x&exp=soon", 601, r"exp in query must be of type int64: \"soon\""),
        ("bid=x&exp=+5", 601, r"exp in query must be of type int64: \" 5\""),
        ("bid=x&exp=1_000", 601, r"exp in query must be of type int64: \"1_000\""),
        ("bid=x&exp=%22%3C%C3%A9", 601, r"exp in query must be of type int64: \"\\\"\u003cé\""),
        (f"bid=x&exp={2**63}", 601, rf"exp in query must be of type int64: \"{2**63}\""),
    ],
)
def test_parameters_are_checked(path: str, query: str, code: int, message: str) -> None:
    """The first that is wrong is named, before scopes are looked at."""
    for shown in (V4, V2):
        refused = Room().ask("POST", f"{path}?{query}", shown)
        assert said(refused) == (422, f'{{"code":{code},"message":"{message}"}}')


@pytest.mark.parametrize(
    ("exp", "shown"), [("123", "123"), ("-123", "-123"), ("%2B5", "5"), ("007", "7")]
)
def test_a_booking_must_not_be_over(exp: str, shown: str) -> None:
    """Each route says so in words of its own."""
    refused = Room().ask("POST", f"/bids/deny?bid=x&exp={exp}", V4)
    message = f"booking expiry time (exp) of [{shown}] missing or in the past"
    assert said(refused) == (400, f'{{"code":"400","message":"{message}"}}\n')
    refused = Room().ask("POST", f"/bids/allow?bid=x&exp={exp}", V4)
    message = "exp (booking expiry time) missing or in the past"
    assert said(refused) == (400, f'{{"code":"400","message":"{message}"}}\n')


def test_the_last_of_several_values_counts() -> None:
    """And names of bookings may be anything."""
    room = Room()
    room.ask("POST", f"/bids/allow?bid=a&bid=b%26c%3Cd+%C3%A9%0A&exp=1&exp={EXPIRES}", V4)
    assert said(room.ask("GET", "/bids/allow", V4)) == (200, '{"booking_ids":["b&c<d é\\n"]}\n')


@pytest.mark.parametrize(
    ("method", "target", "shown", "expected"),
    [
        ("POST", DENY, V2, NO_ADMIN_TO_DENY),
        ("POST", DENY, privileged("Relay:Admin"), NO_ADMIN_TO_DENY),
        (
            "POST",
            DENY,
            token(scopes=[]),
            NO_ADMIN_TO_DENY.replace("missing relay:admin Scope", "token Missing Required Claims"),
        ),
        ("POST", ALLOW, V2, NO_ADMIN),
        ("POST", ALLOW, token(scopes=None), NO_ADMIN),
        ("GET", "/bids/deny", V5, NO_ADMIN),
        ("GET", "/bids/allow", V5, NO_ADMIN),
        ("GET", "/status", V4, NO_ADMIN.replace("admin", "stats")),
        ("GET", "/status", V2, NO_ADMIN.replace("admin", "stats")),
    ],
)
def test_a_route_needs_its_scope(method: str, target: str, shown: str, expected: str) -> None:
    """The text of each handler."""
    assert said(Room().ask(method, target, shown)) == (401, expected)


@pytest.mark.parametrize("target", ["/bids/deny", "/bids/allow", "/status"])
def test_a_privileged_token_must_end(target: str) -> None:
    """Where the original ends the connection; other times it need not have."""
    for claims, status in (({"exp": None}, 401), ({"iat": None, "nbf": None}, 200)):
        shown = token(scopes=["relay:admin", "relay:stats"], **claims)
        assert Room().ask("GET", target, shown).status == status
