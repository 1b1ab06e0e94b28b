"""Credentials become claims, or an error that tells nothing secret."""

from __future__ import annotations

import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.auth import (
    LOGIN_ADDRESSES,
    LOGIN_DELAY_S,
    LOGINS_WAITING,
    FailedLogins,
    time_code,
    verify,
)
from relay.errors import AuthError, TokenInvalid, TokenMissing
from relay.vocabulary import (
    Claims,
    Credential,
    Jwt,
    Missing,
    Nothing,
    OneTimeCode,
    SharedSecret,
    Totp,
)
from tests.unit.jwt_samples import KEY, encoded, signed

NOW = 1_700_000_000.5

# -- the other kinds -------------------------------------------------------------------------------


def test_nothing_and_missing() -> None:
    """Where nothing is asked for nothing is claimed; what is asked for must come."""
    assert verify(Nothing(), NOW) == {}
    with pytest.raises(TokenMissing):
        verify(Missing(), NOW)


def test_shared_secret() -> None:
    """A secret must be one of those configured for its name."""
    assert verify(SharedSecret("lab", "two", ("one", "two")), NOW) == {"sub": "lab"}
    for presented, expected in (("three", ("one", "two")), ("one", ()), ("", ("",)), ("", ())):
        with pytest.raises(TokenInvalid, match="name or its secret"):
            verify(SharedSecret("lab", presented, expected), NOW)


def test_shared_secret_compares_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of comparisons does not depend on which one matches."""
    counts = []
    compare = hmac.compare_digest
    for presented in ("one", "three", "none"):
        seen: list[bytes] = []

        def counting(first: bytes, second: bytes, seen: list[bytes] = seen) -> bool:
            seen.append(second)
            return compare(first, second)

        monkeypatch.setattr(hmac, "compare_digest", counting)
        try:
            verify(SharedSecret("lab", presented, ("one", "two", "three")), NOW)
        except TokenInvalid:
            pass
        counts.append(len(seen))
    assert len(set(counts)) == 1


@given(st.text(), st.lists(st.text(), max_size=3))
def test_any_shared_secret(presented: str, expected: list[str]) -> None:
    """Texts of any characters are compared without another error."""
    try:
        verify(SharedSecret("x", presented, tuple(expected)), NOW)
    except TokenInvalid:
        assert not presented or presented not in expected
    else:
        assert presented in expected


TOTP_A = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
TOTP_B = "KRQWC42DN5XGM33SNVQW4Y3FKZSWG5DPOJJWKY3SMV2E45LNMJSXET3OMUYDANBQ"


@pytest.mark.parametrize(
    ("secret", "now", "code", "counter"),
    [
        (TOTP_A, 59, "287082", 1),
        (TOTP_A, 59, "94287082", 1),
        (TOTP_A, 1111111109, "081804", 37037036),
        (TOTP_A, 20000000000, "353130", 666666666),
        (TOTP_B, 1700000010, "014899", 56666666),
        (TOTP_B, 1700000010, "898251", 56666667),
        (TOTP_B, 1700000010, "0898251", 56666667),
        (TOTP_B, 1700000010, "766901", 56666668),
        (TOTP_B, 1700000000, "69014899", 56666666),
        (TOTP_B.lower(), 1700000010, "898251", 56666667),
        (TOTP_B, 1700091510, "035518", 56669717),
    ],
)
def test_totp(secret: str, now: int, code: str, counter: int) -> None:
    """Codes of taas §18.1 are taken, one step early or late too, with as many digits as sent."""
    known: Claims = {"labels": ["alpha"]}
    claims = verify(Totp("lab", code, secret, known=known), now)
    assert claims == {"sub": "lab", "counter": counter, "labels": ["alpha"]}


@pytest.mark.parametrize(
    ("step_s", "code", "valid"),
    [
        (30, "584571", False),
        (30, "417101", False),
        (60, "271817", True),
        (60, "910757", True),
        (20, "154965", True),
        (20, "639566", True),
        (20, "954551", True),
    ],
)
def test_totp_window(step_s: int, code: str, valid: bool) -> None:
    """The window is 30 seconds either way, whatever the step."""
    credential = Totp("lab", code, TOTP_B, step_s)
    if valid:
        verify(credential, 1700000010)
    else:
        with pytest.raises(TokenInvalid):
            verify(credential, 1700000010)


@pytest.mark.parametrize(
    "code", ["", "98251", "1669014899", "89825x", "८९८२५१", "898251\n", "-98251"]
)
def test_totp_form(code: str) -> None:
    """A code is 6 to 8 ASCII digits (taas §16)."""
    with pytest.raises(TokenInvalid, match="digits"):
        verify(Totp("lab", code, TOTP_B), 1700000010)


def test_a_short_totp_secret() -> None:
    """It works, as at the original's; who administers it is warned."""
    code = time_code("JBSWY3DPEHPK3PXP", 1700000010 // 30)
    assert code == "367665"
    verify(Totp("lab", code, "JBSWY3DPEHPK3PXP"), 1700000010)


def test_totp_of_nobody() -> None:
    """An unknown name, a broken secret and a step of nothing are refused, whatever the code."""
    from pyotp import HOTP

    code = HOTP("A" * 64).at(1700000010 // 30)
    for secret, step_s in ((None, 30), ("not base32!", 30), ("", 30), (TOTP_B, 0)):
        with pytest.raises(TokenInvalid):
            verify(Totp("lab", code, secret, step_s), 1700000010)


@given(st.text(), st.text() | st.none(), st.integers(), st.floats(0, 2**40))
def test_any_totp(code: str, secret: str | None, step_s: int, now: float) -> None:
    """Whatever comes as a code or stands in a record, nothing but an AuthError is raised."""
    for text in (code, "123456"):
        with pytest.raises(AuthError):
            verify(Totp("x", text, secret, step_s), now)


def test_one_time_code() -> None:
    """A code is what the store says of it; without a store none is valid."""
    codes: dict[str, Claims] = {"c": {"topic": "t"}}

    def take(code: str) -> Claims | None:
        return codes.pop(code, None)

    assert verify(OneTimeCode("c"), NOW, take) == {"topic": "t"}
    for given_codes in (take, None):
        with pytest.raises(TokenInvalid):
            verify(OneTimeCode("c"), NOW, given_codes)


# -- secrecy ---------------------------------------------------------------------------------------


MARK = "SeCrEtMaRk0123456789"


@pytest.mark.parametrize(
    "credential",
    [
        Jwt(MARK, (KEY,)),
        Jwt(f"{MARK}.{MARK}.{MARK}", (KEY,)),
        Jwt(signed(json.dumps({"exp": MARK}).encode()), (KEY,)),
        Jwt(signed(b'{"a":1}', json.dumps({"alg": MARK}).encode()), (KEY,)),
        Jwt(signed(json.dumps({"a": MARK}).encode()) + "A", (KEY,)),
        Jwt(signed(b"{}"), (MARK.encode(),)),
        SharedSecret("x", MARK, (MARK + "x",)),
        Totp("x", MARK, MARK),
        Totp("x", "123456", MARK),
        OneTimeCode(MARK),
    ],
)
def test_errors_tell_no_secret(credential: Credential) -> None:
    """Neither error nor credential shows any of what is secret, also not as a cause."""
    with pytest.raises(AuthError) as caught:
        verify(credential, NOW)
    error = caught.value
    for text in (str(error), repr(error), error.text, error.remedy, repr(credential)):
        assert MARK not in text
        assert encoded(MARK.encode())[:12] not in text
    assert error.__cause__ is None


# -- failed logins ---------------------------------------------------------------------------------


def test_delay_after_the_limit() -> None:
    """From the 11th failure of an address within a minute its answers wait; nobody else's do."""
    logins = FailedLogins(lambda: 10)
    assert [logins.failed("a", 0.5 * n) for n in range(12)] == [0.0] * 10 + [LOGIN_DELAY_S] * 2
    assert logins.failed("b", 6) == 0.0


def test_next_minute() -> None:
    """A minute after its first failure an address starts anew."""
    logins = FailedLogins(lambda: 1)
    logins.failed("a", 0)
    assert logins.failed("a", 59.9) == LOGIN_DELAY_S
    assert logins.failed("a", 60) == 0.0
    assert logins.failed("a", 119) == LOGIN_DELAY_S


def test_few_wait_at_once() -> None:
    """When many answers wait, further ones go out at once, until one of them is sent."""
    logins = FailedLogins(lambda: 1)
    logins.failed("a", 0)
    delays = [logins.failed("a", 1) for _ in range(LOGINS_WAITING + 1)]
    assert delays == [LOGIN_DELAY_S] * LOGINS_WAITING + [0.0]
    logins.done_waiting()
    assert logins.failed("a", 2) == LOGIN_DELAY_S
    assert logins.failed("a", 2) == 0.0


def test_failed_logins_for_one_name_are_counted_from_everywhere() -> None:
    """Who spreads its guesses over addresses waits for its answers, too; other names do not."""
    logins = FailedLogins(lambda: 3)
    waits = [logins.failed(f"192.0.2.{n}", NOW, "lab") for n in range(5)]
    assert waits == [0, 0, 0, LOGIN_DELAY_S, LOGIN_DELAY_S]
    assert logins.failed("192.0.2.9", NOW, "attic") == 0
    assert logins.failed("192.0.2.9", NOW) == 0


def test_no_limit() -> None:
    """A limit of 0 never delays."""
    logins = FailedLogins(lambda: 0)
    assert {logins.failed("a", 0) for _ in range(50)} == {0.0}


def test_oldest_address_is_forgotten() -> None:
    """Memory is bounded: beyond the cap the address whose minute began first starts anew."""
    logins = FailedLogins(lambda: 1)
    for n in range(LOGIN_ADDRESSES):
        logins.failed(str(n), 0)
    assert logins.failed("0", 1) == LOGIN_DELAY_S
    logins.failed("another", 1)
    assert logins.failed("1", 1) == LOGIN_DELAY_S
    assert logins.failed("0", 1) == 0.0


def test_clock_that_jumps_back() -> None:
    """A clock that is set back punishes nobody for longer than a minute."""
    logins = FailedLogins(lambda: 1)
    logins.failed("a", 1000)
    assert logins.failed("a", 10) == 0.0
    assert logins.failed("a", 11) == LOGIN_DELAY_S
