"""How long a daemon waits before it tries again.

Nothing answers: 0.25 s doubling to 1 s with full jitter, so that a tunnel works within a second of
the router's return. An answer refuses: 1 s doubling to 30 s, each +-25 %, ``Retry-After`` obeyed;
a dialect may ask for shorter pauses.
Replaced by another host: 1 s doubling to 5 min, until a registration lasts. After a link that stood
and was lost: within 0.25 s, spread, since a router that dies loses a whole fleet at one moment.
"""

from __future__ import annotations

from collections.abc import Callable

UNREACHABLE_S = (0.25, 1.0)
REFUSED_S = (1.0, 30.0)
REPLACED_S = (1.0, 300.0)
JITTER = 0.25
MAX_RETRY_AFTER_S = 300.0
BRIEF_S = 1.0
"""A link that stood for less did not stand."""


class Patience:
    """Remembers failures and names the next wait.

    :param random: uniform in [0, 1)
    :param longest_s: the longest wait after a refusal, before it is spread
    """

    def __init__(self, random: Callable[[], float], longest_s: float = REFUSED_S[1]) -> None:
        self._random = random
        self._longest_s = longest_s
        self._unreachable_s = 0.0
        self._refused_s = 0.0
        self._replaced_s = 0.0

    def unreachable(self) -> float:
        """:returns: the wait after an attempt that nothing answered."""
        low, high = UNREACHABLE_S
        self._unreachable_s = min(high, self._unreachable_s * 2 or low)
        return self._random() * self._unreachable_s

    def refused(self, retry_after_s: float | None = None) -> float:
        """:returns: the wait after an answer that refused."""
        low, high = REFUSED_S[0], self._longest_s
        self._refused_s = min(high, self._refused_s * 2 or low)
        wait_s = max(self._refused_s, min(retry_after_s or 0.0, MAX_RETRY_AFTER_S))
        return self._jittered(wait_s, at_least=retry_after_s)

    def replaced(self, lasted_s: float) -> float:
        """:returns: the wait after another host took the name.

        :param lasted_s: how long our registration stood
        """
        low, high = REPLACED_S
        if lasted_s > 2 * self._replaced_s:
            self._replaced_s = 0.0
        self._replaced_s = min(high, self._replaced_s * 2 or low)
        return self._jittered(self._replaced_s)

    def stood(self) -> None:
        """An attempt succeeded: failures are forgotten, replacements are not."""
        self._unreachable_s = self._refused_s = 0.0

    def ended(self, lasted_s: float) -> float:
        """:returns: the wait after a link has ended without a hand-over.

        :param lasted_s: how long it stood; one that ends at once is a failure like another
        """
        if lasted_s >= BRIEF_S:
            self.stood()
        return self.unreachable()

    def _jittered(self, wait_s: float, at_least: float | None = None) -> float:
        jittered = wait_s * (1 - JITTER + 2 * JITTER * self._random())
        return max(jittered, min(at_least or 0.0, MAX_RETRY_AFTER_S))


REMEMBERED_TEXTS = 16


class Repetition:
    """Thins out messages that repeat: each is said the first, second, fourth, eighth ... time.

    Of more than :data:`REMEMBERED_TEXTS` the one that was not heard for longest is forgotten.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def says(self, text: str) -> bool:
        """:returns: whether this time it is to be logged."""
        count = self._counts.pop(text, 0) + 1
        self._counts[text] = count
        if len(self._counts) > REMEMBERED_TEXTS:
            del self._counts[next(iter(self._counts))]
        return count & (count - 1) == 0

    def forget(self) -> None:
        """Things went well: the next failure is news."""
        self._counts.clear()
