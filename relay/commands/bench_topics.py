"""What ``relay bench`` measures of a dialect of topics: a router between members.

No host and no client stand between, since members of any kind connect to the router itself. Beside
it stands the plain relay where that does the same: from one to one. It cannot do what a topic is
for, to send one thing to many, and leaves nothing out for readers that are too slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from relay.commands.bench_table import Line, line_of
from relay.commands.output import hint
from relay.commands.shows import Desk, TopicShow, router_ini
from relay.dialects import dialect_keys
from relay.measuring.places import Place
from relay.measuring.processes import LOOPBACK, Crew, Program, free_ports
from relay.measuring.runs import HOLD_S, Trips, Way, bulk, hold_answered, load, service, told, trips
from relay.measuring.topic_runs import MB, Heard, topic
from relay.settings import read_router

READERS, SMALL_BYTES, PICTURE_BYTES = 20, 4096, 60_000
BOOKING = "bench"
BOTH_WAYS = ("read", "write")
GB = 1000 * MB


class _Router(NamedTuple):
    """A router, and how to get into its topics."""

    name: str
    program: Program
    desk: Desk

    def seat(self, name: str, scopes: Sequence[str]) -> tuple[str, str]:
        """:returns: a session URL, and a token for it"""
        session, token = self.desk.seat(name, scopes, BOOKING)
        return session, token


def measure_topics(
    crew: Crew, dialect: str, show: TopicShow, rounds: int, seconds: float, idle: int
) -> list[Line]:
    """Measure.

    :param seconds: of each single measurement
    :param idle: so many members do nothing, to see what they cost
    :raises Late, Inexact: when that fails
    """
    hint("starting a router and a plain TCP relay")
    router = _start(crew, dialect, show)
    door, target = free_ports(2)
    forward = crew.forward(door, target)
    plain = Way(
        {"kind": "tcp", "port": door}, {"kind": "listen", "port": target}, False, (forward,)
    )
    talk = Way(_place(router), _place(router), True, (router.program,))
    fanned: list[Heard] = []
    speeds: list[tuple[Heard, float]] = []
    asked: list[list[Trips]] = []
    for number in range(rounds):
        hint(f"round {number + 1} of {rounds}: one to one, one to {READERS}, round trips")
        one = topic(crew, router, seconds, 1, PICTURE_BYTES)
        speeds.append((one, bulk(crew, plain, seconds).gb_s * GB / MB))
        fanned.append(topic(crew, router, seconds, READERS, SMALL_BYTES))
        asked.append([trips(crew, way, seconds / 2) for way in (talk, plain)])
    hint(f"what {idle} idle members cost")
    costs = _idle_kib(crew, router, idle), _plain_kib(crew, plain, idle)
    few = f"1 writer, 1 reader, {PICTURE_BYTES} bytes each"
    many = f"1 writer, {READERS} readers, {SMALL_BYTES} bytes each"
    trip = "round trip of 64 bytes"
    return [
        line_of(f"{few}: heard", "MB/s", [(one.mb_s, plainly) for one, plainly in speeds]),
        line_of(f"{few}: lost", "%", [(100 * one.lost, 0.0) for one, _ in speeds]),
        Line(f"{many}: heard by all", "MB/s", tuple(one.mb_s for one in fanned), ()),
        Line(f"{many}: lost", "%", tuple(100 * one.lost for one in fanned), ()),
        line_of(f"{trip}, median", "ms", [[one.p50_ms for one in pair] for pair in asked]),
        line_of(f"{trip}, p99", "ms", [[one.p99_ms for one in pair] for pair in asked]),
        line_of("idle member, in the router", "KiB", [costs]),
    ]


def _start(crew: Crew, dialect: str, show: TopicShow) -> _Router:
    (port,) = free_ports(1)  # tokens name it
    config = str(crew.write("relay.ini", router_ini(dialect, port)))
    program = crew.twistd("relay-router", "--config", config)
    program.says("ready")
    settings = read_router({"config": config}, {}, crew.folder, dialect_keys())
    return _Router("relay", program, show.desk(settings, f"http://{LOOPBACK}:{port}"))


def _place(router: _Router) -> Place:
    session, token = router.seat("talk", BOTH_WAYS)
    return {"kind": "seat", "session": session, "token": token}


def _idle_kib(crew: Crew, router: _Router, count: int) -> float:
    """:returns: what a member that says and hears nothing adds to the router"""
    before = router.program.rss_kib()
    crowd = load(crew, {"do": "sit", "sessions": [router.seat("idle", BOTH_WAYS)] * count})
    told(crowd, "open", HOLD_S)
    grown = router.program.rss_kib() - before
    crew.end(crowd)
    return grown / count


def _plain_kib(crew: Crew, plain: Way, count: int) -> float:
    """:returns: what an idle connection adds to the plain relay"""
    far = service(crew, plain)
    (forward,) = plain.programs
    before = forward.rss_kib()
    near = hold_answered(crew, plain.near, count)
    grown = forward.rss_kib() - before
    crew.end(near, far)
    return grown / count
