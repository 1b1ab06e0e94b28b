"""Messages that are handed on in larger parts than they come in."""

from __future__ import annotations

from relay.links.websocket.engine import PART_BYTES
from relay.vocabulary import Message


class Gathering:
    """The parts of one message: a text, or what is wanted whole.

    :param text: whether it is a text
    :param whole: whether it may be handed on in parts at all
    """

    __slots__ = ("_bytes", "_parts", "_text", "_whole")

    def __init__(self, text: bool, whole: bool) -> None:
        self._text = text
        self._whole = whole
        self._parts: list[bytes] = []
        self._bytes = 0

    def add(self, payload: bytes, final: bool) -> Message | None:
        """:returns: what is to be handed on now"""
        self._parts.append(payload)
        self._bytes += len(payload)
        if not final and (self._whole or self._bytes <= PART_BYTES):
            return None
        parts, self._parts, self._bytes = self._parts, [], 0
        return Message(b"".join(parts), self._text, final)
