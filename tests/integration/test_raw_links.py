"""Two raw links joined: bulk, half-closes, resets and slow readers, in both gears.

In each gear the same peers see the same, and nothing is left behind them.
"""

from __future__ import annotations

import pytest
import pytest_twisted

from relay.vocabulary import Reason
from tests.integration.portal_ours import own_descriptors
from tests.integration.raw_room import Quay
from tests.rawpeer import RawPeer, noise, together, until

MiB = 1024 * 1024
both_gears = pytest.mark.parametrize("gear", [True, False], ids=["cut-through", "message"])
either_side = pytest.mark.parametrize("first", ["host", "caller"])


def ordered(first: str, pair: tuple[RawPeer, RawPeer]) -> tuple[RawPeer, RawPeer]:
    """:returns: the side of that name, and the other"""
    near, far = pair
    return (near, far) if first == "host" else (far, near)


@both_gears
@pytest_twisted.ensureDeferred
async def test_bulk_both_ways_at_once(gear: bool) -> None:
    """All comes through in order, and is counted."""

    async def test(quay: Quay) -> None:
        near, far = await quay.pair()
        (circuit,) = quay.broker.circuits
        there, back = noise(6 * MiB), noise(5 * MiB)[::-1]
        _, _, came, answer = await together(
            far.write_all(there),
            near.write_all(back),
            near.exactly(len(there), 20),
            far.exactly(len(back), 20),
        )
        assert came == there
        assert answer == back
        assert circuit.bytes() == (len(there), len(back))

    await Quay(gear).run(test)


@both_gears
@either_side
@pytest_twisted.ensureDeferred
async def test_half_closes_in_either_order(gear: bool, first: str) -> None:
    """A FIN comes behind all that was said; the way back stays open until it is closed, too."""

    async def test(quay: Quay) -> None:
        one, other = ordered(first, await quay.pair())
        there, back = noise(3 * MiB), noise(2 * MiB)
        await one.write_all(there)
        one.half_close()
        assert await other.half_ended() == there
        assert quay.broker.circuits
        await other.write_all(back)
        other.half_close()
        assert await one.half_ended() == back
        await quay.over()
        one.drop()
        other.drop()
        await together(one.gone(), other.gone())
        assert not one.was_reset()
        assert not other.was_reset()

    await Quay(gear).run(test)


@both_gears
@either_side
@pytest.mark.parametrize("moved", [0, MiB])
@pytest_twisted.ensureDeferred
async def test_a_reset_reaches_the_partner(gear: bool, first: str, moved: int) -> None:
    """The other end sees a reset as well, whatever went before."""

    async def test(quay: Quay) -> None:
        one, other = ordered(first, await quay.pair())
        if moved:
            await one.write_all(noise(moved))
            await other.exactly(moved)
        one.reset()
        await other.gone()
        assert other.was_reset()
        await quay.over()

    await Quay(gear).run(test)


async def stalled(quay: Quay, one: RawPeer, other: RawPeer) -> bytes:
    """Let one side send more than the other, which does not read, has room for.

    :returns: what was sent, once nothing more is read of it
    """
    other.shrink()
    other.pause()
    data = noise(16 * MiB)
    one.write(data)
    paused = [session for session in quay.sessions() if session.is_paused()]
    assert not paused
    await until(
        lambda: any(session.is_paused() for session in quay.sessions()) or None, "stop of reading"
    )
    return data


@both_gears
@either_side
@pytest_twisted.ensureDeferred
async def test_a_reader_that_rests(gear: bool, first: str) -> None:
    """Its sender is held back, and goes on where it was when it reads again."""

    async def test(quay: Quay) -> None:
        one, other = ordered(first, await quay.pair())
        (circuit,) = quay.broker.circuits
        data = await stalled(quay, one, other)
        assert sum(circuit.bytes()) < len(data)
        other.write(b"still here")
        assert await one.exactly(10) == b"still here"
        other.resume()
        assert await other.exactly(len(data), 20) == data

    await Quay(gear).run(test)


@both_gears
@either_side
@pytest_twisted.ensureDeferred
async def test_a_reset_of_one_that_is_not_read(gear: bool, first: str) -> None:
    """Its partner takes nothing, so that nothing is read: both see the end all the same."""

    async def test(quay: Quay) -> None:
        one, other = ordered(first, await quay.pair())
        await stalled(quay, one, other)
        one.reset()
        await quay.over()
        other.resume()
        await other.gone()
        assert other.was_reset()

    await Quay(gear).run(test)


@both_gears
@either_side
@pytest_twisted.ensureDeferred
async def test_a_tail_outlives_its_sender(gear: bool, first: str) -> None:
    """Who sends much, closes and is gone has said it all: a slow reader still gets that."""

    async def test(quay: Quay) -> None:
        one, other = ordered(first, await quay.pair())
        data = await stalled(quay, one, other)
        one.drop()
        other.resume()
        assert await other.half_ended(20) == data
        other.drop()
        await quay.over()
        assert not other.was_reset()

    await Quay(gear).run(test)


@both_gears
@either_side
@pytest_twisted.ensureDeferred
async def test_one_that_is_gone_for_good(gear: bool, first: str) -> None:
    """It looks like a half-close, but on this machine the kernel knows better: the circuit ends."""

    async def test(quay: Quay) -> None:
        one, other = ordered(first, await quay.pair())
        one.write(b"last words")
        one.drop()
        assert await other.half_ended() == b"last words"
        await quay.over()

    await Quay(gear).run(test)


@both_gears
@pytest_twisted.ensureDeferred
async def test_what_is_said_early(gear: bool) -> None:
    """A host's words before it is called reach its caller, and so do those of an early caller."""

    async def test(quay: Quay) -> None:
        near = await quay.host()
        near.write(b"SSH-2.0-early\r\n")
        (waiting,) = quay.sessions()
        await until(lambda: waiting.conversation._early or None, "early bytes")  # type: ignore[attr-defined]
        far = await quay.caller()
        far.write(b"GET / HTTP/1.1")
        assert await near.exactly(14) == b"GET / HTTP/1.1"
        assert await far.exactly(15) == b"SSH-2.0-early\r\n"

    await Quay(gear).run(test)


@both_gears
@pytest.mark.parametrize("half", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_host_that_leaves_while_it_waits(gear: bool, half: bool) -> None:
    """By a FIN or a reset: it waits no more, and nobody is joined with it."""

    async def test(quay: Quay) -> None:
        first, second = await quay.host(), await quay.host()
        if half:
            first.half_close()
        else:
            first.reset()
        await until(lambda: quay.waiting() == 1 or None, "end of waiting")
        far = await quay.caller()
        far.write(b"hello")
        assert await second.exactly(5) == b"hello"

    await Quay(gear).run(test)


@both_gears
@pytest_twisted.ensureDeferred
async def test_a_caller_nobody_waits_for(gear: bool) -> None:
    """It is closed at once, without a byte."""

    async def test(quay: Quay) -> None:
        far = await quay.caller()
        await far.gone()
        assert far.nothing_came()
        await quay.over()

    await Quay(gear).run(test)


@both_gears
@pytest_twisted.ensureDeferred
async def test_an_end_from_within(gear: bool) -> None:
    """A revocation ends both sides."""

    async def test(quay: Quay) -> None:
        near, far = await quay.pair()
        assert quay.broker.revoke("raw", subject="cam-1") == 1
        await together(near.gone(), far.gone())
        assert near.was_reset()
        assert far.was_reset()
        assert {session.reason for session in quay.sessions()} <= {Reason.REVOKED}
        await quay.over()

    await Quay(gear).run(test)


@both_gears
@pytest_twisted.ensureDeferred
async def test_nothing_is_left(gear: bool) -> None:
    """Ends of all kinds leave no descriptor, no link and no count of a visitor."""
    before = own_descriptors()

    async def test(quay: Quay) -> None:
        for end in ("reset", "drop", "half_close"):
            for first in ("host", "caller"):
                one, other = ordered(first, await quay.pair())
                await one.write_all(noise(MiB))
                await other.exactly(MiB)
                getattr(one, end)()
                if end == "half_close":
                    await other.half_ended()
                    other.half_close()
                    await one.half_ended()
                await quay.over()
                for peer in (one, other):
                    peer.drop()
                    await peer.gone()
        assert not quay.hall.turns.visitors

    await Quay(gear).run(test)
    await until(lambda: own_descriptors() <= before or None, "descriptors")
