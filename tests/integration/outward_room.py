"""One tunnel's outside on the real reactor, for tests of what dialects are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from relay.core.surroundings import Surroundings
from relay.interfaces import IConversation
from relay.links.cutthrough import Hub
from relay.links.outward import Outward
from relay.settings.model import Limits, TunnelSettings
from relay.vocabulary import Role
from tests.fakes import Talk
from tests.rawpeer import RawServer, the_reactor, until

SETTINGS = TunnelSettings(
    Role.HOST, "lab", "talk", "", None, (), None, None, None, "yes", 1 << 20, 0, 0
)


def talk(_headers: Mapping[str, str]) -> IConversation:
    """:returns: a conversation that carries payload as it comes"""
    return Talk()


class Room:
    """An outside, and a server for it to go to.

    :param changes: of the tunnel's settings
    :ivar stood: how often a link stood
    """

    def __init__(self, **changes: Any) -> None:
        self.around = Surroundings.of_process(the_reactor(), Limits())
        self.stood = 0
        settings = replace(SETTINGS, **changes)
        self.outward = Outward(
            settings, the_reactor(), self.around, Hub(the_reactor()), self._connected
        )
        self.server = RawServer()
        self.port = 0

    async def run(self, test: Callable[[Room], Any]) -> None:
        """Do ``test``, and end what it began."""
        try:
            self.port = await self.server.listen()
            await test(self)
        finally:
            self.outward.hurry()
            await self.outward.stop(0)
            await self.server.close()
            self.around.wheel.stop()

    def url(self, path: str = "/", scheme: str = "http") -> str:
        """:returns: a URL of the server's"""
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    async def until_stood(self, count: int) -> None:
        """Wait until links stood so often."""
        await until(lambda: True if self.stood >= count else None, f"{count} links")

    def _connected(self) -> None:
        self.stood += 1
