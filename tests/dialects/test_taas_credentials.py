"""The grammar of an Authorization, as the original's server reads it; taas.md §3 and §4."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.taas.credentials import PARAMETERS, Shown, challenge, parse_authorization
from relay.errors import BadRequest
from tests.dialects.taas_rooms import ID

GOOD = {
    f'TOTP username="{ID}", response="898251"': (ID, "898251"),
    "TOTP username=abc response=123456": ("abc", "123456"),
    "TOTP username=abc,response=123456": ("abc", "123456"),
    'TOTP response="123456",username=abc': ("abc", "123456"),
    'TOTP   username="a" ;; response="1"': ("a", "1"),
    'TOTP realm="taas", username="a", nc=00000001, response="1", qop=auth': ("a", "1"),
    "TOTP username=a response=1 username=b": ("b", "1"),
    'TOTP username=a response=1 response="2"': ("a", "2"),
    "TOTP username='a' response='123456'": ("'a'", "'123456'"),
    'TOTP username="owntracks/alpha/bob" response="1"': ("owntracks/alpha/bob", "1"),
    'TOTP username="a b", response="12 34"': ("a b", "12 34"),
    "TOTP username=__proto__ response=1 __proto__=2 constructor=3": ("__proto__", "1"),
    "TOTP username=\xe4\xf6 response=1": ("\xe4\xf6", "1"),
}
BAD = (
    "",
    "TOTP",
    "TOTP ",
    "TOTP nothing",
    'totp username="a", response="1"',
    'Totp username="a", response="1"',
    ' TOTP username="a", response="1"',
    "Basic dXNlcjpwYXNz",
    'Digest username="a", response="1"',
    'TOTP,username="a",response="1"',
    'TOTP username="a"',
    'TOTP response="1"',
    'TOTP username="", response="1"',
    'TOTP username="a", response=""',
    'TOTP username="a", response="1", username=""',
    'TOTP username = "a", response = "1"',
    'TOTP Username="a", Response="1"',
    'TOTP username="a, response=1',
    "TOTP username=, response=,",
    "TOTP =a, =1",
)


@pytest.mark.parametrize("text", GOOD)
def test_every_form_that_the_original_takes_is_taken(text: str) -> None:
    """Order, separators and quotes do not matter, and of duplicates the last counts."""
    assert parse_authorization(text) == Shown(*GOOD[text])


@pytest.mark.parametrize("text", BAD)
def test_what_the_original_refuses_is_refused(text: str) -> None:
    """Another scheme, a name or code that is missing or empty, spaces around the equals sign."""
    with pytest.raises(BadRequest) as caught:
        parse_authorization(text)
    assert "=" not in caught.value.text


def test_an_endless_list_of_parameters_is_refused() -> None:
    """Nobody needs more than two of them."""
    some = "TOTP username=a response=1" + " x=1" * (PARAMETERS - 2)
    assert parse_authorization(some) == Shown("a", "1")
    with pytest.raises(BadRequest, match="more than"):
        parse_authorization(some + " x=1")


def test_a_code_is_not_shown() -> None:
    """Neither as a text nor otherwise."""
    shown = parse_authorization("TOTP username=abc response=123456")
    assert "123456" not in f"{shown} {shown!r}"


def original(text: str) -> Shown | None:
    """What the original's two passes make of it: quotes are added first, then they delimit."""
    scheme, space, _ = text.partition(" ")
    if not space or scheme != "TOTP":
        return None
    quoted = re.sub(r'(\w+)=([^," ]+)', r'\1="\2"', text, flags=re.ASCII)
    found = dict(re.findall(r'(\w+)="([^"]*)"', quoted, flags=re.ASCII))
    username, response = found.get("username"), found.get("response")
    return Shown(username, response) if username and response else None


WORDS = st.sampled_from(["username", "response", "realm", "x", "", "'", "TOTP"])
# without = and " in values, which the original mangles, and which no ID has
VALUES = st.text("abz019'-_./;:\t\\ \xe4", max_size=6)
PLAIN = st.text("abz019'-_./;:\t\\\xe4", min_size=1, max_size=6)
PARAMETER = st.one_of(
    st.builds('{}="{}"'.format, WORDS, VALUES), st.builds("{}={}".format, WORDS, PLAIN)
)
SEPARATORS = st.text(", ", min_size=1, max_size=3)
HEADERS = st.builds(
    lambda scheme, pairs: scheme + "".join([before + pair for before, pair in pairs]),
    st.sampled_from(["TOTP", "TOTP", "TOTP", "totp", "Basic"]),
    st.lists(st.tuples(SEPARATORS, PARAMETER), max_size=6),
)


@given(HEADERS)
def test_any_header_is_read_as_the_original_reads_it(text: str) -> None:
    """The same name and code, or a refusal by both."""
    try:
        shown: Shown | None = parse_authorization(text)
    except BadRequest:
        shown = None
    assert shown == original(text)


@given(st.text(max_size=200))
def test_no_header_does_more_than_be_refused(text: str) -> None:
    """Whatever comes behind the scheme."""
    for value in (text, f"TOTP {text}"):
        try:
            assert all(parse_authorization(value))
        except BadRequest:
            pass


def test_the_challenge_is_that_of_the_original() -> None:
    """Realm, qop and opaque are fixed, the nonce is 32 hexadecimal digits made of the clock."""
    pattern = (
        r'TOTP realm="taas", qop="auth, auth-int", nonce="[0-9a-f]{32}", '
        r'opaque="2c75e9f93e484043b49c4b2ce278025d"'
    )
    assert re.fullmatch(pattern, challenge(1.0))
    assert challenge(1.0) != challenge(2.0)
