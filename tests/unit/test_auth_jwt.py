"""A signed token becomes claims, or an error that tells nothing secret."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.auth import TOKEN_BYTES, in_words, inspect, mint, verify
from relay.errors import AuthError, RelayError, TokenExpired, TokenInvalid
from relay.vocabulary import Claims, Jwt
from tests.unit.jwt_samples import HS256, KEY, encoded, signed

OTHER_KEY = b"fedcba9876543210fedcba9876543210"
NOW = 1_700_000_000.5


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
