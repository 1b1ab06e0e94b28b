"""Payload in the cut-through gear: every byte once, in order, counted, whoever reads slowly."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
import trustme
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from relay.core.liveness import Wheel
from relay.core.stream import HALF_CLOSE_CALLEE_S
from relay.settings.model import Door, Limits
from tests.integration.cutthrough_log import Closed, Log
from tests.integration.portal_ours import RouterMaker, TunnelMaker
from tests.integration.portal_peers import Circuit, passes, unharmed
from tests.integration.test_portal_stopped_readers import flood
from tests.integration.tls_by_hand import dial_circuit
from tests.rawpeer import (
    Frame,
    Op,
    RawPeer,
    RawServer,
    close_body,
    connect,
    encode_frame,
    noise,
    the_reactor,
    together,
    until,
)
from tests.rawpeer.peer import MASK

KiB = 1024
MiB = 1024 * KiB
SIDES = pytest.mark.parametrize("side", ["client", "host"])

pytest_plugins = ["tests.integration.portal_fixtures", "tests.integration.cutthrough_fixtures"]


def turn() -> Deferred[None]:
    """:returns: fires when the reactor comes round again"""
    waiting: Deferred[None] = Deferred()
    the_reactor().callLater(0, waiting.callback, None)
    return waiting


# -- every byte ------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_the_tails_of_several_circuits_keep_apart(
    start_router: RouterMaker, log: Log
) -> None:
    """Three circuits that share the hub's buffer, read in fits and starts: each gets its own."""
    router, _ = await start_router.start()
    portal = router.portal()
    control = await portal.control()
    async with unharmed(router):
        circuits = [await portal.circuit(control=control) for _ in range(3)]
        ways = [way for each in circuits for way in (each.sides("client"), each.sides("host"))]
        payloads = [noise(3 * MiB) for _ in ways]

        async def send(sender: RawPeer, payload: bytes, size: int) -> bytes:
            await sender.send_all(payload, size)
            return payload

        async def take(receiver: RawPeer) -> bytes:
            came = b""
            while len(came) < 3 * MiB:
                receiver.pause()
                await turn()
                receiver.resume()
                came += (await receiver.receive()).payload
            return came

        for _, receiver in ways:
            receiver.shrink()
        running = [
            send(sender, payload, 7_000 + 31_000 * number)
            for number, ((sender, _), payload) in enumerate(zip(ways, payloads, strict=True))
        ]
        results = await together(*running, *(take(receiver) for _, receiver in ways))
        for sent, came in zip(payloads, results[len(ways) :], strict=True):
            assert came == sent
        for each in circuits:
            each.client.send_close(1000)
            await together(each.client.ending(), each.host.ending())
        # the control link goes with the test
        assert log.routers[:3] == [Closed("peer-closed", 3 * MiB, 3 * MiB)] * 3


@SIDES
@pytest_twisted.ensureDeferred
async def test_fragments_and_control_frames_between_them(
    start_router: RouterMaker, side: str
) -> None:
    """Message boundaries stay, wherever segments cut a header, and each Ping is answered."""
    router, _ = await start_router.start()
    async with unharmed(router):
        circuit = await router.portal().circuit()
        sender, receiver = circuit.sides(side)
        wire, messages, pings = b"", [], 0
        for size in (0, 1, 125, 126, 127, 65535, 65536):
            parts = [noise(size), b"", noise(3)]
            for number, part in enumerate(parts):
                opcode = Op.CONTINUATION if number else Op.BINARY
                wire += encode_frame(opcode, part, mask=MASK, fin=number == 2)
                wire += encode_frame(Op.PING, b"%d" % pings, mask=MASK)
                wire += encode_frame(Op.PONG, b"unasked", mask=MASK)
                pings += 1
            messages.append(b"".join(parts))
        start = 0
        for size in (
            1,
            1,
            3,
            2,
            5,
            7,
            11,
            13,
            17,
            19,
            23,
            29,
            31,
            37,
            300,
            65537,
            100_000,
            1 << 20,
        ):
            sender.write(wire[start : start + size])
            start += size
            await turn()
        for message in messages:
            assert await receiver.receive_message() == Frame(Op.BINARY, message)
        for number in range(pings):
            assert await sender.receive() == Frame(Op.PONG, b"%d" % number)


@pytest_twisted.ensureDeferred
async def test_a_tls_reader_that_stops(
    start_router: RouterMaker, tls_authority: trustme.CA, trust: ssl.SSLContext
) -> None:
    """Ciphertext that the kernel does not take waits: all comes once it reads, and goes on."""
    router, _ = await start_router.start(authority=tls_authority)
    async with unharmed(router):
        host, client = await dial_circuit(router.portal(), trust)
        for _ in range(2):
            client.peer.pause()
            sent = await flood(host)
            client.peer.resume()
            came = b""
            while len(came) < len(sent):
                came += (await client.receive()).payload
            assert came == sent
            client.write(encode_frame(Op.BINARY, b"thanks", mask=MASK))
            await host.writable()
            assert await host.receive() == Frame(Op.BINARY, b"thanks")
        client.peer.reset()


@pytest.mark.parametrize("size", [0, 10, 40_000, 300_000])
@pytest_twisted.ensureDeferred
async def test_payload_close_and_goodbye_in_one_segment(
    start_router: RouterMaker,
    tls_authority: trustme.CA,
    trust: ssl.SSLContext,
    log: Log,
    size: int,
) -> None:
    """Data, and right behind it a close_notify and a FIN: all of it counts, then the end."""
    router, _ = await start_router.start(authority=tls_authority)
    async with unharmed(router):
        host, client = await dial_circuit(router.portal(), trust)
        payload = noise(size)
        wire = client.sealed(encode_frame(Op.BINARY, payload, mask=MASK)) + client.goodbye()
        client.peer.write(wire)
        client.peer.half_close()
        ending = await host.ending()
        assert ending.data == payload
        assert ending.close == Frame(Op.CLOSE, close_body(1000, "peer-closed"))
        assert await log.closed() == [Closed("peer-closed", size, 0)]
        assert await client.everything()
        client.peer.reset()


# -- half-close ------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_half_close_of_an_application(
    start_router: RouterMaker, tunnels: TunnelMaker, log: Log
) -> None:
    """A user's FIN reaches the service behind all that was said; the answer comes whole."""
    router, _ = await start_router.start()
    portal = router.portal()
    target = RawServer()
    door = Door("ssh", f"tcp:127.0.0.1:{await target.listen()}")
    await tunnels.host(router.url, portal.host_token, door)
    user = await connect(await tunnels.client(router.url, portal.client_token, "ssh"))
    user.stays_half_open = True
    served = await target.accept()
    served.stays_half_open = True
    question, answer = noise(3 * MiB), noise(5 * MiB)

    async def ask() -> bytes:
        await user.write_all(question)
        user.half_close()
        return b""

    _, heard = await together(ask(), served.half_ended())
    assert heard == question

    async def reply() -> bytes:
        await served.write_all(answer)
        served.half_close()
        return b""

    _, came = await together(reply(), user.half_ended())
    assert came == answer
    await log.closed()
    expected = Closed("finished", len(question), len(answer))
    assert log.routers == [expected]
    assert sorted(log.daemons) == ["client-1", "host-0"]
    assert list(log.daemons.values()) == [[expected], [expected]]
    await target.close()
    user.drop()


@pytest_twisted.ensureDeferred
async def test_a_service_that_answers_and_closes(
    start_router: RouterMaker, tunnels: TunnelMaker, log: Log
) -> None:
    """A user who reads slowly gets all of a download that ends with a close."""
    router, _ = await start_router.start()
    portal = router.portal()
    target = RawServer()
    door = Door("ssh", f"tcp:127.0.0.1:{await target.listen()}")
    await tunnels.host(router.url, portal.host_token, door)
    user = await connect(await tunnels.client(router.url, portal.client_token, "ssh"))
    served = await target.accept()
    user.shrink()
    user.pause()
    download = noise(12 * MiB)
    sending = Deferred.fromCoroutine(served.write_all(download))
    for _ in range(20):
        await turn()
    user.resume()
    await sending
    served.drop()
    assert await user.exactly(len(download), 30) == download
    await user.gone()
    assert not user.was_reset()
    assert await log.closed() == [Closed("finished", 0, len(download))]
    await target.close()


# -- who waits -------------------------------------------------------------------------------------


async def held_back(ours: Any, circuit: Circuit, side: str) -> tuple[RawPeer, RawPeer, bytes, Any]:
    """:returns: a sender that is held back, its reader, what was sent, and the router's circuit"""
    sender, reader = circuit.sides(side)
    reader.shrink()
    reader.pause()
    sent = await flood(sender)
    [joined] = ours.service.broker.circuits
    return sender, reader, sent, joined


def on_a_clock(ours: Any) -> Callable[[float], None]:
    """Give the router timers that only the test moves. :returns: moves them on"""
    clock = Clock()
    ours.service.around.wheel = Wheel(clock)

    def advance(seconds: float) -> None:
        for _ in range(int(seconds * 4)):
            clock.advance(0.25)

    return advance


@SIDES
@pytest_twisted.ensureDeferred
async def test_a_stream_is_paused_while_its_partner_takes_nothing(
    start_router: RouterMaker, side: str
) -> None:
    """Whoever asks the circuit hears so, and the contrary once all was taken."""
    router, ours = await start_router.start()
    async with unharmed(router):
        circuit = await router.portal().circuit()
        sender, reader, sent, joined = await held_back(ours, circuit, side)
        sending, reading = joined.caller, joined.callee
        if side == "host":
            sending, reading = reading, sending
        assert (sending.is_paused(), reading.is_paused()) == (True, False)
        reader.resume()
        assert await reader.receive_bytes(len(sent), 20) == sent
        await until(lambda: not sending.is_paused() or None, "end of the pause")
        await passes(sender, reader)


@pytest_twisted.ensureDeferred
async def test_a_held_finish_waits_for_a_reader_that_has_stopped(
    start_router: RouterMaker, log: Log
) -> None:
    """A half-close that cannot be passed on is held while the way back is blocked, however long."""
    router, ours = await start_router.start()
    advance = on_a_clock(ours)
    async with unharmed(router):
        circuit = await router.portal().circuit()
        sender, reader, sent, joined = await held_back(ours, circuit, "client")
        # the host's application has finished; the client's raw link cannot be told
        joined.finished(joined.callee)
        advance(20 * HALF_CLOSE_CALLEE_S)
        assert (joined.reason, log.routers) == (None, [])
        reader.resume()
        assert await reader.receive_bytes(len(sent), 20) == sent
        await passes(sender, reader)
        advance(1)  # it has seen that
        advance(HALF_CLOSE_CALLEE_S + 2)
        assert [closed.reason for closed in log.routers] == ["finished"]
        endings = await together(sender.ending(), reader.ending())
        assert [ending.close and ending.close.code for ending in endings] == [1000, 1000]


@SIDES
@pytest_twisted.ensureDeferred
async def test_liveness_while_blocked(start_router: RouterMaker, side: str) -> None:
    """A peer that is not read because its partner has stopped is not taken for dead."""
    limits = Limits(failed_logins_per_min=0, ping_s=2, dead_s=5)
    router, ours = await start_router.start(limits)
    advance = on_a_clock(ours)
    async with unharmed(router):
        circuit = await router.portal().circuit()
        for session in ours.service.broker.sessions:
            # portal never gives data links up; other dialects do
            session.conversation.dead_timer = True
        sender, reader, sent, joined = await held_back(ours, circuit, side)
        advance(60)
        assert joined.reason is None
        reader.resume()
        came = b""
        while len(came) < len(sent):
            frame = await reader.receive(20)
            came += frame.payload if frame.opcode != Op.PING else b""
        assert came == sent
        sender.drop()
        await reader.ending()
