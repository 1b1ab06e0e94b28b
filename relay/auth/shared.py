"""Secrets that both sides know: compared as they are, or through the codes made of them."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import math
from typing import TYPE_CHECKING

from relay.errors import TokenInvalid
from relay.vocabulary import Claims, SharedSecret, Totp

if TYPE_CHECKING:
    from pyotp import HOTP

TOTP_SHIFT_S = 30
"""A code of this much earlier or later is taken too, whatever the step (taas §5)."""
DIGITS = 6
TOTP_DIGITS = range(DIGITS, 9)
"""A verifier of the original takes up to ten (taas §5); more than eight help nobody (§16)."""

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


@functools.cache
def _generators() -> type[HOTP]:
    """:returns: what makes generators of codes; pyotp is imported at the first code"""
    from pyotp import HOTP

    class Generator(HOTP):
        """Takes a secret of any length: it is the operator who is warned of a short one."""

        def byte_secret(self) -> bytes:
            return base64.b32decode(self.secret + "=" * (-len(self.secret) % 8), casefold=True)

    return Generator


def _generator(base32: str, digits: int) -> HOTP:
    """:returns: what computes the codes of a secret. :raises ValueError: when that is no base32"""
    return _generators()(base32.strip().rstrip("="), digits=digits)


def time_code(base32: str, step: int) -> str:
    """Compute a time-based code (RFC 6238), for the side that shows it.

    :param base32: the secret (RFC 4648); padding and case do not matter
    :param step: the number of the time step
    :returns: six digits, zeros in front among them
    :raises ValueError: when that is no base32; it says nothing of the secret
    """
    try:
        return _generator(base32, DIGITS).at(step)
    except ValueError:
        raise ValueError("the secret is no base32") from None


def verify_totp(credential: Totp, now: float) -> Claims:
    code = credential.code
    if len(code) not in TOTP_DIGITS or not (code.isascii() and code.isdigit()):
        raise TokenInvalid("the code is not a number of 6 to 8 digits")
    # An empty secret is that of an unknown name: neither may meet the stand-in's codes.
    known = bool(credential.secret_base32) and credential.step_s > 0
    try:
        generator = _generator(credential.secret_base32 or _UNKNOWN_TOTP_SECRET, len(code))
    except ValueError:
        # A peer is told no more than about an unknown name; our log gets the remedy.
        raise TokenInvalid(
            "the name or its code is wrong",
            "give the name a secret in base32",
        ) from None
    matches, matched = False, 0
    for shift in (-TOTP_SHIFT_S, 0, TOTP_SHIFT_S):
        counter = math.floor((now + shift) / max(credential.step_s, 1))
        right = hmac.compare_digest(code, generator.at(max(counter, 0)))
        matches |= right
        matched = counter if right else matched
    if not (known and matches):
        raise TokenInvalid("the name or its code is wrong")
    return {**credential.known, "sub": credential.name, "counter": matched}
