"""Portal's tokens, against the vectors of section 15 of its specification."""

from __future__ import annotations

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.auth import inspect, mint, verify
from relay.dialects.portal.tokens import (
    LARGEST_PORTABLE_EXP,
    LARGEST_PORTAL_ID,
    PortalClaims,
    add_arguments,
    claims,
    credential,
    explain,
    portal_claims,
    read_claims,
)
from relay.errors import TokenExpired, TokenInvalid
from relay.vocabulary import Role

SECRET = b"compat-vector-secret-0123456789abcdef"
NOW = 1_800_000_000.0
EXP = 4_102_444_800

_HEADER = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
H1 = (
    _HEADER + "eyJzdWIiOiJsYWItaG9zdCIsImV4cCI6NDEwMjQ0NDgwMCwicm9sZSI6Imhvc3QiLCJwb3J0YWxfaWQiOjEy"
    "MzR9.SUuXVJFJWN26JwyphkLHMt7ssDZArIz8xTz8RmukAfo"
)
C1 = (
    _HEADER + "eyJzdWIiOiJhbGljZS1sYXB0b3AiLCJleHAiOjQxMDI0NDQ4MDAsInJvbGUiOiJjbGllbnQiLCJwb3J0YWxf"
    "aWQiOjEyMzR9.9tBosTdxhRItZAr4w5AWcFlNTIcgw5DIHdsopXJDnL4"
)
C2 = (
    _HEADER + "eyJzdWIiOiJib2IiLCJpYXQiOjE4OTM0NTYwMDAsImV4cCI6NDEwMjQ0NDgwMCwicm9sZSI6ImNsaWVudCIs"
    "InBvcnRhbF9pZCI6MTg0NDY3NDQwNzM3MDk1NTE2MTV9.PjTew_6yBidDW4-QupK2ca4RRNTSNTernGg8Vw2mXIw"
)
X1 = (
    _HEADER + "eyJzdWIiOiJsYWItaG9zdCIsImV4cCI6MTYwMDAwMDAwMCwicm9sZSI6Imhvc3QiLCJwb3J0YWxfaWQiOjEy"
    "MzR9.n4NbM_E7eH0QbmuKY0CbxBHFXJhvKjZQ6MsEg78gTY0"
)
X2 = (
    _HEADER + "eyJzdWIiOiJsYWItaG9zdCIsImV4cCI6NDEwMjQ0NDgwMCwicm9sZSI6Imhvc3QiLCJwb3J0YWxfaWQiOiIx"
    "MjM0In0.db9m49qvyoGKxLIDIR_xr71ZQYyqYd9q47kE6qsKO3s"
)
X3 = (
    _HEADER + "eyJzdWIiOiJsYWItaG9zdCIsImV4cCI6NDEwMjQ0NDgwMCwicm9sZSI6Imhvc3QiLCJwb3J0YWxfaWQiOjEy"
    "MzR9.U5xKJMTIn7uy9QDAyXEEhZfHRZR7VbC2H5Q5v7JcjGg"
)
D1 = (
    _HEADER + "eyJzdWIiOiJsYWItaG9zdCIsImV4cCI6NDEwMjQ0NDgwMCwicm9sZSI6Imhvc3QiLCJwb3J0YWxfaWQiOjEy"
    "MzQsImF1ZCI6InBvcnRhbCJ9.b2DWGjK3nPr7GalKjMph8oTfQGX6FKiJwTzXafF4OZA"
)
D2 = (
    "eyJhbGciOiJIUzI1NiJ9."
    "eyJzdWIiOiJsYWItaG9zdCIsImV4cCI6NDEwMjQ0NDgwMCwicm9sZSI6Imhvc3QiLCJwb3J0YWxfaWQiOjEy"
    "MzR9.osKRxPnq8NFE_vlEoFb-p4_98Q5V7rIDik2aBzEgJ8o"
)
D3 = (
    _HEADER + "eyJzdWIiOiJsYWItaG9zdCIsImV4cCI6MzI1MDM2ODAwMDAsInJvbGUiOiJob3N0IiwicG9ydGFsX2lkIjox"
    "MjM0fQ.-xwc2SzW_tOZC13F7J6PMBv1ri0TV33-CCxN5Ca__es"
)

HOST = PortalClaims(Role.HOST, 1234, "lab-host", EXP)
GOOD: dict[str, object] = {"sub": "s", "exp": EXP, "role": "host", "portal_id": 7}


def judged(token: str, now: float = NOW) -> PortalClaims:
    """What a portal router reads from a token."""
    return read_claims(verify(credential(token, (SECRET,)), now))


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        pytest.param(H1, HOST, id="H1"),
        pytest.param(C1, PortalClaims(Role.CLIENT, 1234, "alice-laptop", EXP), id="C1"),
        pytest.param(C2, PortalClaims(Role.CLIENT, 2**64 - 1, "bob", EXP), id="C2"),
        pytest.param(D2, HOST, id="D2"),
        pytest.param(D3, PortalClaims(Role.HOST, 1234, "lab-host", 32_503_680_000), id="D3"),
    ],
)
def test_accepted_vector(token: str, expected: PortalClaims) -> None:
    """What demo accepts is accepted: a future iat, a 64-bit id, no typ, a far exp."""
    assert judged(token) == expected


@pytest.mark.parametrize("token", [X2, X3, D1], ids=["X2", "X3", "D1"])
def test_refused_vector(token: str) -> None:
    """A string id, another secret and an audience are refused."""
    with pytest.raises(TokenInvalid):
        judged(token)


def test_expired_vector() -> None:
    """X1 is refused as expired, not as invalid."""
    with pytest.raises(TokenExpired):
        judged(X1)


@pytest.mark.parametrize(
    ("after_s", "valid"), [(0, True), (59, True), (60, True), (60.9, True), (61, False)]
)
def test_leeway(after_s: float, valid: bool) -> None:
    """A token is good until a minute after its exp, counted in whole seconds."""
    if valid:
        assert judged(H1, EXP + after_s) == HOST
    else:
        with pytest.raises(TokenExpired):
            judged(H1, EXP + after_s)


def test_minted_vectors() -> None:
    """What we mint is, byte for byte, what the original mints."""
    assert mint(portal_claims(Role.HOST, 1234, "lab-host", EXP), SECRET) == H1
    assert mint(portal_claims(Role.CLIENT, 1234, "alice-laptop", EXP), SECRET) == C1


@pytest.mark.parametrize("name", sorted(GOOD))
def test_required(name: str) -> None:
    """Each of the four claims must be there, and the refusal names it."""
    with pytest.raises(TokenInvalid, match=name):
        read_claims({key: value for key, value in GOOD.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sub", 7),
        ("sub", None),
        ("exp", 1.5),
        ("exp", 4102444800.0),
        ("exp", True),
        ("exp", -1),
        ("exp", 2**64),
        ("exp", "4102444800"),
        ("role", "Host"),
        ("role", "admin"),
        ("role", ["host"]),
        ("role", None),
        ("portal_id", "7"),
        ("portal_id", True),
        ("portal_id", 7.0),
        ("portal_id", -1),
        ("portal_id", 2**64),
        ("portal_id", None),
        ("aud", "portal"),
        ("aud", ""),
        ("aud", []),
        ("aud", ["portal"]),
    ],
)
def test_mistyped(name: str, value: object) -> None:
    """A claim of another type or out of range is refused, and so is an audience."""
    with pytest.raises(TokenInvalid, match=name if name != "aud" else "audience"):
        read_claims({**GOOD, name: value})


@pytest.mark.parametrize(
    "extra", [{"aud": None}, {"aud": 7}, {"aud": {}}, {"nbf": "x"}, {"iat": 2**70}, {"iss": []}]
)
def test_ignored(extra: dict[str, object]) -> None:
    """An aud that is no audience, and all other claims, count for nothing."""
    assert judged(mint({**GOOD, **extra}, SECRET)) == PortalClaims(Role.HOST, 7, "s", EXP)


@given(
    st.sampled_from(Role),
    st.integers(0, LARGEST_PORTAL_ID),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(0, LARGEST_PORTABLE_EXP),
)
def test_round_trip(role: Role, portal_id: int, subject: str, expires: int) -> None:
    """Every token that can be made reads back as it was made."""
    token = mint(portal_claims(role, portal_id, subject, expires), SECRET)
    assert judged(token, 0.0 if expires else -1.0) == PortalClaims(
        role, portal_id, subject, expires
    )


@pytest.mark.parametrize(
    ("portal_id", "expires"), [(-1, EXP), (2**64, EXP), (1, -1), (1, LARGEST_PORTABLE_EXP + 1)]
)
def test_out_of_range(portal_id: int, expires: int) -> None:
    """A token that some portal router could not read is not made."""
    with pytest.raises(ValueError, match="portal"):
        portal_claims(Role.HOST, portal_id, "s", expires)


def test_a_subject_that_is_no_text() -> None:
    """Bytes of a command line that are not UTF-8 cannot stand in a token."""
    with pytest.raises(ValueError, match="subject is not UTF-8"):
        portal_claims(Role.HOST, 1, "\udcff", 1)


def test_explain() -> None:
    """A token's meaning is told, with what only some routers make of it."""
    assert explain(GOOD) == ['lets "s" be the host of portal 7']
    assert explain({**GOOD, "role": "client"}) == ['lets "s" call the services of portal 7']
    far = explain({**GOOD, "exp": 2**32, "nbf": 0})
    assert "2106" in far[1]
    assert "nbf" in far[2]
    assert explain(inspect(C2)[1]) == [f'lets "bob" call the services of portal {2**64 - 1}']
    with pytest.raises(TokenInvalid):
        explain({})


def test_explain_does_not_steer_terminals() -> None:
    """Control characters of a stranger's subject are escaped."""
    assert "\x1b" not in explain({**GOOD, "sub": "\x1b[2J"})[0]


def test_arguments() -> None:
    """The command line becomes claims; the subject is this host unless told."""
    parser = argparse.ArgumentParser()
    add_arguments(parser, "lab")
    arguments = parser.parse_args(["client", "--id", str(2**64 - 1)])
    arguments.lifetime = 60
    assert claims(arguments, 1000) == {
        "sub": "lab",
        "exp": 1060,
        "role": "client",
        "portal_id": 2**64 - 1,
    }


@pytest.mark.parametrize("text", ["-1", "x", "1.0", "1_0", str(2**64), "", "\u0663"])
def test_bad_id(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no unsigned 64-bit number is refused, saying what a portal id is."""
    parser = argparse.ArgumentParser()
    add_arguments(parser, "lab")
    with pytest.raises(SystemExit):
        parser.parse_args(["host", f"--id={text}"])
    assert "portal id" in capsys.readouterr().err
