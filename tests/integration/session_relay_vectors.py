"""The tokens of session-relay.md §17, written as their claims."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping

SECRET = "vector-secret-not-for-production-0001"
AUDIENCE = "https://relay.example.test/access"
TARGET = "wss://relay.example.test/ws"
OTHER_AUDIENCE = "https://other.example.test/access"
TOPIC = "rig07-st-data"
THEN, LATE, EARLY = 1_700_000_000, 4_102_444_800, 1_700_003_600
"""When the vectors were made, when they end, and when V6 has ended."""

KEY = "AAECAwQFBgcICQoLDA0ODw=="
ACCEPT = "Bz3qJYTGdOe8gUSpLosEdiLKDrk="
DIGESTS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


def claims(**changes: object) -> dict[str, object]:
    """:returns: those of V2 in the order of §2, changed as told; ``...`` removes a claim"""
    made: dict[str, object] = {
        "booking_id": "bk-42",
        "topic": TOPIC,
        "prefix": "session",
        "scopes": ["read"],
        "aud": [AUDIENCE],
        "exp": LATE,
        "nbf": THEN,
        "iat": THEN,
        **changes,
    }
    return {name: value for name, value in made.items() if value is not ...}


def sign(payload: Mapping[str, object], secret: str = SECRET, algorithm: str = "HS256") -> str:
    """:returns: a token of any content, signed as its header says; ``none``: not signed"""
    parts = ({"alg": algorithm, "typ": "JWT"}, dict(payload))
    signed = b".".join(
        base64.urlsafe_b64encode(json.dumps(part, separators=(",", ":")).encode()).rstrip(b"=")
        for part in parts
    )
    if algorithm not in DIGESTS:
        return signed.decode() + "."
    digest = hmac.digest(secret.encode(), signed, DIGESTS[algorithm])
    return (signed + b"." + base64.urlsafe_b64encode(digest).rstrip(b"=")).decode()


V1_CLAIMS = claims(booking_id="rig07-host", scopes=["write", "read"])
V1 = sign(V1_CLAIMS)
V2 = sign(claims())
V3 = sign(claims(booking_id="status-probe", topic="stats"))
V4 = sign(claims(booking_id="", topic="", prefix="", scopes=["relay:admin"]))
V5 = sign(claims(booking_id="", topic="", prefix="", scopes=["relay:stats"]))
V6 = sign(claims(exp=EARLY))
V7 = sign(claims(aud=[OTHER_AUDIENCE]))
V8 = sign(claims(booking_id="", scopes=["read", "write"]))
V9 = sign(claims(booking_id=..., scopes="read", aud=AUDIENCE))
V10 = sign(claims(), algorithm="HS512")
SIGNATURES = {
    V1: "8oXXVletMwsUDNIB6WUASw5i8xo_oDTGMwIoTIHB0zE",
    V2: "Z4EpJCuQLrZSKxljuhMiE7tPZFhpiALgcZzhdhlNf1c",
    V3: "3XoBsEPRgM5uU2GjbnvfwTNuadZsH8y1xGiki4S9R0s",
    V4: "mpNDclUL2KjuI0-sjgVW5yNFFx3Fw2J0shxdOxLlZgk",
    V5: "eEzrNQQ-cWXPBVDj2mP9uU78WZTQOmQQ-E1PLpAuU_Q",
    V6: "2tXCG5dWFj_Bln9tsQGMtkfGyEj4W3nBJnX7COvMZGU",
    V7: "num9YGDhpzheY3o45udhSd7_-NEr23TNZKK9KpF1VAc",
    V8: "pREYCsifHvj0QCZ4sEqhkK34Q2cUg_ahTWQ34EP6Rvk",
    V9: "m7GhaB6inxxy5bj7fZ9UBEXGQmSpLhoLL0rwYJvFBQA",
    V10: "4TLcHU8aRbbVCClrHugObvZXISCRol8wAJEPFT3O-GsOlk-5hmR0r9b0zlxkcVAoGx3Z76vN4dQLy0fuegabMw",
}
"""How they end, which no token with another claim, order or blank does."""
