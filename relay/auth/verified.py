"""Remembers which tokens were found genuine, so that only their times are judged again."""

from __future__ import annotations

import hashlib
import json

from relay.auth.tokens import check_times, genuine_claims
from relay.auth.verification import Codes, verify
from relay.errors import AuthError
from relay.vocabulary import Claims, Credential, Jwt

TOKENS_KEPT = 8192
TOKENS_KEPT_BYTES = 8 * 1024 * 1024
DIGEST_BYTES = 16
ENTRY_BYTES = 192
"""What an entry costs beside its claims: the digest, and its place in the table."""


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
        # as JSON: half as large as what it stands for, and read as quickly as that is copied
        self._kept: dict[bytes, bytes] = {}
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
        known: dict[str, object] = json.loads(kept)
        try:
            check_times(known, credential, now)
        except AuthError:
            self._drop(digest)
            raise
        # what was used last stands last: of a dict the first goes first
        self._kept[digest] = self._kept.pop(digest)
        return known

    def clear(self) -> None:
        """Forget all: every token is verified anew."""
        self._kept.clear()
        self.bytes_kept = 0

    def _keep(self, digest: bytes, claims: Claims) -> None:
        kept = json.dumps(claims, ensure_ascii=False, separators=(",", ":")).encode()
        if _size(kept) > self._size_bytes:
            return
        self._kept[digest] = kept
        self.bytes_kept += _size(kept)
        while len(self._kept) > self._entries or self.bytes_kept > self._size_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, digest: bytes) -> None:
        self.bytes_kept -= _size(self._kept.pop(digest))


def _digest(credential: Jwt) -> bytes:
    """:returns: what tells a token, and the terms on which it is taken, from all others"""
    # what a tuple of texts, bytes and numbers looks like, no other looks like
    terms = (
        credential.token,
        credential.keys,
        credential.algorithms,
        credential.leeway_s,
        credential.check_nbf,
        credential.check_iat,
    )
    return hashlib.sha256(ascii(terms).encode()).digest()[:DIGEST_BYTES]


def _size(kept: bytes) -> int:
    """:returns: bytes of memory, about"""
    return ENTRY_BYTES + len(kept)
