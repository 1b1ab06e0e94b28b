"""The loads of measurements with nothing between them: what one asks, the other answers."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest

from relay.measuring.processes import Crew, Late, free_ports, wait
from relay.measuring.runs import (
    Way,
    bulk,
    enrol,
    fetched,
    hold_answered,
    load,
    paced_beside_fetch,
    paced_beside_stalled,
    service,
    told,
    trips,
    visits,
    web_way,
)
from tests.relay_command import ROOT

SECONDS = 0.1
END_S = 5.0
BODY_BYTES = 777_777
CARRIER = """
import os, socket, sys, threading
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def up():
    while data := os.read(0, 65536):
        link.sendall(data)
threading.Thread(target=up, daemon=True).start()
while data := link.recv(65536):
    os.write(1, data)
"""
"""A program that carries standard input and output to a port."""

MESSAGE_BYTES = 64 * 1024


@pytest.fixture
def crew() -> Iterator[Crew]:
    """Loads, ended with the test."""
    handler = signal.getsignal(signal.SIGTERM)
    with Crew() as made:
        made.environment["PYTHONPATH"] = str(ROOT)
        yield made
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def web() -> Way:
    """From requests to a site."""
    (port,) = free_ports(1)
    return web_way(port, "", port)


@pytest.fixture
def socket() -> Way:
    """From a WebSocket to whoever answers its handshake."""
    (port,) = free_ports(1)
    near = {"kind": "ws", "port": port, "path": "/demo/{}"}
    return Way(near, {"kind": "serve", "port": port}, True)


def carried() -> Way:
    """:returns: the way through a program's standard input and output"""
    (port,) = free_ports(1)
    near = {"kind": "stdio", "command": [sys.executable, "-c", CARRIER, str(port)]}
    return Way(near, {"kind": "listen", "port": port})


@pytest.mark.parametrize("up", [False, True], ids=["get", "put"])
def test_bodies(crew: Crew, web: Way, up: bool) -> None:
    """Bodies go and come, and are verified at the end."""
    assert bulk(crew, web, SECONDS, up=up).gb_s > 0
    assert fetched(crew, web, SECONDS, BODY_BYTES, up).gb_s > 0


@pytest.mark.parametrize("count", [1, 16])
def test_requests(crew: Crew, web: Way, count: int) -> None:
    """Small requests are answered on one connection and on many."""
    assert trips(crew, web, SECONDS, count).per_s > 0
    assert visits(crew, web, SECONDS, count) > 0


def test_requests_beside_bodies(crew: Crew, web: Way) -> None:
    """Small requests are answered while bodies come."""
    assert paced_beside_fetch(crew, web, 0.3, 10, 0.1, BODY_BYTES).per_s > 0


def test_kept_connections(crew: Crew, web: Way) -> None:
    """Many connections stay that have asked once."""
    site = service(crew, web)
    before = site.descriptors()
    hold_answered(crew, web.near, 20)
    assert site.descriptors() == before + 20


@pytest.mark.parametrize("count", [1, 3])
def test_websocket_trips(crew: Crew, socket: Way, count: int) -> None:
    """Questions under a mask are answered without one."""
    assert trips(crew, socket, SECONDS, count).per_s > 0


@pytest.mark.parametrize("up", [False, True], ids=["down", "up"])
def test_websocket_bulk(crew: Crew, socket: Way, up: bool) -> None:
    """Messages go either way, masked on their way up, and are verified at the end."""
    assert bulk(crew, socket, SECONDS, MESSAGE_BYTES, up).gb_s > 0


@pytest.mark.parametrize("up", [False, True], ids=["down", "up"])
def test_bulk_through_a_program(crew: Crew, up: bool) -> None:
    """A program's standard input or output carries a stream, and is verified at the end."""
    assert bulk(crew, carried(), SECONDS, up=up).gb_s > 0


@pytest.mark.parametrize("up", [False, True], ids=["down", "up"])
def test_bulk_behind_a_first_word(crew: Crew, up: bool) -> None:
    """Who has to speak first says something that is no part of what is measured."""
    (port,) = free_ports(1)
    near, far = ({"kind": kind, "port": port} for kind in ("tcp", "listen"))
    assert bulk(crew, Way(near, far, begins=True), SECONDS, up=up).gb_s > 0


def test_trips_through_a_program(crew: Crew) -> None:
    """Questions through a program are counted from when it answers: its start is none of them."""
    heard = trips(crew, carried(), SECONDS)
    assert heard.per_s > 0


def test_a_program_ends_with_its_load(crew: Crew) -> None:
    """A load that is killed leaves no program behind: the service sees its connection end."""
    way = carried()
    site = service(crew, way)
    before = site.descriptors()
    load_of = load(crew, {"do": "pace", "seconds": 60, "every_s": 1, "count": 1, "place": way.near})
    told(load_of, "asking")
    assert site.descriptors() == before + 1
    crew.end(load_of)
    wait(lambda: site.descriptors() == before, "the end of the connection", END_S)


def test_trips_beside_a_stopped_reader(crew: Crew) -> None:
    """One way is asked while nobody reads what comes another way."""
    assert paced_beside_stalled(crew, carried(), 0.3, 1, 0.05, carried()).per_s > 0


def test_nobody_there(crew: Crew, web: Way) -> None:
    """A load that finds nobody says so and ends."""
    job = {"do": "fetch", "place": web.near, "size": 1, "up": False}
    with pytest.raises(Late, match="fetch at web"):
        told(load(crew, job), "carried")


def test_a_refused_host(crew: Crew, web: Way) -> None:
    """Hosts that nobody lets in are told."""
    service(crew, web)
    job = {"do": "enlist", "place": web.near, "hosts": [["a", "token"]]}
    with pytest.raises(Late, match="enlist at web"):
        told(load(crew, job), "open")


def test_a_refused_agent(crew: Crew, web: Way) -> None:
    """Agents that nobody lets in are told."""
    service(crew, web)
    with pytest.raises(Late, match="enrol at web"):
        enrol(crew, web.near, [("a", "secret")], {})
