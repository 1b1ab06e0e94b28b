"""Remembers which tokens were found genuine, so that only their times are judged again."""

from __future__ import annotations

import hashlib
import sys
from collections import OrderedDict

from relay.auth.tokens import check_times, genuine_claims
from relay.auth.verification import Codes, verify
from relay.errors import AuthError
from relay.vocabulary import Claims, Credential, Jwt

TOKENS_KEPT = 8192
TOKENS_KEPT_BYTES = 8 * 1024 * 1024
ENTRY_BYTES = 256
"""What an entry costs beside its claims: the digest, and its place in the table."""

_SCALARS = (str, int, float, type(None))


class VerifiedTokens:
    """Verifies as :func:`relay.auth.verify` does, and need not verify a signature twice.

    Signature and form cannot change while the token and the terms on which it is taken stay the
    same; what does change, the time, is judged at each use. Kept are the claims of tokens that
    passed, under the SHA-256 of token and terms: no token, no secret, and no failure. What was used
    longest ago goes first.

    :param entries: how many tokens are kept
    :param size_bytes: how much memory their claims may take
    """

    __slots__ = ("_entries", "_kept", "_size_bytes", "bytes_kept")

    def __init__(self, entries: int = TOKENS_KEPT, size_bytes: int = TOKENS_KEPT_BYTES) -> None:
        self._entries = entries
        self._size_bytes = size_bytes
        self._kept: OrderedDict[bytes, tuple[Claims, int]] = OrderedDict()
        self.bytes_kept = 0

    def __len__(self) -> int:
        return len(self._kept)

    def verify(self, credential: Credential, now: float, codes: Codes | None = None) -> Claims:
        """Verify a credential of any kind, with the same outcome as :func:`relay.auth.verify`.

        :param now: Unix seconds
        :param codes: takes a one-time code; without it no code is valid
        :returns: claims that nobody else holds
        :raises TokenMissing, TokenInvalid, TokenExpired: with a sentence for the peer
        """
        if not isinstance(credential, Jwt):
            return verify(credential, now, codes)
        digest = _digest(credential)
        kept = self._kept.get(digest)
        if kept is None:
            claims = genuine_claims(credential)
            check_times(claims, credential, now)
            self._keep(digest, claims)
            return claims
        try:
            check_times(kept[0], credential, now)
        except AuthError:
            self._drop(digest)
            raise
        self._kept.move_to_end(digest)
        return _copy(kept[0])

    def clear(self) -> None:
        """Forget all: every token is verified anew."""
        self._kept.clear()
        self.bytes_kept = 0

    def _keep(self, digest: bytes, claims: Claims) -> None:
        size = _size(claims)
        if size is None or size > self._size_bytes:
            return
        self._kept[digest] = _copy(claims), size
        self.bytes_kept += size
        while len(self._kept) > self._entries or self.bytes_kept > self._size_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, digest: bytes) -> None:
        _, size = self._kept.pop(digest)
        self.bytes_kept -= size


def _digest(credential: Jwt) -> bytes:
    """:returns: what tells a token, and the terms on which it is taken, from all others"""
    # what a tuple of texts, bytes and numbers looks like, no other looks like
    terms = (
        credential.token,
        credential.keys,
        credential.algorithms,
        credential.leeway_s,
        credential.check_nbf,
    )
    return hashlib.sha256(ascii(terms).encode()).digest()


def _size(claims: Claims) -> int | None:
    """:returns: bytes of memory, about; None for claims within claims, which are not kept"""
    size = ENTRY_BYTES + sys.getsizeof(claims)
    for name, value in claims.items():
        size += sys.getsizeof(name) + sys.getsizeof(value)
        if isinstance(value, list):
            if not all(isinstance(item, _SCALARS) for item in value):
                return None
            size += sum(map(sys.getsizeof, value))
        elif not isinstance(value, _SCALARS):
            return None
    return size


def _copy(claims: Claims) -> Claims:
    """:returns: claims that share nothing which can change"""
    return {
        name: value.copy() if isinstance(value, list) else value for name, value in claims.items()
    }
