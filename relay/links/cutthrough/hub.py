"""One epoll for all sockets in the cut-through gear, registered with the reactor as one reader.

What is ready is served in turns: a stream that never pauses gets its share and no more, and the
reactor with its timers and listeners is never kept waiting for long.
"""

from __future__ import annotations

import mmap
import select
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IReactorFDSet, IReactorTime, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.links.cutthrough.channel import OPAQUE_BYTES
from relay.wire.wsframe import HEADER_BYTES

if TYPE_CHECKING:
    from relay.links.cutthrough.end import End

KiB = 1024
HEADROOM = 2 * HEADER_BYTES
"""Bytes before what is read, for the part of a header that came earlier."""

READ_BYTES = 1024 * KiB
"""The most that is read at once, by the only socket that is ready."""

SHARE_BYTES = 128 * KiB
"""The most that is read at once where several sockets are ready."""

TURN_S = 0.002
"""After so long the reactor has its turn."""

MAX_READY = 256

WRITE = getattr(select, "EPOLLOUT", 0)
READ = getattr(select, "EPOLLIN", 0)


@implementer(IReadDescriptor)
class Hub:
    """The sockets in the cut-through gear of one reactor.

    :ivar share_bytes: how much may be read at once just now
    :ivar busy: whether somebody was served who is likely to have more soon
    """

    log = Logger()

    def __init__(self, reactor: IReactorTime) -> None:
        self.reactor = reactor
        self.share_bytes = READ_BYTES
        self.busy = False
        self._epoll: select.epoll | None = None
        self._ends: dict[int, End] = {}
        self._view: memoryview | None = None

    def is_available(self) -> bool:
        """:returns: whether this system and this reactor can do it."""
        return hasattr(select, "epoll") and IReactorFDSet.providedBy(self.reactor)

    @property
    def view(self) -> memoryview:
        """:returns: the one buffer that all reads go to; only valid until the next read."""
        if self._view is None:
            # of the kernel's own pages, which cost nothing until they are written to
            self._view = memoryview(mmap.mmap(-1, HEADROOM + READ_BYTES + OPAQUE_BYTES))
        return self._view

    # -- the ends' side --------------------------------------------------------------------------

    def add(self, end: End) -> None:
        """A socket comes; it waits for nothing yet."""
        if self._epoll is None:
            self._epoll = select.epoll()
            self.reactor.addReader(self)  # type: ignore[attr-defined]  # see is_available
        self._ends[end.fd] = end

    def forget(self, end: End) -> None:
        """A socket goes; it waits for nothing any more."""
        self._ends.pop(end.fd, None)
        if not self._ends and self._epoll is not None:
            self.reactor.removeReader(self)  # type: ignore[attr-defined]  # see is_available
            self._epoll.close()
            self._epoll = None

    def watch(self, fd: int, before: int, after: int) -> None:
        """Change what a socket waits for; a socket that waits for nothing is not looked at.

        Otherwise the kernel would report an end that nobody wants to hear of, for ever.
        """
        epoll = self._epoll
        if epoll is None:
            return
        if not before:
            epoll.register(fd, after)
        elif after:
            epoll.modify(fd, after)
        else:
            epoll.unregister(fd)

    def soon(self, call: Callable[[], None]) -> None:
        """Call in a turn of its own."""
        self.reactor.callLater(0, call)

    # -- the reactor's side ----------------------------------------------------------------------

    def fileno(self) -> int:
        """:returns: the epoll's descriptor."""
        return -1 if self._epoll is None else self._epoll.fileno()

    def logPrefix(self) -> str:
        """:returns: a name for the reactor."""
        return "hub"

    def doRead(self) -> None:
        """Serve what is ready, for one turn."""
        until = time.monotonic() + TURN_S
        while self._epoll is not None:
            ready = self._epoll.poll(0, MAX_READY)
            if not ready:
                return
            alone = len(ready) == 1 or sum([events & READ for _, events in ready]) <= READ
            self.share_bytes = READ_BYTES if alone else SHARE_BYTES
            self.busy = False
            for fd, events in ready:
                end = self._ends.get(fd)
                if end is not None:
                    self._serve(end, events)
            # a lone small message has no company yet: the reactor calls again when it has
            if (len(ready) == 1 and not self.busy) or time.monotonic() > until:
                return

    def _serve(self, end: End, events: int) -> None:
        try:
            end.ready(events)
        except Exception:
            self.log.failure("a socket could not be served")
            self._lose(end)

    def _lose(self, end: End) -> None:
        try:
            end.lose_now(Failure(ConnectionAborted()))
        except Exception:
            self.log.failure("nor could its loss be told")

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops: every socket is lost."""
        for end in tuple(self._ends.values()):
            end.lose_now(reason)
