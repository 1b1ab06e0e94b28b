"""A raw link joined with a WebSocket, in both gears: bytes, slow readers, and each kind of end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from relay.core.session import Session
from relay.vocabulary import Event, Passing
from tests.fakes import Talk
from tests.fakes.raw_talks import RawTalk
from tests.integration.outward_room import Room
from tests.rawpeer import Op, RawPeer, RawServer, noise, together

MiB = 1024 * 1024
both_gears = pytest.mark.parametrize("gear", [True, False], ids=["cut-through", "message"])


class PassingTalk(Talk):
    """A WebSocket whose binary payload nobody needs to read."""

    passes = Passing.BINARY


def ignore(_event: Event) -> None:
    """What is no stream's means nothing here."""


async def run(gear: bool, test: Callable[[RawPeer, RawPeer], Any]) -> None:
    """Do ``test`` with the raw peer, the caller, and the WebSocket's."""

    async def inner(room: Room) -> None:
        sockets = RawServer()
        port = await sockets.listen()
        try:
            outward = room.outward
            dialling = outward.tcp(f"127.0.0.1:{room.port}", RawTalk(), ignore)
            caller = cast(Session, await Deferred.fromCoroutine(dialling))
            raw = await room.server.accept()
            raw.stays_half_open = True
            opening = Deferred.fromCoroutine(
                outward.websocket_at(f"ws://127.0.0.1:{port}/", {}, lambda _: PassingTalk(), ignore)
            )
            web, _ = await sockets.accept_upgrade()
            callee = cast(Session, await opening)
            outward.join(caller.stream(), callee.stream(), "cam")
            await test(raw, web)
        finally:
            await sockets.close()

    await Room(cut_through=gear).run(inner)


@both_gears
@pytest_twisted.ensureDeferred
async def test_bulk_both_ways(gear: bool) -> None:
    """Bytes become messages, and messages bytes."""

    async def test(raw: RawPeer, web: RawPeer) -> None:
        there, back = noise(3 * MiB), noise(2 * MiB)
        _, _, came, answer = await together(
            raw.write_all(there),
            web.send_all(back),
            web.receive_bytes(len(there), 20),
            raw.exactly(len(back), 20),
        )
        assert came == there
        assert answer == back

    await run(gear, test)


@both_gears
@pytest_twisted.ensureDeferred
async def test_an_empty_message_is_no_end(gear: bool) -> None:
    """Only an end is an end, and texts are bytes."""

    async def test(raw: RawPeer, web: RawPeer) -> None:
        web.send(Op.BINARY, b"")
        web.send(Op.TEXT, b"text, ")
        web.send(Op.BINARY, b"by", fin=False)
        web.send(Op.CONTINUATION, b"tes")
        assert await raw.exactly(11) == b"text, bytes"
        assert raw.end is None

    await run(gear, test)


@both_gears
@pytest_twisted.ensureDeferred
async def test_a_close_behind_a_tail(gear: bool) -> None:
    """What was sent before it arrives whole, then the raw side is closed in order."""

    async def test(raw: RawPeer, web: RawPeer) -> None:
        raw.shrink()
        raw.pause()
        data = noise(3 * MiB)
        sending = web.send_all(data)
        done = Deferred.fromCoroutine(sending)
        raw.resume()
        await done
        web.send_close(1000, "finished")
        assert await raw.half_ended(20) == data

    await run(gear, test)


@both_gears
@pytest_twisted.ensureDeferred
async def test_a_raw_side_that_is_gone(gear: bool) -> None:
    """A connection that was closed for good ends the WebSocket by a Close, behind its bytes."""

    async def test(raw: RawPeer, web: RawPeer) -> None:
        raw.write(b"last words")
        raw.drop()
        assert await web.receive_bytes(10) == b"last words"
        ending = await web.ending()
        assert ending.close is not None
        assert ending.orderly

    await run(gear, test)


@both_gears
@pytest_twisted.ensureDeferred
async def test_resets_either_way(gear: bool) -> None:
    """A raw side's reset closes the WebSocket with the reason; a lost one resets the raw side."""

    async def lost(raw: RawPeer, web: RawPeer) -> None:
        raw.reset()
        ending = await web.ending()
        assert ending.close is not None
        assert b"lost" in ending.close.payload

    async def reset(raw: RawPeer, web: RawPeer) -> None:
        web.reset()
        await raw.gone()
        assert raw.was_reset()

    await run(gear, lost)
    await run(gear, reset)
