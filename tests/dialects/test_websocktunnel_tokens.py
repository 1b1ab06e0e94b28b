"""Websocktunnel's tokens, against the vectors and tables of its specification."""

from __future__ import annotations

import argparse
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.auth import VerifiedTokens, mint, verify
from relay.dialects.websocktunnel.tokens import (
    BACKDATED_S,
    LONGEST_S,
    TunnelClaims,
    add_arguments,
    claims,
    credential,
    explain,
    is_tunnel_id,
    judge,
    parse_authorization,
    parse_id,
    read_claims,
)
from relay.errors import AuthError, BadRequest, TokenExpired, TokenInvalid, WrongName
from relay.vocabulary import Jwt
from tests.dialects import websocktunnel_vectors as vectors
from tests.dialects.websocktunnel_vectors import NOW, SECRET_A, SECRET_B, TUNNEL

EXP = 1_767_229_200
NBF = 1_767_225_300
GOOD: dict[str, object] = {"tid": TUNNEL, "nbf": NBF, "exp": EXP}
KEYS = (SECRET_A, SECRET_B)


def judged(
    token: str, audience: str | None = None, now: float = NOW, tunnel_id: str = TUNNEL
) -> TunnelClaims:
    """What a router with both secrets reads from a token."""
    return read_claims(verify(credential(token, KEYS), now), tunnel_id, audience)


def signed(**changed: object) -> str:
    """A good token with some claims changed."""
    return mint({**GOOD, **changed}, SECRET_A)


# -- the vectors of §13.2 --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "audience"),
    [
        pytest.param(vectors.J1, None, id="J1"),
        pytest.param(vectors.J2, None, id="J2"),
        pytest.param(vectors.J5, None, id="J5"),
        pytest.param(vectors.J7, "eu-west", id="J7"),
        pytest.param(vectors.J8, "eu-west", id="J8"),
        pytest.param(vectors.J11, None, id="J11"),
    ],
)
def test_accepted_vector(token: str, audience: str | None) -> None:
    """Either secret, 31 days to the second, the right audience, an iat to come: all are taken."""
    assert judged(token, audience).tunnel_id == TUNNEL


@pytest.mark.parametrize("name", ["J3", "J4", "J6", "J7", "J8", "J9", "J12"])
def test_refused_vector(name: str) -> None:
    """Other algorithms, too long, an audience that nobody asked for, no nbf: all are invalid."""
    with pytest.raises(TokenInvalid):
        judged(getattr(vectors, name))


def test_expired_vector() -> None:
    """A token ends in the second of its exp."""
    with pytest.raises(TokenExpired):
        judged(vectors.J10)


def test_a_token_of_another_tunnel() -> None:
    """J1 shown with another id is for another name."""
    with pytest.raises(WrongName):
        judged(vectors.J1, tunnel_id="demo")


def test_a_third_secret() -> None:
    """What neither secret has signed is not genuine."""
    with pytest.raises(TokenInvalid, match="not signed"):
        verify(credential(vectors.J1, (b"c" * 32, SECRET_B)), NOW)


def test_secret_a_is_tried_first() -> None:
    """The terms name secret A before secret B, HS256 alone, and no leeway."""
    assert credential("t", KEYS) == Jwt("t", KEYS, ("HS256",), 0, True)


def test_remembered_tokens_are_judged_alike() -> None:
    """A token that was verified before still ends on time."""
    tokens = VerifiedTokens()
    assert tokens.verify(credential(vectors.J1, KEYS), EXP - 1) == {**GOOD, "iat": NOW}
    with pytest.raises(TokenExpired):
        tokens.verify(credential(vectors.J1, KEYS), EXP)


# -- §4, claim by claim ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "good"),
    [(NBF - 1, False), (NBF - 0.1, False), (NBF, True), (EXP - 0.1, True), (EXP, False)],
)
def test_window(now: float, good: bool) -> None:
    """A token is good from nbf to before exp, in whole seconds, without leeway."""
    if good:
        assert judged(signed(), now=now).expires == EXP
    else:
        with pytest.raises(AuthError):
            judged(signed(), now=now)


@pytest.mark.parametrize("name", ["exp", "nbf"])
@pytest.mark.parametrize("value", [0, 0.0, 0.5, -0.5, str(EXP), "", None, [EXP], {}, True, False])
def test_times_that_are_none(name: str, value: object) -> None:
    """A time that is zero or no number is refused."""
    with pytest.raises(AuthError):
        judged(signed(**{name: value}))


@pytest.mark.parametrize("name", ["exp", "nbf", "tid"])
def test_required(name: str) -> None:
    """Each of three claims must be there, and the refusal names it."""
    token = mint({key: value for key, value in GOOD.items() if key != name}, SECRET_A)
    with pytest.raises(TokenInvalid, match=f"claim {name} is missing"):
        judged(token)


def test_fractions_are_dropped() -> None:
    """Of exp and nbf only whole seconds count."""
    assert judged(signed(nbf=NOW + 0.9)).expires == EXP
    assert judged(signed(exp=EXP + 0.9)).expires == EXP
    with pytest.raises(TokenExpired):
        judged(signed(exp=NOW + 0.9))
    assert judged(signed(exp=NBF + LONGEST_S + 0.9)).expires == NBF + LONGEST_S


@pytest.mark.parametrize("exp", [NBF + LONGEST_S + 1, 4_102_444_800, 1e300, 10**400])
def test_too_long(exp: float) -> None:
    """A token of more than 31 days is refused, however long."""
    with pytest.raises(TokenInvalid, match="31 days"):
        judged(signed(exp=exp))


@pytest.mark.parametrize("tid", [None, 7, True, [TUNNEL], {}])
def test_a_tid_that_is_no_string(tid: object) -> None:
    """Only a string names a tunnel."""
    with pytest.raises(TokenInvalid, match="tid"):
        judged(signed(tid=tid))


@pytest.mark.parametrize("tid", ["", "Demo~1.8080", TUNNEL + " ", "demo~1.808", "demo%7E1.8080"])
def test_a_tid_of_another_tunnel(tid: str) -> None:
    """The id counts byte for byte."""
    with pytest.raises(WrongName):
        judged(signed(tid=tid))


@pytest.mark.parametrize(
    "extra", [{"iat": NOW + 900}, {"iat": "x"}, {"iss": 7}, {"sub": []}, {"scope": None}]
)
def test_ignored(extra: dict[str, object]) -> None:
    """No other claim is looked at."""
    assert judged(signed(**extra)) == TunnelClaims(TUNNEL, EXP, None)


def test_token_id() -> None:
    """A jti of text is what a token can be revoked by."""
    assert judged(signed(jti="abc")).token_id == "abc"
    assert judged(signed(jti=7)).token_id is None


NONE = [None, 7, True, {}, {"x": 1}, "", [], [""]]


@pytest.mark.parametrize("audience", [None, "", "ws"])
@pytest.mark.parametrize("aud", NONE, ids=repr)
def test_no_audience(audience: str | None, aud: object) -> None:
    """What is no audience passes at every router; so does a token without the claim."""
    assert judged(signed(aud=aud), audience)
    assert judged(signed(), audience)


@pytest.mark.parametrize("audience", [None, ""])
@pytest.mark.parametrize("aud", ["x", ["x"], ["x", ""], "ws"])
def test_an_audience_at_a_router_without(audience: str | None, aud: object) -> None:
    """A token with an audience is refused by a router that has none."""
    with pytest.raises(TokenInvalid, match="this router has none"):
        judged(signed(aud=aud), audience)


@pytest.mark.parametrize(
    ("aud", "good"),
    [
        ("ws", True),
        (["a", "ws"], True),
        (["ws", ""], True),
        ("other", False),
        (["a"], False),
        (["", "a"], False),
        ("WS", False),
    ],
)
def test_an_audience_at_a_router_with_one(aud: object, good: bool) -> None:
    """The router's own audience must be among the token's."""
    if good:
        assert judged(signed(aud=aud), "ws")
    else:
        with pytest.raises(TokenInvalid, match="another audience"):
            judged(signed(aud=aud), "ws")


@pytest.mark.parametrize("audience", [None, "ws"])
@pytest.mark.parametrize("aud", [["ws", 7], [None], [["ws"]], [{}], ["", True]])
def test_an_audience_list_with_something_else(audience: str | None, aud: object) -> None:
    """A list with anything but strings is refused everywhere."""
    with pytest.raises(TokenInvalid, match="aud is a list"):
        judged(signed(aud=aud), audience)


# -- the request's headers -------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["a", TUNNEL, "%41", "100%", "-", ".", "..", "A" * 20_000])
def test_good_ids(text: str) -> None:
    """Every character of the set, and any length."""
    assert parse_id(text) == text


def test_every_character_of_an_id() -> None:
    """Of all characters exactly the documented ones may stand in an id."""
    allowed = {chr(code) for code in range(0x300) if is_tunnel_id(chr(code))}
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert allowed == {*letters, *letters.lower(), *"0123456789_~.%-"}


@pytest.mark.parametrize("text", ["", "a/b", "a b", "a\n", "ä", "a?x", "a+b", "٣"])
def test_bad_ids(text: str) -> None:
    """Anything else is a malformed request, not a failed login."""
    with pytest.raises(BadRequest):
        parse_id(text)


def test_authorization() -> None:
    """Bearer, one blank and a token."""
    assert parse_authorization("Bearer a.b-c_9.") == "a.b-c_9."


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "bearer a.b.c",
        "BEARER a.b.c",
        "Bearer  a.b.c",
        "Bearer\ta.b.c",
        " Bearer a.b.c",
        "Bearer a.b.c ",
        "Bearer a.b.c=",
        "Bearer a.b.c d",
        "Bearer a.b.c\n",
        "Basic YTpi",
        "a.b.c",
        "Bearer a.b.é",
    ],
)
def test_bad_authorization(header: str | None) -> None:
    """Anything else is a malformed request, whose text repeats nothing of it."""
    with pytest.raises(BadRequest) as caught:
        parse_authorization(header)
    assert "a.b.c" not in caught.value.text


# -- minting and explaining ------------------------------------------------------------------------


def arguments(*words: str, lifetime: int = 60) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser, "lab")
    parsed = parser.parse_args(words)
    parsed.lifetime = lifetime
    return parsed


def test_claims() -> None:
    """A token begins 15 minutes back, and names the router's audience where that has one."""
    made: dict[str, object] = {"tid": "a", "iat": NOW, "nbf": NOW - BACKDATED_S, "exp": NOW + 60}
    assert claims(arguments("--id", "a"), NOW, None) == made
    assert claims(arguments("--id", "a"), NOW, {"audience": None}) == made
    router = {"audience": "ws"}
    assert claims(arguments("--id", "a"), NOW, router) == {**made, "aud": "ws"}
    assert claims(arguments("--id", "a", "--audience", "x"), NOW, router) == {**made, "aud": "x"}
    assert claims(arguments("--id", "a", "--audience", ""), NOW, router) == made


@given(st.integers(1, LONGEST_S), st.sampled_from([None, "ws"]))
def test_what_is_minted_is_taken(lifetime: int, audience: str | None) -> None:
    """Every lifetime to 31 days is good at once, and until its end."""
    values = {"audience": audience}
    now = int(time.time())
    token = mint(claims(arguments("--id", TUNNEL, lifetime=lifetime), now, values), SECRET_B)
    for at in (now, now + lifetime - 1):
        assert judged(token, audience, at).expires == now + lifetime


def test_what_cannot_be_minted() -> None:
    """More than 31 days, and an audience that is no text."""
    with pytest.raises(ValueError, match="31 days at most"):
        claims(arguments("--id", "a", lifetime=LONGEST_S + 1), NOW, None)
    with pytest.raises(ValueError, match="audience is not UTF-8"):
        claims(arguments("--id", "a", "--audience", "\udcff"), NOW, None)


def test_explain() -> None:
    """A token's meaning is told, and which routers take it."""
    lets = 'lets its bearer register the tunnel "demo~1.8080"'
    assert explain(GOOD) == [lets, "for routers of any audience, and for those that have none"]
    assert explain({**GOOD, "aud": ["a", "b", "a"]}) == [
        lets,
        'for routers whose audience is "a" or "b"; one that has another or none refuses it',
    ]
    assert "\x1b" not in explain({**GOOD, "aud": "\x1b[2J"})[1]


@pytest.mark.parametrize(
    "changed", [{"tid": "a/b"}, {"tid": None}, {"nbf": None}, {"exp": 4e9}, {"aud": [7]}]
)
def test_explain_what_no_router_takes(changed: dict[str, object]) -> None:
    """A token that can open nothing is said to."""
    with pytest.raises(TokenInvalid):
        explain({**GOOD, **changed})


def test_judge() -> None:
    """Whether a router takes a token is known as far as its audience is."""
    with_audience = {**GOOD, "aud": ["", "x"]}
    judge(with_audience, None)
    judge(with_audience, {"audience": "x"})
    judge(GOOD, {"audience": "x"})
    for values in ({}, {"audience": None}, {"audience": "y"}):
        with pytest.raises(TokenInvalid, match="audience"):
            judge(with_audience, values)
    with pytest.raises(TokenInvalid):
        judge({**GOOD, "aud": [7]}, None)


@pytest.mark.parametrize("text", ["", "a/b", "ä", "a b"])
def test_bad_id_on_the_command_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no id is refused, saying what an id is."""
    with pytest.raises(SystemExit):
        arguments(f"--id={text}")
    assert "tunnel's id" in capsys.readouterr().err
