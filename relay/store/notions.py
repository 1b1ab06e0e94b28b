"""What the stores share: limits, and how a text is told from what is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

KEY_BYTES = 1024
"""The longest key that is read or written."""
TEXT_BYTES = 1024 * 1024
"""The longest text that is read or written; a record has some thousand bytes."""
KEYS = 100_000
"""How many keys may be listed; a store may have others' besides, that are not wanted."""
ANSWER_S = 5.0
"""How long a store may take to connect, to let us in, and to answer, each."""


Wanted = Callable[[str], bool]
"""Says of a key whether its text is wanted."""


class Store(Protocol):
    """What a store can do besides :class:`relay.faces.IRecords`: it is one, too."""

    async def get(self, key: str) -> str | None:
        """:returns: the text; None: there is none"""

    async def put(self, key: str, text: str) -> None:
        """Keep a text."""

    async def put_all(self, texts: Mapping[str, str]) -> None:
        """Keep several, all of them or, where it fails, none."""

    async def delete(self, key: str) -> bool:
        """:returns: whether there was one"""

    async def all(self, wanted: Wanted | None = None) -> Mapping[str, str]:
        """:returns: every text by its key, or of the keys that are wanted; in order"""

    async def close(self) -> None:
        """Let go of the store."""


def as_text(octets: bytes) -> str:
    """:returns: the text; what is no UTF-8 becomes one that is no record, and can be shown"""
    return octets.decode("utf-8", "replace")


def can_be_key(key: str) -> bool:
    """:returns: whether a store can have that key"""
    try:
        return 0 < len(key.encode()) <= KEY_BYTES and "\x00" not in key
    except UnicodeEncodeError:
        return False
