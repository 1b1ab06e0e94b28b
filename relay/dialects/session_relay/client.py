"""Our session-relay client: every local connection becomes a member of the topic.

Specification: session-relay.md §8. What a local TCP connection sends leaves as binary messages, and
the payload of all messages that come reaches it as bytes; a local WebSocket keeps messages and
their kind.
"""

from __future__ import annotations

from typing import cast

from relay.dialects.session_relay.entry import open_session, shown_url
from relay.dialects.session_relay.keys import SESSION_KEY
from relay.dialects.session_relay.topic_link import TopicLink
from relay.errors import RelayError
from relay.interfaces import IStream
from relay.outside import IOutward, ITunnelSession, call_again
from relay.settings.model import TunnelSettings


async def run_client(settings: TunnelSettings, outward: IOutward) -> None:
    """Accept local connections until cancelled."""
    client = _Client(settings, outward)
    for door in settings.doors:
        address = await outward.listen(door.endpoint, client.accepted)
        outward.report(f"{address} leads to {client.what}")
    await outward.serve()


class _Client:
    def __init__(self, settings: TunnelSettings, outward: IOutward) -> None:
        self._outward = outward
        self._with_token = settings.token is not None
        self._session = cast(str, settings.values[SESSION_KEY])
        self.what = shown_url(self._session)

    def accepted(self, local: IStream) -> None:
        """A local connection was accepted."""
        self._outward.spawn(self._serve(local))

    async def _serve(self, local: IStream) -> None:
        try:
            session = await call_again(self._outward, local, self._open)
            remote = session.stream()
        except RelayError as error:
            # the next connection may fare better: its token is read afresh
            self._outward.fault(f"session at {self.what}", error)
            local.reset(error.reason, None)
            return
        await self._outward.join(local, remote, self.what)

    async def _open(self) -> ITunnelSession:
        token = await self._outward.token() if self._with_token else ""
        return await open_session(self._outward, self._session, token, TopicLink)
