"""Two byte streams joined in the cut-through gear: bulk, stalls, ends; nobody reads in between."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.error import ConnectionLost

from tests.integration.cutthrough_log import reactor_turns
from tests.integration.portal_ours import own_descriptors
from tests.integration.test_cutthrough_hub import Local, locals_
from tests.rawpeer import noise, until

pytestmark = pytest.mark.cut_through

MiB = 1024 * 1024

ends = locals_


def joined(one: Local, other: Local) -> tuple[Any, Any]:
    """Join two streams. :returns: what counts the bytes of each"""
    counts = SimpleNamespace(bytes_in=0), SimpleNamespace(bytes_in=0)
    for near, far, count in ((one, other, counts[0]), (other, one, counts[1])):
        near.end.forward(count, far.end)  # type: ignore[arg-type]  # its bytes_in is all that counts
    return counts


def say(local: Local, data: bytes, start: int) -> int:
    """:returns: how much of ``data`` is sent, having gone on from ``start``"""
    try:
        while start < len(data):
            start += local.far.send(data[start : start + 65536])
    except BlockingIOError:
        pass
    return start


def hear(local: Local, most: int = 1 << 30) -> tuple[bytes, bool]:
    """:returns: what has come to the far side, and whether that was the end"""
    came = b""
    try:
        while len(came) < most:
            part = local.far.recv(min(65536, most - len(came)))
            if not part:
                return came, True
            came += part
    except BlockingIOError:
        pass
    return came, False


@pytest.mark.parametrize("sip", [5_000, 70_000, 1 << 30])
@pytest_twisted.ensureDeferred
async def test_bulk_and_a_reader_of_any_speed(ends: Callable[..., Local], sip: int) -> None:
    """All comes through in order and is counted, with a question and answer behind it."""
    one, other = ends("one"), ends("other")
    counts = joined(one, other)
    data = noise(6 * MiB if sip > 5_000 else MiB)
    sent, came = 0, b""
    while len(came) < len(data):
        sent = say(one, data, sent)
        await reactor_turns(1)
        came += hear(other, sip)[0]
    assert came == data
    other.far.send(b"answer")
    await until(lambda: hear(one)[0] == b"answer" or None, "answer")
    one.far.send(b"once more")
    await until(lambda: hear(other)[0] == b"once more" or None, "what follows")
    assert (counts[0].bytes_in, counts[1].bytes_in) == (len(data) + 9, 6)
    assert one.data == other.data == b""


async def filled(one: Local, data: bytes, count: Any) -> int:
    """Send until the other side's reader, who does not read, holds us back. :returns: how much"""
    sent, before = 0, -1
    while count.bytes_in != before:
        before = count.bytes_in
        sent = say(one, data, sent)
        await reactor_turns(3)
    assert one.end.is_blocked()
    assert sent < len(data)
    return sent


@pytest_twisted.ensureDeferred
async def test_an_end_lets_the_tail_out(ends: Callable[..., Local]) -> None:
    """One side is lost while the other has yet to take much: it gets that, then the end."""
    before = own_descriptors()
    one, other = ends("one"), ends("other")
    count, _ = joined(one, other)
    data = noise(32 * MiB)
    await filled(one, data, count)
    one.end.abortConnection()
    await until(lambda: one.lost or None, "end")
    other.end.forward(None, None)
    other.end.loseConnection()
    came, over = b"", False
    while not over:
        await reactor_turns(1)
        more, over = hear(other)
        came += more
    assert came == data[: count.bytes_in]
    await until(lambda: other.lost or None, "end")
    for each in (one, other):
        each.far.close()
    assert own_descriptors() == before


@pytest_twisted.ensureDeferred
async def test_a_half_close_behind_bulk(ends: Callable[..., Local]) -> None:
    """A FIN is told once; passed on, it comes behind everything; the way back stays open."""
    one, other = ends("one"), ends("other")
    count, back = joined(one, other)
    data = noise(32 * MiB)
    sent = await filled(one, data, count)
    one.far.shutdown(1)
    came = b""
    while not one.ended:
        await reactor_turns(1)
        came += hear(other)[0]
    other.end.loseWriteConnection()
    over = False
    while not over:
        await reactor_turns(1)
        more, over = hear(other)
        came += more
    assert came == data[:sent]
    assert count.bytes_in == sent
    other.far.send(b"still open")
    await until(lambda: hear(one)[0] == b"still open" or None, "answer")
    assert back.bytes_in == 10


@pytest_twisted.ensureDeferred
async def test_the_reader_is_lost(ends: Callable[..., Local]) -> None:
    """Whoever is held back for a reader that goes is told so, and nothing is left."""
    before = own_descriptors()
    one, other = ends("one"), ends("other")
    count, _ = joined(one, other)
    await filled(one, noise(32 * MiB), count)
    other.far.close()
    await until(lambda: other.lost or None, "end")
    assert not one.lost
    one.end.forward(None, None)
    assert not one.end.is_blocked()
    one.end.loseConnection()
    await until(lambda: one.lost or None, "end")
    one.far.close()
    assert own_descriptors() == before


@pytest.mark.parametrize("paused", [False, True])
@pytest_twisted.ensureDeferred
async def test_last_words_of_one_that_takes_nothing_more(
    ends: Callable[..., Local], paused: bool
) -> None:
    """A write fails while an answer still lies in the kernel: it is read, then the loss is told."""
    one = ends("one")
    if paused:
        one.end.pauseProducing()
    one.far.send(b"413: too large")
    one.far.close()
    one.end.write(b"upload")
    one.end.write(b"more")
    if paused:
        await reactor_turns(5)
        assert not one.data
        assert not one.lost
        one.end.resumeProducing()
    await until(lambda: one.lost or None, "loss")
    assert one.data == b"413: too large"
    assert [reason.type for reason in one.lost] == [ConnectionLost]
    assert not one.ended


@pytest_twisted.ensureDeferred
async def test_one_that_has_said_all_and_is_gone(ends: Callable[..., Local]) -> None:
    """Nobody reads from it any more: that a write fails is enough."""
    one = ends("one")
    one.far.shutdown(1)
    await until(lambda: one.ended or None, "end of what it says")
    one.far.close()
    one.end.write(b"to nobody")
    one.end.write(b"in particular")
    await until(lambda: one.lost or None, "loss")
    assert [reason.type for reason in one.lost] == [ConnectionLost]
