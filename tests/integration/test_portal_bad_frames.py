"""Peers that break the rules of frames: the portal router ends them, and only them.

Behind each of them a circuit on the same router works and no descriptor is left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
import pytest_twisted

from tests.integration.portal_peers import BOTH, END_S, OURS, Router, demo_differs, unharmed
from tests.rawpeer import Ending, Frame, Op, RawPeer, noise, together

MiB = 1024 * 1024
MAX_FRAME_BYTES = 16 * MiB
MAX_MESSAGE_BYTES = 64 * MiB
CLIENT = "/connect/client/ssh"

pytest_plugins = ["tests.integration.portal_fixtures"]


class Fault(NamedTuple):
    """A way to break RFC 6455.

    :ivar commit: sends it
    :ivar codes: the Closes that may answer it; none is fine too
    """

    commit: Callable[[RawPeer], None]
    codes: tuple[int, ...] = (1002,)


def _fragments_interleaved(peer: RawPeer) -> None:
    peer.send(Op.BINARY, b"begun", fin=False)
    peer.send(Op.BINARY, b"begun anew")


FAULTS = {
    "unmasked": Fault(lambda peer: peer.send(Op.BINARY, b"x", masked=False)),
    "opcode-3": Fault(lambda peer: peer.send(3, b"x")),
    "opcode-7": Fault(lambda peer: peer.send(7, b"x")),
    "opcode-11": Fault(lambda peer: peer.send(11, b"x")),
    "opcode-15": Fault(lambda peer: peer.send(15, b"x")),
    "rsv-1": Fault(lambda peer: peer.send(Op.BINARY, b"x", rsv=4)),
    "rsv-2": Fault(lambda peer: peer.send(Op.BINARY, b"x", rsv=2)),
    "rsv-3": Fault(lambda peer: peer.send(Op.PING, b"x", rsv=1)),
    "fragmented-ping": Fault(lambda peer: peer.send(Op.PING, b"x", fin=False)),
    "fragmented-close": Fault(lambda peer: peer.send(Op.CLOSE, b"\x03\xe8", fin=False)),
    "long-ping": Fault(lambda peer: peer.send(Op.PING, b"x" * 126)),
    "long-close": Fault(lambda peer: peer.send(Op.CLOSE, b"\x03\xe8" + b"x" * 124)),
    "one-byte-close": Fault(lambda peer: peer.send(Op.CLOSE, b"\x03")),
    "bad-utf8-close": Fault(lambda peer: peer.send(Op.CLOSE, b"\x03\xe8\xff\xfe"), (1002, 1007)),
    "close-0": Fault(lambda peer: peer.send(Op.CLOSE, b"\x00\x00")),
    "close-1005": Fault(lambda peer: peer.send(Op.CLOSE, b"\x03\xed")),
    "close-1006": Fault(lambda peer: peer.send(Op.CLOSE, b"\x03\xee")),
    "close-65535": Fault(lambda peer: peer.send(Op.CLOSE, b"\xff\xff")),
    "continuation-of-nothing": Fault(lambda peer: peer.send(Op.CONTINUATION, b"x")),
    "message-in-message": Fault(_fragments_interleaved),
    "frame-too-long": Fault(
        lambda peer: peer.send(Op.BINARY, length=MAX_FRAME_BYTES + 1), (1002, 1009)
    ),
    "frame-of-2-to-the-63": Fault(lambda peer: peer.send(Op.BINARY, length=2**63), (1002, 1009)),
}
LAX_ON_DEMO = {"close-0", "close-1005", "close-1006", "close-65535"}
"""demo passes on what it should not; ours must not."""

EACH_FAULT = pytest.mark.parametrize("fault", [f for f in FAULTS if f not in LAX_ON_DEMO])


def assert_answered(ending: Ending, fault: Fault) -> None:
    """Check that the culprit was told what it did, or dropped, and nothing else came."""
    assert ending.data == b""
    assert ending.close is None or ending.close.code in fault.codes, ending


@BOTH
@EACH_FAULT
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_broken_frames_in_a_circuit(router: Router, side: str, fault: str) -> None:
    """A malformed frame ends the circuit; nothing of it passes, all that was before it does."""
    async with unharmed(router):
        circuit = await router.portal().circuit()
        culprit, partner = circuit.sides(side)
        culprit.send(Op.BINARY, b"good")
        assert await partner.receive() == Frame(Op.BINARY, b"good")
        FAULTS[fault].commit(culprit)
        answer, ending = await together(culprit.ending(leave=True), partner.ending())
        assert_answered(answer, FAULTS[fault])
        assert [frame for frame in ending.frames if frame.fin] == []


@OURS
@pytest.mark.parametrize("fault", sorted(LAX_ON_DEMO))
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_close_codes_that_must_not_be_sent(router: Router, side: str, fault: str) -> None:
    """A Close with a reserved code is a fault, and is not relayed."""
    async with unharmed(router):
        circuit = await router.portal().circuit()
        culprit, partner = circuit.sides(side)
        FAULTS[fault].commit(culprit)
        answer, ending = await together(culprit.ending(leave=True), partner.ending())
        assert_answered(answer, FAULTS[fault])
        assert ending.close is None or ending.close.code not in (0, 1005, 1006, 65535)


@OURS
@EACH_FAULT
@pytest_twisted.ensureDeferred
async def test_broken_frames_of_a_pending_client(router: Router, fault: str) -> None:
    """A malformed frame ends the call, which can then not be accepted (demo keeps it open)."""
    async with unharmed(router):
        portal = router.portal()
        control = await portal.control()
        culprit = await portal.call()
        call = await portal.incoming(control)
        FAULTS[fault].commit(culprit)
        assert_answered(await culprit.ending(leave=True), FAULTS[fault])
        status = await router.status(f"/connect/host_accept/{call.nexus}", portal.host_token)
        assert status == 404


@BOTH
@EACH_FAULT
@pytest_twisted.ensureDeferred
async def test_broken_frames_of_a_control_link(router: Router, fault: str) -> None:
    """A malformed frame ends the registration."""
    async with unharmed(router):
        portal = router.portal()
        culprit = await portal.control()
        FAULTS[fault].commit(culprit)
        assert_answered(await culprit.ending(leave=True), FAULTS[fault])
        assert await router.status(CLIENT, portal.client_token) == 502


@demo_differs("T is relayed")
@pytest.mark.parametrize("text", [b'"Connected"', b'"Finish"', b"", b"\xff"], ids=repr)
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_text_in_a_circuit(router: Router, side: str, text: bytes) -> None:
    """T where B belongs ends its sender with 1003 or 1008, and the partner, who never sees it.

    1007 says as well what is wrong with a text that is no UTF-8.
    """
    async with unharmed(router):
        circuit = await router.portal().circuit()
        culprit, partner = circuit.sides(side)
        culprit.send(Op.BINARY, b"good")
        culprit.send(Op.TEXT, text)
        culprit.send(Op.BINARY, b"behind it")
        answer, ending = await together(culprit.ending(END_S, leave=True), partner.ending(END_S))
        assert answer.close is not None
        assert answer.close.code in ((1003, 1007, 1008) if text == b"\xff" else (1003, 1008))
        assert ending.frames == [Frame(Op.BINARY, b"good")]


@OURS
@pytest_twisted.ensureDeferred
async def test_text_before_connected(router: Router) -> None:
    """T of a client that still waits ends the call with 1003 or 1008."""
    async with unharmed(router):
        portal = router.portal()
        control = await portal.control()
        client = await portal.call()
        call = await portal.incoming(control)
        client.send(Op.TEXT, b'"Connected"')
        answer = await client.ending(END_S)
        assert answer.close is not None
        assert answer.close.code in (1003, 1008)
        target = f"/connect/host_accept/{call.nexus}"
        assert await router.status(target, portal.host_token) == 404


@BOTH
@pytest_twisted.ensureDeferred
async def test_a_culprit_that_stays_is_cut_off(router: Router) -> None:
    """Whoever broke the rules and waits, without answering a Close, is not waited for."""
    async with unharmed(router):
        circuit = await router.portal().circuit()
        circuit.client.send(3, b"x")
        await together(circuit.client.ending(END_S, reply=False), circuit.host.ending(END_S))


@BOTH
@pytest.mark.parametrize("leave", [RawPeer.drop, RawPeer.reset], ids=["drop", "reset"])
@pytest.mark.parametrize(("announced", "sent"), [(1000, 10), (MiB, 600_000), (10, -1)])
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_dies_in_mid_frame(
    router: Router, side: str, announced: int, sent: int, leave: Callable[[RawPeer], None]
) -> None:
    """A peer that dies within a frame, or its header, ends the circuit; the rest is no message."""
    async with unharmed(router):
        circuit = await router.portal().circuit()
        culprit, partner = circuit.sides(side)
        if sent < 0:
            culprit.write(b"\x82")
        else:
            culprit.send(Op.BINARY, noise(sent), length=announced)
        leave(culprit)
        ending = await partner.ending(END_S)
        assert [frame for frame in ending.frames if frame.fin] == []
        if router.is_ours and leave is RawPeer.drop:
            # between messages a drop is the end of the stream, within one it is a loss
            assert ending.close is not None
            assert (ending.close.code, ending.close.reason) == (1011, "lost")


@BOTH
@pytest_twisted.ensureDeferred
async def test_the_longest_frame_passes(router: Router) -> None:
    """Exactly 16 MiB in one frame are no fault."""
    async with unharmed(router):
        circuit = await router.portal().circuit()
        payload = noise(MAX_FRAME_BYTES)
        circuit.client.send(Op.BINARY, payload)
        message = await circuit.host.receive_message()
        assert (message.opcode, message.payload == payload) == (Op.BINARY, True)
        circuit.client.drop()
        circuit.host.drop()
        circuit.control.drop()


@BOTH
@pytest_twisted.ensureDeferred
async def test_oversized_message(router: Router) -> None:
    """64 MiB in fragments and one byte more end the circuit; no message comes of them."""
    async with unharmed(router):
        circuit = await router.portal().circuit()
        part = noise(MAX_FRAME_BYTES)
        partner_ending = circuit.host.ending(30)

        async def send() -> Ending:
            circuit.client.send(Op.BINARY, part, fin=False)
            for _ in range(MAX_MESSAGE_BYTES // MAX_FRAME_BYTES - 1):
                await circuit.client.writable()
                circuit.client.send(Op.CONTINUATION, part, fin=False)
            await circuit.client.writable()
            circuit.client.send(Op.CONTINUATION, b"x")
            return await circuit.client.ending(30)

        answer, ending = await together(send(), partner_ending)
        assert answer.close is None or answer.close.code == 1009
        assert [frame for frame in ending.frames if frame.fin] == []
