"""Who sees that the demo of a topic works: compares what arrives with what was sent."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import NamedTuple

from twisted.internet.defer import Deferred

from relay.errors import RelayError
from relay.vocabulary import Data

PICTURES = 5
"""So many are enough."""


class Seen(NamedTuple):
    """What came, and how long that took.

    :ivar bytes: of the pictures together
    :ivar answer: of the instrument, as text
    """

    pictures: int
    bytes: int
    answer: str
    ms: float


class Witness:
    """Hears pictures and an answer.

    :param pictures: those that were sent, at any time
    :param answers: those that were given, at any time
    """

    def __init__(self, pictures: Collection[bytes], answers: Collection[bytes]) -> None:
        self._pictures = pictures
        self._answers = answers
        self._started = time.perf_counter()
        self._count = self._bytes = 0
        self._answer: bytes | None = None
        self._seen: Deferred[Seen] = Deferred()

    @property
    def answered(self) -> bool:
        """:returns: whether an answer has come"""
        return self._answer is not None

    def seen(self) -> Deferred[Seen]:
        """:returns: fires once enough has come, and fails with RelayError for what nobody sent"""
        return self._seen

    def saw(self, message: Data) -> None:
        """A picture came, perhaps."""
        if self._is_known(message, self._pictures, "pictures", "camera"):
            self._count += 1
            self._bytes += len(message.payload)
            self._look()

    def heard(self, message: Data) -> None:
        """An answer came, perhaps."""
        if self._is_known(message, self._answers, "answers", "instrument"):
            self._answer = message.payload
            self._look()

    def _is_known(self, message: Data, sent: Collection[bytes], what: str, whose: str) -> bool:
        known = message.payload in sent
        if not known and not self._seen.called:
            size = len(message.payload)
            text = f"{size} bytes came through the router, which are none of the {whose}'s {what}"
            self._seen.errback(RelayError(text))
        return known

    def _look(self) -> None:
        if self._count >= PICTURES and self._answer is not None and not self._seen.called:
            ms = round((time.perf_counter() - self._started) * 1000, 1)
            seen = Seen(self._count, self._bytes, self._answer.decode(), ms)
            self._seen.callback(seen)
