"""A router that speaks all dialects, a host of ours behind each of them and a caller before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from twisted.internet.address import IPv4Address

from relay.vocabulary import Role
from tests.integration import portal_peers, session_relay_peers, taas_peers, websocktunnel_peers
from tests.integration.ini_services import Section, Services, section, write
from tests.integration.portal_ours import first_port, own_descriptors
from tests.integration.session_relay_vectors import AUDIENCE, SECRET, TARGET
from tests.integration.session_relay_wire import Member
from tests.integration.taas_ours import RouterMaker
from tests.integration.taas_wire import Certificate, Identity, fresh
from tests.integration.websocktunnel_peers import PREFIX, SECRET_A, claims, mint
from tests.rawpeer import RawPeer, RawServer, connect, read_head, request, together, until

LOCAL = "tcp:0:interface=127.0.0.1"
AGENT_SECRET, ALICE = (word * 16 for word in ("agent", "ali"))
CREDENTIALS = {
    "edge-agents": {"attic": AGENT_SECRET},
    "access-client-secrets": ["flat" * 16],
    "access-clients": {"alice": {"secret": ALICE}},
}
SOURCES = {
    "portal": "portal:1/door",
    "websocktunnel": "websocktunnel:door",
    "network-relay": "network-relay:door",
    "taas": "taas:door",
    "session-relay": "session-relay:lab/door",
    "tcp": LOCAL,
}
"""What is called, by the dialect of the caller."""
NAMELESS = ("websocktunnel", "taas", "tcp")
ROOM = "lab/room"
DOOR = "lab/door"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")
PART_BYTES = 64 * 1024


class Side(NamedTuple):
    """One end of a call: a connection whose bytes are payload, or a member of a topic."""

    peer: RawPeer
    member: Member | None = None

    async def say(self, data: bytes) -> None:
        """Send, no faster than the other end takes it."""
        if self.member is None:
            await self.peer.write_all(data)
        else:
            await self.peer.send_all(data, PART_BYTES)

    async def hears(self, data: bytes, deadline_s: float = 10.0) -> None:
        """Check what comes next, however it was cut."""
        if self.member is None:
            came = await self.peer.exactly(len(data), deadline_s)
        else:
            came = await self.member.payload(len(data), deadline_s)
        same = came == data  # what differs would be too long to be shown
        assert same, f"other bytes of {len(data)} came than went"

    async def over(self) -> bytes:
        """:returns: what came before the end"""
        if self.member is None:
            return await self.peer.half_ended()
        await self.member.over()
        return b""


class PairsHouse:
    """A router with one publication, or several.

    :ivar service: what stands behind each host
    :ivar who: whose label answers calls of taas
    """

    def __init__(self, maker: RouterMaker, made: Certificate, folder: Path) -> None:
        self._maker = maker
        self._made = made
        self._folder = folder
        self._tunnels = Services()
        self._peers: list[RawPeer] = []
        self.service = RawServer()
        self.who: Identity = fresh()
        self._gear: Section = {}

    async def start(self, *pairs: tuple[str, str], cut_through: bool = True) -> None:
        """:param pairs: dialects from and to; names differ by the second where there are several"""
        self._gear = {} if cut_through else {"cut-through": "no"}
        self.port = await self.service.listen()
        self.targets = {
            "portal": "portal:2/web",
            "websocktunnel": "websocktunnel:app",
            "network-relay": f"network-relay:attic/127.0.0.1:{self.port}",
            "taas": f"taas:{self.who.label}",
            "session-relay": f"session-relay:{ROOM}",
        }
        secret = write(self._folder / "portal.secret", portal_peers.SECRET)
        tunnel = write(self._folder / "a.secret", SECRET_A)
        topics = write(self._folder / "topics.secret", SECRET)
        credentials = write(self._folder / "credentials.json", json.dumps(CREDENTIALS))
        wst = {"secret-a-file": tunnel, "url-prefix": PREFIX}
        session = {"secret-file": topics, "audience": AUDIENCE, "target": TARGET}
        sections = [
            section("dialect:portal", {"listen": LOCAL, "secret-file": secret}),
            section("dialect:websocktunnel", {"listen": LOCAL, **wst}),
            section("dialect:network-relay", {"listen": LOCAL, "credentials-file": credentials}),
            section("dialect:session-relay", {"listen": LOCAL, **session}),
            *(self.publication(*pair) for pair in pairs),
        ]
        self.taas = await self._maker.start(plain=True, limits=self._gear, more="\n".join(sections))
        (self.router,) = self._maker.services
        _, portal, wst_port, self.network_relay, topic_port = (
            cast(IPv4Address, address).port for _, address in self.router.addresses
        )
        self.portal = portal_peers.Router("ours", portal, own_descriptors)
        self.viewers = websocktunnel_peers.Router("ours", wst_port)
        access, door = ((topic_port, urlsplit(url).path) for url in (AUDIENCE, TARGET))
        self.topics = session_relay_peers.Router("ours", access, door)

    def publication(self, source: str, target: str) -> str:
        """:returns: a section of the INI, open to all callers of the source"""
        values = {"from": SOURCES[source], "to": self.targets[target]}
        return section(
            f"publish {source}", {**values, **({"public": "yes"} if source in NAMELESS else {})}
        )

    @property
    def broker(self) -> Any:
        """:returns: the router's own"""
        return self.router.broker

    # -- hosts -----------------------------------------------------------------------------------

    async def host(self, dialect: str) -> Member | None:
        """Have somebody there who answers. :returns: a member, where it is a topic"""
        if dialect == "session-relay":
            return await self.topics.member(ROOM)
        forward = f"tcp:127.0.0.1:{self.port}"
        portal = self.portal.portal(2)
        sections: dict[str, Section] = {
            "portal": {
                "router": self.portal.url,
                "token-file": self._kept("host.token", portal.host_token),
                "forward": f"web={forward}",
            },
            "websocktunnel": {
                "router": self.viewers.url,
                "token-file": self._kept("app.token", mint(claims("app"))),
                "id": "app",
                "forward": forward,
            },
            "network-relay": {
                "router": f"ws://127.0.0.1:{self.network_relay}",
                "secret-file": self._kept("agent.secret", AGENT_SECRET),
                "name": "attic",
                "allow": "127.0.0.1:*",
            },
            "taas": {
                "router": f"http://127.0.0.1:{self.taas.port}",
                "provisioning-file": self._kept(
                    "host.js", self.who.parameters(443, self._made.certificate)
                ),
                "forward": forward,
                "pool": 2,
            },
        }
        await self._tunnel(Role.HOST, dialect, sections[dialect])
        name = self.targets[dialect].partition("/")[0]
        await until(lambda: name in self.broker.offers() or None, f"host of {name}")
        return None

    # -- callers -----------------------------------------------------------------------------------

    async def caller(self, dialect: str) -> Side:
        """:returns: somebody who has begun to call"""
        if dialect == "session-relay":
            peer, head = await self.knock()
            assert head.status == 101, head
            return Side(peer, Member(peer))
        if dialect == "tcp":
            return Side(await self.dial(self.published_port()))
        if dialect == "websocktunnel":
            viewer = await self.dial(self.viewers.port)
            viewer.write(request("GET", "/door/socket", *UPGRADE))
            return Side(viewer)
        sections: dict[str, Section] = {
            "portal": {
                "router": self.portal.url,
                "token-file": self._kept("client.token", self.portal.portal(1).client_token),
                "listen": f"door={LOCAL}",
            },
            "network-relay": {
                "router": f"ws://127.0.0.1:{self.network_relay}",
                "secret-file": self._kept("alice.secret", ALICE),
                "agent": "door",
                "target": "10.0.0.1:22",
                "listen": LOCAL,
            },
            "taas": {
                "router": f"http://127.0.0.1:{self.taas.port}",
                "label": taas_peers.host_of("door"),
                "listen": LOCAL,
            },
        }
        client = await self._tunnel(Role.CLIENT, dialect, sections[dialect])
        return Side(await self.dial(first_port(client.addresses)))

    async def joined(self, source: str, near: Side, member: Member | None) -> Side:
        """Bring a call to where both sides can speak. :returns: the side that answers"""
        if source == "websocktunnel":
            callee = await self.service.accept()
            assert (await callee.head()).target == "/socket"
            callee.write(SWITCH)
            assert (await read_head(near.peer))[0].status == 101
        await near.say(b"hello")
        if member is not None:
            far = Side(member.peer, member)
        elif source != "websocktunnel":
            far = Side(await self.service.accept())
        else:
            far = Side(callee)
        far.peer.stays_half_open = True
        await far.hears(b"hello")
        return far

    def published_port(self) -> int:
        """:returns: the port where the router listens for what is published"""
        (address,) = self.router.published_ports.addresses().values()
        return int(address.port)

    async def knock(self) -> tuple[RawPeer, Any]:
        """:returns: a connection that has shown a code for the topic, and what answers"""
        token = self.topics.token(DOOR, booking="alice")
        return await self.topics.enter(DOOR, await self.topics.code(DOOR, token))

    async def dial(self, port: int) -> RawPeer:
        """:returns: a connection that ends with the test, and half-closes by itself alone"""
        peer = await connect(port)
        peer.stays_half_open = True
        self._peers.append(peer)
        return peer

    def _kept(self, name: str, text: str) -> Path:
        return write(self._folder / name, text)

    async def _tunnel(self, role: Role, dialect: str, values: Section) -> Any:
        own = {"dialect": dialect, **values, **self._gear}
        return await self._tunnels.start_tunnel(role, self._folder, own)

    async def stop(self) -> None:
        """End all that was begun."""
        for peer in self._peers:
            peer.reset()
        await self.service.close()
        self.portal.hang_up()
        self.viewers.hang_up()
        self.topics.hang_up()
        await self._tunnels.stop()


async def exchange(near: Side, far: Side, up: bytes, down: bytes) -> None:
    """Send much both ways at once, and check that it comes."""
    await together(near.say(up), far.say(down), near.hears(down), far.hears(up))
