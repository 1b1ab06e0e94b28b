"""Secrets that both sides know: compared as they are, or through the codes made of them."""

from __future__ import annotations

import hashlib
import hmac
import math

from relay.errors import TokenInvalid
from relay.vocabulary import Claims, SharedSecret, Totp

TOTP_SHIFT_S = 30
"""A code of this much earlier or later is taken too, whatever the step (taas §5)."""
TOTP_DIGITS = range(6, 11)

_UNKNOWN_TOTP_SECRET = "A" * 64


def verify_secret(credential: SharedSecret) -> Claims:
    presented = _digest(credential.presented)
    # An unknown name costs a comparison too, and an empty secret is no secret.
    empty = hmac.compare_digest(presented, _digest(""))
    matches = False
    for expected in credential.expected:
        matches |= hmac.compare_digest(presented, _digest(expected))
    if empty or not matches:
        raise TokenInvalid("the name or its secret is wrong")
    return {"sub": credential.name}


def _digest(text: str) -> bytes:
    # Of equal length whatever the text, so that the comparison does not tell the length either.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def verify_totp(credential: Totp, now: float) -> Claims:
    from pyotp import HOTP

    code = credential.code
    if len(code) not in TOTP_DIGITS or not (code.isascii() and code.isdigit()):
        raise TokenInvalid("the code is not a number of 6 to 10 digits")
    # An empty secret is that of an unknown name: neither may meet the stand-in's codes.
    known = bool(credential.secret_base32) and credential.step_s > 0
    try:
        generator = HOTP(credential.secret_base32 or _UNKNOWN_TOTP_SECRET, digits=len(code))
    except ValueError:
        # A peer is told no more than about an unknown name; our log gets the remedy.
        raise TokenInvalid(
            "the name or its code is wrong",
            "give the name a base32 secret of 23 characters or more",
        ) from None
    matches = False
    for shift in (-TOTP_SHIFT_S, 0, TOTP_SHIFT_S):
        counter = math.floor((now + shift) / max(credential.step_s, 1))
        matches |= hmac.compare_digest(code, generator.at(max(counter, 0)))
    if not (known and matches):
        raise TokenInvalid("the name or its code is wrong")
    return {"sub": credential.name}
