"""What the portal router does about peers that break the rules: it ends them, and only them.

Behind each of them a circuit on the same router works and no descriptor is left.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import pytest
import pytest_twisted
import trustme

from relay.settings.model import Limits
from tests.integration.portal_peers import (
    BOTH,
    CONNECTED,
    END_S,
    OURS,
    Portal,
    Router,
    RouterMaker,
    bearer,
    demo_differs,
    forge,
    mint,
)
from tests.rawpeer import (
    PERFECT_HANDSHAKE,
    Ended,
    Ending,
    Frame,
    Late,
    Op,
    PeerError,
    RawPeer,
    noise,
    request_head,
    together,
)

MiB = 1024 * 1024
MAX_FRAME_BYTES = 16 * MiB
MAX_MESSAGE_BYTES = 64 * MiB
CONTROL = "/connect/host_control"
CLIENT = "/connect/client/ssh"
SHORT_S = 0.3
PINGS = 100_000
"""Of 120 bytes each: more than the kernel keeps of the answers."""

STALLED_S = 0.5
"""A sender that could not go on for so long is being held back."""

pytest_plugins = ["tests.integration.portal_fixtures"]


@asynccontextmanager
async def unharmed(router: Router) -> AsyncIterator[None]:
    """Check at the end that the router works for others and has forgotten those who were here."""
    yield
    await router.works()
    await router.comes_to_rest()


# -- before the handshake is over ----------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("fault", ["garbage", "expired", "foreign", "wrong-role", "algorithm"])
@pytest_twisted.ensureDeferred
async def test_bad_tokens(router: Router, fault: str) -> None:
    """A token that is no good is 401 and leaves nothing behind."""
    portal = router.portal()
    claims = portal.claims("host")
    token = {
        "garbage": "\u00ff" * 100,
        "expired": mint(portal.claims("host", exp=1)),
        "foreign": mint(claims, "another-secret-0123456789abcdefghijk"),
        "wrong-role": portal.client_token,
        "algorithm": forge(b"{}", {"alg": "HS512", "typ": "JWT"}, "sha512"),
    }[fault]
    async with unharmed(router):
        for _ in range(20):
            assert await router.status(CONTROL, token) == 401


@BOTH
@pytest_twisted.ensureDeferred
async def test_endless_head(router: Router) -> None:
    """A head that grows and grows is refused, or cut off, before it is a MiB long."""
    async with unharmed(router):
        peer = await router.dial()
        with pytest.raises((Ended, Refused)):
            await pour_headers(peer)


async def pour_headers(peer: RawPeer) -> None:
    """Send a MiB of headers. :raises Ended, Refused: as soon as the router has had enough"""
    peer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
    line = b"X-Filler: " + b"x" * 4086 + b"\r\n"
    for _ in range(MiB // len(line)):
        await peer.writable()
        peer.write(line)
        await refused_with(peer, 431, 400)
    await peer.until(lambda: None if peer.nothing_came() else True, "refusal")
    await refused_with(peer, 431, 400)


@OURS
@pytest.mark.parametrize("where", ["header", "target"])
@pytest_twisted.ensureDeferred
async def test_oversized_head(router: Router, where: str) -> None:
    """A complete head above the limit is refused, or cut off, and nothing comes of it."""
    portal = router.portal()
    filler = "x" * 40_000
    headers = {**PERFECT_HANDSHAKE, **bearer(portal.host_token)}
    async with unharmed(router):
        peer = await router.dial()
        if where == "header":
            peer.write(request_head(CONTROL, {"X-Filler": filler, **headers}))
        else:
            peer.write(request_head(f"{CONTROL}?{filler}", headers))
        with suppress(Ended):
            assert (await peer.response()).status in (431, 414)
        assert await router.status(CLIENT, portal.client_token) == 502


class Refused(PeerError):
    """The router answered with the expected refusal."""


async def refused_with(peer: RawPeer, *statuses: int) -> None:
    """:raises Refused: when a refusal with one of these statuses has come"""
    if not peer.nothing_came():
        assert (await peer.response()).status in statuses
        raise Refused


@BOTH
@pytest.mark.parametrize(
    "opening",
    [
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(160),
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        bytes(512),
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n" * 2000 + b"x\r\n\r\n",
    ],
    ids=["tls", "ssh", "zeros", "short", "version", "header", "target", "lines"],
)
@pytest_twisted.ensureDeferred
async def test_no_http(router: Router, opening: bytes) -> None:
    """What is no HTTP request is refused or cut off at once."""
    async with unharmed(router):
        peer = await router.dial()
        peer.write(opening)
        try:
            status = (await peer.response(END_S)).status
        except Ended:
            return
        assert status in (400, 404, 431, 505)


@pytest.mark.parametrize("pace", ["silent", "half", "trickle"])
@pytest_twisted.ensureDeferred
async def test_slow_head(start_router: RouterMaker, pace: str) -> None:
    """A head that is not complete in time ends the connection, however steadily it comes."""
    router, _ = await start_router.start(Limits(head_s=SHORT_S, failed_logins_per_min=0))
    head = request_head(CONTROL, bearer(router.portal().host_token))
    async with unharmed(router):
        peer = await router.dial()
        if pace == "trickle":
            with pytest.raises((Ended, Refused)):
                await trickle(peer, head)
            return
        if pace == "half":
            peer.write(head[:40])
        await ended_or_refused(peer, 408)


async def trickle(peer: RawPeer, head: bytes) -> None:
    """Send a head byte by byte. :raises Ended, Refused: when the router has had enough"""
    expiry = peer.clock.seconds() + SHORT_S + END_S
    for byte in head:
        peer.write(bytes([byte]))
        await refused_with(peer, 408)
        with suppress(Late, Ended):
            await peer.until(lambda: None if peer.nothing_came() else True, "answer", SHORT_S / 10)
        assert peer.clock.seconds() < expiry


async def ended_or_refused(peer: RawPeer, status: int) -> None:
    """Check that the connection ends, after a refusal or without a word."""
    try:
        assert (await peer.response(SHORT_S + END_S)).status == status
    except Ended:
        return
    await peer.gone()


@pytest_twisted.ensureDeferred
async def test_tls_handshake_never_finished(
    start_router: RouterMaker, tls_authority: trustme.CA
) -> None:
    """A peer that connects to a TLS listener and says nothing, or no TLS, is cut off."""
    limits = Limits(head_s=SHORT_S, handshake_s=SHORT_S, failed_logins_per_min=0)
    router, _ = await start_router.start(limits, authority=tls_authority)
    plain = Router("ours", router.port, router.descriptors)
    async with unharmed(router):
        for opening in (b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
            peer = await plain.dial()
            peer.write(opening)
            await peer.gone(SHORT_S + END_S)


@BOTH
@pytest.mark.parametrize("sent", [0, 20, -1])
@pytest.mark.parametrize("leave", [RawPeer.drop, RawPeer.reset], ids=["drop", "reset"])
@pytest_twisted.ensureDeferred
async def test_leaves_in_the_handshake(
    router: Router, leave: Callable[[RawPeer], None], sent: int
) -> None:
    """Peers that leave before, within or right behind their head leave nothing behind."""
    portal = router.portal()
    head = request_head(CONTROL, {**PERFECT_HANDSHAKE, **bearer(portal.host_token)})
    async with unharmed(router):
        for _ in range(20):
            peer = await router.dial()
            peer.write(head[:sent] if sent >= 0 else head)
            leave(peer)
            await peer.gone()


@OURS
@pytest_twisted.ensureDeferred
async def test_host_leaves_behind_its_accept(router: Router) -> None:
    """A host that asks to accept and leaves takes the client with it."""
    portal = router.portal()
    async with unharmed(router):
        control = await portal.control()
        client = await portal.call()
        call = await portal.incoming(control)
        target = f"/connect/host_accept/{call.nexus}"
        host = await router.dial()
        host.write(request_head(target, {**PERFECT_HANDSHAKE, **bearer(portal.host_token)}))
        host.drop()
        ending = await client.ending(END_S)
        assert ending.frames in ([], [CONNECTED])


# -- frames --------------------------------------------------------------------------------------


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


# -- readers that stop ---------------------------------------------------------------------------


async def flood(sender: RawPeer, limit: int = 64 * MiB) -> bytes:
    """Send until the other end takes no more. :returns: what was sent; fails at ``limit``"""
    part = noise(64 * 1024)
    for count in range(limit // len(part)):
        sender.send(Op.BINARY, part)
        try:
            await sender.writable(STALLED_S)
        except Late:
            return part * (count + 1)
    raise PeerError(f"{limit} bytes were taken for a reader that does not read")


async def stalled_circuit(portal: Portal, side: str) -> tuple[RawPeer, RawPeer, bytes]:
    """:returns: a sender, a paused reader and what the sender has sent until it was held back"""
    circuit = await portal.circuit()
    sender, reader = circuit.sides(side)
    reader.shrink()
    reader.pause()
    return sender, reader, await flood(sender)


@BOTH
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_stops_reading(router: Router, side: str) -> None:
    """A reader that stops holds its sender back, nobody else; all is there when it reads again."""
    async with unharmed(router):
        before = resident_bytes()
        sender, reader, sent = await stalled_circuit(router.portal(), side)
        if router.is_ours:
            assert resident_bytes() - before < 16 * MiB
        await router.works()
        reader.resume()
        assert await reader.receive_bytes(len(sent)) == sent
        await sender.writable()
        reader.send(Op.BINARY, b"thanks")
        assert await sender.receive() == Frame(Op.BINARY, b"thanks")
        reader.drop()
        await sender.ending(END_S)


@BOTH
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_stops_reading_and_dies(router: Router, side: str) -> None:
    """A reader that stopped and dies frees its sender."""
    async with unharmed(router):
        sender, reader, _ = await stalled_circuit(router.portal(), side)
        reader.reset()
        await sender.ending(END_S)


@BOTH
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_the_sender_dies_while_the_reader_has_stopped(router: Router, side: str) -> None:
    """A sender that is reset while it is held back is forgotten; its reader gets a beginning."""
    async with unharmed(router):
        sender, reader, sent = await stalled_circuit(router.portal(), side)
        sender.reset()
        reader.resume()
        ending = await reader.ending()
        assert sent.startswith(ending.data)


@OURS
@pytest.mark.parametrize("kind", ["control", "pending", "client", "host"])
@pytest_twisted.ensureDeferred
async def test_pings_and_does_not_read(router: Router, kind: str) -> None:
    """Whoever pings for ever and takes no Pong costs no memory; the last Ping is answered."""
    async with unharmed(router):
        portal = router.portal()
        control = await portal.control()
        peer = control if kind == "control" else await portal.call()
        if kind in ("client", "host"):
            call = await portal.incoming(control)
            host = await portal.accept(call.nexus)
            assert await peer.receive() == CONNECTED
            peer = host if kind == "host" else peer
        peer.shrink()
        peer.pause()
        sent = 0
        while sent < PINGS:
            for _ in range(1000):
                peer.send(Op.PING, sent.to_bytes(4, "big") * 30)
                sent += 1
            await peer.writable()
        # what the kernels keep between the two is all that waits
        peer.resume()
        pongs: list[int] = []
        while not pongs or pongs[-1] != PINGS - 1:
            frame = await peer.receive()
            if frame.opcode == Op.PONG:
                pongs.append(int.from_bytes(frame.payload[:4], "big"))
        assert pongs == sorted(set(pongs))
        assert len(pongs) < PINGS


@OURS
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_the_tail_waits_for_a_slow_reader(router: Router, side: str) -> None:
    """What was sent before a Close reaches a reader that had stopped, to the last byte."""
    async with unharmed(router):
        sender, reader, sent = await stalled_circuit(router.portal(), side)
        sender.send_close(1000)
        reader.resume()
        ending, _ = await together(reader.ending(), sender.ending())
        assert ending.data == sent
        assert ending.close is not None
        assert ending.close.code == 1000


def resident_bytes() -> int:
    """:returns: this process's memory"""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
