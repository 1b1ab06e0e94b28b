"""Messages that one request leaves for another, and requests that wait for each other."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from twisted.internet.defer import Deferred


class Boards:
    """Values by name, in the order in which they came; each is taken once."""

    def __init__(self) -> None:
        self._values: dict[str, list[Any]] = defaultdict(list)
        self._takers: dict[str, list[Deferred[Any]]] = defaultdict(list)

    def put(self, name: str, value: Any) -> None:
        """Leave a value for whoever asks next, or has asked."""
        takers = self._takers[name]
        if takers:
            takers.pop(0).callback(value)
        else:
            self._values[name].append(value)

    def take(self, name: str) -> Deferred[Any]:
        """:returns: fires with the next value of that name; may be cancelled"""
        waiting: Deferred[Any] = Deferred(self._takers[name].remove)
        if self._values[name]:
            waiting.callback(self._values[name].pop(0))
        else:
            self._takers[name].append(waiting)
        return waiting


class Gathering:
    """Lets nobody go before a number of them have come."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Deferred[int]]] = defaultdict(list)

    def join(self, name: str, count: int) -> Deferred[int]:
        """:returns: fires with the number of those who came, once they are ``count``"""
        waiting = self._waiting[name]
        mine: Deferred[int] = Deferred(waiting.remove)
        waiting.append(mine)
        if len(waiting) == count:
            del self._waiting[name]
            for one in waiting:
                one.callback(count)
        return mine
