"""Closing a socket without losing its tail.

A kernel answers bytes that arrive after a close with a reset, and a reset destroys what the peer
has not read yet. So a socket is closed in steps: flush, tell the peer that no more comes, read and
drop what it still says, and let go when it has taken everything, or has taken nothing for too long.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from relay.links.sockets import unsent_bytes

CHECK_S = 0.25
CLOSE_REPLY_S = 1.0
"""How long a peer may take to answer our Close, once it has taken all that was sent before."""

STALL_S = 60.0
"""A peer that takes nothing of the tail for so long has lost it."""


class Linger:
    """Watches one closing socket.

    :param reply_s: how long the peer may stay silent once it has taken everything
    :param release: lets go of the socket in order
    :param abort: lets go of it at once
    :param stall_s: how long the peer may take nothing of the tail
    """

    __slots__ = (
        "_abort",
        "_clock",
        "_left",
        "_release",
        "_reply_s",
        "_stall_s",
        "_stalled_s",
        "_timer",
        "_transport",
    )

    def __init__(
        self,
        transport: object,
        clock: IReactorTime,
        reply_s: float,
        release: Callable[[], None],
        abort: Callable[[], None],
        stall_s: float = STALL_S,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._reply_s = reply_s
        self._stall_s = stall_s
        self._release = release
        self._abort = abort
        self._left = unsent_bytes(transport)
        self._stalled_s = 0.0
        self._timer: IDelayedCall | None = clock.callLater(CHECK_S, self._check)

    def stop(self) -> None:
        """The socket is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        self._timer = None
        left = unsent_bytes(self._transport)
        self._stalled_s = self._stalled_s + CHECK_S if left == self._left else 0.0
        self._left = left
        if left and self._stalled_s >= self._stall_s:
            self._abort()
        elif not left and self._stalled_s >= self._reply_s:
            self._release()
        else:
            self._timer = self._clock.callLater(CHECK_S, self._check)


def linger_for(
    goodbye_s: float | None,
    transport: object,
    clock: IReactorTime,
    release: Callable[[], None],
    abort: Callable[[], None],
) -> Linger:
    """Wait for a peer that our Close is for.

    :param goodbye_s: how long it may take nothing, and then be silent; None: as usual
    """
    if goodbye_s is None:
        return Linger(transport, clock, CLOSE_REPLY_S, release, abort)
    return Linger(transport, clock, goodbye_s, release, abort, goodbye_s)
