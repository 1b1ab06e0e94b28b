"""Random walks of viewers and applications: both gears carry the same bytes, to the same ends.

Each walk is gone twice, through a router and a host in either gear. Two requests of it run at a
time, on one link: connections that switch protocols, and bodies in chunks both ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
import pytest_twisted
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from relay.wire.http_bodies import ChunkedBody
from tests.integration.cutthrough_log import Closed, Log, reactor_turns
from tests.integration.portal_peers import wait_for
from tests.integration.websocktunnel_ours import HostMaker, RouterMaker
from tests.integration.websocktunnel_peers import Router, claims, mint
from tests.rawpeer import Ended, RawPeer, RawServer, until

KiB = 1024
WALKS = max(5, settings().max_examples // 4)
PATIENCE_S = 10.0
CALLS = 2
LAST_WORDS = b"last words"
TUNNEL = "walk"
SECTION = "x"
"""What hosts of the tests call their tunnel in the log."""

SWITCH = b"GET /walk/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: walk\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: walk\r\n\r\n"
POST = b"POST /walk/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n"

pytest_plugins = [
    "tests.integration.websocktunnel_fixtures",
    "tests.integration.cutthrough_fixtures",
]

# -- walks -----------------------------------------------------------------------------------------


class Say(NamedTuple):
    """One side says something, in segments."""

    call: int
    side: int
    size: int
    cuts: tuple[int, ...]


class Stall(NamedTuple):
    """One side stops reading, or goes on."""

    call: int
    side: int
    stops: bool


class End(NamedTuple):
    """How a request ends: ``whole``, or in its midst by one side."""

    side: int
    how: str


SIZES = st.sampled_from([1, 2, 5, 1000, 16 * KiB, 65535, 65536, 150_000, 600_000])
NUMBERS = st.integers(0, CALLS - 1)
SIDES = st.integers(0, 1)
SAYINGS = st.builds(
    Say, NUMBERS, SIDES, SIZES, st.lists(st.integers(1, 200_000), max_size=3).map(tuple)
)
STEPS = st.one_of(SAYINGS, SAYINGS, st.builds(Stall, NUMBERS, SIDES, st.booleans()))
ENDS = st.builds(End, SIDES, st.sampled_from(["whole", "whole", "drop", "reset"]))

# -- one walk, in one gear -------------------------------------------------------------------------


@dataclass
class Side:
    """One end of a request.

    :ivar said: what it said
    :ivar heard: what came for it, without what frames it
    :ivar orderly: whether its connection ended with a FIN
    """

    peer: RawPeer
    body: ChunkedBody | None
    said: bytearray = field(default_factory=bytearray)
    heard: bytearray = field(default_factory=bytearray)
    orderly: bool = False

    def begin(self) -> None:
        """Collect what comes."""
        self.peer.stays_half_open = True
        self.over = Deferred.fromCoroutine(self._collect())

    async def _collect(self) -> None:
        try:
            while True:
                data = await self.peer.some(6 * PATIENCE_S)
                pieces = [data] if self.body is None else self.body.feed(data)
                self.heard += b"".join(pieces)
                if self.body is not None and self.body.done:
                    break
        except Ended:
            self.orderly = not self.peer.was_reset()

    async def heard_all(self, other: Side) -> None:
        """Wait until everything that ``other`` said has come."""
        wanted = len(other.said)
        await until(lambda: len(self.heard) >= wanted or None, "what was said", PATIENCE_S)
        assert self.heard == other.said

    async def say(self, payload: bytes, cuts: tuple[int, ...] = ()) -> None:
        """Say it; in a body in chunks it is one."""
        self.said += payload
        wire = payload if self.body is None else b"%x\r\n%b\r\n" % (len(payload), payload)
        start = 0
        for cut in sorted(cuts):
            self.peer.write(wire[start:cut])
            start = max(start, cut)
            await reactor_turns(2)
        self.peer.write(wire[start:])


class Result(NamedTuple):
    """What both gears have in common, of one request."""

    heard: tuple[bytes, bytes]
    orderly: tuple[bool, bool]
    seen_by_router: Closed
    seen_by_host: Closed


class Walk:
    """Requests that run at a time."""

    def __init__(self, router: Router, app: RawServer, log: Log) -> None:
        self.router = router
        self.app = app
        self.log = log
        self.calls: list[tuple[Side, Side]] = []

    async def begin(self, switches: bool) -> None:
        """One more request, whose answer has begun."""
        viewer = await self.router.dial()
        viewer.write(SWITCH if switches else POST)
        app = await self.app.accept()
        await app.head()
        app.write(SWITCHED if switches else ANSWER)
        assert (await viewer.head()).status == (101 if switches else 200)
        sides = tuple(Side(peer, None if switches else ChunkedBody()) for peer in (viewer, app))
        for side in sides:
            side.begin()
        self.calls.append((sides[0], sides[1]))

    async def take(self, step: Say | Stall) -> None:
        """Take one step."""
        side = self.calls[step.call][step.side]
        if isinstance(step, Stall):
            (side.peer.pause if step.stops else side.peer.resume)()
        else:
            stamp = b"%d/%d/%d;" % (step.call, step.side, len(side.said))
            await side.say((stamp * (step.size // len(stamp) + 1))[: step.size], step.cuts)

    async def end(self, number: int, end: End) -> Result:
        """End one request, when all has come."""
        sides = self.calls[number]
        for side, other in (sides, sides[::-1]):
            side.peer.resume()
            await side.heard_all(other)
        self.log.routers.clear()
        self.log.daemons.clear()
        ender, other = sides[end.side], sides[1 - end.side]
        if end.how != "whole":
            (ender.peer.drop if end.how == "drop" else ender.peer.reset)()
            await other.over
        elif ender.body is None:
            ender.peer.half_close()
            await other.over
            await other.say(LAST_WORDS)
            other.peer.drop()
            await ender.over
            assert ender.heard.endswith(LAST_WORDS)
        else:
            for side, other in (sides, sides[::-1]):
                side.peer.write(b"0\r\n\r\n")
                await other.over
        for side in sides:
            side.peer.drop()
        [seen] = await self.log.closed()
        daemons = self.log.daemons
        await until(lambda: daemons.get(SECTION), "end of the host's circuit", PATIENCE_S)
        [host] = daemons[SECTION]
        if sides[0].body is not None:
            # a body is cut into chunks anew, as it is read
            seen, host = seen._replace(up=0), host._replace(up=0)
        heard = (bytes(sides[0].heard), bytes(sides[1].heard))
        return Result(heard, (sides[0].orderly, sides[1].orderly), seen, host)


class Gear(NamedTuple):
    """A router with a host, and the application behind it."""

    router: Router
    app: RawServer


async def go(
    gear: Gear, log: Log, switches: list[bool], steps: list[Say | Stall], ends: list[End]
) -> list[Result]:
    """Go one walk."""
    walk = Walk(gear.router, gear.app, log)
    try:
        for switching in switches:
            await walk.begin(switching)
        for step in steps:
            await walk.take(step)
        return [await walk.end(number, end) for number, end in enumerate(ends)]
    finally:
        for sides in walk.calls:
            for side in sides:
                side.peer.reset()


async def start(routers: RouterMaker, hosts: HostMaker, **options: Any) -> Gear:
    """:param options: of limits. :returns: a router and a host that stand"""
    app = RawServer()
    port = await app.listen()
    router = await routers.start(limits=options)
    await hosts.start(router.url, TUNNEL, mint(claims(TUNNEL)), port, **options)
    await until(lambda: (hosts.folder / f"{TUNNEL}.url").exists() or None, "the host", PATIENCE_S)
    (hosts.folder / f"{TUNNEL}.url").unlink()
    return Gear(router, app)


@pytest.fixture
def both_gears(start_wst: RouterMaker, wst_hosts: HostMaker) -> Iterator[tuple[Gear, Gear]]:
    """One in each gear."""
    made = (
        wait_for(start(start_wst, wst_hosts)),
        wait_for(start(start_wst, wst_hosts, **{"cut-through": "no"})),
    )
    yield made
    wait_for(wst_hosts.stop())
    for gear in made:
        wait_for(gear.app.close())


@settings(
    max_examples=WALKS,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    switches=st.lists(st.booleans(), min_size=CALLS, max_size=CALLS),
    steps=st.lists(STEPS, max_size=8),
    ends=st.lists(ENDS, min_size=CALLS, max_size=CALLS),
)
@pytest_twisted.ensureDeferred
async def test_both_gears_are_alike(
    both_gears: tuple[Gear, Gear],
    log: Log,
    switches: list[bool],
    steps: list[Say | Stall],
    ends: list[End],
) -> None:
    """The same bytes either way, the same ends of connections, reasons and counts in the log."""
    cut_through = await go(both_gears[0], log, switches, steps, ends)
    message = await go(both_gears[1], log, switches, steps, ends)
    assert cut_through == message
