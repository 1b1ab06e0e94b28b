"""QR codes of ``otpauth:`` URLs, by which an authenticator app takes over a secret.

Drawn here: the original has a stranger's service on the net draw them, which then knows the secret.
"""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO, StringIO

import segno

PIXELS = 5
"""Width of one module of the code."""
ERRORS = "m"
"""What may be unreadable of it: 15 per cent."""


def png(text: str) -> bytes:
    """:returns: a picture of the code"""
    out = BytesIO()
    _code(text).save(out, kind="png", scale=PIXELS)
    return out.getvalue()


def data_url(text: str) -> str:
    """:returns: the picture as a URL, as records have it"""
    return f"data:image/png;base64,{b64encode(png(text)).decode('ascii')}"


def drawn(text: str) -> str:
    """:returns: the code as lines for a terminal"""
    out = StringIO()
    _code(text).terminal(out, compact=True)
    return out.getvalue()


def _code(text: str) -> segno.QRCode:
    return segno.make_qr(text, error=ERRORS)
