"""One measurement of a topic: one member writes, others read, and what they report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from relay.measuring.processes import Crew, Program
from relay.measuring.runs import GB, SPARE_S, Inexact, load, told

MB = 1e6
SAMPLE_S = 0.05
TOPIC = "bench"


class Relay(Protocol):
    """What carries topics."""

    @property
    def name(self) -> str:
        """:returns: what it is called, for messages"""

    @property
    def program(self) -> Program:
        """:returns: the process"""

    def seat(self, topic: str, scopes: Sequence[str]) -> tuple[str, str]:
        """:returns: a session URL, and a token for it"""


class Heard(NamedTuple):
    """What became of a topic.

    :ivar mb_s: MB (10^6 bytes) a second that all readers heard together
    :ivar offered_mb_s: what the writer said, times the readers
    :ivar lost: the share of that which was not heard
    :ivar loads_s_gb: processor seconds of both loads for each GB (10^9 bytes) that was heard
    :ivar relay_s_gb: those of the relay
    :ivar most_mib: what the relay grew by while the writer wrote
    :ivar still: how many messages each stalled reader has missed
    """

    mb_s: float
    offered_mb_s: float
    lost: float
    loads_s_gb: float
    relay_s_gb: float
    p50_ms: float
    p99_ms: float
    most_mib: float
    still: Sequence[int]


def topic(
    crew: Crew,
    relay: Relay,
    seconds: float,
    readers: int,
    size: int,
    *,
    every_s: float = 0.0,
    stalled: int = 0,
    skip_s: float = 0.0,
) -> Heard:
    """Let one member write and others read.

    :param every_s: one message so often; 0: as many as are taken
    :param stalled: how many more members read nothing
    :param skip_s: at the beginning, in which nobody looks at how late messages are
    :raises Inexact: when a message is not what was said
    """
    name = f"{TOPIC}{time.monotonic_ns()}"
    own = {"message_bytes": size}
    hearing = job(
        crew,
        "read",
        sessions=[relay.seat(name, ("read",))] * readers,
        stalled=[relay.seat(name, ("read",))] * stalled,
        timed=bool(every_s),
        skip=round(skip_s / every_s) if every_s else 0,
        **own,
    )
    told(hearing, "ready")
    base, used = relay.program.rss_kib(), relay.program.cpu_s()
    pace = {"every_s": every_s} if every_s else {}
    saying = job(
        crew, "write", sessions=[relay.seat(name, ("write",))], seconds=seconds, **pace, **own
    )
    most = base
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        most = max(most, relay.program.rss_kib())
        time.sleep(SAMPLE_S)
    said = told(saying, "said", SPARE_S)
    heard = told(hearing, "heard", seconds + SPARE_S)
    used = relay.program.cpu_s() - used
    crew.end(saying, hearing)
    if not heard["exact"] or -1 in heard["still"] or not heard["bytes"]:
        raise Inexact(f"messages of {relay.name} are not what was said: {heard}")
    offered = said["said"] * readers
    return Heard(
        heard["bytes"] / heard["seconds"] / MB,
        offered * size / said["seconds"] / MB,
        1 - sum(heard["heard"]) / offered,
        (said["cpu_s"] + heard["cpu_s"]) / heard["bytes"] * GB,
        used / heard["bytes"] * GB,
        heard["p50_ms"],
        heard["p99_ms"],
        (most - base) / 1024,
        [said["said"] - count for count in heard["still"]],
    )


def job(crew: Crew, does: str, **values: object) -> Program:
    """Start a load on a topic."""
    return load(crew, {"do": does, **values})
