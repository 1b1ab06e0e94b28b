"""Router, host and client with a service behind them and all kinds of users, for ``bench.soak``."""

from __future__ import annotations

import queue
import random
import re
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from bench import mixture, rude
from bench.mixture import Kind, Users
from bench.processes import peer
from bench.programs import LOOPBACK, Program, Workshop, free_ports, wait
from bench.scripted import MIB, Flow, Verdicts, Wrong, line, serve
from bench.targets import Service
from relay.vocabulary import Role

BACK_S = 20.0
MAX_SHOWN = 40
FAILS = re.compile(r" (?:error|critical) |Traceback|Unhandled")
LEFT = re.compile(
    r" error t\d: call (?:of|for) .*\((?:peer-closed|no-such-offer|host-absent|lost):"
)
"""What a host or client says where somebody left before a call was answered."""

PLAIN, SECURE, VICTIM, RUST_HOST, RUST_CLIENT, RAW = range(1, 7)
"""Portal ids."""

NAMES = ("router", "host", "client")


class Sample(NamedTuple):
    """What a program has at one time."""

    rss_mib: float
    descriptors: int


class Yard:
    """The programs, and the service behind them.

    :ivar over: set when all is to come to an end
    :ivar measured: router, host and client that stay
    """

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self.over = threading.Event()
        self._verdicts = Verdicts()
        self._service = Service(serve(self._verdicts))
        self._port, secure, *self._doors = free_ports(7)
        self._urls = dict.fromkeys(range(1, RAW + 1), f"router = ws://{LOOPBACK}:{self._port}")
        self._urls[SECURE] = f"router = wss://{LOOPBACK}:{secure}\nca-file = {shop.certificate}"
        self._ours: list[Program] = []
        self._rust = peer("tcp-forward") is not None
        router = self._keep(self._router(secure))
        router.says("ready")
        host = self._host(PLAIN, SECURE, RUST_CLIENT)
        if self._rust:
            shop.original_host(self._port, RUST_HOST, self._service.port)
            shop.original_client(self._port, RUST_CLIENT, self._door(RUST_CLIENT))
        client = self._client(PLAIN, SECURE, RUST_HOST)
        self._victims = {Role.HOST: self._host(VICTIM), Role.CLIENT: self._client(VICTIM)}
        self.measured = dict(zip(NAMES, (router, host, client), strict=True))
        self.users = {
            portal: Users(self._door(portal), self._verdicts, self.over)
            for portal in (PLAIN, SECURE, VICTIM, RUST_HOST, RUST_CLIENT)
        }
        wait(lambda: all(self._works(portal) for portal in self._tunnels()), "tunnels", 30, 0.2)

    def kinds(self) -> list[Kind]:
        """:returns: all the traffic"""
        kinds = [
            *mixture.kinds_of("plain", self.users[PLAIN]),
            *mixture.kinds_of("TLS", self.users[SECURE]),
            *rude.kinds_of(rude.Rude(self._shop, self._port, PLAIN, RAW, self._verdicts)),
            Kind("host and client killed in turn", Killer(self, self._verdicts).visit, 12),
        ]
        for portal, name in (RUST_HOST, "original host"), (RUST_CLIENT, "original client"):
            if self._rust:
                kinds.append(Kind(name, Mixed(self.users[portal]).visit, 2))
        return kinds

    def sample(self) -> dict[str, Sample]:
        """:returns: what each has"""
        return {
            name: Sample(program.rss_kib() / 1024, program.descriptors())
            for name, program in self.measured.items()
        }

    def complaints(self) -> list[str]:
        """:returns: what our programs have logged and should not have"""
        ended = [f"{name} has ended" for name, one in self.measured.items() if not one.is_running()]
        said = [
            f"{program.name}: {text}"
            for program in self._ours
            for text in program.printed().splitlines()
            if FAILS.search(text) and not LEFT.search(text)
        ]
        return ended + said[:MAX_SHOWN]

    def kill(self, role: Role) -> None:
        """Kill the host or client that is there for that."""
        self._victims[role].kill()

    def restart(self, role: Role) -> None:
        """Start it again, and wait until its tunnel works. :raises Late:"""
        start = self._host if role is Role.HOST else self._client
        self._victims[role] = start(VICTIM)
        wait(lambda: self._works(VICTIM), f"the tunnel of a restarted {role.value}", BACK_S, 0.1)

    def _tunnels(self) -> Sequence[int]:
        return (PLAIN, SECURE, VICTIM, *((RUST_HOST, RUST_CLIENT) if self._rust else ()))

    def _works(self, portal: int) -> bool:
        try:
            self.users[portal].count(100)
        except (OSError, Wrong):
            return False
        return True

    def _router(self, secure: int) -> Program:
        lines = (
            "[router]",
            f"listen = tcp:{self._port}:interface={LOOPBACK}:backlog=1024",
            f"listen-tls = tcp:{secure}:interface={LOOPBACK}:backlog=1024",
            "state-dir = state",
            "[tls]",
            f"certificate = {self._shop.certificate}",
            f"key = {self._shop.key}",
            "[dialect:portal]",
            "secret-file = portal.secret",
        )
        self._shop.write("relay.ini", "\n".join(lines))
        return self._shop.twistd("relay-router", "--config", "relay.ini")

    def _host(self, *portals: int) -> Program:
        forward = f"forward = tcp:{LOOPBACK}:{self._service.port}"
        return self._tunnels_of(Role.HOST, dict.fromkeys(portals, forward))

    def _client(self, *portals: int) -> Program:
        doors = {p: f"listen = tcp:{self._door(p)}:interface={LOOPBACK}" for p in portals}
        return self._tunnels_of(Role.CLIENT, doors)

    def _tunnels_of(self, role: Role, doors: dict[int, str]) -> Program:
        plain = f"router = ws://{LOOPBACK}:{self._port}"
        sections = [
            self._shop.tunnel(role.value, self._port, portal, door).replace(
                plain, self._urls[portal]
            )
            for portal, door in doors.items()
        ]
        program = self._keep(self._shop.tunnels(role.value, sections))
        program.says("ready")
        return program

    def _door(self, portal: int) -> int:
        return self._doors[portal - 1]

    def _keep(self, program: Program) -> Program:
        self._ours.append(program)
        return program


class Killer:
    """Kills hosts and clients in the midst of transfers, and starts them again."""

    SIZE = 48 * MIB

    def __init__(self, yard: Yard, verdicts: Verdicts) -> None:
        self._yard = yard
        self._verdicts = verdicts
        self._users = yard.users[VICTIM]
        self._role = Role.HOST

    def visit(self) -> int:
        """Kill one of them. :returns: what was carried before, and behind it"""
        self._role = Role.CLIENT if self._role is Role.HOST else Role.HOST
        number, flow = self._verdicts.number(), Flow(self.SIZE, 5)
        rising, sent = self._verdicts.number(), Flow(self.SIZE, 6)
        endings: queue.Queue[str] = queue.Queue()
        with self._users.connect() as down, self._users.connect() as up:
            down.sendall(line("give", number, self.SIZE, 5, "pauses"))
            up.sendall(line("take", rising, self.SIZE, 6))
            reader = threading.Thread(
                target=lambda: endings.put(mixture.ending_of(down, flow)), daemon=True
            )
            reader.start()
            while sent.done < self.SIZE // 8:
                up.sendall(sent.next())
            time.sleep(random.uniform(0.0, 0.3))
            self._yard.kill(self._role)
            ending = endings.get(timeout=30.0)
        self._verdicts.of(number)
        seen = self._verdicts.of(rising)
        if not (flow.exact and seen.exact):
            raise Wrong(f"{self._role.value} killed: altered, {flow.done} down, {seen} up")
        # who was connected to the killed one itself hears of it from the kernel, which may say eof
        told = ending if self._role is Role.HOST else seen.ending
        if flow.done < self.SIZE and told == "eof":
            raise Wrong(f"{self._role.value} killed: a part was taken for the whole")
        self._yard.restart(self._role)
        return flow.done + seen.done + self._users.count(MIB)


class Mixed:
    """What the originals can carry, which have no half-close, in turn."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._turn = 0

    def visit(self) -> int:
        """Pay one visit."""
        self._turn += 1
        users, size = self._users, (100, MIB, 6 * MIB)[self._turn // 3 % 3]
        if self._turn % 3 == 0:
            return users.count(size)
        if self._turn % 3 == 1:
            return users.download(size)
        return users.upload_and_close(size)
