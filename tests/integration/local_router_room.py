"""A local router on a loopback port, and peers at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from relay.links.local_router import LocalRouter
from relay.vocabulary import Data
from tests.integration.outward_room import Room
from tests.integration.topic_face import TopicFace, topic
from tests.rawpeer import RawPeer, connect, until

LOOPBACK = "tcp:0:interface=127.0.0.1"


class Lab(Room):
    """A host's outside with a local router.

    :ivar local: the port of its door
    """

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self.face = TopicFace()
        self.router = cast(LocalRouter, self.outward.local_router(self.face))
        self.local = 0

    async def work(self, test: Callable[[Lab], Any]) -> None:
        """Open the door, do ``test``, and end what it began."""

        async def run(_: Room) -> None:
            address = await self.router.listen(LOOPBACK)
            self.local = int(address.rpartition(":")[2])
            await test(self)

        await self.run(run)

    async def dial(self) -> RawPeer:
        """:returns: a connection to the door"""
        return await connect(self.local)

    async def member(self, name: str) -> RawPeer:
        """:returns: a socket that is a member of that topic"""
        before = self.members(name)
        peer = await self.dial()
        assert (await peer.upgrade(f"/ws/{name}")).status == 101
        await until(lambda: self.members(name) > before or None, "seat")
        return peer

    def members(self, name: str) -> int:
        """:returns: how many members that topic has"""
        found = self.router.broker.topics.get(topic(name))
        return len(found.members) if found is not None else 0


class Ear:
    """Hears what a resident hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, bool]] = []

    def __call__(self, data: Data) -> None:
        self.heard.append((data.payload, data.text))

    async def hears(self, count: int) -> list[tuple[bytes, bool]]:
        """:returns: all, once it is so much"""
        await until(lambda: len(self.heard) >= count or None, f"{count} messages")
        return self.heard
