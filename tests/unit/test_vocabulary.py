"""The one language: immutable, and silent about secrets."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

import relay.errors
import relay.vocabulary
from relay.errors import LimitReached, RelayError, TokenExpired
from relay.http import Request
from relay.settings.model import Secret
from relay.vocabulary import (
    CLEAN_REASONS,
    Answer,
    Call,
    CallKey,
    Data,
    Grant,
    Jwt,
    Missing,
    Nothing,
    Offer,
    OfferName,
    OneTimeCode,
    Reason,
    Role,
    SharedSecret,
    Totp,
)

TOKEN = "very-secret-indeed"
CREDENTIALS = [
    Jwt(TOKEN, (TOKEN.encode(),)),
    SharedSecret("name", TOKEN, (TOKEN,)),
    Totp("name", TOKEN, TOKEN),
    OneTimeCode(TOKEN),
    Secret(TOKEN, "file"),
]
ERRORS = [
    kind
    for _, kind in inspect.getmembers(relay.errors, inspect.isclass)
    if issubclass(kind, RelayError)
]


@pytest.mark.parametrize("credential", CREDENTIALS, ids=lambda value: type(value).__name__)
def test_no_credential_shows_its_secret(credential: object) -> None:
    """Neither repr, str nor a format shows a token, code or key, also inside something else."""
    shown = f"{credential} {credential!r} {[credential]} {Shows(credential)}"
    assert TOKEN not in shown
    assert TOKEN.encode().hex() not in shown
    assert "***" in shown


@dataclasses.dataclass
class Shows:
    """Something that shows what it holds."""

    value: object


@pytest.mark.parametrize(
    "value", [*CREDENTIALS[:4], Nothing(), Missing(), Grant("d", Role.HOST, "s")]
)
def test_values_cannot_be_changed(value: object) -> None:
    """What crosses package borders is frozen and keeps no dictionary."""
    (first, *_) = [*dataclasses.fields(value), None]  # type: ignore[arg-type]  # all are dataclasses
    if first is not None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, first.name, "other")
    assert not hasattr(value, "__dict__")


@pytest.mark.parametrize(
    "event", [Data(b"x"), Call(OfferName("a")), Offer(OfferName("a"), Answer.STREAM)]
)
def test_events_cannot_be_changed(event: tuple[object, ...]) -> None:
    """Events are values."""
    with pytest.raises(AttributeError):
        event.stream = 5  # type: ignore[attr-defined]
    assert hash(event) is not None


def test_reasons_are_words() -> None:
    """One lower-case word each, with hyphens, so that they can stand in a Close or a label."""
    words = [reason.value for reason in Reason]
    assert len(set(words)) == len(words)
    for word in words:
        assert word.replace("-", "").isalpha()
        assert word == word.lower()
        assert len(word.encode()) <= 123
    assert Reason.LOST not in CLEAN_REASONS


def test_defaults_are_the_harmless_ones() -> None:
    """A whole binary message on the only stream; an offer without a list of services."""
    assert Data(b"x") == (b"x", 0, False, True)
    assert Offer(OfferName("n"), Answer.QUEUE).services is None
    assert Call(OfferName("n")).key == CallKey("")


def test_headers_are_found_by_name_and_token() -> None:
    """The first header of a name counts; tokens may stand in several, in any case."""
    headers = (
        ("authorization", "one"),
        ("connection", "keep-alive"),
        ("connection", "x , Upgrade"),
        ("authorization", "two"),
    )
    request = Request("GET", "/", "/", "", headers, "192.0.2.1")
    assert request.header("authorization") == "one"
    assert request.header("Authorization") is None
    assert request.has_token("connection", "upgrade")
    assert not request.has_token("connection", "upgrad")
    assert not request.has_token("upgrade", "websocket")


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_reason_and_a_text(kind: type[RelayError]) -> None:
    """Whoever says nothing says the reason's word."""
    if kind is relay.errors.Refused:
        error: RelayError = relay.errors.Refused(404, "", Reason.NO_SUCH_OFFER)
    else:
        error = kind()
    assert isinstance(error.reason, Reason)
    assert error.text == str(error) == error.reason.value
    assert error.remedy == ""
    assert error.retry_after_s is None


def test_errors_keep_what_they_are_told() -> None:
    """Text, remedy and a time to come back."""
    error = LimitReached("full", "wait", retry_after_s=5)
    assert (error.text, error.remedy, error.retry_after_s) == ("full", "wait", 5)
    assert TokenExpired().reason is Reason.TOKEN_EXPIRED


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_close_codes_may_stand_on_the_wire(kind: type[RelayError]) -> None:
    """RFC 6455 reserves the others."""
    code = kind.close_code
    assert code is None or 1000 <= code <= 1014 or 3000 <= code <= 4999
    assert code not in (1004, 1005, 1006)
