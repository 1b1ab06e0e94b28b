"""A router of four dialects whose topics are published, as what answers or as what is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.integration import portal_peers, websocktunnel_peers
from tests.integration.ini_services import section, write
from tests.integration.portal_ours import own_descriptors
from tests.integration.session_relay_ours import RouterMaker
from tests.integration.websocktunnel_peers import PREFIX, SECRET_A
from tests.rawpeer import Op, RawPeer

AGENT_SECRET, ALICE = (word * 16 for word in ("agent", "ali"))
CREDENTIALS = {
    "edge-agents": {"attic": AGENT_SECRET},
    "access-client-secrets": ["flat" * 16],
    "access-clients": {"alice": {"secret": ALICE}},
}
ROOM = "session-relay:lab/room"
SHELL = "session-relay:lab/shell"


def published(name: str, source: str, target: str, **keys: object) -> str:
    """:returns: a section of the router's INI"""
    return section(f"publish {name}", {"from": source, "to": target, **keys})


class House:
    """The router.

    :ivar sr: as a router of session-relay
    :ivar ptl: as one of portal; :ivar wst: as one of websocktunnel
    """

    def __init__(self, maker: RouterMaker, folder: Path) -> None:
        self._maker = maker
        self._folder = folder

    async def start(self, *sections: str, **keys: object) -> None:
        """:param sections: what is published; :param keys: of ``[dialect:session-relay]``"""
        secret = write(self._folder / "portal.secret", portal_peers.SECRET)
        tunnel = write(self._folder / "a.secret", SECRET_A)
        credentials = write(self._folder / "credentials.json", json.dumps(CREDENTIALS))
        more = [
            section("dialect:portal", {"secret-file": secret}),
            section("dialect:network-relay", {"credentials-file": credentials}),
            section("dialect:websocktunnel", {"secret-a-file": tunnel, "url-prefix": PREFIX}),
            *sections,
        ]
        own = {key.replace("_", "-"): value for key, value in keys.items()}
        self.sr = await self._maker.start(dialect=own, more="\n".join(more))
        self.ptl = portal_peers.Router("ours", self.sr.access[0], own_descriptors)
        self.portal = self.ptl.portal(1)
        self.wst = websocktunnel_peers.Router("ours", self.sr.access[0])

    @property
    def broker(self) -> Any:
        """:returns: the router's own"""
        return self._maker.services[0].broker

    def token(self, subject: str) -> str:
        """:returns: one by which ``subject`` may call the portal"""
        return portal_peers.mint(self.portal.claims("client", sub=subject))

    async def network_relay(self, path: str, **start: object) -> RawPeer:
        """:returns: a link of network-relay that has said ``start``"""
        peer = await self.sr.dial(self.sr.access)
        head = await peer.upgrade(path)
        assert head.status == 101, head
        say(peer, "start", **start)
        return peer

    def stop(self) -> None:
        """End all connections of the test."""
        self.ptl.hang_up()
        self.wst.hang_up()


def say(peer: RawPeer, kind: str, **members: object) -> None:
    """Send a message of network-relay."""
    inner = {"inner": {"kind": kind, **members}}
    peer.send(Op.TEXT, json.dumps(inner, separators=(",", ":")).encode())


async def hear(peer: RawPeer) -> dict[str, Any]:
    """:returns: the next message of network-relay, without its envelope"""
    frame = await peer.receive()
    while frame.opcode != Op.TEXT:
        frame = await peer.receive()
    inner: dict[str, Any] = json.loads(frame.payload)["inner"]
    return inner
