"""Messages that come in parts, put together within bounds."""

from __future__ import annotations

from relay.dialects.network_relay.messages import MESSAGE_BYTES
from relay.errors import TooLarge
from relay.vocabulary import Message

STRANGER_BYTES = 64 * 1024
"""Longest message before a secret was accepted; names, secrets and errors take far less."""


class Assembly:
    """Collects the parts of one message after the other.

    :ivar most_bytes: longest message
    """

    __slots__ = ("_bytes", "_parts", "most_bytes")

    def __init__(self, most_bytes: int = MESSAGE_BYTES) -> None:
        self.most_bytes = most_bytes
        self._parts: list[bytes] = []
        self._bytes = 0

    def add(self, message: Message) -> bytes | None:
        """:returns: the message when it is whole

        :raises TooLarge: when it is longer than it may be
        """
        self._bytes += len(message.payload)
        if self._bytes > self.most_bytes:
            raise TooLarge(f"a message over {self.most_bytes} bytes")
        if message.final and not self._parts:
            self._bytes = 0
            return message.payload
        self._parts.append(message.payload)
        if not message.final:
            return None
        parts, self._parts, self._bytes = self._parts, [], 0
        return b"".join(parts)
