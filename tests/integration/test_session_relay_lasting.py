"""Session-relay over time: check 37, and members that come and go.

For ours time passes ten times as fast where it can; the original's minute is marked ``slow``.
``RELAY_CHURN_S=600`` lets a thousand sessions stand and change for so long.
"""

from __future__ import annotations

import gc
import os
import time
from contextlib import suppress

import pytest
import pytest_twisted
from twisted.internet.task import deferLater

from tests.integration.hurry import HURRY
from tests.integration.portal_ours import own_descriptors, resident_bytes
from tests.integration.session_relay_ours import RouterMaker
from tests.integration.session_relay_peers import Router
from tests.integration.session_relay_wire import Member, fresh
from tests.rawpeer import Ended, Late, Op, RawPeer, the_reactor, together, until

SLOW_GO = ["ours", pytest.param("go", marks=pytest.mark.slow)]
HURRIED = pytest.mark.parametrize("hurried_sr", SLOW_GO, indirect=True)
PING_S, DEAD_S = 54.0, 60.0
SLACK_S = 1.0
WAVE = 50
WAVES = 6
SESSIONS = 1000
LEFT_BYTES = 8 * 1024 * 1024
GONE_S = 10.0
CHURN_S = float(os.environ.get("RELAY_CHURN_S", "0"))
CHURN_EVERY_S = 1.0

pytest_plugins = ["tests.integration.session_relay_fixtures"]


async def silent(peer: RawPeer, deadline_s: float, every_s: float) -> tuple[list[float], float]:
    """Say something of no use every so often, never a Pong.

    :param every_s: 0: say nothing at all
    :returns: when Pings came, and when the connection was over
    """
    pings: list[float] = []
    clock = peer.clock.seconds
    expiry = clock() + deadline_s
    while clock() < expiry:
        try:
            frame = await peer.receive(every_s or deadline_s)
        except Late:
            peer.send(Op.BINARY, b"x")
            continue
        except Ended:
            return pings, clock()
        if frame.opcode == Op.PING:
            pings.append(clock())
        elif frame.opcode == Op.CLOSE:
            await peer.gone()
    raise Late(f"still there after {deadline_s} s")


@HURRIED
@pytest_twisted.ensureDeferred
async def test_check_37_pings(hurried_sr: Router) -> None:
    """A Ping comes within 55 s; who says nothing for 60 s is gone, who answers Pings stays."""
    times = HURRY if hurried_sr.is_ours else 1
    topic = fresh("topic")
    quiet = await hurried_sr.member(topic)
    answering = await hurried_sr.member(topic)
    clock = the_reactor().seconds
    start = clock()
    deadline_s = (DEAD_S + 5.0) / times + SLACK_S

    async def staying() -> tuple[list[float], float]:
        with pytest.raises(Late):
            await answering.message(deadline_s - SLACK_S)
        return answering.pings, clock()

    (pings, end), (answered, _) = await together(silent(quiet.peer, deadline_s, 0), staying())
    for came in (pings[0], answered[0]):
        assert (came - start) * times <= PING_S + 1.0 + SLACK_S * times
    assert (end - start) * times <= DEAD_S + 1.0 + SLACK_S * times
    assert (end - start) * times >= DEAD_S - 1.0
    await answering.passes(await hurried_sr.member(topic))


@pytest.mark.slow
@pytest.mark.parametrize("sr", ["go"], indirect=True)
@pytest_twisted.ensureDeferred
async def test_check_37_data_is_no_answer_to_the_original(sr: Router) -> None:
    """The original ends one that never answers a Ping, whatever else it says."""
    member = await sr.member(fresh("topic"))
    start = member.peer.clock.seconds()
    pings, end = await silent(member.peer, DEAD_S + 5.0, 5.0)
    assert len(pings) == 1
    assert DEAD_S - 1.0 <= end - start <= DEAD_S + SLACK_S


# -- nothing is left -----------------------------------------------------------------------------


class Crowd:
    """Members who come, talk, and leave in each way that there is."""

    def __init__(self, sr: Router) -> None:
        self._sr = sr
        self._members: list[tuple[str, Member]] = []

    async def come(self, count: int) -> None:
        """Let so many in, pairs of them with one topic; some bookings will be cancelled."""
        bookings = [fresh("bk") for _ in range(count // 2)]
        topics = [fresh("crowd") for _ in range(count // 2)]
        for booking, topic in zip(bookings, topics, strict=True):
            pair = [await self._sr.member(topic, booking=booking) for _ in range(2)]
            await pair[0].passes(pair[1])
            self._members += [(booking, member) for member in pair]

    async def leave(self, count: int) -> None:
        """Let the oldest go: by a Close, an end, a reset, and by being cancelled."""
        leaving, self._members = self._members[:count], self._members[count:]
        for number, (booking, member) in enumerate(leaving):
            # both of a pair have one booking
            way = number // 2 % 4
            if way == 0:
                member.peer.send_close()
            elif way == 1:
                member.peer.drop()
            elif way == 2:
                member.peer.reset()
            elif number % 2 == 0:
                await self._sr.deny(booking)
        for _, member in leaving:
            with suppress(Ended):
                await member.peer.ending(GONE_S, reply=False)

    @property
    def size(self) -> int:
        """:returns: how many are there"""
        return len(self._members)


@pytest_twisted.ensureDeferred
async def test_churn_leaves_nothing(start_sr: RouterMaker) -> None:
    """Waves of members who leave in each way, or expire, leave neither sockets nor memory."""
    sr = await start_sr.start()
    crowd = Crowd(sr)
    await crowd.come(WAVE)
    await crowd.leave(WAVE)
    await settled(own_descriptors())
    sockets, memory = own_descriptors(), 0
    for number in range(WAVES):
        exp = int(time.time()) + 2
        ending = [await sr.member(fresh("expires"), exp=exp) for _ in range(4)]
        await crowd.come(WAVE)
        await crowd.leave(WAVE)
        for member in ending:
            await member.peer.ending(GONE_S)
        if number == 0:
            gc.collect()
            memory = resident_bytes()
    await settled(sockets)
    gc.collect()
    assert resident_bytes() - memory < LEFT_BYTES
    await sr.works()


async def settled(most: int) -> None:
    """Wait until no more descriptors are open than that. :raises Late:"""
    await until(
        lambda: True if own_descriptors() <= most else None,
        lambda: f"{most} descriptors, there are {own_descriptors()}",
        GONE_S,
    )


@pytest.mark.slow
@pytest.mark.skipif(not CHURN_S, reason="did not run: RELAY_CHURN_S says no seconds")
@pytest_twisted.ensureDeferred
async def test_a_thousand_sessions(start_sr: RouterMaker) -> None:
    """A thousand sessions that change all the time leave neither sockets nor memory."""
    sr = await start_sr.start()
    crowd = Crowd(sr)
    await crowd.come(WAVE)
    await crowd.leave(WAVE)
    sockets = own_descriptors()
    await crowd.come(SESSIONS)
    gc.collect()
    memory = resident_bytes()
    end = time.monotonic() + CHURN_S
    while time.monotonic() < end:
        await crowd.leave(WAVE)
        await crowd.come(WAVE)
        await deferLater(the_reactor(), CHURN_EVERY_S)
    gc.collect()
    assert resident_bytes() - memory < LEFT_BYTES
    await crowd.leave(crowd.size)
    await settled(sockets)
    await sr.works()
