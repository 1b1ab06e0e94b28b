"""Bytes through router, agent and client of network-relay, ours and the original's in every mix.

``RELAY_MIX_MIB=100`` lets each mix carry so many MiB each way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
import pytest_twisted

from tests.integration.network_relay_trio import AGENT, MIXES, Client, Trio, bulk_bytes
from tests.rawpeer import RawPeer, RawServer, noise, together

MiB = 1024 * 1024
ODD_BYTES = 300_001
SLOWEST_BYTES_S = MiB / 2
"""What the originals surely carry each way while both ways are used."""

OPENING_S = 10.0
MANY = 5

EVERY_MIX = pytest.mark.parametrize("trio", MIXES, indirect=True)
OUR_CLIENT = pytest.mark.parametrize(
    "trio", [mix for mix in MIXES if mix.endswith("-ours")], indirect=True
)
OUR_AGENT = pytest.mark.parametrize(
    "trio", [mix for mix in MIXES if "-ours-" in mix], indirect=True
)

pytest_plugins = ["tests.integration.network_relay_fixtures"]


def digest(payload: bytes) -> str:
    """:returns: what is compared of much payload, since a difference would be printed"""
    return hashlib.sha256(payload).hexdigest()


async def opened(trio: Trio, service: RawServer, port: int) -> tuple[Client, RawPeer]:
    """:returns: both ends of a call"""
    client = trio.call(port)
    return client, await service.accept(OPENING_S)


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_bulk_both_ways(trio: Trio, service: RawServer) -> None:
    """Megabytes each way at the same time arrive bit by bit; then a user's leaving is felt."""
    client, target = await opened(trio, service, await service.listen())
    size = bulk_bytes()
    up, down = noise(size), noise(size)
    deadline_s = OPENING_S + size / SLOWEST_BYTES_S

    async def write() -> bytes:
        await client.write(up)
        return b""

    async def answer() -> bytes:
        for start in range(0, size, MiB):
            await target.writable(deadline_s)
            target.write(down[start : start + MiB])
        return b""

    async def take() -> bytes:
        return await client.take(size)

    came_up, came_down, *_ = await together(
        target.exactly(size, deadline_s), take(), write(), answer()
    )
    assert (digest(came_up), digest(came_down)) == (digest(up), digest(down))
    client.hang_up()
    await target.gone()
    assert target.nothing_came()


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_several_at_once(trio: Trio, service: RawServer) -> None:
    """Calls of one agent do not mix, and one's end is no other's."""
    port = await service.listen()

    async def serve() -> list[bytes]:
        for _ in range(MANY):
            target = await service.accept(OPENING_S)
            target.write(await target.exactly(8, OPENING_S))
        return []

    async def use() -> list[bytes]:
        client, name = trio.call(port), noise(8)
        await client.write(name)
        answer = await client.take(8)
        client.hang_up()
        return [name, answer]

    _, *pairs = await together(serve(), *(use() for _ in range(MANY)))
    assert [pair for pair in pairs if pair[0] != pair[1]] == []


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_bytes_before_a_hang_up_arrive(trio: Trio, service: RawServer) -> None:
    """What the client has sent before it leaves reaches the target, as the answer shows."""
    client, target = await opened(trio, service, await service.listen())
    payload = noise(ODD_BYTES)
    writing = client.write(payload)
    assert digest(await target.exactly(ODD_BYTES, OPENING_S)) == digest(payload)
    await writing
    target.write(b"got it")
    assert await client.take(6) == b"got it"
    client.hang_up()
    await target.gone()


@OUR_AGENT
@pytest_twisted.ensureDeferred
async def test_the_targets_end_ends_the_client(trio: Trio, service: RawServer) -> None:
    """A target that ends behind its answer ends the client with all of it; check 15.

    The original's agent tells nobody.
    """
    client, target = await opened(trio, service, await service.listen())
    payload = noise(ODD_BYTES)
    await target.write_all(payload)
    target.drop()
    told = await client.ended()
    assert digest(told.out) == digest(payload)


# -- refusals ------------------------------------------------------------------------------------


@OUR_CLIENT
@pytest_twisted.ensureDeferred
async def test_our_client_tells_why_there_is_no_call(
    trio: Trio, service: RawServer, expected_log_errors: Callable[[], object]
) -> None:
    """A wrong secret, an absent agent and a dead target are told in one line each, and fail."""
    port = await service.listen()
    await service.close()
    wrong = trio.secret("wrong.secret", "not this one")
    for client, text in (
        (trio.call(port, secret=wrong), "token-invalid"),
        (trio.call(port, agent="nobody"), "host-absent"),
        (trio.call(port), "target-refused"),
    ):
        told = await client.ended()
        assert told.status == 1
        assert told.out == b""
        assert text in told.err
        assert len(told.err.splitlines()) == 1
        assert "not this one" not in told.err
    expected_log_errors()  # our agent says it too
    alive = RawServer()
    target_port = await alive.listen()
    client = trio.call(target_port)
    await alive.accept(OPENING_S)
    assert AGENT not in client.said()
    await alive.close()
