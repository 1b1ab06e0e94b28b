"""The websocktunnel router: checks 35-38, hosts that break rules or are silent.

Each runs against our router, and against the original's server where that is at hand. The waits of
check 37 and 38 take the latter 20 to 40 s: they are tried on ours alone, with shorter ones.
"""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.integration.websocktunnel_ours import RouterMaker
from tests.integration.websocktunnel_peers import BOTH, HELLO, OURS, Router
from tests.rawpeer import MUX_WINDOW_BYTES, Mux, Op, encode_mux, read_response, together
from tests.rawpeer.mux import credit

BAD_MESSAGES = {
    "empty": b"",
    "one byte": b"\x01",
    "four bytes": b"\x01\x02\x00\x00",
    "type 4": b"\x04\x00\x00\x00\x00",
    "type 255": b"\xff\x00\x00\x00\x00",
    "syn with payload": b"\x01\x00\x00\x00\x00\xff",
    "fin with payload": b"\x03\x00\x00\x00\x00\xff",
    "ack of nothing": b"\x02\x02\x00\x00\x00",
    "ack of 2 bytes": b"\x02\x02\x00\x00\x00\x00\x00",
    "ack of 5 bytes": b"\x02\x02\x00\x00\x00\x00\x00\x00\x00\x00",
}
MANY = 250
"""More than the SYNs that freeze a Go peer (websocktunnel.md §7.10)."""

PENDING_S = 0.5
PING_S, DEAD_S = 0.5, 1.5

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


# -- faults --------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("message", BAD_MESSAGES.values(), ids=BAD_MESSAGES)
@pytest_twisted.ensureDeferred
async def test_check_35_bad_frames(wst: Router, message: bytes) -> None:
    """A bad frame ends that link with 1008, its viewers with it, and nobody else."""
    bystander, host = await wst.host(), await wst.host()
    viewer = await host.view()
    await host.link.accept()
    host.link.peer.send(Op.BINARY, message)
    assert (await host.link.refused()).code == 1008
    assert (await read_response(viewer)).status == wst.says(502)
    await bystander.serves()
    await (await wst.host(host.tunnel)).serves()


@BOTH
@pytest.mark.parametrize("text", [b"", b"hello", encode_mux(Mux.FIN, 0)], ids=repr)
@pytest_twisted.ensureDeferred
async def test_check_35_text(wst: Router, text: bytes) -> None:
    """A text message ends that link with 1008."""
    host = await wst.host()
    host.link.peer.send(Op.TEXT, text)
    assert (await host.link.refused()).code == 1008


@BOTH
@pytest.mark.parametrize("fault", ["unmasked", "rsv", "opcode", "continuation", "long ping"])
@pytest_twisted.ensureDeferred
async def test_check_35_no_websocket(wst: Router, fault: str) -> None:
    """What breaks the rules of WebSockets ends that link with 1002."""
    bystander, host = await wst.host(), await wst.host()
    fin = encode_mux(Mux.FIN, 7)
    peer = host.link.peer
    if fault == "unmasked":
        peer.send(Op.BINARY, fin, masked=False)
    elif fault == "rsv":
        peer.send(Op.BINARY, fin, rsv=4)
    elif fault == "opcode":
        peer.send(3, fin)
    elif fault == "continuation":
        peer.send(Op.CONTINUATION, fin)
    else:
        peer.send(Op.PING, b"x" * 126)
    close = await host.link.until(lambda: host.link.close, "Close")
    assert close.code == 1002
    await bystander.serves()


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_36_unknown_ids(wst: Router) -> None:
    """Frames for ids that nobody knows, or that are finished, are ignored."""
    host = await wst.host()
    await host.serves()
    # a second FIN revives a stream of a Go peer (§7.6), whose router handles frames out of order
    finished = (0,) if wst.is_ours else ()
    for number in (*finished, 1, 77, 1000, 2**32 - 1):
        host.link.send(Mux.DAT, number, b"data")
        host.link.send(Mux.ACK, number, credit(7))
        host.link.send(Mux.FIN, number)
    await host.serves()


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_36_syns_of_the_host(wst: Router) -> None:
    """A SYN for an id in use is ignored; a stream that a host asks for is never accepted."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    for number in (0, 1, 1, 1):
        host.link.send(Mux.SYN, number)
    stream.respond(HELLO)
    assert (await read_response(viewer)).body == b"hello"
    await host.serves()
    assert host.link.of(Mux.ACK, 1) == []


@OURS
@pytest_twisted.ensureDeferred
async def test_many_syns_of_the_host_freeze_nobody(wst: Router) -> None:
    """A host that asks for streams again and again neither freezes nor fills our router."""
    host = await wst.host()
    for number in range(20 * MANY):
        host.link.send(Mux.SYN, 2 * number + 1)
    await wst.works()
    # who does so may be cut off, and comes back
    if host.link.close is not None:
        host = await wst.host(host.tunnel)
    await host.serves()


@OURS
@pytest_twisted.ensureDeferred
async def test_an_empty_dat_is_ignored(wst: Router) -> None:
    """An empty DAT, which no Go peer sends, changes nothing."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    for part in (b"", HELLO[:20], b"", HELLO[20:], b""):
        stream.send(part)
    assert (await read_response(viewer)).body == b"hello"
    await stream.finished()


# -- silence -------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_check_37_silence(start_wst: RouterMaker) -> None:
    """A SYN that is not accepted in time is given up: 504, and one FIN for a late ACK."""
    wst = await start_wst.start(limits={"pending-s": PENDING_S})
    host = await wst.host(window=None)
    viewer = await host.view()
    stream = await host.link.accept()
    answer = await read_response(viewer)
    assert (answer.status, answer.header("X-Relay-Reason")) == (504, "host-silent")
    assert [f.kind for f in host.link.frames if f.stream == stream.number] == [Mux.SYN]
    stream.accept()
    await stream.finished()
    stream.fin()
    host.link.window = MUX_WINDOW_BYTES
    await host.serves()
    kinds = [f.kind for f in host.link.frames if f.stream == stream.number]
    assert kinds == [Mux.SYN, Mux.FIN]


@OURS
@pytest_twisted.ensureDeferred
async def test_more_viewers_than_syns_may_wait(wst: Router) -> None:
    """Viewers beyond those that may wait at a host wait in our router, and are served later."""
    host = await wst.host(window=None)
    viewers = [await host.view(f"/{number}") for number in range(MANY)]
    await wst.works()
    asked = len(host.link.of(Mux.SYN))
    assert 0 < asked < 200
    for number in range(MANY):
        stream = await host.link.accept()
        assert len(host.link.of(Mux.SYN)) - number < 200
        stream.accept()
        await stream.head()
        stream.respond(HELLO)
    answers = await together(*map(read_response, viewers))
    assert {answer.status for answer in answers} == {200}


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_38_the_first_ping(wst: Router) -> None:
    """A Ping with nothing in it comes within a second of the 101."""
    host = await wst.host()
    _, payload = await host.link.until(
        lambda: host.link.pings[0] if host.link.pings else None, "Ping", 1.0
    )
    assert payload == b""


@pytest_twisted.ensureDeferred
async def test_check_38_keepalive(start_wst: RouterMaker) -> None:
    """Who answers Pings stays, who does not goes, as soon as the dialect's own keys say."""
    wst = await start_wst.start(dialect={"ping-s": PING_S, "dead-s": DEAD_S})
    alive, silent = await wst.host(), await wst.host(pongs=False)
    start = silent.link.peer.clock.seconds()
    await silent.link.ended()
    assert silent.link.peer.clock.seconds() - start >= DEAD_S - PING_S
    await alive.link.until(lambda: True if len(alive.link.pings) >= 5 else None, "Pings")
    await alive.serves()
    assert (await wst.fetch(f"/{silent.tunnel}/")).status == 504
