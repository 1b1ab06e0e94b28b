"""Router, host, recorder and monitor of session-relay, each ours or the original's program.

A mix is named by what it is of: ROUTER-HOST, ROUTER-RECORDER or ROUTER-MONITOR.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from relay.measuring.processes import free_ports, listens
from relay.vocabulary import Role
from tests.integration.portal_programs import program_path
from tests.integration.session_relay_ours import RouterMaker, TunnelMaker
from tests.integration.session_relay_peers import Router
from tests.integration.session_relay_routers import FAMILY, GoServer
from tests.integration.session_relay_vectors import claims, sign
from tests.integration.session_relay_wire import Member
from tests.rawpeer import (
    DEADLINE_S,
    PERFECT_HANDSHAKE,
    Late,
    PeerError,
    RawPeer,
    connect,
    read_response,
    request,
    until,
)
from tests.relay_command import COMMAND, ROOT, environment

OURS, GO = "ours", "go"
OLD = "old"
KINDS = (OURS, GO)
ORIGINALS = {GO: "relay", OLD: "relay-v0.7.0"}
MIXES = [f"{first}-{second}" for first in KINDS for second in KINDS]
START_S = 15.0
TRIES, TRY_S = 8, 1.0
JSON = "Content-Type: application/json"


class Command:
    """A program with a file for what it says.

    :param words: the command line
    :param variables: of its environment, beside the usual ones
    """

    def __init__(self, words: Sequence[str], variables: Mapping[str, str], folder: Path) -> None:
        self._log = folder / f"{Path(words[0]).name}-{len(list(folder.iterdir()))}.log"
        with open(self._log, "wb") as out:
            self.process = subprocess.Popen(
                list(words),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=environment(**variables),
            )

    def said(self) -> str:
        """:returns: what it has said so far"""
        return self._log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def exited(self, deadline_s: float = START_S) -> int:
        """:returns: its exit status. :raises Late:"""
        return await until(self.process.poll, lambda: f"exit; it said {self.said()}", deadline_s)

    def stop(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()


def command(kind: str, original: Sequence[str], ours: Sequence[str]) -> list[str]:
    """:returns: the words of a program; skips the test where the original is not at hand"""
    if kind in ORIGINALS:
        return [str(program_path(ORIGINALS[kind], FAMILY)), *original]
    return [*COMMAND, *ours]


class Host:
    """A host with its local API.

    :ivar kind: ``ours``, ``go`` or ``old``
    :ivar port: where it serves feeds and its API
    """

    def __init__(self, kind: str, port: int) -> None:
        self.kind = kind
        self.port = port
        self._peers: list[RawPeer] = []

    @property
    def is_ours(self) -> bool:
        """:returns: whether it is held to what ours promises beyond the original"""
        return self.kind == OURS

    async def dial(self) -> RawPeer:
        """:returns: a new connection, ended with the test"""
        peer = await connect(self.port)
        self._peers.append(peer)
        return peer

    async def ask(self, method: str, path: str, value: object = None) -> tuple[int, bytes]:
        """:param value: of the body, as JSON. :returns: status and body of the answer"""
        peer = await self.dial()
        body = b"" if value is None else json.dumps(value).encode()
        headers = (JSON, f"Content-Length: {len(body)}", "Connection: close")
        peer.write(request(method, path, *headers, body=body, host="127.0.0.1"))
        response = await read_response(peer, method=method)
        peer.drop()
        return response.status, response.body

    async def told(self, method: str, path: str, value: object = None) -> Any:
        """:returns: the value of an answer of 200"""
        status, body = await self.ask(method, path, value)
        assert status == 200, body
        return json.loads(body)

    async def destination(self, name: str, stream: str, url: str, token: str = "") -> None:
        """Let a stream, or a feed, go to a session."""
        rule = {"id": name, "stream": stream, "destination": url, "token": token, "file": ""}
        assert await self.told("POST", "/api/destinations", rule) == rule

    async def stream(self, name: str, *feeds: str) -> None:
        """Let a stream have these feeds."""
        rule = {"stream": name, "feeds": list(feeds)}
        assert await self.told("POST", "/api/streams", rule) == rule

    async def feed(self, name: str) -> Member:
        """:returns: a local program on a feed"""
        peer = await self.dial()
        lines = [f"{key}: {value}" for key, value in PERFECT_HANDSHAKE.items()]
        peer.write(request("GET", f"/ws/{name}", *lines, host="127.0.0.1"))
        head = await peer.response()
        assert head.status == 101, head
        member = Member(peer)
        await member.admitted()
        return member

    async def carries(self, sayer: Member, hearer: Member, payload: bytes | str) -> None:
        """See what one says heard next by another; the original drops what it has no hand for."""
        for _ in range(1 if self.is_ours else TRIES):
            sayer.say(payload)
            with suppress(Late):
                await hearer.hears(payload, DEADLINE_S if self.is_ours else TRY_S)
                return
        raise PeerError(f"{payload[:100]!r} was not heard")

    async def source(self, name: str) -> RawPeer:
        """:returns: a local program that has begun to send a feed of bytes, in chunks"""
        peer = await self.dial()
        lines = ("Transfer-Encoding: chunked", "Content-Type: application/octet-stream")
        peer.write(request("POST", f"/ts/{name}", *lines, host="127.0.0.1"))
        return peer

    def hang_up(self) -> None:
        """Reset all connections of the test."""
        for peer in self._peers:
            peer.reset()


def chunk(data: bytes) -> bytes:
    """:returns: a chunk of a body"""
    return b"%x\r\n%s\r\n" % (len(data), data)


class Company:
    """Starts routers, hosts and commands for one test, at addresses that they are known by."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._routers = RouterMaker(folder)
        self._tunnels = TunnelMaker(folder)
        self._servers: list[tuple[GoServer, Router]] = []
        self._commands: list[Command] = []
        self._hosts: list[Host] = []

    async def router(self, kind: str, **options: Any) -> Router:
        """:param options: of :meth:`RouterMaker.start`, for ours alone
        :returns: a router whose URLs lead to it
        """
        if kind == OURS:
            (port,) = free_ports(1)
            return await self._routers.start(
                audience=f"http://127.0.0.1:{port}/access",
                target=f"ws://127.0.0.1:{port}/ws",
                shared=f"tcp:{port}:interface=127.0.0.1",
                **options,
            )
        server = GoServer(self._folder, real=True)
        made = server.router()
        self._servers.append((server, made))
        await server.listens()
        return made

    async def host(self, kind: str, **keys: object) -> Host:
        """:param keys: of the section of ours. :returns: a host that listens"""
        (port,) = free_ports(1)
        if kind == OURS:
            await self._tunnels.start(
                Role.HOST, None, listen=f"tcp:{port}:interface=127.0.0.1", **keys
            )
        else:
            self.run(kind, ["host"], [], VW_PORT=str(port))
        await until(lambda: listens(port) or None, "a host", START_S)
        made = Host(kind, port)
        self._hosts.append(made)
        return made

    def player(self, kind: str, url: str, token: str, file: Path, log: Path) -> Command:
        """:returns: what says the lines of a file, and writes down what it hears"""
        return self.run(
            kind,
            ["client", "file"],
            ["play"],
            RELAY_CLIENT_SESSION=url,
            RELAY_CLIENT_TOKEN=token,
            RELAY_CLIENT_FILE_PLAY=str(file),
            RELAY_CLIENT_FILE_LOG=str(log),
        )

    def run(
        self, kind: str, original: Sequence[str], ours: Sequence[str], **variables: str
    ) -> Command:
        """:returns: a program of that kind, started"""
        made = Command(command(kind, original, ours), variables, self._folder)
        self._commands.append(made)
        return made

    def recorder(self, kind: str, url: str, token: str, file: Path, mode: str = "text") -> Command:
        """:returns: what writes down all that is said on a topic"""
        return self.run(
            kind,
            ["client", "file"],
            ["record"],
            RELAY_CLIENT_SESSION=url,
            RELAY_CLIENT_TOKEN=token,
            RELAY_CLIENT_FILE=str(file),
            RELAY_CLIENT_MODE=mode,
        )

    async def stop(self) -> None:
        """End all."""
        for host in self._hosts:
            host.hang_up()
        for started in self._commands:
            started.stop()
        await self._tunnels.stop()
        for server, router in self._servers:
            router.hang_up()
            server.stop()
        await self._routers.stop()


def session_url(router: Router, topic: str) -> str:
    """:returns: where a session of that topic is asked for"""
    return f"{router.audience}/session/{topic}"


async def joined(router: Router, topic: str, count: int, deadline_s: float = DEADLINE_S) -> None:
    """Wait until the router has so many members on a topic. :raises Late:"""
    token = sign(claims(aud=[router.audience], scopes=["relay:stats"]))

    async def members() -> int:
        answer = await router.ask("GET", "/status", token)
        return sum(one.get("topic") == topic for one in answer.data())

    clock = (await router.dial(router.access)).clock.seconds
    expiry = clock() + deadline_s
    while await members() != count:
        assert clock() < expiry, f"{count} members of {topic}"
