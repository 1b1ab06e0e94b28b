"""From a daemon's start to its end: what the services of router, host and client share."""

from __future__ import annotations

import platform
from pathlib import Path

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from typing_extensions import override

from relay import __version__


class MainService(Service):
    """A daemon's own service.

    It says when it is ready and when it is over; how it starts, stops and reloads is its own.
    """

    log = Logger()

    def __init__(self) -> None:
        self._is_ready = False
        self._ready: list[Deferred[None]] = []
        self._over: Deferred[int] = Deferred()

    @override
    def stopService(self) -> Deferred[None]:
        """Let circuits end, then end what is left."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def when_ready(self) -> Deferred[None]:
        """:returns: fires when all that was configured listens."""
        if self._is_ready:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._ready.append(waiting)
        return waiting

    def when_over(self) -> Deferred[int]:
        """:returns: fires with an exit status when there is nothing left to do."""
        return self._over

    def hurry(self) -> None:
        """Stop waiting for circuits to end."""
        raise NotImplementedError

    def reload(self) -> None:
        """Read settings and secrets anew; circuits stay.

        :raises ConfigurationError: when something is invalid; then all stays as it was
        """
        raise NotImplementedError

    async def _stop(self) -> None:
        raise NotImplementedError

    def _say_what_runs(self, program: str, config_file: Path | None, without: str) -> None:
        """:param without: what there is where there is no file"""
        self.log.info(
            "{program} {version} on Python {python}",
            program=program,
            version=__version__,
            python=platform.python_version(),
        )
        self.log.info("configuration: {file}", file=config_file or f"none, {without} only")

    def _now_ready(self) -> None:
        self._is_ready = True
        ready, self._ready = self._ready, []
        for waiting in ready:
            waiting.callback(None)

    def _now_over(self, status: int) -> None:
        """:param status: with which the process is to exit"""
        if not self._over.called:
            self._over.callback(status)
