"""One epoll for all sockets in the cut-through gear, registered with the reactor as one reader.

What is ready is served in turns: a stream that never pauses gets its share and no more, and the
reactor with its timers and listeners is never kept waiting for long.
"""

from __future__ import annotations

import mmap
import select
import time
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.links.cutthrough.channel import OPAQUE_BYTES
from relay.wire.wsframe import HEADER_BYTES

KiB = 1024
HEADROOM = 2 * HEADER_BYTES
"""Bytes before what is read, for the part of a header that came earlier."""

READ_BYTES = 1024 * KiB
"""The most that is read at once, by the only socket that is ready."""

SHARE_BYTES = 128 * KiB
"""The most that is read at once where several sockets are ready."""

TURN_S = 0.002
"""After so long the reactor has its turn."""

LINGER_S = 0.005
"""Who talks at least so often is waited for by the hub itself. To go through the reactor for each
small message costs more than the message: fifteen microseconds of sixty, seen."""

MAX_READY = 256

WRITE = getattr(select, "EPOLLOUT", 0)
READ = getattr(select, "EPOLLIN", 0)
FAILED = getattr(select, "EPOLLERR", 0)
UNREAD_END = getattr(select, "EPOLLRDHUP", 0) | getattr(select, "EPOLLET", 0)
"""The peer's end, told once, of a socket that is not read."""


class IServed(Protocol):
    """What the hub serves: an end, or whatever else has a descriptor that can be polled."""

    @property
    def fd(self) -> int:
        """:returns: the descriptor"""

    def ready(self, events: int) -> None:
        """The kernel says that something can be done."""

    def lose_now(self, reason: Failure) -> None:
        """It cannot be served any more."""


@implementer(IReadDescriptor)
class Hub:
    """The sockets in the cut-through gear of one reactor.

    :ivar share_bytes: how much may be read at once just now
    :ivar busy: whether somebody was served who is likely to have more soon
    """

    log = Logger()

    def __init__(self, reactor: Any) -> None:  # of several of Twisted's interfaces
        self.reactor = reactor
        self.share_bytes = READ_BYTES
        self.busy = False
        self._epoll: select.epoll | None = None
        # of Twisted's epoll reactor; any other is simply asked each time
        self._poller: select.epoll | None = getattr(reactor, "_poller", None)
        self._lone_at = -LINGER_S
        self._ends: dict[int, IServed] = {}
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

    def add(self, end: IServed) -> None:
        """A socket comes; it waits for nothing yet."""
        if self._epoll is None:
            self._epoll = select.epoll()
            self.reactor.addReader(self)
        self._ends[end.fd] = end

    def forget(self, end: IServed) -> None:
        """A socket goes; it waits for nothing any more."""
        self._ends.pop(end.fd, None)
        if not self._ends and self._epoll is not None:
            self.reactor.removeReader(self)
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
        began = time.monotonic()
        lively = began - self._lone_at < LINGER_S
        until = began + TURN_S
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
            now = time.monotonic()
            if len(ready) == 1 and not self.busy:
                # a lone small message has no company yet
                self._lone_at = now
                if not lively or not self._has_more_soon():
                    return
                until = now + TURN_S
            elif now > until:
                return

    def _has_more_soon(self) -> bool:
        """Wait in the reactor's place, as long as it has nothing else to do.

        :returns: whether one of our sockets is ready, and nothing else is
        """
        poller, reactor = self._poller, self.reactor
        if poller is None or self._epoll is None or not reactor.running:
            return False
        due_s = reactor.timeout()
        wait_s = LINGER_S if due_s is None else min(due_s, LINGER_S)
        if wait_s <= 0:
            return False
        # asked for two: whatever else is ready stays so, and the reactor finds it
        ready = poller.poll(wait_s, 2)
        return len(ready) == 1 and ready[0][0] == self._epoll.fileno()

    def _serve(self, end: IServed, events: int) -> None:
        try:
            end.ready(events)
        except Exception:
            self.log.failure("a socket could not be served")
            self._lose(end)

    def _lose(self, end: IServed) -> None:
        try:
            end.lose_now(Failure(ConnectionAborted()))
        except Exception:
            self.log.failure("nor could its loss be told")

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops: every socket is lost."""
        for end in tuple(self._ends.values()):
            end.lose_now(reason)
