"""Router, agent and client of network-relay, ours and the originals', and the ways through them."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

from bench.originals import OURS, THEIRS, left_out
from bench.processes import peer
from bench.programs import LOOPBACK, Program, Workshop, free_ports, listens, wait
from relay.measuring.frames import frame
from relay.measuring.places import Place, Refused, read_message, shake_hands
from relay.measuring.processes import START_S
from relay.measuring.runs import Way

DIALECT = "network-relay"
ORIGINALS = ("relay", "edge-agent", "access-client")
NO_ORIGINALS = left_out(DIALECT)
AGENT = "bench-pi"
CLIENT_PATH = "/ws_for_access_clients"
AGENT_PATH = "/ws_for_edge_agents"
START_OK = b'{"inner":{"kind":"start_ok"}}'
TEXT = b"\x81"
BACKLOG = 1024
CREDENTIALS = "network-relay.json"
CLIENT_SECRET, AGENT_SECRET = "network-relay-client.secret", "network-relay-agent.secret"


class Trio(NamedTuple):
    """A router, an agent, and how to start a client.

    :ivar port: where agents and clients knock
    :ivar targets: two ports on which a service may listen
    :ivar command: starts a client between standard input and output; the target's port is ``{}``
    :ivar door: where a client of ours listens, whose calls go to the first target
    """

    name: str
    port: int
    targets: tuple[int, int]
    programs: tuple[Program, ...]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    door: int | None = None

    def way(self, target: int = 0) -> Way:
        """:returns: the way through a client's standard input and output"""
        port = self.targets[target]
        command = [word.format(port) for word in self.command]
        near = {"kind": "stdio", "command": command, "environment": dict(self.environment)}
        return Way(near, _listening(port), False, self.programs)

    def door_way(self) -> Way:
        """:returns: the way through a client that listens"""
        near = {"kind": "tcp", "port": self.door}
        return Way(near, _listening(self.targets[0]), False, self.programs)


Maker = Callable[[Workshop], Trio]


def _listening(port: int) -> Place:
    return {"kind": "listen", "port": port}


def makers() -> dict[str, Maker]:
    """:returns: how to start the trios that are at hand, by name"""
    made: dict[str, Maker] = {OURS: our_trio}
    if all(peer(name, DIALECT) for name in ORIGINALS):
        made[THEIRS] = original_trio
    return made


def routers() -> dict[str, Callable[[Workshop, int, Mapping[str, str]], Program]]:
    """:returns: how to start the routers that are at hand, alone, by name"""
    return {OURS: our_router, THEIRS: original_router}


# -- ours ----------------------------------------------------------------------------------------


def our_trio(shop: Workshop) -> Trio:
    """Start ours. :returns: it, once a call has come through"""
    port, door, *targets = free_ports(4)
    router = our_router(shop, port, {AGENT: shop.secret})
    url = f"ws://{LOOPBACK}:{port}"
    agent = _tunnels(shop, "host", url, AGENT_SECRET, f"name = {AGENT}", f"allow = {LOOPBACK}:*")
    client = _tunnels(
        shop,
        "client",
        url,
        CLIENT_SECRET,
        f"agent = {AGENT}",
        f"target = {LOOPBACK}:{targets[0]}",
        f"listen = tcp:{door}:interface={LOOPBACK}",
    )
    wait(lambda: listens(door), "our client listening", START_S)
    program = [sys.executable, "-m", "relay.commands.main", "connect", "--dialect", DIALECT]
    words = ("--router", url, "--secret-file", str(shop.folder / CLIENT_SECRET))
    command = (*program, *words, AGENT, LOOPBACK, "{}")
    programs = (router, agent)
    trio = Trio(OURS, port, (targets[0], targets[1]), programs, command, shop.environment, door)
    assert client.is_running()
    return _answering(shop, trio)


def our_router(shop: Workshop, port: int, agents: Mapping[str, str]) -> Program:
    """:param agents: names and secrets
    :returns: our router, listening
    """
    _credentials(shop, agents)
    lines = (
        "[router]",
        f"listen = tcp:{port}:interface={LOOPBACK}:backlog={BACKLOG}",
        "state-dir = network-relay-state",
        f"[dialect:{DIALECT}]",
        f"credentials-file = {CREDENTIALS}",
    )
    shop.write("network-relay.ini", "\n".join(lines))
    router = shop.twistd("relay-router", "--config", "network-relay.ini")
    router.says("ready")
    return router


def _tunnels(shop: Workshop, role: str, url: str, secret: str, *lines: str) -> Program:
    common = (f"[{role}:bench]", f"dialect = {DIALECT}", f"router = {url}")
    return shop.tunnels(role, ["\n".join((*common, f"secret-file = {secret}", *lines))])


# -- the originals -------------------------------------------------------------------------------


def original_trio(shop: Workshop) -> Trio:
    """Start the originals'. :returns: it, once a call has come through"""
    port, *targets = free_ports(3)
    router = original_router(shop, port, {AGENT: shop.secret})
    url = f"ws://{LOOPBACK}:{port}"
    words = ("--relay-url", url + AGENT_PATH, "--name", AGENT)
    secret = {"HTTP_NETWORK_RELAY_SECRET": shop.secret}
    agent = shop.original("edge-agent", *words, dialect=DIALECT, **secret)
    program = str(peer("access-client", DIALECT))
    command = (program, AGENT, LOOPBACK, "{}", "tcp", "--relay-url", url + CLIENT_PATH)
    trio = Trio(THEIRS, port, (targets[0], targets[1]), (router, agent), command, secret)
    return _answering(shop, trio)


def original_router(shop: Workshop, port: int, agents: Mapping[str, str]) -> Program:
    """:param agents: names and secrets
    :returns: the originals' router, listening
    """
    file = _credentials(shop, agents)
    words = ("--host", LOOPBACK, "--port", str(port), "--credentials-file", file)
    router = shop.original("relay", *words, dialect=DIALECT)
    wait(lambda: listens(port), "the original's relay listening", START_S)
    return router


# -- both ----------------------------------------------------------------------------------------


def _credentials(shop: Workshop, agents: Mapping[str, str]) -> str:
    """Write all secrets down. :returns: the path of the router's file"""
    shop.write(AGENT_SECRET, shop.secret)
    shop.write(CLIENT_SECRET, shop.secret)
    value = {"edge-agents": dict(agents), "access-client-secrets": [shop.secret]}
    return str(shop.write(CREDENTIALS, json.dumps(value)))


def _answering(shop: Workshop, trio: Trio) -> Trio:
    """Wait until the agent has registered, and takes a call. :returns: the trio"""
    start = {
        "kind": "start",
        "connection_target": AGENT,
        "target_ip": LOOPBACK,
        "target_port": trio.targets[0],
        "protocol": "tcp",
        "secret": shop.secret,
    }
    asked = TEXT + frame(json.dumps({"inner": start}).encode(), bytes(4))[1:]

    def answers() -> bool:
        try:
            link = shake_hands({"kind": "ws", "port": trio.port}, CLIENT_PATH)
            with link.socket:
                link.socket.sendall(asked)
                return read_message(link)[0] == START_OK
        except (OSError, Refused):
            return False

    with socket.create_server((LOOPBACK, trio.targets[0])):
        wait(answers, f"a call through {trio.name}", START_S)
    return trio
