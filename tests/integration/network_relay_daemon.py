"""A network-relay agent, ours or the original's, against a router that a test scripts."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from relay.vocabulary import Role
from tests.integration.network_relay_ours import TunnelMaker
from tests.integration.network_relay_wire import AGENT_PATH, Talk
from tests.integration.portal_programs import Programs
from tests.rawpeer import DEADLINE_S, Head, PeerError, RawPeer, RawServer

NAME = "attic-pi"
SECRET = "s3cr3t-agent"
ALLOWED = "127.0.0.1:*, [::1]:*, localhost:*, no-such-host.invalid:*"
BOTH_AGENTS = pytest.mark.parametrize("agent_kind", ["ours", "original"])
OUR_AGENT = pytest.mark.parametrize("agent_kind", ["ours"])


class Opened(NamedTuple):
    """A connection that an agent has opened for the test.

    :ivar talk: the agent's link
    :ivar target: the target's end
    """

    talk: Talk
    connection_id: str
    target: RawPeer

    def tell(self, data: bytes) -> None:
        """Send bytes to the target."""
        self.talk.data(data, connection_id=self.connection_id)

    async def heard(self, count: int) -> bytes:
        """:returns: bytes of the target, which come next on the link"""
        return await self.talk.payload(count, connection_id=self.connection_id)

    async def passes(self) -> None:
        """Send bytes both ways."""
        self.tell(b"ping\n")
        assert await self.target.exactly(5) == b"ping\n"
        self.target.write(b"pong\n")
        assert await self.heard(5) == b"pong\n"

    def close(self) -> None:
        """Tell the agent that it is over."""
        close(self.talk, self.connection_id)


def close(talk: Talk, connection_id: str) -> None:
    """Tell an agent that a connection is over."""
    message = "Connection closed by relay"
    talk.say("connection_close", message=message, connection_id=connection_id)


class AgentDaemon:
    """Starts an agent, ours or the original's, against the scripted router.

    :ivar target: the service that it connects to
    """

    def __init__(self, kind: str, tunnels: TunnelMaker, programs: Programs) -> None:
        self.is_ours = kind == "ours"
        self.router = RawServer()
        self.target = RawServer()
        self.target_port = 0
        self._tunnels = tunnels
        self._programs = programs
        self._ids = 0

    async def start(self, *, forwards: bool = False, **keys: object) -> None:
        """:param forwards: ours may open :attr:`target` and nothing else
        :param keys: of ``[host:x]``, for ours alone
        """
        self.target_port = await self.target.listen()
        url = f"ws://127.0.0.1:{await self.router.listen()}{AGENT_PATH}"
        if self.is_ours:
            own: dict[str, object] = {"allow": ALLOWED}
            if forwards:
                own = {"forward": f"tcp:127.0.0.1:{self.target_port}"}
            await self._tunnels.start(Role.HOST, url, SECRET, **{"name": NAME, **own, **keys})
        else:
            words = ("--relay-url", url, "--name", NAME, "--secret", SECRET)
            self._programs.start("edge-agent", *words)

    async def login(self, deadline_s: float = DEADLINE_S) -> tuple[Talk, Head, bytes]:
        """:returns: its next link, its request, and the first that it said"""
        peer, request = await self.router.accept_upgrade(deadline_s)
        talk = Talk(peer)
        return talk, request, await talk.text()

    async def begin(self, **keys: Any) -> Talk:
        """:returns: the link of an agent that was started for it and has said its start"""
        await self.start(**keys)
        return (await self.login())[0]

    def ask(
        self,
        talk: Talk,
        connection_id: str | None = None,
        *,
        ip: str = "127.0.0.1",
        port: int | None = None,
        protocol: str = "tcp",
    ) -> str:
        """Ask for a connection, to :attr:`target` unless told otherwise. :returns: its id"""
        self._ids += 1
        connection_id = connection_id or f"id-{self._ids}"
        talk.say(
            "initiate_connection",
            target_ip=ip,
            target_port=self.target_port if port is None else port,
            protocol=protocol,
            connection_id=connection_id,
        )
        return connection_id

    async def open(self, talk: Talk, connection_id: str | None = None) -> Opened:
        """:returns: a connection that stands"""
        connection_id = self.ask(talk, connection_id)
        target = await self.target.accept()
        answer = await talk.hear("initiate_connection_ok")
        if answer != {"connection_id": connection_id}:
            raise PeerError(f"{answer!r} instead of a plain ok")
        return Opened(talk, connection_id, target)

    async def refuses(self, talk: Talk, **target: Any) -> str:
        """:param target: of :meth:`ask`; :returns: the text by which it is refused"""
        connection_id = self.ask(talk, **target)
        answer = await talk.hear("initiate_connection_error")
        assert answer == {"message": answer["message"], "connection_id": connection_id}
        return str(answer["message"])

    async def stop(self) -> None:
        """End the router and the service."""
        await self.router.close()
        await self.target.close()
