"""Refusals in the log, of which those that come again and again are not all written.

Failed logins are, since others count them there.
"""

from __future__ import annotations

from twisted.logger import Logger

from relay.errors import AuthError, RelayError
from relay.vocabulary import Reason

WINDOW_S = 60.0
TOLD = 500
"""Refusals of one kind, of one address, that are told in a window; then one line more says so."""
KINDS = 10_000
"""Kinds of which the window is known; beyond that the one whose window began first is forgotten."""


class Repeats:
    """Counts refusals by address, dialect and reason."""

    __slots__ = ("_windows",)

    def __init__(self) -> None:
        # kind -> (when its window began, refusals since), the oldest first
        self._windows: dict[tuple[str, str, Reason], tuple[float, int]] = {}

    def __len__(self) -> int:
        return len(self._windows)

    def count(self, peer: str, dialect: str, reason: Reason, now: float) -> int:
        """Count one more.

        :param now: seconds of any clock, the same at each call
        :returns: how many of its kind came before it in this window
        """
        kind = peer, dialect, reason
        began, before = self._windows.get(kind, (now, 0))
        if not 0 <= now - began < WINDOW_S:
            del self._windows[kind]
            began, before = now, 0
        self._windows[kind] = began, before + 1
        if len(self._windows) > KINDS:
            del self._windows[next(iter(self._windows))]
        return before


class Refusals:
    """Writes refusals into the log."""

    log = Logger()

    def __init__(self) -> None:
        self._repeats = Repeats()

    def tell(self, dialect: str, peer: str, where: str, error: RelayError, now: float) -> None:
        """Log one, unless there are too many of its kind.

        :param where: the path that was asked for, or the link
        :param now: as for :meth:`Repeats.count`
        """
        is_login = isinstance(error, AuthError)
        before = 0 if is_login else self._repeats.count(peer, dialect, error.reason, now)
        if before < TOLD:
            self.log.info(
                "{kind} from {peer}: {dialect} {path}: {reason}: {text}",
                event="login-failed" if is_login else "refused",
                kind="login failed" if is_login else "refused",
                peer=peer,
                dialect=dialect,
                path=where[:200],
                reason=error.reason.value,
                text=error.text,
            )
        elif before == TOLD:
            self.log.info(
                "refused from {peer}: {dialect}: {reason}: more than {count} times within "
                "{seconds:g} s; what follows in these is not told",
                event="refused-often",
                peer=peer,
                dialect=dialect,
                reason=error.reason.value,
                count=TOLD,
                seconds=WINDOW_S,
            )
