"""One measurement: a load at each end of what is measured, and what they report.

A :class:`Way` says where traffic enters, where it leaves, and whose processor time it costs.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from relay.measuring.places import Place
from relay.measuring.processes import Crew, Late, Program, wait

SPARE_S = 25.0
"""A load may take so long besides what it was told to measure."""

HOLD_S = 120.0
POLL_S = 0.02
GB = 1e9
COMPARED_EVERY = 4
BODY_BYTES = 16 * 1024 * 1024
"""Of one download or upload, where nobody says otherwise."""

BODY_S = 120.0
"""The longest that one body may take."""


class Way(NamedTuple):
    """Something that carries bytes between two places.

    :ivar near: where a user comes in
    :ivar far: where a service answers; it is there first
    :ivar framed: whether both are WebSockets
    :ivar programs: what stands between, for processor time and memory
    :ivar begins: whether nobody hears of a user who has not said anything
    """

    near: Place
    far: Place
    framed: bool = False
    programs: tuple[Program, ...] = ()
    begins: bool = False

    def cpu_s(self) -> float:
        """:returns: what the programs have used so far."""
        return sum(program.cpu_s() for program in self.programs)


def web_way(port: int, path: str, app: int, *programs: Program) -> Way:
    """:returns: the way of requests to a web server's port

    :param path: in front of every path, without a slash behind it
    :param app: the port of the application, to which they come
    """
    near = {"kind": "web", "port": port, "path": path}
    return Way(near, {"kind": "site", "port": app}, False, programs)


class Speed(NamedTuple):
    """How fast payload went.

    :ivar gb_s: GB (10^9 bytes) a second
    :ivar cpu_s_gb: processor seconds of the programs between, for each GB
    :ivar loads_s_gb: those of the two loads
    """

    gb_s: float
    cpu_s_gb: float
    loads_s_gb: float


class Trips(NamedTuple):
    """Questions and answers.

    :ivar per_s: round trips a second
    """

    per_s: float
    p50_ms: float
    p99_ms: float


class Inexact(Exception):
    """Not every byte came, or other bytes than were sent."""


def load(crew: Crew, job: dict[str, Any]) -> Program:
    """Start a load."""
    name = f"{job['do']}-{secrets.token_hex(4)}.json"
    path = crew.write(name, json.dumps(job))
    command = [sys.executable, "-m", "relay.measuring.load", str(path)]
    return crew.start(job["do"], command)


def told(program: Program, member: str, deadline_s: float = SPARE_S) -> dict[str, Any]:
    """Wait for the line of a load that has this member. :returns: that line :raises Late:"""
    found: list[dict[str, Any]] = []

    def has() -> bool:
        over = not program.is_running()
        for line in program.printed().splitlines(keepends=True):
            if line.startswith("{") and line.endswith("}\n"):
                values: dict[str, Any] = json.loads(line)
                if "failed" in values:
                    raise Late(values["failed"])
                if member in values:
                    found.append(values)
                    return True
        if over:
            raise Late(f"{program.name} has ended; it printed: {program.printed()[-2000:]}")
        return False

    wait(has, f"{member} from {program.name}", deadline_s, POLL_S)
    return found[0]


def service(crew: Crew, way: Way, **job: object) -> Program:
    """Start what answers questions at the far end. :returns: it, once it is there"""
    does = "site" if way.far["kind"] == "site" else "echo"
    far = load(crew, {"do": does, "count": 0, **job, "place": way.far})
    told(far, "ready")
    return far


def bulk(crew: Crew, way: Way, seconds: float, message_bytes: int = 0, up: bool = True) -> Speed:
    """Send for so long, one way; what arrives is counted and compared.

    :param message_bytes: of the WebSocket messages; 0: no messages but a plain stream
    :param up: from near to far, as an upload
    :raises Late: when it gets stuck
    :raises Inexact: when something was lost or changed
    """
    if way.near["kind"] == "web":
        return fetched(crew, way, seconds, up=up)
    sender = {"do": "send", "seconds": seconds, "message_bytes": message_bytes}
    taker = {"do": "take", "framed": bool(message_bytes), "every": COMPARED_EVERY}
    if message_bytes and not way.framed:
        sender["masks"] = False  # sender and taker are each other's peers
    jobs = (taker, sender) if up else (sender, taker)
    begins = {"begins": True} if way.begins else {}
    far = load(crew, {**jobs[0], "place": {**way.far, **begins}})
    told(far, "ready")
    before = way.cpu_s()
    near = load(crew, {**jobs[1], "place": {**way.near, **begins}})
    deadline_s = seconds + SPARE_S
    took = told(far if up else near, "took", deadline_s)
    used = way.cpu_s() - before
    sent = told(near if up else far, "sent", deadline_s)
    crew.end(near, far)
    if not took["exact"] or took["took"] != sent["sent"]:
        raise Inexact(f"{sent['sent']} bytes were sent, {took['took']} came, or not the same")
    size = took["took"] / GB
    return Speed(size / took["seconds"], used / size, (took["cpu_s"] + sent["cpu_s"]) / size)


def fetched(
    crew: Crew, way: Way, seconds: float, size: int = BODY_BYTES, up: bool = False
) -> Speed:
    """Get bodies from a site, or put them, one after the other; each is verified.

    :param size: of a body, in bytes
    :raises Late: when it gets stuck, or something was lost or changed
    """
    far = load(crew, {"do": "site", "place": way.far})
    told(far, "ready")
    near = load(
        crew, {"do": "fetch", "place": way.near, "size": size, "up": up, "seconds": seconds}
    )
    told(near, "fetching", BODY_S)
    before, at_site = way.cpu_s(), far.cpu_s()
    carried = told(near, "carried", seconds + BODY_S)
    used, sites = way.cpu_s() - before, far.cpu_s() - at_site
    crew.end(near, far)
    amount = carried["carried"] / GB
    return Speed(amount / carried["seconds"], used / amount, (carried["cpu_s"] + sites) / amount)


def trips(crew: Crew, way: Way, seconds: float, count: int = 1, pieces: int = 1) -> Trips:
    """Ask as fast as answers come.

    :param count: of connections
    :param pieces: in which each question of 64 bytes is written
    """
    near, far = _talk(crew, way, count, pieces, {"do": "ping", "seconds": seconds})
    return _heard(crew, near, far, seconds)


def paced(crew: Crew, way: Way, seconds: float, count: int, every_s: float) -> Trips:
    """Ask on so many connections, every so often on each."""
    job = {"do": "pace", "seconds": seconds, "every_s": every_s}
    near, far = _talk(crew, way, count, 1, job)
    return _heard(crew, near, far, seconds)


def paced_beside(
    crew: Crew, way: Way, seconds: float, count: int, every_s: float, busy: Way, message_bytes: int
) -> Trips:
    """The same, while bulk goes another way through the same programs."""
    size = {"message_bytes": message_bytes}
    taker = load(crew, {"do": "take", "framed": bool(message_bytes), "place": busy.far})
    told(taker, "ready")
    job = {"do": "send", "seconds": seconds + SPARE_S, "place": busy.near, **size}
    sender = load(crew, job)
    try:
        return paced(crew, way, seconds, count, every_s)
    finally:
        crew.end(sender, taker)


def paced_beside_stalled(
    crew: Crew, way: Way, seconds: float, count: int, every_s: float, stalled: Way
) -> Trips:
    """The same, while a download another way through the same programs stands still: its reader
    has taken its first bytes and then stopped, and its sender has as much as anybody will take.
    """
    sender = load(crew, {"do": "send", "seconds": seconds + SPARE_S, "place": stalled.far})
    told(sender, "ready")
    taker = load(crew, {"do": "take", "place": stalled.near, "stall_s": seconds + SPARE_S})
    told(taker, "stalled")
    try:
        return paced(crew, way, seconds, count, every_s)
    finally:
        crew.end(taker, sender)


def paced_beside_fetch(
    crew: Crew, way: Way, seconds: float, count: int, every_s: float, size: int
) -> Trips:
    """Ask a site so often, while it gives one body of ``size`` bytes after the other."""
    job = {"do": "pace", "seconds": seconds, "every_s": every_s, "count": count, "place": way.near}
    far = service(crew, way)
    fetch = {"do": "fetch", "place": way.near, "size": size, "up": False, "seconds": BODY_S}
    busy = load(crew, fetch)
    told(busy, "fetching", BODY_S)
    near = load(crew, job)
    told(near, "trips", seconds + SPARE_S)
    if not busy.is_running():
        raise Late(f"the download has ended: {busy.printed()}")
    crew.end(busy)
    return _heard(crew, near, far, seconds)


def _talk(
    crew: Crew, way: Way, count: int, pieces: int, job: dict[str, Any]
) -> tuple[Program, Program]:
    common = {"count": count, "pieces": pieces, "framed": way.framed}
    far = service(crew, way, **common)
    near = load(crew, {**job, **common, "place": way.near})
    return near, far


def _heard(crew: Crew, near: Program, far: Program, seconds: float) -> Trips:
    told(near, "asking")
    heard = told(near, "trips", seconds + SPARE_S)
    crew.end(near, far)
    return Trips(heard["trips"] / heard["seconds"], heard["p50_ms"], heard["p99_ms"])


def knocks(
    crew: Crew, place: Place, links: Sequence[tuple[str, str]], seconds: float, at_once: int
) -> float:
    """:returns: handshakes a second.

    :param links: paths and tokens
    """
    job = {"do": "knock", "place": place, "links": links, "seconds": seconds, "at_once": at_once}
    return _counted(crew, job)


def visits(crew: Crew, way: Way, seconds: float, at_once: int) -> float:
    """:returns: connections a second that asked one question of 64 bytes, and were answered."""
    far = service(crew, way)
    job = {"do": "visit", "place": way.near, "seconds": seconds, "at_once": at_once}
    rate = _counted(crew, job)
    crew.end(far)
    return rate


def _counted(crew: Crew, job: dict[str, Any]) -> float:
    program = load(crew, job)
    counted = told(program, "count", job["seconds"] + SPARE_S)
    crew.end(program)
    rate: float = counted["count"] / counted["seconds"]
    return rate


def hold(crew: Crew, place: Place, links: Sequence[tuple[str, str]]) -> Program:
    """Open WebSockets to these paths with these tokens, to stay. :returns: who holds them"""
    return _held(crew, {"place": place, "links": links})


def enlist(crew: Crew, place: Place, hosts: Sequence[tuple[str, str]]) -> Program:
    """Register hosts of websocktunnel, ids and tokens, to stay. :returns: who holds them"""
    program = load(crew, {"do": "enlist", "place": place, "hosts": hosts})
    told(program, "open", HOLD_S)
    return program


def enrol(
    crew: Crew, place: Place, agents: Sequence[tuple[str, str]], headers: Mapping[str, str]
) -> Program:
    """Register agents of network-relay, names and secrets, to stay. :returns: who holds them

    :param headers: more of each handshake
    """
    job = {"do": "enrol", "place": place, "agents": agents, "headers": headers}
    program = load(crew, job)
    told(program, "open", HOLD_S)
    return program


def hold_answered(crew: Crew, place: Place, count: int) -> Program:
    """Open plain connections, to stay, once each has asked and was answered."""
    return _held(crew, {"place": place, "count": count})


def _held(crew: Crew, job: dict[str, Any]) -> Program:
    program = load(crew, {"do": "hold", **job})
    told(program, "open", HOLD_S)
    return program
