"""Our network-relay client: every local connection becomes one tunnel.

Specification: network-relay.md §6 and §13.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import cast

from relay.dialects.network_relay.access import CallingLink
from relay.dialects.network_relay.keys import AGENT_KEY, TARGET_KEY
from relay.dialects.network_relay.paths import AGREEMENT, CLIENTS, is_agreed
from relay.dialects.network_relay.targets import Target
from relay.errors import RelayError
from relay.interfaces import IConversation, IStream
from relay.outside import IOutward, ITunnelSession, call_again
from relay.settings.model import TunnelSettings
from relay.settings.secrets import read_secret

ANSWER_TIMEOUT_S = 60.0
"""An agent may try an address that does not answer; a router gives up sooner."""


async def run_client(settings: TunnelSettings, outward: IOutward) -> None:
    """Accept local connections until cancelled."""
    client = _AccessClient(settings, outward)
    for door in settings.doors:
        address = await outward.listen(door.endpoint, client.accepted)
        outward.report(f"{address} leads to {client.what} at {settings.router}")
    await outward.serve()


class _AccessClient:
    def __init__(self, settings: TunnelSettings, outward: IOutward) -> None:
        self._settings = settings
        self._outward = outward
        self._agent = cast(str, settings.values[AGENT_KEY])
        self._target = Target.parse(cast(str, settings.values[TARGET_KEY]))
        self.what = f"{self._target} of {self._agent}"

    def accepted(self, local: IStream) -> None:
        """A local connection was accepted."""
        self._outward.spawn(self._serve(local))

    async def _serve(self, local: IStream) -> None:
        try:
            call = partial(self._call, local)
            session = await call_again(self._outward, local, call)
            remote = session.stream()
        except RelayError as error:
            self._outward.fault(f"call for {self.what}", error)
            local.reset(error.reason, None)
            return
        await self._outward.join(local, remote, self.what)

    async def _call(self, local: IStream) -> ITunnelSession:
        secret = read_secret(self._settings.token)

        def conversation(headers: Mapping[str, str]) -> IConversation:
            return CallingLink(self._agent, self._target, secret, is_agreed(headers.get))

        return await self._outward.call(
            f"/{CLIENTS}", AGREEMENT, conversation, local, ANSWER_TIMEOUT_S
        )
