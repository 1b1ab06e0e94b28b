"""Everything that bytes are sent through: ours, and what ours is measured beside.

A *lane* is called for each single measurement and gives a context with a
:class:`~relay.measuring.runs.Way`. Most stand all the while; a socat serves one connection only, so
its lane starts one each time (with ``fork`` its processor time would be a child's).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from bench.processes import peer
from bench.programs import LOOPBACK, Program, Workshop, free_ports, wait
from relay.measuring.places import Place
from relay.measuring.processes import START_S
from relay.measuring.runs import Way
from relay.vocabulary import Role

Lane = Callable[[], AbstractContextManager[Way]]

SOCAT = "socat"
SOCAT_BYTES = 65536
ORIGINALS = ("demo-router", "tcp-forward")
SERVICE = "echo"


def standing(way: Way) -> Lane:
    """:returns: the lane of something that stands all the while."""
    return lambda: nullcontext(way)


def at(port: int) -> Place:
    """:returns: the place of those who connect."""
    return {"kind": "tcp", "port": port}


def behind(port: int) -> Place:
    """:returns: the place of a service."""
    return {"kind": "listen", "port": port}


def direct() -> Lane:
    """:returns: nothing at all between the loads."""
    (port,) = free_ports(1)
    return standing(Way(at(port), behind(port)))


def socats(shop: Workshop, length: int) -> Lane:
    """:returns: so many socats in a chain."""

    @contextmanager
    def lane() -> Iterator[Way]:
        *ports, target = free_ports(length + 1)
        programs = []
        for port, onward in zip(ports, (*ports[1:], target), strict=True):
            where = f"TCP-LISTEN:{port},bind={LOOPBACK},reuseaddr"
            words = [SOCAT, "-b", str(SOCAT_BYTES), where, f"TCP:{LOOPBACK}:{onward}"]
            programs.append(shop.start(SOCAT, words))
        for program in programs:
            wait(program.listening_port, "socat listening", START_S)
        yield Way(at(ports[0]), behind(target), False, tuple(programs))
        shop.end(*programs)

    return lane


def forwards(shop: Workshop, length: int) -> Lane:
    """:returns: so many of Twisted's portforward in a chain."""
    *ports, target = free_ports(length + 1)
    onward = (*ports[1:], target)
    programs = [shop.forward(port, next_) for port, next_ in zip(ports, onward, strict=True)]
    return standing(Way(at(ports[0]), behind(target), False, tuple(programs)))


class Router:
    """Our router, and places at it.

    :ivar program: the router
    """

    def __init__(self, shop: Workshop, tls: bool = False) -> None:
        self._shop = shop
        (self.port,) = free_ports(1)
        self._base: Place = {"port": self.port, "service": SERVICE}
        if tls:
            self._base["ca"] = str(shop.certificate)
        self.program = shop.router(self.port, tls=tls)
        self.program.says("ready")

    def way(self, portal_id: int) -> Way:
        """:returns: from a portal's client to its host, both played by the loads."""
        near = {**self._base, "kind": "caller", "token": self._shop.token(Role.CLIENT, portal_id)}
        far = {**self._base, "kind": "callee", "token": self._shop.token(Role.HOST, portal_id)}
        return Way(near, far, True, (self.program,))

    def lane(self, portal_id: int = 1) -> Lane:
        """:returns: that way."""
        return standing(self.way(portal_id))


def raw(shop: Workshop) -> Lane:
    """:returns: two of our local streams, joined."""
    port, target = free_ports(2)
    program = shop.module("raw_relay", str(port), str(target))
    program.says("listening")
    return standing(Way(at(port), behind(target), False, (program,)))


def autobahn(shop: Workshop, tls: bool = False) -> Lane:
    """:returns: a plain autobahn relay."""
    (port,) = free_ports(1)
    files = ("--certificate", str(shop.certificate), "--key", str(shop.key)) if tls else ()
    program = shop.module("autobahn_server", str(port), *files)
    program.says("listening")
    place: Place = {"kind": "ws", "port": port, "path": "/{}"}
    if tls:
        place["ca"] = str(shop.certificate)
    return standing(Way(place, place, True, (program,)))


def tunnel(shop: Workshop) -> Lane:
    """:returns: our client, router and host."""
    port, door, target = free_ports(3)
    router = shop.router(port)
    router.says("ready")
    host = shop.host(port, 1, target)
    client = shop.client(port, 1, door)
    host.says("stands for")
    client.says("leads to")
    return standing(Way(at(door), behind(target), False, (client, router, host)))


def originals(shop: Workshop) -> Lane | None:
    """:returns: the originals' client, router and host; None where they are not at hand."""
    if not all(peer(name) for name in ORIGINALS):
        return None
    door, target = free_ports(2)
    router, port = shop.demo()
    host = shop.original_host(port, 1, target)
    client = shop.original_client(port, 1, door)
    for program in (host, client):
        wait(lambda: is_up(program, door), f"{program.name} being up", START_S)  # noqa: B023
    return standing(Way(at(door), behind(target), False, (client, router, host)))


def is_up(program: Program, door: int) -> bool:
    """:returns: whether an original's host or client is there, as far as can be told."""
    return bool(program.printed()) or program.listening_port() == door


def has_socat() -> bool:
    """:returns: whether it is installed."""
    return shutil.which(SOCAT) is not None
