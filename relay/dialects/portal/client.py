"""Our portal client: every local connection becomes one call.

Source: portal.md §6 and §13 ("a compatible client must").
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from relay.dialects.portal.data import EndpointLink
from relay.dialects.portal.host import read_token, stream_of
from relay.dialects.portal.wire import CLIENT, FIRST_SEGMENT, HALF_CLOSE, HALF_CLOSE_HEADER
from relay.errors import RelayError
from relay.interfaces import IConversation, IStream
from relay.outside import IOutward, ITunnelSession, call_again
from relay.settings.model import TunnelSettings
from relay.vocabulary import Role

CONNECTED_TIMEOUT_S = 10.0
"""Handshake and ``"Connected"`` together, as the original's client."""


async def run_client(settings: TunnelSettings, outward: IOutward) -> None:
    """Accept local connections until cancelled."""
    client = _PortalClient(settings, outward)
    for door in settings.doors:
        address = await outward.listen(door.endpoint, partial(client.accepted, door.service))
        outward.report(f"{address} leads to the service {door.service} at {settings.router}")
    await outward.serve()


class _PortalClient:
    def __init__(self, settings: TunnelSettings, outward: IOutward) -> None:
        self._settings = settings
        self._outward = outward

    async def serve(self, service: str, local: IStream) -> None:
        """Carry one local connection to its end."""
        try:
            call = partial(self._call, service, local)
            remote = stream_of(await call_again(self._outward, local, call))
        except RelayError as error:
            self._outward.fault(f"call for {service}", error)
            local.reset(error.reason, None)
            return
        await self._outward.join(local, remote, service)

    def accepted(self, service: str, local: IStream) -> None:
        """A local connection was accepted."""
        self._outward.spawn(self.serve(service, local))

    async def _call(self, service: str, local: IStream) -> ITunnelSession:
        headers = {
            "Authorization": f"Bearer {read_token(self._settings)}",
            HALF_CLOSE_HEADER: HALF_CLOSE[1],
        }
        return await self._outward.call(
            f"/{FIRST_SEGMENT}/{CLIENT}/{service}",
            headers,
            _conversation,
            local,
            CONNECTED_TIMEOUT_S,
        )


def _conversation(headers: Mapping[str, str]) -> IConversation:
    key, value = HALF_CLOSE
    return EndpointLink(Role.CLIENT, headers.get(key) == value)
