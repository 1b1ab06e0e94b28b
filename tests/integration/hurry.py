"""A reactor on which time passes faster, for waits that nobody wants to sit through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.rawpeer import the_reactor

HURRY = 10
"""How many times as fast time passes for what hurries."""


class Hurry:
    """The running reactor, but for its clock.

    :param times: how many of its seconds one second has
    """

    def __init__(self, times: float) -> None:
        self._reactor = the_reactor()
        self._times = times
        self._start = self._reactor.seconds()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def seconds(self) -> float:
        """:returns: its time"""
        return self._start + (self._reactor.seconds() - self._start) * self._times

    def callLater(self, delay: float, call: Callable[..., object], *args: Any, **keys: Any) -> Any:
        """Like the reactor's; :param delay: in its own seconds"""
        return self._reactor.callLater(delay / self._times, call, *args, **keys)
