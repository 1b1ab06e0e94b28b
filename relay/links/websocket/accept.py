"""The answer to a handshake's key (RFC 6455, section 4.2.2)."""

from __future__ import annotations

import base64
import hashlib

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What a server shows that it has understood the key with (RFC 6455, section 1.3)."""


def accept_key(key: bytes) -> str:
    """:returns: the ``Sec-WebSocket-Accept`` for a ``Sec-WebSocket-Key``"""
    return base64.b64encode(hashlib.sha1(key + MAGIC).digest()).decode("ascii")
