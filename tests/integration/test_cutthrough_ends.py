"""How links end in the cut-through gear: tails get out, nothing spins, nobody else is harmed."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, cast

import pytest
import pytest_twisted
import trustme

from relay.links.cutthrough.framed import FrameEnd
from relay.settings.model import Limits
from tests.integration.cutthrough_log import Closed, Log, reactor_turns
from tests.integration.portal_ours import RouterMaker
from tests.integration.portal_peers import END_S, Circuit, Portal, passes, unharmed
from tests.integration.test_portal_stopped_readers import flood
from tests.integration.tls_by_hand import ByHand, dial_circuit
from tests.rawpeer import Frame, Op, RawPeer, close_body, encode_frame, together
from tests.rawpeer.peer import MASK
from tests.rawpeer.wire import take_frame

KiB = 1024
MiB = 1024 * KiB
SIDES = pytest.mark.parametrize("side", ["client", "host"])
FEW_TURNS = 10
"""Of a hundred turns of the reactor; a hub that spins takes all."""

pytest_plugins = ["tests.integration.portal_fixtures", "tests.integration.cutthrough_fixtures"]


async def stalled(portal: Portal, side: str) -> tuple[RawPeer, RawPeer, bytes, Circuit]:
    """:returns: a sender that is held back, its reader, what was sent, and their circuit"""
    circuit = await portal.circuit()
    sender, reader = circuit.sides(side)
    reader.shrink()
    reader.pause()
    return sender, reader, await flood(sender), circuit


def port_of(peer: RawPeer) -> int:
    """:returns: its own port, which the router sees as its peer's"""
    return int(cast(Any, peer.transport).getHost().port)


# -- tails -----------------------------------------------------------------------------------------


@SIDES
@pytest_twisted.ensureDeferred
async def test_a_close_in_one_direction_lets_the_tail_of_the_other_out(
    start_router: RouterMaker, side: str
) -> None:
    """A reader that closes before it has read everything still gets what was on its way."""
    router, _ = await start_router.start()
    async with unharmed(router):
        sender, reader, sent, _ = await stalled(router.portal(), side)
        reader.send_close(4321, "enough")
        answer = await sender.ending()
        assert answer.close == Frame(Op.CLOSE, close_body(4321, "enough"))
        reader.resume()
        ending = await reader.ending(reply=False)
        assert ending.close == Frame(Op.CLOSE, close_body(4321, "enough"))
        assert (ending.rest, ending.orderly) == (b"", True)
        assert ending.data
        assert sent.startswith(ending.data)


@SIDES
@pytest_twisted.ensureDeferred
async def test_a_fin_behind_a_close_does_not_cut_the_tail(
    start_router: RouterMaker, side: str
) -> None:
    """A reader that closes its half behind its Close, and reads on, gets whole frames and ours."""
    router, _ = await start_router.start()
    async with unharmed(router):
        sender, reader, sent, _ = await stalled(router.portal(), side)
        reader.send_close(1000)
        reader.half_close()
        assert (await sender.ending()).close == Frame(Op.CLOSE, close_body(1000))
        reader.resume()
        ending = await reader.ending(reply=False)
        assert ending.close == Frame(Op.CLOSE, close_body(1000))
        assert (ending.rest, ending.orderly) == (b"", True)
        assert sent.startswith(ending.data)


async def stalled_over_tls(portal: Portal, trust: ssl.SSLContext) -> tuple[RawPeer, ByHand, bytes]:
    """:returns: a host that is held back, the client that does not read, and what was sent"""
    host, client = await dial_circuit(portal, trust)
    client.peer.pause()
    return host, client, await flood(host)


def frames_in(data: bytearray) -> list[Frame]:
    """:returns: all whole frames, taken out of ``data``"""
    found = []
    while (frame := take_frame(data)) is not None:
        found.append(frame)
    return found


@pytest.mark.parametrize("half_closes", [False, True], ids=["stays", "half-closes"])
@pytest_twisted.ensureDeferred
async def test_close_and_goodbye_while_the_tail_is_long(
    start_router: RouterMaker,
    tls_authority: trustme.CA,
    trust: ssl.SSLContext,
    half_closes: bool,
) -> None:
    """Over TLS a peer that says its last word and goodbye at once still gets what is on its way."""
    router, _ = await start_router.start(authority=tls_authority)
    async with unharmed(router):
        host, client, sent = await stalled_over_tls(router.portal(), trust)
        client.peer.write(client.sealed(encode_frame(Op.CLOSE, close_body(1000), mask=MASK)))
        client.peer.write(client.goodbye())
        if half_closes:
            client.peer.half_close()
        assert (await host.ending()).close == Frame(Op.CLOSE, close_body(1000))
        client.peer.resume()
        assert await client.everything()
        *payload, close = frames_in(client.came)
        assert close == Frame(Op.CLOSE, close_body(1000))
        assert not client.came
        assert sent.startswith(b"".join(frame.payload for frame in payload))
        client.peer.reset()


@pytest.mark.parametrize("half_closes", [False, True], ids=["stays", "half-closes"])
@pytest_twisted.ensureDeferred
async def test_goodbye_while_the_tail_is_long(
    start_router: RouterMaker,
    tls_authority: trustme.CA,
    trust: ssl.SSLContext,
    half_closes: bool,
) -> None:
    """A goodbye without a Close is an end in order; what was on its way comes, uncut."""
    router, _ = await start_router.start(authority=tls_authority)
    async with unharmed(router):
        host, client, sent = await stalled_over_tls(router.portal(), trust)
        client.say_goodbye()
        if half_closes:
            client.peer.half_close()
        client.peer.resume()
        assert await client.everything()
        await host.ending()
        came = b"".join(frame.payload for frame in frames_in(client.came))
        assert came
        assert sent.startswith(came)
        client.peer.reset()


# -- what nobody hears of --------------------------------------------------------------------------


@SIDES
@pytest_twisted.ensureDeferred
async def test_a_reset_that_nobody_reads_does_not_spin(
    start_router: RouterMaker, turns: Callable[[], int], log: Log, side: str
) -> None:
    """While its reader has stopped, a sender's reset costs nothing; it is noticed afterwards."""
    router, _ = await start_router.start()
    async with unharmed(router):
        sender, reader, sent, _ = await stalled(router.portal(), side)
        sender.reset()
        await reactor_turns(20)
        turns()
        await reactor_turns(100)
        assert turns() <= FEW_TURNS
        assert log.routers == []
        reader.resume()
        ending = await reader.ending()
        assert sent.startswith(ending.data)
        [closed] = await log.closed()
        assert closed.reason in ("lost", "peer-closed")
        # all but what the kernel dropped with the reset
        assert closed.up + closed.down == len(ending.data)


@SIDES
@pytest_twisted.ensureDeferred
async def test_a_reset_of_the_stopped_reader_is_noticed(
    start_router: RouterMaker, turns: Callable[[], int], log: Log, side: str
) -> None:
    """Its sender is let go at once, and nothing spins meanwhile."""
    router, _ = await start_router.start()
    async with unharmed(router):
        sender, reader, _, _ = await stalled(router.portal(), side)
        turns()
        await reactor_turns(100)
        assert turns() <= FEW_TURNS
        reader.reset()
        await sender.ending(END_S)
        await log.closed()


@SIDES
@pytest_twisted.ensureDeferred
async def test_a_fin_that_nobody_reads_does_not_spin(
    start_router: RouterMaker, turns: Callable[[], int], side: str
) -> None:
    """A sender that has left while it is held back costs nothing; all it said arrives."""
    router, _ = await start_router.start()
    async with unharmed(router):
        sender, reader, sent, _ = await stalled(router.portal(), side)
        sender.half_close()
        await reactor_turns(20)
        turns()
        await reactor_turns(100)
        assert turns() <= FEW_TURNS
        reader.resume()
        ending = await reader.ending()
        assert ending.data == sent
        assert ending.close == Frame(Op.CLOSE, close_body(1000, "peer-closed"))


@pytest_twisted.ensureDeferred
async def test_an_idle_circuit_costs_nothing(
    start_router: RouterMaker, turns: Callable[[], int]
) -> None:
    """The hub is not called while nothing happens."""
    router, _ = await start_router.start(Limits(failed_logins_per_min=0, ping_s=0, dead_s=0))
    circuit = await router.portal().circuit()
    await passes(circuit.client, circuit.host)
    await passes(circuit.host, circuit.client)
    await reactor_turns(5)
    turns()
    await reactor_turns(100)
    assert turns() == 0


# -- faults ----------------------------------------------------------------------------------------


@pytest.mark.cut_through
@SIDES
@pytest_twisted.ensureDeferred
async def test_an_exception_inside_ends_one_circuit(
    start_router: RouterMaker,
    expected_log_errors: Callable[..., list[Any]],
    monkeypatch: pytest.MonkeyPatch,
    log: Log,
    side: str,
) -> None:
    """A mistake of ours in serving one socket ends its circuit, both ends told, and no other."""
    router, _ = await start_router.start()
    async with unharmed(router):
        other = await router.portal().circuit()
        circuit = await router.portal().circuit()
        culprit, partner = circuit.sides(side)
        ready, port = FrameEnd.ready, port_of(culprit)

        def fails(end: FrameEnd, events: int) -> None:
            if end.getHandle().getpeername()[1] == port:
                raise RuntimeError("a mistake")
            ready(end, events)

        with monkeypatch.context() as patch:
            patch.setattr(FrameEnd, "ready", fails)
            culprit.send(Op.BINARY, b"x")
            _, ending = await together(culprit.ending(END_S), partner.ending(END_S))
        assert ending.close is not None
        assert len(expected_log_errors(RuntimeError)) == 1
        await passes(other.client, other.host)
        await passes(other.host, other.client)
        [closed] = await log.closed()
        assert closed == Closed(ending.close.reason, 0, 0)


@SIDES
@pytest_twisted.ensureDeferred
async def test_a_fault_behind_payload_lets_the_payload_out(
    start_router: RouterMaker, log: Log, side: str
) -> None:
    """In one segment: what came before the fault passes, what stands behind it does not."""
    router, _ = await start_router.start()
    async with unharmed(router):
        circuit = await router.portal().circuit()
        culprit, partner = circuit.sides(side)
        culprit.write(
            encode_frame(Op.BINARY, b"good", mask=MASK)
            + encode_frame(Op.PING, b"", mask=MASK)
            + encode_frame(Op.BINARY, b"better", mask=MASK)
            + encode_frame(Op.BINARY, b"wrong", mask=MASK, rsv=2)
            + encode_frame(Op.BINARY, b"behind", mask=MASK)
        )
        answer, ending = await together(culprit.ending(), partner.ending())
        assert [frame.payload for frame in ending.frames] == [b"good", b"better"]
        assert answer.close == Frame(Op.CLOSE, close_body(1002, "protocol-error"))
        assert answer.frames == [Frame(Op.PONG)]
        assert ending.close == Frame(Op.CLOSE, close_body(1011, "protocol-error"))
        [closed] = await log.closed()
        assert (closed.reason, closed.up + closed.down) == ("protocol-error", 10)


@pytest.mark.parametrize(("limit", "sizes"), [(1000, [1001]), (1000, [600, 400, 1])])
@SIDES
@pytest_twisted.ensureDeferred
async def test_messages_over_the_limit(
    start_router: RouterMaker, log: Log, side: str, limit: int, sizes: list[int]
) -> None:
    """The sender hears 1009, whole or in fragments; exactly the limit passes."""
    router, _ = await start_router.start(Limits(failed_logins_per_min=0, message_bytes=limit))
    async with unharmed(router):
        circuit = await router.portal().circuit()
        culprit, partner = circuit.sides(side)
        await passes(culprit, partner, b"x" * limit)
        for number, size in enumerate(sizes):
            opcode = Op.CONTINUATION if number else Op.BINARY
            culprit.send(opcode, b"x" * size, fin=number == len(sizes) - 1)
        answer, ending = await together(culprit.ending(), partner.ending())
        assert answer.close == Frame(Op.CLOSE, close_body(1009, "too-large"))
        assert ending.close == Frame(Op.CLOSE, close_body(1009, "too-large"))
        assert [frame for frame in ending.frames if frame.fin] == []
        [closed] = await log.closed()
        assert closed.reason == "too-large"


# -- ends that the router decides on ---------------------------------------------------------------


async def half_a_message(circuit: Circuit, side: str) -> None:
    """Leave a message, and a frame of it, begun; one before it went through."""
    sender, receiver = circuit.sides(side)
    await passes(sender, receiver)
    sender.send(Op.BINARY, b"first part", fin=False)
    sender.send(Op.PING)
    while (await sender.receive()).opcode != Op.PONG:
        """Of the other side's message perhaps."""
    sender.send(Op.CONTINUATION, b"second", length=1000)


@SIDES
@pytest_twisted.ensureDeferred
async def test_revoked_in_mid_stream(start_router: RouterMaker, log: Log, side: str) -> None:
    """Within a message, too, a revoked grant ends the circuit: 1008 to both."""
    router, ours = await start_router.start()
    async with unharmed(router):
        circuit = await router.portal().circuit()
        await half_a_message(circuit, "client")
        await half_a_message(circuit, "host")
        ours.service.broker.revoke(subject=f"a-{side}", until=0.0)
        endings = await together(circuit.client.ending(), circuit.host.ending())
        for ending in endings:
            assert ending.close == Frame(Op.CLOSE, close_body(1008, "revoked"))
            assert [frame for frame in ending.frames if frame.fin] == []
        [closed] = await log.closed()
        assert closed.reason == "revoked"


@SIDES
@pytest_twisted.ensureDeferred
async def test_drained_in_mid_stream(start_router: RouterMaker, log: Log, side: str) -> None:
    """At the end of a drain: 1012 to both, behind what was sent to a reader that had stopped."""
    router, ours = await start_router.start()
    _, reader, sent, circuit = await stalled(router.portal(), side)
    stopped = ours.stop()
    reader.resume()
    endings = await together(circuit.client.ending(), circuit.host.ending())
    for ending in endings:
        assert ending.close == Frame(Op.CLOSE, close_body(1012, "going-away"))
        assert sent.startswith(ending.data)
    await stopped
    [closed] = await log.closed()
    assert closed.reason == "going-away"
    assert closed.up + closed.down >= max(len(ending.data) for ending in endings)
