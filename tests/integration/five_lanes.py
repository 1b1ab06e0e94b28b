"""A host, a client and what they carry, for each of the five dialects; ours, or the originals.

All lanes have what :class:`Lane` has, and one router, in common.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from typing_extensions import override

from relay.vocabulary import Role
from tests.integration.five_house import House
from tests.integration.ini_services import Services, write
from tests.integration.network_relay_peers import CLIENT_SECRET, agent_secret, fresh_name
from tests.integration.network_relay_trio import Client
from tests.integration.network_relay_wire import AGENT_PATH, CLIENT_PATH
from tests.integration.portal_ours import first_port
from tests.integration.portal_programs import Program, Programs, program_path
from tests.integration.taas_peers import ended
from tests.integration.websocktunnel_peers import claims, mint
from tests.rawpeer import (
    RawPeer,
    RawServer,
    connect,
    noise,
    read_response,
    request,
    together,
)

OURS, ORIGINAL = "ours", "original"
LOOPBACK = "127.0.0.1"
ANY_PORT = f"tcp:0:interface={LOOPBACK}"
BULK_S = 60.0
START_S = 20.0
HELLO = b"from the caller\n"


class Lane:
    """One dialect's host and client on a router that others use, too.

    :param kind: ``ours`` or ``original``
    :ivar dialect: its name
    :ivar server: the service behind the host
    """

    dialect: str

    def __init__(self, kind: str, house: House) -> None:
        self.kind = kind
        self.house = house
        self.folder = house.folder / self.dialect
        self.folder.mkdir()
        self.server = RawServer()
        self.services = Services()
        self.programs = Programs(self.folder, self.dialect)
        self._user: RawPeer | None = None
        self._target: RawPeer | None = None

    @property
    def is_ours(self) -> bool:
        """:returns: whether host and client are our programs"""
        return self.kind == OURS

    async def start(self) -> None:
        """Start host and client, and connect through them."""
        target = await self.server.listen()
        await self.begin_host(target)
        await self.house.stands(self.dialect)
        door = await self.begin_client(target)
        self._user = await connect(door)
        self._user.write(HELLO)
        self._target = await self.server.accept(START_S)
        assert await self._target.exactly(len(HELLO)) == HELLO
        await self.house.has_circuits(self.dialect)

    @abstractmethod
    async def begin_host(self, target: int) -> None:
        """Start a host that leads to that port."""

    @abstractmethod
    async def begin_client(self, target: int) -> int:
        """Start a client. :returns: the port that leads through it"""

    async def carries(self, size: int) -> None:
        """See so many bytes arrive, each way at the same time."""
        assert self._user is not None
        assert self._target is not None
        await both_ways(self._user, self._target, size)

    async def cut(self) -> None:
        """End it: by a revocation, or by killing its host. :returns: when its users have seen it"""
        await self.revoke()
        await self.seen()

    async def seen(self) -> None:
        """Wait until the circuit is over; ours pass that on to both ends, not all originals do."""
        await self.house.has_circuits(self.dialect, False)
        assert self._user is not None
        assert self._target is not None
        if self.is_ours:
            await together(ended(self._user, START_S), ended(self._target, START_S))

    @abstractmethod
    async def revoke(self) -> None:
        """Let the router turn it out, or kill the host."""

    async def run(self, role: Role, **keys: object) -> Any:
        """:param keys: of the section of one of our programs. :returns: it, running"""
        own = {"dialect": self.dialect, **keys}
        return await self.services.start_tunnel(role, self.folder, own)

    async def stop(self) -> None:
        """End what was started."""
        if self._user is not None:
            self._user.reset()
        await self.server.close()
        await self.services.stop()
        self.programs.stop()


async def both_ways(user: RawPeer, target: RawPeer, size: int) -> None:
    """Send so many bytes each way at once, and see the same arrive."""
    up, down = noise(size), noise(size)

    async def take(peer: RawPeer, data: bytes) -> None:
        assert await peer.exactly(len(data), BULK_S) == data

    sending = together(user.write_all(up), target.write_all(down))
    await together(take(target, up), take(user, down))
    await sending


class PortalLane(Lane):
    """Portal; it is the host's subject that is revoked."""

    dialect = "portal"

    @override
    async def begin_host(self, target: int) -> None:
        self._portal = self.house.portal.portal()
        token = self._portal.host_token
        if self.is_ours:
            file = write(self.folder / "host.token", token)
            forward = f"web=tcp:{LOOPBACK}:{target}"
            await self.run(Role.HOST, router=self.house.url, token_file=file, forward=forward)
            return
        words = ["host", "--target-host", LOOPBACK, "--target-port", str(target)]
        self._forward(token, *words)

    @override
    async def begin_client(self, target: int) -> int:
        token = self._portal.client_token
        if self.is_ours:
            file = write(self.folder / "client.token", token)
            own = {"router": self.house.url, "token_file": file, "service": "web"}
            return first_port((await self.run(Role.CLIENT, **own, listen=ANY_PORT)).addresses)
        words = ["client", "--interface", LOOPBACK, "--port", "0"]
        return await self._forward(token, *words).listens(START_S)

    def _forward(self, token: str, *words: str) -> Program:
        common = ["--server", self.house.url, "--auth-token", token, "--service", "web"]
        return self.programs.start("tcp-forward", *common, "--reconnect", *words)

    @override
    async def revoke(self) -> None:
        await self.house.revoke(dialect=self.dialect, subject="a-host")


class WebLane(Lane):
    """Websocktunnel, where a viewer is the client; its host is killed.

    A body goes up and one comes down, one after the other: HTTP has it so.
    """

    dialect = "websocktunnel"
    tunnel = "five"

    @override
    async def start(self) -> None:
        await self.begin_host(await self.server.listen())
        await self.house.stands(self.dialect)

    @override
    async def begin_host(self, target: int) -> None:
        token, url = mint(claims(self.tunnel)), self.house.wst.url
        if self.is_ours:
            file = write(self.folder / "host.token", token)
            own = {"router": url, "token_file": file, "id": self.tunnel}
            await self.run(Role.HOST, **own, forward=f"tcp:{LOOPBACK}:{target}")
            return
        self.programs.start("wst-client", url, self.tunnel, str(target), "--token", token)

    @override
    async def carries(self, size: int) -> None:
        up, down = noise(size), noise(size)
        viewer = await self.house.wst.dial()
        viewer.write(request("PUT", f"/{self.tunnel}/x", f"Content-Length: {size}"))
        sending = together(viewer.write_all(up))
        site, _ = await self.server.accept_request(START_S)
        assert await site.exactly(size, BULK_S) == up
        await sending
        site.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        sending = together(site.write_all(down))
        answer = await read_response(viewer, deadline_s=BULK_S)
        await sending
        assert (answer.status, answer.body == down) == (200, True)
        viewer.drop()
        site.drop()

    @override
    async def revoke(self) -> None:
        await self.services.stop()
        self.programs.stop()

    @override
    async def seen(self) -> None:
        await self.house.stands(self.dialect, False)
        viewed = await self.house.wst.fetch(f"/{self.tunnel}/")
        assert viewed.header("X-Relay-Reason") == "host-absent"


class RelayLane(Lane):
    """Network-relay; it is the agent that is revoked."""

    dialect = "network-relay"

    def __init__(self, kind: str, house: House) -> None:
        super().__init__(kind, house)
        self._caller: Client | None = None

    @override
    async def start(self) -> None:
        if self.is_ours:
            return await super().start()
        target = await self.server.listen()
        await self.begin_host(target)
        await self.house.stands(self.dialect)
        url = self.house.url + CLIENT_PATH
        words = [self._name, LOOPBACK, str(target), "tcp", "--relay-url", url]
        path = str(program_path("access-client", self.dialect))
        log = self.folder / "client.log"
        self._caller = Client([path, *words, "--secret", CLIENT_SECRET], {}, log)
        self._target = await self.server.accept(START_S)

    @override
    async def begin_host(self, target: int) -> None:
        self._name = fresh_name()
        secret = agent_secret(self._name)
        if self.is_ours:
            file = write(self.folder / "agent.secret", secret)
            own = {"router": self.house.url, "secret_file": file, "name": self._name}
            await self.run(Role.HOST, **own, allow=f"{LOOPBACK}:*")
            return
        words = ["--relay-url", self.house.url + AGENT_PATH, "--name", self._name]
        self.programs.start("edge-agent", *words, HTTP_NETWORK_RELAY_SECRET=secret)

    @override
    async def begin_client(self, target: int) -> int:
        file = write(self.folder / "client.secret", CLIENT_SECRET)
        own = {"router": self.house.url, "secret_file": file, "agent": self._name}
        goes = {"target": f"{LOOPBACK}:{target}", "listen": ANY_PORT}
        return first_port((await self.run(Role.CLIENT, **own, **goes)).addresses)

    @override
    async def carries(self, size: int) -> None:
        if self._caller is None:
            return await super().carries(size)
        assert self._target is not None
        up, down = noise(size), noise(size)
        writing, taking = self._caller.write(up), self._caller.take(size)
        sending = together(self._target.write_all(down))
        assert await self._target.exactly(size, BULK_S) == up
        assert await taking == down
        await writing
        await sending

    @override
    async def revoke(self) -> None:
        await self.house.revoke(dialect=self.dialect, subject=self._name)

    @override
    async def seen(self) -> None:
        if self._caller is None:
            return await super().seen()
        await self._caller.ended()

    @override
    async def stop(self) -> None:
        if self._caller is not None:
            self._caller.stop()
        await super().stop()
