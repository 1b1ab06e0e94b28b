"""Our host: local feeds and streams on one side, topics of routers on the other.

Specification: session-relay.md §9. Rules come over the local HTTP API and as commands, and live as
long as the process; one may stand in the settings.
"""

from __future__ import annotations

import tempfile
from typing import cast

from relay.dialects.session_relay.entry import shown_url
from relay.dialects.session_relay.host.commands import API_FEED, Commands
from relay.dialects.session_relay.host.destinations import Destinations
from relay.dialects.session_relay.host.local_api import LocalFace
from relay.dialects.session_relay.host.rules import (
    EVERYTHING,
    DestinationRule,
    StreamRule,
    feed_topic,
)
from relay.dialects.session_relay.host.streams import Streams
from relay.dialects.session_relay.host.visitors import Visitors
from relay.dialects.session_relay.keys import (
    API_KEY,
    FEEDS_KEY,
    FILES_KEY,
    LISTEN_KEY,
    ORIGINS_KEY,
    SESSION_KEY,
    STREAM_KEY,
    STREAM_PREFIX,
)
from relay.outside import ILocalRouter, IOutward
from relay.settings.model import TunnelSettings
from relay.vocabulary import Data


async def run_host(settings: TunnelSettings, outward: IOutward) -> None:
    """Serve the local API, and keep the links of all rules up, until cancelled.

    :raises CannotListen: when the API cannot be served
    """
    host = _Host(settings, outward)
    await host.listen()
    try:
        host.begin()
        await outward.serve()
    finally:
        host.end()


class _Host:
    def __init__(self, settings: TunnelSettings, outward: IOutward) -> None:
        self._settings = settings
        self._outward = outward
        face = LocalFace(Visitors(self._listed(ORIGINS_KEY)))
        self._local: ILocalRouter = outward.local_router(face)
        files = str(settings.values.get(FILES_KEY) or tempfile.gettempdir())
        self._destinations = Destinations(outward, self._local, files)
        self._streams = Streams(self._local)
        face.serve(self._destinations, self._streams)
        api = self._text(API_KEY)
        self._commands = Commands(self._destinations, self._streams, api)
        self._admin = self._local.reside(feed_topic(API_FEED), self._commanded)

    async def listen(self) -> None:
        """Serve the API, and say how it is used."""
        address = await self._local.listen(self._text(LISTEN_KEY))
        for line in _examples(_url(address)):
            self._outward.report(line)

    def begin(self) -> None:
        """Follow the rules that the settings have."""
        self._commands.begin()
        session = self._text(SESSION_KEY)
        if not session:
            return
        name = self._text(STREAM_KEY)
        feeds = self._listed(FEEDS_KEY)
        if feeds:
            self._streams.add(StreamRule(name, feeds))
        rule = DestinationRule(self._settings.name, name, session)
        self._destinations.add(rule, self._outward.token if self._settings.token else None)
        what = f"{', '.join(feeds)} as {name}" if feeds else name
        way = "to" if name.startswith(STREAM_PREFIX) else "to and from"
        self._outward.report(f"{what} goes {way} {shown_url(session)}")

    def end(self) -> None:
        """End the links of all rules, and let go of their files."""
        self._destinations.delete(EVERYTHING)

    def _commanded(self, message: Data) -> None:
        answer = self._commands.answer(message.payload)
        if answer is not None:
            self._admin.say(answer, True)

    def _text(self, key: str) -> str:
        return cast("str | None", self._settings.values.get(key)) or ""

    def _listed(self, key: str) -> tuple[str, ...]:
        return cast("tuple[str, ...] | None", self._settings.values.get(key)) or ()


def _url(address: str) -> str:
    """:param address: ``HOST:PORT``, as the listener says"""
    host, _, port = address.rpartition(":")
    reachable = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "::": "[::1]", "": "127.0.0.1"}
    return f"http://{reachable.get(host, host)}:{port}"


def _examples(url: str) -> tuple[str, ...]:
    """:returns: what to type, one line each"""
    return (
        f"feeds are at {url}; send bytes to one with: "
        f"ffmpeg -re -i INPUT -f mpegts -codec:v mpeg1video {url}/ts/video",
        f"speak and listen on one at {url.replace('http', 'ws', 1)}/ws/data",
        "make a stream of feeds with: "
        f"""curl -d '{{"stream":"stream/front","feeds":["video"]}}' {url}/api/streams""",
        "send it on with: "
        """curl -d '{"id":"1","stream":"stream/front","destination":"SESSION-URL","""
        f""""token":"TOKEN"}}' {url}/api/destinations   """
        "(a TOKEN comes from: relay token session-relay)",
    )
