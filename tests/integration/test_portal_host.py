"""Our portal host, and the original's, against a router that each test scripts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
import pytest_twisted

from tests.integration.portal_daemon import (
    KINDS,
    MALFORMED,
    NEXUS,
    OURS_ONLY,
    SOON_S,
    VALID_INCOMING,
    Daemon,
    announce,
    answers,
    check_handshake,
)
from tests.integration.portal_peers import CONNECTED
from tests.rawpeer import Frame, Late, Op, RawPeer, noise, the_reactor

KiB = 1024
MiB = 1024 * KiB
TARGET_REFUSED = (1011, "target-refused")

pytest_plugins = ["tests.integration.portal_fixtures"]


async def payload_of(data: RawPeer, size: int) -> list[Frame]:
    """:returns: the frames of the next ``size`` bytes, all of them masked, binary and whole"""
    frames: list[Frame] = []
    while sum(len(frame.payload) for frame in frames) < size:
        frame = await data.receive()
        assert (frame.opcode, frame.fin, frame.rsv, frame.masked) == (Op.BINARY, True, 0, True)
        frames.append(frame)
    return frames


@KINDS
@pytest_twisted.ensureDeferred
async def test_host_handshakes(daemon: Daemon) -> None:
    """A host asks for control, then once more for each call, with the nexus to the last digit."""
    control, request = await daemon.host_and_request()
    check_handshake(request, "/connect/host_control")
    assert request.target.partition("?")[2] == ("services=ssh" if daemon.is_ours else "")
    announce(control, NEXUS)
    _, request = await daemon.router.accept_request()
    check_handshake(request, f"/connect/host_accept/{NEXUS}")
    await answers(control)


@KINDS
@pytest_twisted.ensureDeferred
async def test_host_understands_every_form_of_incoming(daemon: Daemon) -> None:
    """Any order, white space, unknown fields, the positional form and fragments are understood."""
    control = await daemon.host()
    for number, form in enumerate(VALID_INCOMING.values()):
        announce(control, 2**64 - 1 - number, form)
        _, request = await daemon.router.accept_request()
        assert request.target == f"/connect/host_accept/{2**64 - 1 - number}"
    text = VALID_INCOMING["demo"] % 7
    control.send(Op.TEXT, text[:20], fin=False)
    control.send(Op.PING, b"between")
    control.send(Op.CONTINUATION, text[20:])
    _, request = await daemon.router.accept_request()
    assert request.target == "/connect/host_accept/7"


@KINDS
@pytest_twisted.ensureDeferred
async def test_host_ignores_what_it_does_not_understand(daemon: Daemon) -> None:
    """Malformed messages, unknown ones, Status, Connected and B change nothing."""
    control = await daemon.host()
    for text in [*MALFORMED, b'{"Status":"router ready"}', b'"Connected"']:
        control.send(Op.TEXT, text)
    control.send(Op.BINARY, VALID_INCOMING["demo"] % 8)
    await answers(control)
    announce(control, NEXUS)
    _, request = await daemon.router.accept_request()
    assert request.target == f"/connect/host_accept/{NEXUS}"
    assert daemon.router.arrivals == 2


@KINDS
@pytest_twisted.ensureDeferred
async def test_host_takes_payload_behind_its_101(daemon: Daemon) -> None:
    """B in the same segment as the 101 reaches the target, and text among it does not."""
    control = await daemon.host()
    announce(control, NEXUS)
    data, request = await daemon.router.accept_request()
    data.answer_upgrade(request)
    for frame in (
        Frame(Op.BINARY, b"at "),
        Frame(Op.TEXT, b'{"Status":"x"}'),
        CONNECTED,
        Frame(Op.PING, b"p"),
        Frame(Op.BINARY, b""),
        Frame(Op.BINARY, b"once"),
    ):
        data.send(frame.opcode, frame.payload)
    target = await daemon.target.accept()
    assert await target.exactly(7) == b"at once"
    target.write(b"answer")
    assert await data.receive() == Frame(Op.PONG, b"p", masked=True)
    assert await data.receive() == Frame(Op.BINARY, b"answer", masked=True)


@KINDS
@pytest_twisted.ensureDeferred
async def test_host_sends_frames_of_a_digestible_size(daemon: Daemon) -> None:
    """Bulk comes as whole messages, 64 KiB at first and never more than 1 MiB, and complete."""
    _, data, target = await daemon.session()
    payload = noise(8 * MiB)
    target.write(payload)
    frames = await payload_of(data, len(payload))
    assert b"".join(frame.payload for frame in frames) == payload
    sizes = [len(frame.payload) for frame in frames]
    assert sizes[0] <= 64 * KiB
    assert max(sizes) <= MiB


@KINDS
@pytest_twisted.ensureDeferred
async def test_host_sessions_survive_the_control_link(daemon: Daemon) -> None:
    """A host whose control link drops registers again at once, and its sessions do not notice."""
    control, data, target = await daemon.session()
    control.drop()
    again, request = await daemon.router.accept_upgrade(SOON_S)
    check_handshake(request, "/connect/host_control")
    data.send(Op.BINARY, b"there")
    assert await target.exactly(5) == b"there"
    target.write(b"back")
    assert (await data.receive()).payload == b"back"
    announce(again, 7)
    assert (await daemon.router.accept_request())[1].target == "/connect/host_accept/7"


@KINDS
@pytest.mark.parametrize("end", [RawPeer.drop, RawPeer.send_close])
@pytest_twisted.ensureDeferred
async def test_host_ends_with_the_router(daemon: Daemon, end: Callable[[RawPeer], None]) -> None:
    """All that came before a drop or Close reaches the target, then its connection ends."""
    _, data, target = await daemon.session()
    payload = noise(64 * KiB)
    data.send(Op.BINARY, payload)
    end(data)
    assert await target.exactly(len(payload)) == payload
    await data.ending(leave=True)
    await target.gone()


@OURS_ONLY
@pytest.mark.parametrize("fin", [True, False], ids=["frame", "message"])
@pytest_twisted.ensureDeferred
async def test_a_cut_message_is_no_end(daemon: Daemon, fin: bool) -> None:
    """A link that drops within a message resets the target's connection: something is missing."""
    _, data, target = await daemon.session()
    data.send(Op.BINARY, b"whole")
    assert await target.exactly(5) == b"whole"
    data.send(Op.BINARY, b"cut", fin=fin, length=10 if fin else None)
    data.drop()
    await target.gone()
    assert target.was_reset()


@KINDS
@pytest_twisted.ensureDeferred
async def test_host_ends_with_its_target(daemon: Daemon) -> None:
    """All that the target said before it closed comes out; ours then says Close 1000."""
    _, data, target = await daemon.session()
    payload = noise(64 * KiB)
    target.write(payload)
    target.drop()
    ending = await data.ending(leave=True)
    assert ending.data == payload
    assert daemon.is_ours == (ending.close is not None)
    assert ending.close is None or ending.close.code == 1000


@OURS_ONLY
@pytest_twisted.ensureDeferred
async def test_host_says_that_its_target_refused(daemon: Daemon) -> None:
    """A call whose target refuses is accepted, and ended with 1011 ``target-refused``."""
    control = await daemon.host()
    await daemon.target.close()
    announce(control, NEXUS)
    data, _ = await daemon.router.accept_upgrade()
    close = (await data.ending(leave=True)).close
    assert close is not None
    assert (close.code, close.reason) == TARGET_REFUSED
    await answers(control)


@OURS_ONLY
@pytest_twisted.ensureDeferred
async def test_host_accepts_again_after_404(daemon: Daemon) -> None:
    """A router may know of a call a moment after it announced it: 404 is tried again."""
    control = await daemon.host()
    announce(control, NEXUS)
    for _ in range(3):
        data, request = await daemon.router.accept_request(SOON_S)
        assert request.target == f"/connect/host_accept/{NEXUS}"
        data.refuse(404)
    data, request = await daemon.router.accept_upgrade(SOON_S)
    assert request.target == f"/connect/host_accept/{NEXUS}"
    data.send(Op.BINARY, b"in the end")
    assert await (await daemon.target.accept()).exactly(10) == b"in the end"


@KINDS
@pytest.mark.parametrize("status", [404, 503])
@pytest_twisted.ensureDeferred
async def test_host_gives_a_gone_call_up(daemon: Daemon, status: int) -> None:
    """A call that stays refused is given up within about half a second, and harms nothing."""
    control = await daemon.host()
    announce(control, 7)
    clock = the_reactor()
    started = clock.seconds()
    with suppress(Late):
        while clock.seconds() - started < SOON_S:
            (await daemon.router.accept_request(SOON_S / 4))[0].refuse(status)
    assert clock.seconds() - started < SOON_S
    announce(control, 8)
    _, request = await daemon.router.accept_request()
    assert request.target == "/connect/host_accept/8"
    await answers(control)


@OURS_ONLY
@pytest.mark.parametrize("reason", ["replaced", "", "portal host replaced"])
@pytest_twisted.ensureDeferred
async def test_host_yields_to_its_replacement(daemon: Daemon, reason: str) -> None:
    """A host that was replaced comes back after about a second, not at once."""
    control = await daemon.host()
    clock = the_reactor()
    started = clock.seconds()
    control.send_close(1001, reason)
    await control.ending(leave=True)
    await daemon.router.accept_upgrade()
    assert 0.7 < clock.seconds() - started < SOON_S


@OURS_ONLY
@pytest_twisted.ensureDeferred
async def test_host_comes_back_at_once_after_a_hand_over(daemon: Daemon) -> None:
    """A router that is ``going-away`` is asked again at once."""
    control = await daemon.host()
    control.send_close(1012, "going-away")
    clock = the_reactor()
    started = clock.seconds()
    await control.ending(leave=True)
    await daemon.router.accept_upgrade()
    assert clock.seconds() - started < 0.5


@OURS_ONLY
@pytest_twisted.ensureDeferred
async def test_host_notices_a_silent_router(daemon: Daemon) -> None:
    """A host pings its control link; when nothing comes for dead-s it registers again."""
    control = await daemon.host(ping_s=0.5, dead_s=1.5)
    assert (await control.receive(SOON_S)).opcode == Op.PING
    _, request = await daemon.router.accept_upgrade(2 * SOON_S)
    check_handshake(request, "/connect/host_control")


@OURS_ONLY
@pytest_twisted.ensureDeferred
async def test_host_reads_its_token_afresh(daemon: Daemon) -> None:
    """A token that was renewed in its file is used from the next connection on."""
    control = await daemon.host()
    daemon.tunnels.token_file.write_text("new.er.token\n")
    announce(control, NEXUS)
    _, request = await daemon.router.accept_request()
    assert request.header("Authorization") == "Bearer new.er.token"
