"""``relay bench``: what a tunnel costs on this machine, beside a plain TCP relay.

Router, host and client run as processes of their own, as in earnest, and so do the loads at both
ends. Where viewers come to the router by HTTP there is no client, and requests are measured; of
topics the router is measured, between members (:mod:`relay.commands.bench_topics`). The plain relay
is one process of Twisted's ``protocols.portforward``.
"""

from __future__ import annotations

import argparse
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from relay.commands.bench_rendezvous import CONFIG, keep, waiting_kib
from relay.commands.bench_table import Line, line_of, table
from relay.commands.bench_topics import measure_topics
from relay.commands.output import add_json, hint, result
from relay.commands.shows import SHOWN, SHOWS, TOPIC_SHOWS, router_ini, tunnel_ini
from relay.dialects import dialect_keys
from relay.dialects.taas.keys import REGISTRAR_KEY, SERVERS_KEY
from relay.dialects.taas.notions import DIALECT as TAAS
from relay.errors import RelayError
from relay.measuring.processes import LOOPBACK, START_S, Crew, Late, Program, free_ports
from relay.measuring.runs import Inexact, Trips, Way, bulk, hold_answered, service, trips, web_way
from relay.nvx import check_nvx
from relay.settings import read_router
from relay.settings.model import RouterSettings
from relay.vocabulary import Role

if TYPE_CHECKING:
    from relay.measuring.places import Place

ROUNDS = 3
SECONDS = 1.2
MAX_SECONDS = 60.0
IDLE = 200
MB_PER_GB = 1000
REMEDY = "try again while the machine has less to do, or see whether it works with: relay demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``relay bench`` takes."""
    parser.add_argument(
        "--dialect", choices=SHOWN, default="portal", help="what is spoken to the router"
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=SECONDS,
        metavar="S",
        help=f"how long each single measurement takes; default: {SECONDS:g}",
    )
    parser.add_argument(
        "--rounds",
        type=_rounds,
        default=ROUNDS,
        metavar="N",
        help=f"how often each is taken; default: {ROUNDS}",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure.

    :returns: the exit status
    :raises RelayError, ConfigurationError: when it cannot be measured
    """
    check_nvx()
    if not os.path.isdir("/proc/self/fd"):
        raise RelayError("memory is read from /proc, which this system does not have")
    try:
        with _BenchCrew() as crew:
            lines = _measure(crew, arguments)
    except (Late, Inexact) as error:
        raise RelayError(f"the measurement failed: {_one_line(error)}", REMEDY) from error
    value = {
        "dialect": arguments.dialect,
        "seconds": arguments.seconds,
        "rounds": arguments.rounds,
        "lines": [{**line._asdict(), "ratio": line.ratio} for line in lines],
    }
    result(arguments.json, value, "\n".join(table(lines)))
    hint(f"relay: {_programs(arguments.dialect)}; plain: one process that joins sockets")
    return 0


def _programs(dialect: str) -> str:
    if dialect in TOPIC_SHOWS:
        return "a router"
    programs = "router and host" if SHOWS[dialect].path else "client, router and host"
    return f"{programs}, each a process"


class _BenchCrew(Crew):
    """Leaves nothing behind, whatever happens."""

    keeps = False


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; it is a number of seconds up to {MAX_SECONDS:g}"
        )
    return value


def _rounds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 100):
        raise argparse.ArgumentTypeError(f"{text!r} is no count; it is a number from 1 to 100")
    return int(text)


def _one_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if len(lines) == 1 else f"{lines[0]} … {lines[-1]}" if lines else repr(error)


# -- the measurement -----------------------------------------------------------------------------


def _measure(crew: Crew, arguments: argparse.Namespace) -> list[Line]:
    if show := TOPIC_SHOWS.get(arguments.dialect):
        return measure_topics(
            crew, arguments.dialect, show, arguments.rounds, arguments.seconds, IDLE
        )
    hint("starting the tunnel's programs and a plain TCP relay")
    tunnel = _tunnel(crew, arguments.dialect)
    door, target = free_ports(2)
    forward = crew.forward(door, target)
    is_web = tunnel.near["kind"] == "web"
    plain = web_way(door, "", target, forward) if is_web else _way(door, target, forward)
    trip = "GET of 64 bytes" if is_web else "round trip of 64 bytes"
    seconds: float = arguments.seconds
    ways = (tunnel, plain)
    speeds: dict[bool, list[list[float]]] = {True: [], False: []}
    asked: list[list[Trips]] = []
    for number in range(arguments.rounds):
        hint(f"round {number + 1} of {arguments.rounds}: throughput down and up, round trips")
        for up, rounds in speeds.items():
            rounds.append([bulk(crew, way, seconds, up=up).gb_s * MB_PER_GB for way in ways])
        asked.append([trips(crew, way, seconds / 2) for way in ways])
    waiting = _waiting(crew, arguments.dialect, tunnel)
    hint(f"what {IDLE} idle connections cost")
    idle = [_idle_kib(crew, way) for way in ways]
    # of the tunnel's programs the router is the one that many share
    router, relay = idle[0][0], idle[1][0]
    return [
        line_of("download", "MB/s", speeds[False]),
        line_of("upload", "MB/s", speeds[True]),
        line_of(f"{trip}, median", "ms", [[t.p50_ms for t in one] for one in asked]),
        line_of(f"{trip}, p99", "ms", [[t.p99_ms for t in one] for one in asked]),
        Line("idle connection, in the router", "KiB", (router,), (relay,)),
        Line("idle connection, in all programs", "KiB", (sum(idle[0]),), (relay,)),
        *waiting,
    ]


def _waiting(crew: Crew, dialect: str, tunnel: Way) -> list[Line]:
    """:returns: what a connection costs that waits for its caller, where hosts have such"""
    if dialect != TAAS:
        return []
    hint(f"what {IDLE} connections cost that wait for callers")
    router, settings = tunnel.programs[0], _settings(crew)
    values = settings.dialects[0].values
    registrar, servers = str(values[REGISTRAR_KEY]), str(values[SERVERS_KEY])
    port = urlsplit(_url(router)).port or 0
    kib = waiting_kib(crew, router, port, registrar, servers, IDLE)
    return [Line("waiting connection, in the router", "KiB", (kib,), ())]


def _idle_kib(crew: Crew, way: Way) -> list[float]:
    """:returns: for each program between, what an idle connection adds."""
    far = service(crew, way)
    before = [program.rss_kib() for program in way.programs]
    near = hold_answered(crew, way.near, IDLE)
    grown = [
        (program.rss_kib() - base) / IDLE
        for program, base in zip(way.programs, before, strict=True)
    ]
    crew.end(near, far)
    return grown


def _tunnel(crew: Crew, dialect: str) -> Way:
    """Start the daemons. :returns: the way through them; the router is its first program"""
    config = str(crew.write(CONFIG, router_ini(dialect, 0)))
    router = crew.twistd("relay-router", "--config", config)
    router.says("ready")
    show, url = SHOWS[dialect], _url(router)
    tokens = show.tokens(_settings(crew), url)
    for role, token in tokens.items():
        crew.write(f"{role.value}.token", token)
    keep(crew, show.records(tokens))
    (target,) = free_ports(1)
    at = f"{LOOPBACK}:{target}"
    host = _daemon(crew, Role.HOST, dialect, url, f"forward = tcp:{at}", at)
    host.says(" stands")
    if path := show.path:
        port = int(url.rpartition(":")[2])
        return web_way(port, path.removesuffix("/"), target, router, host)
    client = _daemon(crew, Role.CLIENT, dialect, url, f"listen = tcp:0:interface={LOOPBACK}", at)
    client.says("leads to")
    door = int(_found(client, r":(\d+) leads to "))
    way = _way(door, target, router, client, host)
    return way._replace(begins=show.begins)


def _daemon(crew: Crew, role: Role, dialect: str, url: str, door: str, target: str) -> Program:
    text = tunnel_ini(role, dialect, url, door, target)
    config = crew.write(f"{role.value}.ini", text)
    return crew.twistd(f"relay-{role.value}", "--config", str(config))


def _way(door: int, target: int, *programs: Program) -> Way:
    near: Place = {"kind": "tcp", "port": door}
    return Way(near, {"kind": "listen", "port": target}, False, programs)


def _settings(crew: Crew) -> RouterSettings:
    said = {"config": str(crew.folder / CONFIG)}
    return read_router(said, {}, crew.folder, dialect_keys())


def _url(router: Program) -> str:
    """:returns: where the router's first listener is"""
    return _found(router, r"listening at (\S+) for")


def _found(program: Program, pattern: str) -> str:
    found = re.search(pattern, program.printed())
    if found is None:
        raise Late(f"{program.name} did not say where it listens within {START_S:g} s")
    return found[1]
