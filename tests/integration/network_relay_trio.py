"""Router, agent and clients of network-relay in every mix of ours and the original's programs.

A mix is named ROUTER-AGENT-CLIENT, each ``ours`` or ``original``. Our router and agent run in this
process; clients are processes of their own, between pipes as ssh's ProxyCommand has them.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from relay.vocabulary import Role
from tests.integration.ini_services import write
from tests.integration.network_relay_ours import DIALECT, RouterMaker, TunnelMaker
from tests.integration.network_relay_peers import CLIENT_SECRET, Router, credentials
from tests.integration.network_relay_wire import AGENT_PATH, CLIENT_PATH, START_OK
from tests.integration.portal_programs import Programs, program_path
from tests.rawpeer import Late, RawServer, the_reactor
from tests.relay_command import COMMAND, PROCESS_S, ROOT, environment

OURS, ORIGINAL = "ours", "original"
KINDS = (OURS, ORIGINAL)
MIXES = [f"{router}-{agent}-{client}" for router in KINDS for agent in KINDS for client in KINDS]
AGENT = "attic-pi"
AGENT_SECRET = "s3cr3t-agent"
CREDENTIALS: dict[str, object] = {"edge-agents": {AGENT: AGENT_SECRET}}
READ_BYTES = 64 * 1024


class Told(NamedTuple):
    """How a client has ended.

    :ivar status: its exit status
    :ivar out: what it put out that was not taken before
    :ivar err: what it said on standard error
    """

    status: int
    out: bytes
    err: str


class Client:
    """A client between pipes, which never stand full: threads read them.

    :param command: its words
    :param log: where its standard error goes
    """

    def __init__(self, command: list[str], more: Mapping[str, str], log: Path) -> None:
        self._log = log
        with open(log, "wb") as err:
            self.process = subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                cwd=ROOT,
                env=environment(**more),
            )

    def write(self, data: bytes) -> Deferred[None]:
        """Give it input. :returns: fires when it has taken all"""
        return deferToThread(self._write, data)

    def _write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        view = memoryview(data)
        while view:
            view = view[self.process.stdin.write(view) :]

    def take(self, count: int) -> Deferred[bytes]:
        """:returns: the next ``count`` bytes of output, or all up to its end"""
        return deferToThread(self._take, count)

    def _take(self, count: int) -> bytes:
        assert self.process.stdout is not None
        parts = []
        while count and (part := self.process.stdout.read(min(count, READ_BYTES))):
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def said(self) -> str:
        """:returns: what it has said so far on standard error"""
        return self._log.read_text(errors="replace")

    def end_input(self) -> None:
        """End its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def hang_up(self) -> None:
        """End it as ssh does."""
        self.process.send_signal(signal.SIGHUP)

    async def ended(self) -> Told:
        """:returns: how it has ended, which it must do by itself, or was told to"""
        out = await deferToThread(self._everything)
        return Told(self.process.returncode, out, self.said())

    def _everything(self) -> bytes:
        out = self._take(1 << 40)
        self.process.wait(PROCESS_S)
        return out

    def stop(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Trio:
    """A router, an agent named :data:`AGENT`, and clients for it.

    :ivar mix: ROUTER-AGENT-CLIENT
    :ivar port: the router's
    """

    def __init__(self, mix: str, folder: Path) -> None:
        self.mix = mix
        self.router, self.agent, self.client = mix.split("-")
        self.port = 0
        self._folder = folder
        self._programs = Programs(folder, DIALECT)
        self._clients: list[Client] = []
        self._routers = RouterMaker(folder)
        self._agents = TunnelMaker(folder)

    @property
    def url(self) -> str:
        """:returns: the router's, without a path"""
        return f"ws://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start router and agent. :returns: when calls get through to the agent"""
        write(self._folder / "client.secret", CLIENT_SECRET)
        if self.router == OURS:
            router = await self._routers.start(members=CREDENTIALS)
        else:
            file = write(self._folder / "credentials.json", credentials(**CREDENTIALS))
            words = ["--host", "127.0.0.1", "--port", "0", "--credentials-file", str(file)]
            relay = self._programs.start("relay", *words)
            router = Router(self.router, await relay.listens(PROCESS_S))
        self.port = router.port
        if self.agent == OURS:
            own = {"name": AGENT, "allow": "127.0.0.1:*"}
            await self._agents.start(Role.HOST, self.url, AGENT_SECRET, **own)
        else:
            words = ["--relay-url", self.url + AGENT_PATH, "--name", AGENT]
            secret = {"HTTP_NETWORK_RELAY_SECRET": AGENT_SECRET}
            self._programs.start("edge-agent", *words, **secret)
        await self._reaches_agent(router)

    async def _reaches_agent(self, router: Router) -> None:
        """Call until the agent has registered: it is not told that it has."""
        server = RawServer()
        port = await server.listen()
        reactor = the_reactor()
        expiry = reactor.seconds() + PROCESS_S
        answer = b""
        try:
            while answer != START_OK:
                if reactor.seconds() > expiry:
                    raise Late(f"no agent in {PROCESS_S} s: {answer!r}")
                caller = await router.caller(AGENT, CLIENT_SECRET, port=port)
                answer = await caller.text()
                caller.peer.reset()
        finally:
            await server.close()

    # -- clients -----------------------------------------------------------------------------------

    def words(self, agent: str, port: int | str, secret: str = "client.secret") -> list[str]:
        """:param port: of the target, on the agent's loopback
        :param secret: the file, in the trio's folder, that holds it
        :returns: the words that start a client
        """
        file = self._folder / secret
        if self.client == OURS:
            options = ["--dialect", DIALECT, "--router", self.url, "--secret-file", str(file)]
            return [*COMMAND, "connect", *options, agent, "127.0.0.1", str(port)]
        program = str(program_path("access-client", DIALECT))
        options = ["--relay-url", self.url + CLIENT_PATH, "--secret", file.read_text()]
        return [program, agent, "127.0.0.1", str(port), "tcp", *options]

    def proxy_command(self) -> str:
        """:returns: what ssh runs to reach the agent whose name is its host's"""
        said = shlex.join(self.words("HOST", "PORT"))
        return said.replace("HOST", "%h").replace("PORT", "%p")

    def call(self, port: int, agent: str = AGENT, secret: str = "client.secret") -> Client:
        """Start a client. :param port: of the target; the others: as in :meth:`words`"""
        log = self._folder / f"client-{len(self._clients)}.log"
        client = Client(self.words(agent, port, secret), {}, log)
        self._clients.append(client)
        return client

    def secret(self, name: str, value: str) -> str:
        """Keep another secret. :returns: its file"""
        write(self._folder / name, value)
        return name

    async def stop(self) -> None:
        """End clients, agent and router."""
        for client in self._clients:
            client.stop()
        await self._agents.stop()
        await self._routers.stop()
        self._programs.stop()


def bulk_bytes() -> int:
    """:returns: how much a mix carries each way: 10 MiB, unless ``RELAY_MIX_MIB`` says otherwise"""
    return int(os.environ.get("RELAY_MIX_MIB", "10")) * 1024 * 1024
