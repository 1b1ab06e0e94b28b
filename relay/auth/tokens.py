"""Signed tokens: made, read, found genuine, found in date."""

from __future__ import annotations

import base64
import binascii
import functools
import json
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

from relay.errors import RelayError, TokenExpired, TokenInvalid
from relay.vocabulary import Claims, Jwt

if TYPE_CHECKING:
    from jwt.algorithms import Algorithm

TOKEN_BYTES = 16 * 1024
"""Longest token that is looked at at all."""

# Unpadded base64url only: padding is what the originals' decoders refuse and PyJWT's accepts.
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)")
_HMAC_ALGORITHMS = ("HS256", "HS384", "HS512")
_SPANS = ((60, 1, "s"), (3600, 60, "min"), (48 * 3600, 3600, "h"), (730 * 86400, 86400, "d"))
_YEAR_S = 31_557_600
_LAST_YEAR = 9999


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


# -- judging -------------------------------------------------------------------------------------


def genuine_claims(credential: Jwt) -> Claims:
    """Verify all but the times.

    :returns: the payload, which nothing else refers to
    :raises TokenInvalid: when one of the keys did not sign this, in this form
    """
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
    return _object(payload)


def check_times(claims: Claims, terms: Jwt, now: float) -> None:
    """Judge ``exp``, and ``nbf`` and ``iat`` where the terms say so, in whole seconds.

    Without leeway a token ends at ``exp``; with it, once ``exp + leeway`` is past (portal.md §3).

    :param now: Unix seconds
    :raises TokenExpired, TokenInvalid: when the token is not in date
    """
    now = math.floor(now)
    if "exp" in claims:
        expires = _seconds(claims["exp"], "exp")
        if expires + terms.leeway_s < now or (expires <= now and not terms.leeway_s):
            raise TokenExpired(f"expired {in_words(now - expires)} ago")
    if terms.check_nbf and "nbf" in claims:
        begins = _seconds(claims["nbf"], "nbf")
        if begins - terms.leeway_s > now:
            raise TokenInvalid(f"the token is not valid yet but in {in_words(begins - now)}")
    if terms.check_iat and "iat" in claims:
        issued = _seconds(claims["iat"], "iat")
        if issued - terms.leeway_s > now:
            raise TokenInvalid(f"the token is dated in the future, in {in_words(issued - now)}")


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
        value = _STRICT.decode(data.decode())
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


# json.loads would make one of these for each token
_STRICT = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite
)


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
