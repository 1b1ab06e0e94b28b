"""Random walks through a circuit: both gears carry the same messages and come to the same ends.

Each walk is gone twice, through a router in each gear, by the same two peers made of bytes. What a
peer has not read when it ends the circuit is anybody's guess, so it reads all before it does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
import pytest_twisted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from relay.settings.model import Limits
from tests.integration.cutthrough_log import Closed, Log, reactor_turns
from tests.integration.portal_ours import RouterMaker
from tests.integration.portal_peers import Router, wait_for
from tests.rawpeer import Ended, Op, RawPeer, close_body, encode_frame, until
from tests.rawpeer.peer import MASK

KiB = 1024
WALKS = max(5, settings().max_examples // 4)
PATIENCE_S = 5.0
LIMIT = 400 * KiB
"""The longest message in these walks."""

pytest_plugins = ["tests.integration.portal_fixtures", "tests.integration.cutthrough_fixtures"]

# -- walks -----------------------------------------------------------------------------------------


class Say(NamedTuple):
    """A message in parts, with pings before some of them; sent in segments."""

    side: int
    parts: tuple[int, ...]
    pings: int
    cuts: tuple[int, ...]


class Stall(NamedTuple):
    """One side stops reading, or goes on."""

    side: int
    stops: bool


class End(NamedTuple):
    """How it ends.

    :ivar how: what the side does
    :ivar begun: bytes of a message that is never finished; -1: none is begun
    :ivar within: whether its last frame is not whole either
    """

    side: int
    how: str
    code: int | None
    text: str
    begun: int
    within: bool


SIZES = st.sampled_from([0, 1, 2, 125, 126, 127, 1000, 16 * KiB, 65535, 65536, 150_000])
SIDES = st.integers(0, 1)
SAYINGS = st.builds(
    Say,
    SIDES,
    st.lists(SIZES, min_size=1, max_size=3).map(tuple),
    st.integers(0, 2),
    st.lists(st.integers(1, 200_000), max_size=3).map(tuple),
)
STEPS = st.one_of(SAYINGS, SAYINGS, st.builds(Stall, SIDES, st.booleans()))
ENDS = st.builds(
    End,
    SIDES,
    st.sampled_from(["close", "fin", "drop", "reset", "rsv", "text", "too-long", "bad-close"]),
    st.sampled_from([1000, 1001, 1011, 3000, 4999, None]),
    st.sampled_from(["", "so long", "à bientôt", "finished", "x" * 123]),
    st.sampled_from([-1, -1, -1, 0, 5, 70_000]),
    st.booleans(),
)

# -- one walk, one router --------------------------------------------------------------------------


@dataclass
class Seen:
    """What one side has seen.

    :ivar messages: whole ones
    :ivar part: of one that has begun; None: none has
    """

    messages: list[bytes] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    part: bytes | None = None
    close: tuple[int | None, str] | None = None
    orderly: bool = False


class Result(NamedTuple):
    """What both gears have in common.

    :ivar messages: that came to either side
    :ivar close: that came to the side which did not end it, and whether TCP ended in order
    :ivar answer: that came to the one that did, where it still listened
    :ivar pongs: of the pings of either side
    """

    messages: tuple[list[bytes], list[bytes]]
    pongs: tuple[list[bytes], list[bytes]]
    close: tuple[tuple[int | None, str] | None, bool]
    answer: tuple[int | None, str] | None
    closed: Closed


class Walk:
    """Two peers in a circuit."""

    def __init__(self, peers: tuple[RawPeer, RawPeer]) -> None:
        self.peers = peers
        self.seen = (Seen(), Seen())
        self.sent: tuple[list[bytes], list[bytes]] = ([], [])
        self.pings: tuple[list[bytes], list[bytes]] = ([], [])
        self._ender = -1
        self._collected = [
            Deferred.fromCoroutine(self._collect(side)) for side in range(len(peers))
        ]

    async def _collect(self, side: int) -> None:
        peer, seen = self.peers[side], self.seen[side]
        while True:
            try:
                frame = await peer.receive(PATIENCE_S)
            except Ended:
                break
            if frame.opcode == Op.PONG:
                seen.pongs.append(frame.payload)
            elif frame.opcode == Op.CLOSE:
                seen.close = (frame.code, frame.reason)
                if peer.end is None and side != self._ender:
                    peer.send(Op.CLOSE, frame.payload)
                elif side == self._ender:
                    peer.drop()
            elif frame.opcode in (Op.BINARY, Op.CONTINUATION):
                assert (frame.opcode == Op.BINARY) == (seen.part is None)
                seen.part = (seen.part or b"") + frame.payload
                if frame.fin:
                    seen.messages.append(seen.part)
                    seen.part = None
        seen.orderly = not peer.was_reset()

    async def take(self, step: Say | Stall) -> None:
        """Take one step."""
        if isinstance(step, Stall):
            (self.peers[step.side].pause if step.stops else self.peers[step.side].resume)()
            return
        wire, parts = b"", []
        for number, size in enumerate(step.parts):
            if number < step.pings:
                ping = b"%d" % len(self.pings[step.side])
                self.pings[step.side].append(ping)
                wire += encode_frame(Op.PING, ping, mask=MASK)
            parts.append(self._payload(step.side, size, number))
            final = number == len(step.parts) - 1
            opcode = Op.CONTINUATION if number else Op.BINARY
            wire += encode_frame(opcode, parts[-1], mask=MASK, fin=final)
        self.sent[step.side].append(b"".join(parts))
        start = 0
        for cut in sorted(step.cuts):
            self.peers[step.side].write(wire[start:cut])
            start = max(start, cut)
            await reactor_turns(2)
        self.peers[step.side].write(wire[start:])

    def _payload(self, side: int, size: int, number: int) -> bytes:
        stamp = b"%d/%d/%d;" % (side, len(self.sent[side]), number)
        return (stamp * (size // len(stamp) + 1))[:size]

    async def end(self, end: End) -> None:
        """End it, and wait for that."""
        ender, other = self.peers[end.side], self.peers[1 - end.side]
        ender.resume()
        await self._caught_up(end.side)
        if end.how in ("fin", "drop", "reset"):
            # what comes to a socket that is closed is answered with a reset, too
            await self._answered(end.side)
        if end.how == "reset" or end.begun >= 0:
            # what is on its way may be lost with a reset
            other.resume()
            await self._caught_up(1 - end.side)
        self._ender = end.side
        if end.begun >= 0:
            # a Close within a frame would be payload
            within = end.within and end.how in ("fin", "drop", "reset")
            length = end.begun + 10 if within else None
            ender.write(
                encode_frame(Op.BINARY, b"b" * end.begun, mask=MASK, fin=within, length=length)
            )
        self._leave(ender, end)
        other.resume()
        for collected in self._collected:
            await collected

    def _leave(self, ender: RawPeer, end: End) -> None:
        if end.how == "close":
            ender.send_close(end.code, end.text)
        elif end.how == "fin":
            ender.half_close()
        elif end.how == "drop":
            ender.drop()
        elif end.how == "reset":
            ender.reset()
        elif end.how == "rsv":
            ender.send(Op.BINARY, b"never", rsv=1)
        elif end.how == "text":
            ender.send(Op.TEXT, b"never")
        elif end.how == "too-long":
            ender.send(Op.BINARY, length=LIMIT + 1)
        else:
            ender.send(Op.CLOSE, close_body(1006))

    async def _answered(self, side: int) -> None:
        wanted, seen = self.pings[side], self.seen[side]
        await until(lambda: len(seen.pongs) == len(wanted) or None, "all Pongs", PATIENCE_S)

    async def _caught_up(self, side: int) -> None:
        wanted, seen = self.sent[1 - side], self.seen[side]
        await until(lambda: len(seen.messages) == len(wanted) or None, "what was sent", PATIENCE_S)


async def go(router: Router, log: Log, steps: list[Say | Stall], end: End) -> Result:
    """Go one walk through one router."""
    log.routers.clear()
    circuit = await router.portal().circuit()
    walk = Walk((circuit.client, circuit.host))
    try:
        for step in steps:
            await walk.take(step)
        await walk.end(end)
        [closed] = await log.closed()
    finally:
        for peer in (circuit.control, circuit.client, circuit.host):
            peer.reset()
    ours, theirs = walk.seen[end.side], walk.seen[1 - end.side]
    assert walk.seen[0].messages == walk.sent[1]
    assert walk.seen[1].messages == walk.sent[0]
    assert theirs.pongs == walk.pings[1 - end.side]
    listens = end.how in ("close", "rsv", "text", "too-long", "bad-close") and end.begun < 0
    if listens:
        assert ours.pongs == walk.pings[end.side]
        assert ours.close is not None
    if end.begun < 0:
        counted = tuple(sum(map(len, sent)) for sent in walk.sent)
        assert (closed.up, closed.down) == counted
    return Result(
        (walk.seen[0].messages, walk.seen[1].messages),
        (theirs.pongs, ours.pongs if listens else []),
        (theirs.close, theirs.orderly),
        ours.close if listens else None,
        # of a message that was never finished, one gear has passed on more than the other
        closed if end.begun < 0 else Closed(closed.reason, 0, 0),
    )


@pytest.fixture
def routers(start_router: RouterMaker) -> tuple[Router, Router]:
    """One in each gear."""
    cut_through = Limits(failed_logins_per_min=0, message_bytes=LIMIT)
    message = Limits(failed_logins_per_min=0, message_bytes=LIMIT, cut_through=False)
    return (
        wait_for(start_router.start(cut_through))[0],
        wait_for(start_router.start(message))[0],
    )


@settings(
    max_examples=WALKS,
    phases=[__import__("hypothesis").Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, max_size=8), end=ENDS)
@pytest_twisted.ensureDeferred
async def test_both_gears_are_alike(
    routers: tuple[Router, Router], log: Log, steps: list[Say | Stall], end: End
) -> None:
    """The same messages, Pongs, Closes with their codes and texts, and reasons in the log."""
    cut_through = await go(routers[0], log, steps, end)
    message = await go(routers[1], log, steps, end)
    assert cut_through == message
