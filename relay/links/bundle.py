"""Several links that one errand keeps as if they were one."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from relay.errors import RelayError
from relay.interfaces import IStream
from relay.outside import IBundle
from relay.vocabulary import Call, Ending, Event, Reason


@implementer(IBundle)
class Bundle:
    """What a :class:`relay.links.keeper.Keeper` holds while its errand's links stand.

    :param end: ends them
    """

    def __init__(self, end: Callable[[Reason], None]) -> None:
        self._end = end
        self._ending: Ending | None = None
        self._watchers: list[Deferred[Ending]] = []

    def stream(self) -> IStream:
        """:raises RelayError: always: each link has its own"""
        raise RelayError("several links have no one stream")

    def answer(self, call: Call) -> IStream:
        """:raises RelayError: always: each link is called itself"""
        raise RelayError("several links take no one call")

    def perform(self, event: Event) -> None:
        """:raises RelayError: always: each link has a peer of its own"""
        raise RelayError("several links have no one peer")

    def close(self, reason: Reason) -> None:
        """End the links in order."""
        if self._ending is None:
            self._end(reason)
            self.over(Ending(reason))

    def over(self, ending: Ending) -> None:
        """It stands no more."""
        if self._ending is not None:
            return
        self._ending = ending
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher.callback(ending)

    def when_closed(self) -> Deferred[Ending]:
        """:returns: fires with how it ended, when it is over"""
        if self._ending is not None:
            return succeed(self._ending)
        waiting: Deferred[Ending] = Deferred()
        self._watchers.append(waiting)
        return waiting
