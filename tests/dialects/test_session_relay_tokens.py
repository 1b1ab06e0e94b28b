"""Session-relay's tokens, against the vectors and tables of its specification."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.auth import VerifiedTokens, mint, verify
from relay.dialects.session_relay.issuing import session_claims
from relay.dialects.session_relay.tokens import (
    BookingMissing,
    ClaimsMissing,
    SessionClaims,
    TimeMissing,
    WrongAudience,
    check_booking,
    check_session,
    check_topic,
    credential,
    explain,
    judge,
    parse_claims,
    read_claims,
)
from relay.errors import AuthError, TokenExpired, TokenInvalid, WrongName
from tests.dialects import session_relay_vectors as vectors
from tests.dialects.session_relay_vectors import (
    AUDIENCE,
    EXPIRES,
    ISSUED,
    NOW,
    SECRET,
    TOPIC,
)

GOOD: dict[str, object] = {
    "booking_id": "bk-42",
    "topic": TOPIC,
    "prefix": "session",
    "scopes": ["read"],
    "aud": [AUDIENCE],
    "exp": EXPIRES,
    "nbf": ISSUED,
    "iat": ISSUED,
}


def judged(token: str, audience: str = AUDIENCE, now: float = NOW) -> SessionClaims:
    """What a router reads from a token."""
    return read_claims(verify(credential(token, (SECRET,)), now), audience)


def signed(**changed: object) -> str:
    """A good token with some claims changed."""
    return mint({**GOOD, **changed}, SECRET)


def without(name: str) -> str:
    """A good token that lacks a claim."""
    return mint({key: value for key, value in GOOD.items() if key != name}, SECRET)


# -- the vectors of §17 ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "booking_id", "topic", "scopes"),
    [
        (vectors.V1, "rig07-host", TOPIC, ["write", "read"]),
        (vectors.V2, "bk-42", TOPIC, ["read"]),
        (vectors.V3, "status-probe", "stats", ["read"]),
        (vectors.V4, "", "", ["relay:admin"]),
        (vectors.V5, "", "", ["relay:stats"]),
        (vectors.V8, "", TOPIC, ["read", "write"]),
    ],
)
def test_made_byte_for_byte(token: str, booking_id: str, topic: str, scopes: list[str]) -> None:
    """What we make for a vector's claims is the vector, and a router reads those claims."""
    prefix = "session" if topic else ""
    lifetime = EXPIRES - ISSUED
    made = session_claims(topic, scopes, AUDIENCE, booking_id, ISSUED, lifetime, prefix)
    assert mint(made, SECRET) == token
    assert judged(token) == SessionClaims(
        topic, prefix, booking_id, tuple(scopes), (AUDIENCE,), EXPIRES, ISSUED, ISSUED
    )


def test_the_vectors_with_other_values() -> None:
    """V6, V7 and V10 are made byte for byte, too: another end, audience, algorithm."""
    common = (TOPIC, ["read"])
    expired = session_claims(*common, AUDIENCE, "bk-42", ISSUED, 3600)
    assert mint(expired, SECRET) == vectors.V6
    other = "https://other.example.test/access"
    elsewhere = session_claims(*common, other, "bk-42", ISSUED, EXPIRES - ISSUED)
    assert mint(elsewhere, SECRET) == vectors.V7
    assert mint(GOOD, SECRET, "HS512") == vectors.V10


def test_an_expired_vector() -> None:
    """V6 is over."""
    with pytest.raises(TokenExpired):
        judged(vectors.V6)


def test_a_vector_of_another_audience() -> None:
    """V7 is refused with both names, in the words of the table."""
    with pytest.raises(WrongAudience) as caught:
        judged(vectors.V7)
    assert caught.value.text == (
        "aud [https://other.example.test/access] does not match this host "
        "https://relay.example.test/access"
    )


def test_a_malformed_vector() -> None:
    """V9 has a string for scopes; its audience, a string too, would be taken."""
    with pytest.raises(TokenInvalid, match="scopes"):
        judged(vectors.V9)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_algorithms(algorithm: str) -> None:
    """Each HMAC is taken; V10 is one of them."""
    assert judged(mint(GOOD, SECRET, algorithm)) == judged(vectors.V2)


@pytest.mark.parametrize("token", [vectors.V2 + "A", "Bearer " + vectors.V2, "a.b.c", ""])
def test_no_token(token: str) -> None:
    """What is not a bare token that the secret signed is invalid."""
    with pytest.raises(TokenInvalid):
        judged(token)


def test_another_secret() -> None:
    """What another secret has signed is not genuine."""
    with pytest.raises(TokenInvalid):
        verify(credential(vectors.V2, (b"x" * 32,)), NOW)


# -- §2, claim by claim ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "good"),
    [
        (ISSUED - 60, False),
        (ISSUED - 0.001, False),
        (ISSUED, True),
        (EXPIRES - 0.001, True),
        (EXPIRES, False),
    ],
)
def test_window(now: float, good: bool) -> None:
    """A token is good from its dates to before its end, without leeway."""
    if good:
        assert judged(vectors.V2, now=now).expires == EXPIRES
    else:
        with pytest.raises(AuthError):
            judged(vectors.V2, now=now)


@pytest.mark.parametrize("name", ["iat", "nbf"])
def test_a_date_to_come(name: str) -> None:
    """A token that is dated in the future, or valid from then on, is invalid; now will do."""
    assert judged(signed(**{name: NOW}))
    assert judged(signed(**{name: NOW + 0.9}))
    with pytest.raises(TokenInvalid):
        judged(signed(**{name: NOW + 60}))


def test_a_remembered_token_is_judged_alike() -> None:
    """A date to come counts for a token that was verified before, too."""
    tokens = VerifiedTokens()
    shown = credential(signed(iat=NOW), (SECRET,))
    assert tokens.verify(shown, NOW)
    with pytest.raises(TokenInvalid, match="dated in the future"):
        tokens.verify(shown, NOW - 1)


def test_fractions_are_dropped() -> None:
    """Only whole seconds count."""
    assert judged(signed(exp=EXPIRES + 0.9)).expires == EXPIRES
    with pytest.raises(TokenExpired):
        judged(signed(exp=NOW + 0.9))


NO_TEXT: list[object] = [7, True, [], {}]
NO_LIST: list[object] = ["read", 7, {}, ["read", 7], [None]]
NO_AUDIENCE: list[object] = [7, {}, True, [AUDIENCE, 7]]
NO_NUMBER: list[object] = ["x", True, [], {}]
WRONG_TYPES: list[tuple[str, object]] = [
    *((name, value) for name in ("topic", "prefix", "booking_id") for value in NO_TEXT),
    *((name, 7) for name in ("iss", "sub", "jti")),
    *(("scopes", value) for value in NO_LIST),
    *(("aud", value) for value in NO_AUDIENCE),
    *((name, value) for name in ("exp", "nbf", "iat") for value in NO_NUMBER),
]


@pytest.mark.parametrize(("name", "value"), WRONG_TYPES)
def test_wrong_types(name: str, value: object) -> None:
    """A claim of another type makes a token invalid, on every route."""
    with pytest.raises(TokenInvalid) as caught:
        judged(signed(**{name: value}))
    assert not isinstance(caught.value, TimeMissing | WrongAudience)


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_a_time_that_is_no_time(name: str) -> None:
    """A number that no clock could be set to is refused, whatever its length."""
    with pytest.raises(TokenInvalid):
        parse_claims({**GOOD, name: 10**400})


@pytest.mark.parametrize("name", ["topic", "prefix", "booking_id", "scopes", "nbf", "iat"])
def test_what_may_be_missing(name: str) -> None:
    """All but audience and end may be, as far as every route is concerned; null is as good."""
    assert judged(without(name)) == parse_claims({**GOOD, name: None})


def test_no_end() -> None:
    """A token without an end is an error of its own, since it is answered otherwise."""
    with pytest.raises(TimeMissing, match="exp"):
        judged(without("exp"))


@pytest.mark.parametrize("aud", [[], [""], "", None, AUDIENCE + "/", [AUDIENCE.upper()], ["a", ""]])
def test_another_audience(aud: object) -> None:
    """The audience counts byte for byte, a slash at its end among them; none is another."""
    with pytest.raises(WrongAudience):
        judged(signed(aud=aud))


@pytest.mark.parametrize("aud", [AUDIENCE, [AUDIENCE], ["x", AUDIENCE, "y"]])
def test_the_audience(aud: object) -> None:
    """A string will do, and one of several."""
    assert judged(signed(aud=aud))


def test_several_wrong_audiences() -> None:
    """They are told with blanks between."""
    with pytest.raises(WrongAudience, match=r"^aud \[a b\] does not match this host https:"):
        judged(signed(aud=["a", "b"]))


def test_a_router_without_an_audience() -> None:
    """Nobody is let in by an empty one."""
    with pytest.raises(WrongAudience):
        judged(signed(aud=[""]), audience="")


def test_unknown_claims_are_ignored() -> None:
    """Whatever their types."""
    assert judged(signed(connection={"a": 1}, kid=7)) == judged(vectors.V2)


def test_token_id() -> None:
    """A jti is what a token can be revoked by."""
    assert judged(signed(jti="abc")).token_id == "abc"
    assert judged(vectors.V2).token_id is None


# -- §3.3, check by check --------------------------------------------------------------------------


@pytest.mark.parametrize("changed", [{"topic": ""}, {"scopes": []}, {"prefix": ""}])
def test_what_a_session_needs(changed: dict[str, object]) -> None:
    """Topic, scopes and prefix must be there, before the topic is looked at."""
    with pytest.raises(ClaimsMissing) as caught:
        check_session(judged(signed(**changed)), "another")
    assert caught.value.text == "Token Missing Required Claims"


@pytest.mark.parametrize("name", ["iat", "nbf"])
def test_a_session_needs_its_dates(name: str) -> None:
    """Where the original crashes there is an error of its own."""
    with pytest.raises(TimeMissing, match=name):
        check_session(judged(without(name)), TOPIC)


@pytest.mark.parametrize("topic", ["rig08-st-data", TOPIC.upper(), TOPIC + "/", ""])
def test_another_topic(topic: str) -> None:
    """The topic counts byte for byte."""
    for check in (check_session, check_topic):
        with pytest.raises(WrongName) as caught:
            check(judged(vectors.V1), topic)
        assert caught.value.text == "Token Wrong Topic"


def test_booking_ids() -> None:
    """There must be one, unless the router says otherwise."""
    check_session(judged(vectors.V8), TOPIC)
    check_booking(judged(vectors.V8), True)
    check_booking(judged(vectors.V2), False)
    with pytest.raises(BookingMissing) as caught:
        check_booking(judged(vectors.V8), False)
    assert caught.value.text == "empty bookingID field is not permitted"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), JSON))
def test_any_claims(changed: dict[str, object]) -> None:
    """Whatever claims say, they are read or refused."""
    try:
        read = read_claims({**GOOD, **changed}, AUDIENCE)
    except TokenInvalid:
        return
    assert AUDIENCE in read.audiences
    assert math.isfinite(float(read.expires))


# -- for people ------------------------------------------------------------------------------------


def test_explain() -> None:
    """A token's meaning is told, its names as JSON, so that none steers a terminal."""
    whose = f'for routers whose audience is "{AUDIENCE}"; any other refuses it'
    assert explain({**GOOD, "scopes": ["write", "read"]}) == [
        f'lets its bearer read and write the topic "{TOPIC}"',
        'until the booking "bk-42" is cancelled',
        whose,
    ]
    admin = {**GOOD, "topic": "", "prefix": "", "booking_id": ""}
    assert explain({**admin, "scopes": ["relay:admin", "relay:stats"]}) == [
        "lets its bearer cancel bookings, and allow them again",
        "lets its bearer see who is connected, at /status",
        whose,
    ]
    assert "only routers with allow-no-booking-id" in explain({**GOOD, "booking_id": ""})[1]
    assert "\x1b" not in "".join(explain({**GOOD, "topic": "\x1b[2J"}))


@pytest.mark.parametrize(
    "changed",
    [
        {"scopes": ["stats"]},
        {"scopes": []},
        {"prefix": "shell"},
        {"topic": ""},
        {"aud": []},
        {"iat": None},
        {"exp": None},
    ],
)
def test_explain_what_no_router_takes(changed: dict[str, object]) -> None:
    """A token that opens nothing is said to."""
    with pytest.raises(TokenInvalid):
        explain({**GOOD, **changed})


def test_judge() -> None:
    """A router's verdict is told as far as its settings are known."""
    judge(GOOD, None)
    judge(GOOD, {"audience": AUDIENCE})
    judge(GOOD, {"public-url": "https://relay.example.test"})
    judge({**GOOD, "booking_id": ""}, {"audience": AUDIENCE, "allow-no-booking-id": True})
    judge({**GOOD, "topic": "", "scopes": ["relay:admin", "read"]}, {"audience": AUDIENCE})
    for values in ({}, {"audience": AUDIENCE + "/"}, {"public-url": "http://h"}):
        with pytest.raises(WrongAudience):
            judge(GOOD, values)
    with pytest.raises(BookingMissing):
        judge({**GOOD, "booking_id": ""}, {"audience": AUDIENCE})
    with pytest.raises(ClaimsMissing):
        judge({**GOOD, "scopes": []}, {"audience": AUDIENCE})
