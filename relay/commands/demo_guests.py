"""Members of topics that live in the process of a demo."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure

from relay.commands.attendance import Attendee
from relay.commands.demo_stage import Stage
from relay.commands.session_options import way_settings
from relay.core.surroundings import Surroundings
from relay.links.cutthrough import Hub
from relay.links.outward import Outward
from relay.settings import SecretFile
from relay.settings.model import Limits
from relay.vocabulary import Data

NO_WAY = argparse.Namespace(ca_file=None, proxy=None, tls_name=None)
"""Nothing is between those who share a process."""


class Guests:
    """All of them.

    :param stage: on which they are; fails when one of them cannot go on
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        stage.at_end(self.end)
        self._around = Surroundings.of_process(stage.reactor, Limits())
        self._hub = Hub(stage.reactor)
        self._outwards: list[Outward] = []
        self._attendees: list[Attendee] = []

    def invite(
        self, name: str, url: str, token_file: str | None, heard: Callable[[Data], None]
    ) -> Attendee:
        """Let one more take part.

        :param url: where a session is asked for; without a token the WebSocket that is dialled
        :param heard: takes each whole message
        """
        schemes = ("http",) if token_file else ("ws",)
        source = SecretFile(Path(token_file)) if token_file else None
        settings = way_settings(name, url, schemes, source, NO_WAY, {}, self._stage.folder)
        outward = Outward(settings, self._stage.reactor, self._around, self._hub, lambda: None)
        attendee = Attendee(
            outward, url, heard, self._failed, name=name, with_token=token_file is not None
        )
        self._outwards.append(outward)
        self._attendees.append(attendee)
        attendee.start()
        return attendee

    def end(self) -> Deferred[None]:
        """Let all of them go, and wait for nobody."""
        for attendee in self._attendees:
            attendee.leave()
        stops = [Deferred.fromCoroutine(outward.stop(0)) for outward in self._outwards]
        for outward in self._outwards:
            outward.hurry()
        gone: Deferred[None] = DeferredList(stops).addCallback(lambda _: self._around.wheel.stop())
        return gone

    def _failed(self, error: Exception) -> None:
        self._stage.fail(Failure(error))
