"""Credentials to claims: every kind is verified here, and failed logins are counted here.

A dialect says what a credential is and, from the claims, what it allows; whether the credential is
genuine and in date is decided in this module alone. Times are Unix seconds and always arguments. No
text of an error contains any part of a credential or of a secret, so each may be shown to the peer.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NoReturn

from relay.errors import RelayError, TokenExpired, TokenInvalid, TokenMissing
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

if TYPE_CHECKING:
    from jwt.algorithms import Algorithm

TOKEN_BYTES = 16 * 1024
"""Longest token that is looked at at all."""
TOTP_SHIFT_S = 30
"""A code of this much earlier or later is taken too, whatever the step (taas §5)."""
TOTP_DIGITS = range(6, 11)
LOGIN_WINDOW_S = 60
LOGIN_DELAY_S = 1.0
LOGINS_WAITING = 64
LOGIN_ADDRESSES = 10_000

# Unpadded base64url only: padding is what the originals' decoders refuse and PyJWT's accepts.
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)")
_HMAC_ALGORITHMS = ("HS256", "HS384", "HS512")
_UNKNOWN_TOTP_SECRET = "A" * 64
_SPANS = ((60, 1, "s"), (3600, 60, "min"), (48 * 3600, 3600, "h"), (730 * 86400, 86400, "d"))
_YEAR_S = 31_557_600
_LAST_YEAR = 9999

Codes = Callable[[str], Claims | None]
"""Takes a one-time code out of the store: its claims, or None when it is unknown, used or stale."""


def verify(credential: Credential, now: float, codes: Codes | None = None) -> Claims:
    """Verify a credential of any kind.

    A :class:`Jwt` yields its payload; ``exp`` and ``nbf`` are judged if present, no other is:
    whether one must be there, and of which type, is the dialect's to say. :class:`SharedSecret` and
    :class:`Totp` yield ``{"sub": name}``, :class:`OneTimeCode` what ``codes`` knows, and
    :class:`Nothing` an empty dict.

    :param now: Unix seconds
    :param codes: takes a one-time code; without it no code is valid
    :raises TokenMissing, TokenInvalid, TokenExpired: with a sentence that may be shown to the peer
    """
    match credential:
        case Jwt():
            return _verify_jwt(credential, now)
        case SharedSecret():
            return _verify_secret(credential)
        case Totp():
            return _verify_totp(credential, now)
        case OneTimeCode(code):
            claims = codes(code) if codes else None
            if claims is None:
                raise TokenInvalid("the one-time code is unknown, used or too old")
            return claims
        case Nothing():
            return {}
        case Missing():
            raise TokenMissing("no credential was sent")


def mint(claims: Mapping[str, object], key: bytes, algorithm: str = "HS256") -> str:
    """Sign a compact token with the header ``{"alg","typ":"JWT"}``.

    :param claims: the payload, in the order in which it is to stand in the token
    :param algorithm: ``HS256``, ``HS384`` or ``HS512``
    :raises RelayError: when the key is empty, or a public key or certificate, which is no secret
    """
    usable = _usable_key(key)
    if usable is None:
        raise RelayError(
            "the secret is empty, or it is a key or certificate rather than a secret text",
            "use a file of at least 32 random characters",
        )
    signed = ".".join(
        _encode(json.dumps(part, separators=(",", ":"), ensure_ascii=False).encode())
        for part in ({"alg": algorithm, "typ": "JWT"}, dict(claims))
    )
    signature = _algorithms()[algorithm].sign(signed.encode(), usable)
    return f"{signed}.{_encode(signature)}"


def inspect(token: str) -> tuple[dict[str, object], Claims]:
    """Read a token without verifying anything.

    :returns: header and claims
    :raises TokenInvalid: when it is no compact JWT
    """
    header, claims, _, _ = _parse(token)
    return header, _object(claims)


def in_words(seconds: float) -> str:
    """Say a span of time.

    :returns: ``45 s``, ``12 min``, ``3 h``, ``29 d`` or ``4 y``, rounded down.

    More than 9999 years are 9999.
    """
    whole = int(seconds)
    for below, unit, word in _SPANS:
        if whole < below:
            return f"{whole // unit} {word}"
    # Claims may hold integers of thousands of digits.
    return f"{min(whole // _YEAR_S, _LAST_YEAR)} y"


class FailedLogins:
    """Counts failed logins per address and says how long the answer to one must wait.

    A correct login is never asked about here, so it is never delayed. Memory is bounded by
    ``LOGIN_ADDRESSES``; beyond that the address whose minute began first is forgotten.

    :param limit_per_min: failures of one address that are answered at once, 0: all are; asked anew
        at each failure
    """

    __slots__ = ("_limit_per_min", "_minutes", "_waiting")

    def __init__(self, limit_per_min: Callable[[], int]) -> None:
        self._limit_per_min = limit_per_min
        # address -> (when its minute began, failures since), the oldest first
        self._minutes: dict[str, tuple[float, int]] = {}
        self._waiting = 0

    def failed(self, address: str, now: float) -> float:
        """A login failed.

        :param now: seconds of any clock, the same at each call
        :returns: seconds to wait before the answer; if not 0, :meth:`done_waiting` must follow
        """
        limit = self._limit_per_min()
        if not limit:
            return 0.0
        began, count = self._minutes.get(address, (now, 0))
        if not 0 <= now - began < LOGIN_WINDOW_S:
            del self._minutes[address]
            began, count = now, 0
        self._minutes[address] = (began, count + 1)
        if len(self._minutes) > LOGIN_ADDRESSES:
            del self._minutes[next(iter(self._minutes))]
        if count < limit or self._waiting >= LOGINS_WAITING:
            return 0.0
        self._waiting += 1
        return LOGIN_DELAY_S

    def done_waiting(self) -> None:
        """An answer that had to wait is sent, or its connection is gone."""
        self._waiting -= 1


# -- JWT -----------------------------------------------------------------------------------------


def _verify_jwt(credential: Jwt, now: float) -> Claims:
    header, payload, signed, signature = _parse(credential.token)
    algorithm = header.get("alg")
    permitted = [name for name in credential.algorithms if name in _HMAC_ALGORITHMS]
    if not isinstance(algorithm, str) or algorithm not in permitted:
        raise TokenInvalid("the token is signed with an algorithm that is not accepted here")
    if "crit" in header:
        raise TokenInvalid("the token demands an extension that is not known here")
    if not any(
        _algorithms()[algorithm].verify(signed, usable, signature)
        for usable in map(_usable_key, credential.keys)
        if usable is not None
    ):
        raise TokenInvalid("the token is not signed with a secret of this router")
    claims = _object(payload)
    _check_times(claims, credential, math.floor(now))
    return claims


def _check_times(claims: Claims, terms: Jwt, now: int) -> None:
    """Judge ``exp`` and ``nbf`` in whole seconds.

    Without leeway a token ends at ``exp``; with it, once ``exp + leeway`` is past (portal.md §3).
    """
    if "exp" in claims:
        expires = _seconds(claims["exp"], "exp")
        if expires + terms.leeway_s < now or (expires <= now and not terms.leeway_s):
            raise TokenExpired(f"expired {in_words(now - expires)} ago")
    if terms.check_nbf and "nbf" in claims:
        begins = _seconds(claims["nbf"], "nbf")
        if begins - terms.leeway_s > now:
            raise TokenInvalid(f"the token is not valid yet but in {in_words(begins - now)}")


def _seconds(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenInvalid(f"the token's claim {name} is not a number")
    return int(value)


def _parse(token: str) -> tuple[dict[str, object], bytes, bytes, bytes]:
    """:returns: header, payload, what is signed, signature"""
    if len(token) > TOKEN_BYTES:
        raise TokenInvalid(f"the token is longer than {TOKEN_BYTES} bytes")
    parts = _COMPACT.fullmatch(token)
    if parts is None:
        raise TokenInvalid("this is no token of three base64url parts with dots between")
    header, payload, signature = map(_decode, parts.groups())
    return _object(header), payload, token.rpartition(".")[0].encode(), signature


def _decode(part: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        data = b""
    # Each token has one spelling: bits that do not belong to a byte must be zero.
    if _encode(data) != part:
        raise TokenInvalid("a part of the token is not base64url")
    return data


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _object(data: bytes) -> dict[str, object]:
    """Read a JSON object strictly: UTF-8, no name twice, no value that JSON does not have."""
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        if b"\\u" in data:
            # A lone surrogate is no text, and would fail wherever it is encoded again.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise TokenInvalid("a part of the token is not a valid JSON object")
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice")
    return members


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError("not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("too large")
    return value


@functools.cache
def _algorithms() -> Mapping[str, Algorithm]:
    # Imported at the first token: PyJWT costs four starts of a bare interpreter, and most of our
    # programs never verify anything.
    from jwt.api_jws import PyJWS

    jws = PyJWS(algorithms=_HMAC_ALGORITHMS)
    return {name: jws.get_algorithm_by_name(name) for name in _HMAC_ALGORITHMS}


def _usable_key(key: bytes) -> bytes | None:
    """:returns: None for what is no secret: nothing, or an asymmetric key or certificate"""
    from jwt.exceptions import InvalidKeyError

    try:
        prepared: bytes = _algorithms()["HS256"].prepare_key(key)
    except InvalidKeyError:
        return None
    return prepared or None


# -- the other kinds -----------------------------------------------------------------------------


def _verify_secret(credential: SharedSecret) -> Claims:
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


def _verify_totp(credential: Totp, now: float) -> Claims:
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
