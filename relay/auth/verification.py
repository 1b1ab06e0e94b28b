"""Verifies a credential of any kind, with nothing remembered from one to the next."""

from __future__ import annotations

from collections.abc import Callable

from relay.auth.shared import verify_secret, verify_totp
from relay.auth.tokens import check_times, genuine_claims
from relay.errors import TokenInvalid, TokenMissing
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

Codes = Callable[[str], Claims | None]
"""Takes a one-time code out of the store: its claims, or None when it is unknown, used or stale."""


def verify(credential: Credential, now: float, codes: Codes | None = None) -> Claims:
    """Verify a credential of any kind.

    A :class:`Jwt` yields its payload; ``exp`` is judged if present, ``nbf`` and ``iat`` where its
    terms say so, no other is: whether one must be there, and of which type, is the dialect's to
    say. :class:`SharedSecret` yields ``{"sub": name}``, :class:`Totp` besides that ``counter``, the
    time step whose code it was, and what it says is known of the name; :class:`OneTimeCode` what
    ``codes`` knows, and :class:`Nothing` an empty dict.

    :param now: Unix seconds
    :param codes: takes a one-time code; without it no code is valid
    :raises TokenMissing, TokenInvalid, TokenExpired: with a sentence that may be shown to the peer
    """
    match credential:
        case Jwt():
            genuine = genuine_claims(credential)
            check_times(genuine, credential, now)
            return genuine
        case SharedSecret():
            return verify_secret(credential)
        case Totp():
            return verify_totp(credential, now)
        case OneTimeCode(code):
            claims = codes(code) if codes else None
            if claims is None:
                raise TokenInvalid("the one-time code is unknown, used or too old")
            return claims
        case Nothing():
            return {}
        case Missing():
            raise TokenMissing("no credential was sent")
