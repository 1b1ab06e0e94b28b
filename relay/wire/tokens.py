"""A look into a compact JSON Web Token (RFC 7519) without judging it."""

from __future__ import annotations

import base64
import json

PEEK_BYTES = 16 * 1024


def peek_claims(token: str) -> dict[str, object]:
    """Read the claims of our own token, to say what it is for.

    :returns: empty for anything that is not a token
    """
    parts = token.split(".")
    if len(parts) != 3 or len(token) > PEEK_BYTES:
        return {}
    try:
        payload = parts[1] + "=" * (-len(parts[1]) % 4)
        claims: object = json.loads(base64.urlsafe_b64decode(payload))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
