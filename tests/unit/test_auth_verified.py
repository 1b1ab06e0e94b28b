"""Remembered tokens: the same outcome as without memory, at every time and on all terms."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from relay.auth import VerifiedTokens, mint, verify
from relay.auth import tokens as judging
from relay.errors import AuthError, TokenExpired, TokenInvalid, TokenMissing
from relay.vocabulary import Claims, Credential, Jwt, Missing, Nothing, OneTimeCode, SharedSecret
from tests.unit.jwt_samples import KEY, signed

OTHER_KEY = b"fedcba9876543210fedcba9876543210"
NOW = 1_700_000_000.5
FULL, FULL_BYTES = 4, 4096


class Signatures:
    """Counts how often a signature is verified."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._verify = judging.genuine_claims
        monkeypatch.setattr("relay.auth.verified.genuine_claims", self._counted)

    def _counted(self, credential: Jwt) -> dict[str, object]:
        self.count += 1
        return self._verify(credential)


@pytest.fixture
def signatures(monkeypatch: pytest.MonkeyPatch) -> Signatures:
    """A count of verified signatures."""
    return Signatures(monkeypatch)


def token(**claims: object) -> Jwt:
    """A good token with these claims."""
    return Jwt(mint(claims, KEY), (KEY,))


# -- the same outcome ------------------------------------------------------------------------------

BEGIN = 1_700_000_000
TIMES = st.integers(BEGIN - 20, BEGIN + 20)
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1.5, "", "host", [], ["a", 1], [["a"]], {}, {"a": ["b"]}, 10**400]
)
CLAIMS = st.fixed_dictionaries(
    {},
    optional={
        "exp": TIMES | TIMES.map(lambda time: time + 0.5) | VALUES,
        "nbf": TIMES | VALUES,
        "aud": VALUES,
        "sub": VALUES,
    },
)
GENUINE = st.builds(
    lambda claims, algorithm: mint(claims, KEY, algorithm),
    CLAIMS,
    st.sampled_from(["HS256", "HS256", "HS512"]),
)
FORGED = st.sampled_from(
    [
        "",
        "a.b.c",
        signed(b"{}", b'{"alg":"none"}'),
        signed(b"{}", b'{"alg":"HS256","crit":[]}'),
        signed(b"[]"),
        signed(b"{}", key=OTHER_KEY),
    ]
)
OTHERS: list[Credential] = [
    Nothing(),
    Missing(),
    OneTimeCode("x"),
    SharedSecret("a", "b", ("b",)),
]
TERMS: dict[str, st.SearchStrategy[Any]] = {
    "keys": st.sampled_from([(KEY,), (KEY,), (OTHER_KEY, KEY), (OTHER_KEY,), ()]),
    "algorithms": st.sampled_from([("HS256",), ("HS256", "HS512"), ()]),
    "leeway_s": st.sampled_from([0, 0, 10]),
    "check_nbf": st.booleans(),
    "check_iat": st.booleans(),
}
CREDENTIALS = st.builds(Jwt, GENUINE | FORGED, **TERMS) | st.sampled_from(OTHERS)


def outcome(verifier: Any, credential: Credential, now: float) -> object:
    """What comes of it: claims, or an error and its text."""
    try:
        return verifier(credential, now)
    except AuthError as error:
        return type(error), error.text, error.remedy, error.reason


class TheSameOutcome(RuleBasedStateMachine):
    """One memory, small enough to be full, and any order of credentials and times."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = VerifiedTokens(FULL, FULL_BYTES)
        self.seen: list[Credential] = []

    @rule(credential=CREDENTIALS, now=TIMES)
    def show(self, credential: Credential, now: int) -> None:
        """Somebody shows a credential."""
        self.seen.append(credential)
        self.verify(credential, now)

    @rule(which=st.integers(0, 1000), now=TIMES)
    def show_again(self, which: int, now: int) -> None:
        """The same again, at another time; whoever gets claims may do with them what he likes."""
        if self.seen:
            spoil(self.verify(self.seen[which % len(self.seen)], now))

    @rule(which=st.integers(0, 1000), now=TIMES, terms=st.fixed_dictionaries(TERMS))
    def show_on_other_terms(self, which: int, now: int, terms: dict[str, Any]) -> None:
        """The same token where other keys, algorithms and times count."""
        credential = self.seen[which % len(self.seen)] if self.seen else None
        if isinstance(credential, Jwt):
            self.verify(credential, now)
            self.verify(Jwt(credential.token, **terms), now)

    @rule()
    def forget(self) -> None:
        """A reload, or a revocation."""
        self.tokens.clear()

    @invariant()
    def is_bounded(self) -> None:
        """Neither too many nor too large."""
        assert len(self.tokens) <= FULL
        assert 0 <= self.tokens.bytes_kept <= FULL_BYTES
        assert bool(len(self.tokens)) == bool(self.tokens.bytes_kept)

    def verify(self, credential: Credential, now: int) -> object:
        """Verify with and without memory."""
        found = outcome(self.tokens.verify, credential, now + 0.5)
        assert found == outcome(verify, credential, now + 0.5)
        return found


test_the_same_outcome = TheSameOutcome.TestCase


@settings(max_examples=400)
@given(CLAIMS, st.fixed_dictionaries(TERMS), st.fixed_dictionaries(TERMS), st.lists(TIMES))
def test_the_same_outcome_at_any_time(
    claims: dict[str, object], some: dict[str, Any], others: dict[str, Any], times: list[int]
) -> None:
    """One token on two sets of terms, before and after its time; nobody keeps what he is given."""
    tokens = VerifiedTokens()
    text = mint(claims, KEY)
    for now in times:
        for credential in (Jwt(text, **some), Jwt(text, **others)):
            found = outcome(tokens.verify, credential, now)
            assert found == outcome(verify, credential, now)
            spoil(found)


def spoil(found: object) -> None:
    """What whoever gets claims might do with them."""
    if isinstance(found, dict):
        for value in found.values():
            if isinstance(value, list | dict):
                value.clear()
        found["sub"] = "somebody else"


def test_other_kinds_pass_through() -> None:
    """What is no token is verified each time, codes included."""
    tokens = VerifiedTokens()
    store: dict[str, Claims] = {"x": {"sub": "a"}}

    def take(code: str) -> Claims | None:
        return store.pop(code, None)

    assert tokens.verify(OneTimeCode("x"), NOW, take) == {"sub": "a"}
    with pytest.raises(TokenInvalid):
        tokens.verify(OneTimeCode("x"), NOW, take)
    with pytest.raises(TokenMissing):
        tokens.verify(Missing(), NOW)
    assert len(tokens) == 0


# -- what is saved, and for how long ---------------------------------------------------------------


def test_a_signature_is_verified_once(signatures: Signatures) -> None:
    """As long as token and terms stay the same."""
    tokens = VerifiedTokens()
    shown = token(sub="a", exp=NOW + 60)
    for _ in range(3):
        assert tokens.verify(shown, NOW)["sub"] == "a"
    assert signatures.count == 1
    for other in (
        Jwt(shown.token, (KEY, OTHER_KEY)),
        Jwt(shown.token, (KEY,), ("HS256", "HS512")),
        Jwt(shown.token, (KEY,), leeway_s=1),
        Jwt(shown.token, (KEY,), check_nbf=False),
        Jwt(shown.token, (KEY,), check_iat=True),
    ):
        tokens.verify(other, NOW)
    assert signatures.count == 6


def test_another_key_is_another_token() -> None:
    """What one secret has signed is not taken where another counts."""
    tokens = VerifiedTokens()
    shown = token(sub="a")
    tokens.verify(shown, NOW)
    with pytest.raises(TokenInvalid, match="not signed"):
        tokens.verify(Jwt(shown.token, (OTHER_KEY,)), NOW)


def test_an_expired_token_is_forgotten() -> None:
    """It is refused at its very second, and takes no room from then on."""
    tokens = VerifiedTokens()
    shown = token(exp=1_700_000_060)
    tokens.verify(shown, 1_700_000_059.9)
    assert len(tokens) == 1
    with pytest.raises(TokenExpired, match="expired 0 s ago"):
        tokens.verify(shown, 1_700_000_060)
    assert len(tokens) == 0


def test_failures_are_not_remembered(signatures: Signatures) -> None:
    """A wrong token costs its whole verification each time, and no room."""
    tokens = VerifiedTokens()
    wrong = Jwt(mint({"sub": "a"}, OTHER_KEY), (KEY,))
    late = token(exp=1)
    early = token(nbf=NOW + 3600)
    for credential in (wrong, late, early) * 2:
        with pytest.raises(AuthError):
            tokens.verify(credential, NOW)
    assert signatures.count == 6
    assert len(tokens) == 0


def test_clear(signatures: Signatures) -> None:
    """After it every token is verified anew."""
    tokens = VerifiedTokens()
    shown = token(sub="a")
    tokens.verify(shown, NOW)
    tokens.clear()
    assert (len(tokens), tokens.bytes_kept) == (0, 0)
    tokens.verify(shown, NOW)
    assert signatures.count == 2


# -- bounds ----------------------------------------------------------------------------------------


def test_what_was_used_longest_ago_goes_first(signatures: Signatures) -> None:
    """The number of tokens is bounded."""
    tokens = VerifiedTokens(entries=2)
    first, second, third = (token(sub=name) for name in "abc")
    for shown in (first, second, first, third, first):
        tokens.verify(shown, NOW)
    assert len(tokens) == 2
    assert signatures.count == 3
    tokens.verify(second, NOW)
    assert signatures.count == 4


def test_memory_is_bounded() -> None:
    """Large claims push out others, and the largest are not kept at all."""
    tokens = VerifiedTokens(size_bytes=8192)
    for number in range(10):
        tokens.verify(token(sub="x" * 2000, n=number), NOW)
    assert 0 < len(tokens) < 5
    assert tokens.bytes_kept <= 8192
    kept = len(tokens)
    tokens.verify(token(sub="x" * 9000), NOW)
    assert len(tokens) == kept


def test_claims_within_claims_are_nobody_elses(signatures: Signatures) -> None:
    """What one user changes, however deep, the next does not see."""
    tokens = VerifiedTokens()
    shown = token(a={"b": [1]})
    first = tokens.verify(shown, NOW)
    first["a"]["b"].append(2)  # type: ignore[index]
    second = tokens.verify(shown, NOW)
    assert second["a"] == {"b": [1]}
    second["a"]["b"].append(3)
    assert tokens.verify(shown, NOW)["a"] == {"b": [1]}
    assert signatures.count == 1


def test_claims_are_nobody_elses() -> None:
    """What one user of a token does to its claims no other sees, lists included."""
    tokens = VerifiedTokens()
    shown = token(sub="a", aud=["x"])
    for _ in range(3):
        claims = tokens.verify(shown, NOW)
        assert claims == {"sub": "a", "aud": ["x"]}
        audience = claims["aud"]
        assert isinstance(audience, list)
        audience.append("y")
        claims["sub"] = "b"


def test_neither_token_nor_secret_is_held() -> None:
    """Whoever reads the memory finds claims and digests."""
    tokens = VerifiedTokens()
    shown = token(sub="a")
    tokens.verify(shown, NOW)
    seen, todo = set(), [tokens._kept]
    while todo:
        held: Any = todo.pop()
        if id(held) not in seen and not isinstance(held, type):
            seen.add(id(held))
            text = held.encode() if isinstance(held, str) else held
            if isinstance(text, bytes):
                assert KEY not in text
                assert shown.token.rpartition(".")[2].encode() not in text
            todo += gc.get_referents(held)
    assert shown.token not in repr(tokens)
