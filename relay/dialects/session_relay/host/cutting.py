"""Bytes without boundaries, cut into messages where their sender pauses.

Specification: session-relay.md §9.3. Whoever films sends each frame in one go, and the next one
tens of milliseconds later.
"""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from relay.faces import ISink, ITimer

PAUSE_S = 0.001
"""Silence that ends a message."""

MESSAGE_BYTES = 1_024_000
"""A message is cut here without a pause, and nothing is lost: the original drops the excess."""


@implementer(ISink)
class Cutter:
    """Cuts one sender's bytes.

    :param say: takes each message, of 1 to MESSAGE_BYTES bytes
    :param call_later: calls back after so many seconds
    """

    def __init__(
        self,
        say: Callable[[bytes], None],
        call_later: Callable[[float, Callable[[], None]], ITimer],
    ) -> None:
        self._say = say
        self._call_later = call_later
        self._gathered = bytearray()
        self._timer: ITimer | None = None

    def write(self, data: bytes) -> None:
        """Take what came."""
        self._stop_timer()
        view = memoryview(data)
        while view:
            room = MESSAGE_BYTES - len(self._gathered)
            self._gathered += view[:room]
            view = view[room:]
            if len(self._gathered) == MESSAGE_BYTES:
                self._emit()
        if self._gathered:
            self._timer = self._call_later(PAUSE_S, self._quiet)

    def finish(self) -> None:
        """All has come."""
        self._stop_timer()
        self._emit()

    def lost(self) -> None:
        """The sender is gone; what came before is a message as any other."""
        self.finish()

    def _quiet(self) -> None:
        # bytes may lie in the socket, unread since we were busy: they are read before this comes
        self._timer = self._call_later(0, self._still_quiet)

    def _still_quiet(self) -> None:
        self._timer = None
        self._emit()

    def _emit(self) -> None:
        if self._gathered:
            message = bytes(self._gathered)
            self._gathered.clear()
            self._say(message)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
