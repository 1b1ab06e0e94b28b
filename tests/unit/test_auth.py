"""Credentials become claims, or an error that tells nothing secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.auth import (
    LOGIN_ADDRESSES,
    LOGIN_DELAY_S,
    LOGINS_WAITING,
    TOKEN_BYTES,
    FailedLogins,
    in_words,
    inspect,
    mint,
    verify,
)
from relay.errors import AuthError, RelayError, TokenExpired, TokenInvalid, TokenMissing
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

KEY = b"0123456789abcdef0123456789abcdef"
OTHER_KEY = b"fedcba9876543210fedcba9876543210"
NOW = 1_700_000_000.5
HS256 = b'{"alg":"HS256"}'


def encoded(data: bytes) -> str:
    """Unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(payload: bytes, header: bytes = HS256, key: bytes = KEY) -> str:
    """A token with any header and payload, signed with HMAC-SHA-256 by other code than ours."""
    text = f"{encoded(header)}.{encoded(payload)}"
    return f"{text}.{encoded(hmac.new(key, text.encode(), hashlib.sha256).digest())}"


def claims_of(payload: bytes, now: float = NOW) -> Claims:
    """What a token with this payload yields."""
    return verify(Jwt(signed(payload), (KEY,)), now)


# -- signatures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_mint_and_verify(algorithm: str) -> None:
    """A minted token yields its claims, and a header of two members in the usual order."""
    claims: dict[str, object] = {"sub": "ü", "n": 2**64, "list": [1, None]}
    token = mint(claims, KEY, algorithm)
    assert verify(Jwt(token, (KEY,), (algorithm,)), NOW) == claims
    header, unverified = inspect(token)
    assert list(header.items()) == [("alg", algorithm), ("typ", "JWT")]
    assert unverified == claims


def test_any_key() -> None:
    """Any of several keys will do; none of them, or none at all, will not."""
    token = mint({"a": 1}, KEY)
    assert verify(Jwt(token, (OTHER_KEY, KEY)), NOW) == {"a": 1}
    assert verify(Jwt(token, (KEY, OTHER_KEY)), NOW) == {"a": 1}
    for keys in ((OTHER_KEY,), (b"",), ()):
        with pytest.raises(TokenInvalid, match="not signed with a secret"):
            verify(Jwt(token, keys), NOW)


def test_short_key() -> None:
    """A short secret works, without a warning from here."""
    assert verify(Jwt(mint({}, b"k"), (b"k",)), NOW) == {}


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n",
        b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl a@b",
    ],
    ids=["empty", "pem", "ssh"],
)
def test_key_that_is_no_secret(key: bytes) -> None:
    """What everybody may know signs nothing, and nothing that it signed is taken."""
    with pytest.raises(RelayError, match="secret"):
        mint({}, key)
    with pytest.raises(TokenInvalid):
        verify(Jwt(signed(b"{}", key=key), (key,)), NOW)


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"none"}',
        b'{"alg":"HS384"}',
        b'{"alg":"hs256"}',
        b'{"alg":["HS256"]}',
        b'{"alg":null}',
        b"{}",
    ],
)
def test_algorithm(header: bytes) -> None:
    """Only the permitted algorithms count, spelled exactly."""
    with pytest.raises(TokenInvalid, match="algorithm"):
        verify(Jwt(signed(b"{}", header), (KEY,)), NOW)


def test_algorithm_that_nobody_has() -> None:
    """Permitting an algorithm that is not HMAC permits nothing."""
    for algorithm in ("none", "RS256"):
        header = json.dumps({"alg": algorithm}).encode()
        with pytest.raises(TokenInvalid, match="algorithm"):
            verify(Jwt(signed(b"{}", header), (KEY,), (algorithm,)), NOW)


def test_unsigned() -> None:
    """A token whose signature is left out is refused."""
    head, _, _ = signed(b"{}").rpartition(".")
    with pytest.raises(TokenInvalid):
        verify(Jwt(f"{head}.", (KEY,)), NOW)


def test_critical_extension() -> None:
    """A header that demands an extension is refused, any other member is ignored."""
    with pytest.raises(TokenInvalid, match="extension"):
        verify(Jwt(signed(b"{}", b'{"alg":"HS256","crit":["b64"],"b64":true}'), (KEY,)), NOW)
    header = b'{"alg":"HS256","kid":7,"typ":["x"],"b64":false}'
    assert verify(Jwt(signed(b"{}", header), (KEY,)), NOW) == {}


# -- form ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"null",
        b'"x"',
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"a":"\\ud800"}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":1} x',
        b"{'a':1}",
    ],
    ids=lambda payload: repr(payload[:16]),
)
def test_payload_that_is_no_object(payload: bytes) -> None:
    """A payload must be one strict JSON object in UTF-8, no name in it twice."""
    with pytest.raises(TokenInvalid):
        claims_of(payload)


def test_duplicate_in_header() -> None:
    """A header that says something twice is refused."""
    with pytest.raises(TokenInvalid):
        verify(Jwt(signed(b"{}", b'{"alg":"none","alg":"HS256"}'), (KEY,)), NOW)


def test_integers_stay_exact() -> None:
    """Integers of any size come through exactly, and surrogate pairs as one character."""
    assert claims_of(b'{"a":18446744073709551615,"b":"\\ud83d\\ude00"}') == {
        "a": 2**64 - 1,
        "b": "\U0001f600",
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token + "=",
        lambda token: token + "\n",
        lambda token: " " + token,
        lambda token: token + ".x",
        lambda token: token.replace(".", ".."),
        lambda token: token.rpartition(".")[0],
        lambda token: token.replace(".", "/", 1),
        lambda token: "\u00e9" + token,
        lambda token: "\ud800" + token,
        lambda token: "A" + token,
        lambda token: token[:-1] + chr(ord(token[-1]) + 1),
    ],
)
def test_token_has_one_spelling(change: object) -> None:
    """Padding, white space, more or fewer parts and stray bits are refused."""
    token = signed(b'{"a":1}')
    assert callable(change)
    with pytest.raises(TokenInvalid):
        verify(Jwt(change(token), (KEY,)), NOW)


def test_longest_token() -> None:
    """A token of 16 KiB is read, a longer one is refused unread."""
    # header, two dots and signature leave room for so many characters of payload
    room = TOKEN_BYTES - len(encoded(HS256)) - 2 - 43
    payload = b'{"a":"' + b"x" * (room * 3 // 4 - 8) + b'"}'
    token = signed(payload)
    assert TOKEN_BYTES - 4 <= len(token) <= TOKEN_BYTES
    assert verify(Jwt(token, (KEY,)), NOW)
    with pytest.raises(TokenInvalid, match="longer than 16384 bytes"):
        verify(Jwt(signed(payload + b"    "), (KEY,)), NOW)


@given(st.text() | st.binary().map(encoded).map(lambda part: f"{part}.{part}.{part}"))
def test_garbage(text: str) -> None:
    """Whatever comes as a token, nothing but an AuthError is raised."""
    for judge in (lambda: verify(Jwt(text, (KEY,)), NOW), lambda: inspect(text)):
        with pytest.raises(AuthError):
            judge()


@given(st.binary(), st.floats(allow_nan=False, allow_infinity=False))
def test_signed_garbage(payload: bytes, now: float) -> None:
    """Whatever was signed, it yields an object or an AuthError."""
    try:
        assert isinstance(claims_of(payload, now), dict)
    except AuthError:
        pass


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(json_values, json_values, st.integers(-(2**40), 2**40))
def test_any_times(expires: object, begins: object, now: int) -> None:
    """Whatever stands in exp and nbf, it is judged or refused."""
    payload = json.dumps({"exp": expires, "nbf": begins}).encode()
    try:
        assert claims_of(payload, now).keys() == {"exp", "nbf"}
    except AuthError:
        pass


# -- times -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exp", "leeway_s", "valid"),
    [
        (b"1700000001", 0, True),
        (b"1700000001.9", 0, True),
        (b"1700000000", 0, False),
        (b"1700000000.9", 0, False),
        (b"1699999999", 0, False),
        (b"1699999940", 60, True),
        (b"1699999939", 60, False),
        (b"0", 0, False),
        (b"-1", 0, False),
        (b"18446744073709551616", 0, True),
        (b"1e300", 0, True),
    ],
)
def test_expiry(exp: bytes, leeway_s: int, valid: bool) -> None:
    """A token ends at exp; with leeway, once exp and the leeway are past."""
    credential = Jwt(signed(b'{"exp":%s}' % exp), (KEY,), leeway_s=leeway_s)
    if valid:
        assert "exp" in verify(credential, NOW)
    else:
        with pytest.raises(TokenExpired):
            verify(credential, NOW)


@pytest.mark.parametrize(
    ("nbf", "leeway_s", "valid"),
    [
        (b"1700000000", 0, True),
        (b"1700000001", 0, False),
        (b"1700000060", 60, True),
        (b"1700000061", 60, False),
    ],
)
def test_not_before(nbf: bytes, leeway_s: int, valid: bool) -> None:
    """A token begins at nbf, less the leeway, unless nbf does not count."""
    token = signed(b'{"nbf":%s}' % nbf)
    if valid:
        assert "nbf" in verify(Jwt(token, (KEY,), leeway_s=leeway_s), NOW)
    else:
        with pytest.raises(TokenInvalid, match="not valid yet"):
            verify(Jwt(token, (KEY,), leeway_s=leeway_s), NOW)
    assert "nbf" in verify(Jwt(token, (KEY,), check_nbf=False), NOW)


@pytest.mark.parametrize("value", [b'"1800000000"', b"null", b"true", b"[1800000000]", b"{}"])
@pytest.mark.parametrize("name", [b"exp", b"nbf"])
def test_time_of_another_type(name: bytes, value: bytes) -> None:
    """A time that is no number makes the token invalid, unless it is an nbf that does not count."""
    payload = b'{"%s":%s}' % (name, value)
    with pytest.raises(TokenInvalid, match=f"{name.decode()} is not a number"):
        claims_of(payload)
    if name == b"nbf":
        assert verify(Jwt(signed(payload), (KEY,), check_nbf=False), NOW)


def test_other_claims_are_not_judged() -> None:
    """Issue time, audience and issuer are for the dialects, and so is a missing exp."""
    claims: dict[str, object] = {"iat": 2**40, "aud": 7, "iss": [], "sub": None, "jti": 1}
    assert verify(Jwt(mint(claims, KEY), (KEY,)), NOW) == claims


@pytest.mark.parametrize(
    ("age_s", "words"),
    [(5, "5 s"), (60, "1 min"), (3 * 3600 + 59, "3 h"), (40 * 86400, "40 d"), (10**9, "31 y")],
)
def test_expired_in_words(age_s: int, words: str) -> None:
    """The refusal of an expired token says since when."""
    with pytest.raises(TokenExpired, match=f"^expired {words} ago$"):
        claims_of(b'{"exp":%d}' % (int(NOW) - age_s))


def test_words_are_short() -> None:
    """Even a span of astronomical length takes few words."""
    assert in_words(10**4000) == "9999 y"
    assert in_words(0.9) == "0 s"
    assert in_words(48 * 3600) == "2 d"


def test_forged_expiry_tells_nothing() -> None:
    """The signature is judged before the times."""
    with pytest.raises(TokenInvalid):
        verify(Jwt(signed(b'{"exp":1}', key=OTHER_KEY), (KEY,)), NOW)


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
    ("secret", "now", "code"),
    [
        (TOTP_A, 59, "287082"),
        (TOTP_A, 59, "94287082"),
        (TOTP_A, 1111111109, "081804"),
        (TOTP_A, 20000000000, "353130"),
        (TOTP_B, 1700000010, "014899"),
        (TOTP_B, 1700000010, "898251"),
        (TOTP_B, 1700000010, "0898251"),
        (TOTP_B, 1700000010, "766901"),
        (TOTP_B, 1700000010, "1669014899"),
        (TOTP_B.lower(), 1700000010, "898251"),
        (TOTP_B, 1700091510, "035518"),
    ],
)
def test_totp(secret: str, now: int, code: str) -> None:
    """Codes of taas §18.1 are taken, one step early or late too, with as many digits as sent."""
    assert verify(Totp("lab", code, secret), now) == {"sub": "lab"}


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
    "code", ["", "98251", "12345678901", "89825x", "८९८२५१", "898251\n", "-98251"]
)
def test_totp_form(code: str) -> None:
    """A code is 6 to 10 ASCII digits."""
    with pytest.raises(TokenInvalid, match="digits"):
        verify(Totp("lab", code, TOTP_B), 1700000010)


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
    logins = FailedLogins(10)
    assert [logins.failed("a", 0.5 * n) for n in range(12)] == [0.0] * 10 + [LOGIN_DELAY_S] * 2
    assert logins.failed("b", 6) == 0.0


def test_next_minute() -> None:
    """A minute after its first failure an address starts anew."""
    logins = FailedLogins(1)
    logins.failed("a", 0)
    assert logins.failed("a", 59.9) == LOGIN_DELAY_S
    assert logins.failed("a", 60) == 0.0
    assert logins.failed("a", 119) == LOGIN_DELAY_S


def test_few_wait_at_once() -> None:
    """When many answers wait, further ones go out at once, until one of them is sent."""
    logins = FailedLogins(1)
    logins.failed("a", 0)
    delays = [logins.failed("a", 1) for _ in range(LOGINS_WAITING + 1)]
    assert delays == [LOGIN_DELAY_S] * LOGINS_WAITING + [0.0]
    logins.done_waiting()
    assert logins.failed("a", 2) == LOGIN_DELAY_S
    assert logins.failed("a", 2) == 0.0


def test_no_limit() -> None:
    """A limit of 0 never delays."""
    logins = FailedLogins(0)
    assert {logins.failed("a", 0) for _ in range(50)} == {0.0}


def test_oldest_address_is_forgotten() -> None:
    """Memory is bounded: beyond the cap the address whose minute began first starts anew."""
    logins = FailedLogins(1)
    for n in range(LOGIN_ADDRESSES):
        logins.failed(str(n), 0)
    assert logins.failed("0", 1) == LOGIN_DELAY_S
    logins.failed("another", 1)
    assert logins.failed("1", 1) == LOGIN_DELAY_S
    assert logins.failed("0", 1) == 0.0


def test_clock_that_jumps_back() -> None:
    """A clock that is set back punishes nobody for longer than a minute."""
    logins = FailedLogins(1)
    logins.failed("a", 1000)
    assert logins.failed("a", 10) == 0.0
    assert logins.failed("a", 11) == LOGIN_DELAY_S
