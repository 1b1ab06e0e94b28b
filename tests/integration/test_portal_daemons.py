"""Our portal host and client, and the original's, against a router that each test scripts."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_twisted

from relay.settings.model import Door
from relay.vocabulary import Role
from tests.integration.portal_peers import CONNECTED, TunnelMaker, wait_for
from tests.integration.portal_programs import Programs
from tests.rawpeer import (
    Ended,
    Frame,
    Head,
    Late,
    Op,
    RawPeer,
    RawServer,
    connect,
    noise,
    the_reactor,
)

KiB = 1024
MiB = 1024 * KiB
TOKEN = "header.claims.signature"
NEXUS = 11400714819323198485
SOON_S = 2.0
TARGET_REFUSED = (1011, "target-refused")

MALFORMED = [
    b'{"Incoming":{"client_name":"","service_name":"ssh","nexus":"7"}}',
    b'{"Incoming":{"client_name":"","service_name":"ssh","nexus":7.0}}',
    b'{"Incoming":{"client_name":"","service_name":"ssh","nexus":-1}}',
    b'{"Incoming":{"client_name":"","service_name":"ssh","nexus":18446744073709551616}}',
    b'{"Incoming":{"client_name":"","service_name":"ssh"}}',
    b'{"Incoming":{"service_name":"ssh","nexus":7}}',
    b'{"Incoming":{"client_name":7,"service_name":"ssh","nexus":7}}',
    b'{"Incoming":null}',
    b'{"Later":{"x":1}}',
    b'"connected"',
    b'"Status"',
    b'{"Connected":true}',
    b"Connected",
    b"[]",
    b"7",
    b"",
]
VALID_INCOMING = {
    "demo": b'{"Incoming":{"client_name":"alice-laptop","service_name":"ssh","nexus":%d}}',
    "edge": b'{"Incoming":{"client_name":"","service_name":"ssh","nexus":%d}}',
    "extra": b'{"Incoming":{"nexus":%d,"service_name":"ssh","client_name":"","extra":1}}',
    "spaces": b'{ "Incoming" : {\n"service_name":"ssh",\t"nexus" : %d, "client_name":"\xc3\xab"} }',
    "positional": b'{"Incoming":["","ssh",%d]}',
}
NOT_FOR_CLIENTS = VALID_INCOMING["edge"] % 7
KINDS = pytest.mark.parametrize("daemon", ["ours", "original"], indirect=True)
OURS_ONLY = pytest.mark.parametrize("daemon", ["ours"], indirect=True)

pytest_plugins = ["tests.integration.portal_fixtures"]


class Daemon:
    """Starts a host or client, ours or the original's, against the scripted router."""

    def __init__(
        self, kind: str, router: RawServer, tunnels: TunnelMaker, programs: Programs
    ) -> None:
        self.is_ours = kind == "ours"
        self.router = router
        self.tunnels = tunnels
        self._programs = programs
        self.target = RawServer()

    async def host(self, **options: Any) -> RawPeer:
        """:returns: the control link of a host that offers ``ssh`` at :attr:`target`"""
        return (await self.host_and_request(**options))[0]

    async def host_and_request(self, **options: Any) -> tuple[RawPeer, Head]:
        """:returns: the same, and what the host has asked for"""
        port = await self.target.listen()
        url = f"ws://127.0.0.1:{await self.router.listen()}"
        if self.is_ours:
            door = Door("ssh", f"tcp:127.0.0.1:{port}")
            await self.tunnels.start(Role.HOST, url, TOKEN, door, **options)
        else:
            self._start_original(url, "host", "--target-host", "127.0.0.1", "--target-port", port)
        return await self.router.accept_upgrade()

    async def client(self) -> Callable[[], Any]:
        """:returns: opens a connection to the local door of a client that calls ``ssh``"""
        url = f"ws://127.0.0.1:{await self.router.listen()}"
        if self.is_ours:
            port = await self.tunnels.client(url, TOKEN, "ssh")
        else:
            program = self._start_original(url, "client", "--interface", "127.0.0.1", "--port", 0)
            port = await program.listens()
        return lambda: connect(port)

    def _start_original(self, url: str, *arguments: object) -> Any:
        options = ["--server", url, "--auth-token", TOKEN, "--service", "ssh", "--reconnect"]
        return self._programs.start("tcp-forward", *options, *map(str, arguments))

    async def session(self) -> tuple[RawPeer, RawPeer, RawPeer]:
        """:returns: a host's control link, a data link, and its connection to the target"""
        control = await self.host()
        announce(control, NEXUS)
        data, _ = await self.router.accept_upgrade()
        return control, data, await self.target.accept()

    async def call(self) -> tuple[RawPeer, RawPeer]:
        """:returns: a local user's connection, and its data link, which is not ``Connected`` yet"""
        knock = await self.client()
        user = await knock()
        data, _ = await self.router.accept_upgrade()
        return user, data


@pytest.fixture
def daemon(
    request: pytest.FixtureRequest,
    scripted_router: RawServer,
    tunnels: TunnelMaker,
    programs: Programs,
    expected_log_errors: Callable[[], object],
) -> Iterator[Daemon]:
    """The host or client that the parameter names; what it says of a failed call is expected."""
    made = Daemon(request.param, scripted_router, tunnels, programs)
    yield made
    wait_for(made.target.close())
    expected_log_errors()


def announce(control: RawPeer, nexus: int, form: bytes = VALID_INCOMING["demo"]) -> None:
    """Tell a host of a call for ``ssh``."""
    control.send(Op.TEXT, form % nexus)


def check_handshake(request: Head, path: str) -> None:
    """Check that a request asks for ``path`` as routers want it, and for nothing else."""
    assert request.first_line.startswith("GET ")
    assert request.first_line.endswith(" HTTP/1.1")
    assert request.target.partition("?")[0] == path
    assert request.header("Authorization") == f"Bearer {TOKEN}"
    assert (request.header("Upgrade") or "").lower() == "websocket"
    assert (request.header("Connection") or "").lower() == "upgrade"
    assert request.header("Sec-WebSocket-Version") == "13"
    assert len(base64.b64decode(request.header("Sec-WebSocket-Key") or "")) == 16
    for name in ("Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Cookie"):
        assert request.header(name) is None


async def answers(peer: RawPeer) -> None:
    """Check that the next frame is the answer to a Ping: nothing else was sent before it."""
    peer.send(Op.PING, b"is anything before this?")
    frame = await peer.receive()
    assert frame == Frame(Op.PONG, b"is anything before this?", masked=True)


async def payload_of(data: RawPeer, size: int) -> list[Frame]:
    """:returns: the frames of the next ``size`` bytes, all of them masked, binary and whole"""
    frames: list[Frame] = []
    while sum(len(frame.payload) for frame in frames) < size:
        frame = await data.receive()
        assert (frame.opcode, frame.fin, frame.rsv, frame.masked) == (Op.BINARY, True, 0, True)
        frames.append(frame)
    return frames


# -- the host ------------------------------------------------------------------------------------


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


# -- the client ----------------------------------------------------------------------------------


@KINDS
@pytest_twisted.ensureDeferred
async def test_client_handshake(daemon: Daemon) -> None:
    """Each local connection is one call for the service."""
    knock = await daemon.client()
    await knock()
    _, request = await daemon.router.accept_request()
    check_handshake(request, "/connect/client/ssh")
    assert request.target == "/connect/client/ssh"


@KINDS
@pytest_twisted.ensureDeferred
async def test_client_waits_for_connected(daemon: Daemon) -> None:
    """Nothing but Pongs is sent before ``Connected``; what else a router says is ignored."""
    user, data = await daemon.call()
    user.write(b"impatient")
    for text in [*MALFORMED, b'{"Status":"router ready"}', NOT_FOR_CLIENTS]:
        data.send(Op.TEXT, text)
    await answers(data)
    data.send(*CONNECTED[:2])
    assert await data.receive() == Frame(Op.BINARY, b"impatient", masked=True)
    data.send(Op.TEXT, b'{"Status":"late"}')
    data.send(Op.BINARY, b"answer")
    assert await user.exactly(6) == b"answer"


@KINDS
@pytest.mark.parametrize("form", ["null", "fragments", "spaces", "same-segment"])
@pytest_twisted.ensureDeferred
async def test_client_understands_every_form_of_connected(daemon: Daemon, form: str) -> None:
    """``{"Connected":null}``, fragments and white space mean the same."""
    knock = await daemon.client()
    user = await knock()
    data, request = await daemon.router.accept_request()
    data.answer_upgrade(request)
    if form == "null":
        data.send(Op.TEXT, b'{"Connected":null}')
    elif form == "fragments":
        data.send(Op.TEXT, b'"Conn', fin=False)
        data.send(Op.CONTINUATION, b'ected"')
    elif form == "spaces":
        data.send(Op.TEXT, b' \n"Connected"\t')
    else:
        data.send(*CONNECTED[:2])
    data.send(Op.BINARY, b"banner")
    assert await user.exactly(6) == b"banner"
    user.write(b"request")
    assert await data.receive() == Frame(Op.BINARY, b"request", masked=True)


@KINDS
@pytest_twisted.ensureDeferred
async def test_client_ends_with_the_router(daemon: Daemon) -> None:
    """All that came before a drop or Close reaches the user, then the connection ends."""
    knock = await daemon.client()
    for end in (RawPeer.drop, RawPeer.send_close):
        user = await knock()
        data, _ = await daemon.router.accept_upgrade()
        data.send(*CONNECTED[:2])
        payload = noise(64 * KiB)
        data.send(Op.BINARY, payload)
        end(data)
        assert await user.exactly(len(payload)) == payload
        await data.ending(leave=True)
        await user.gone()
        assert not user.was_reset()


@KINDS
@pytest_twisted.ensureDeferred
async def test_client_ends_with_its_user(daemon: Daemon) -> None:
    """All that the user said before it left comes out; ours then says Close 1000."""
    user, data = await daemon.call()
    data.send(*CONNECTED[:2])
    payload = noise(MiB)
    user.write(payload)
    user.drop()
    ending = await data.ending(leave=True)
    assert ending.data == payload
    assert daemon.is_ours == (ending.close is not None)
    assert ending.close is None or ending.close.code == 1000


@OURS_ONLY
@pytest.mark.parametrize("end", ["drop", "close", "payload", "refused"])
@pytest_twisted.ensureDeferred
async def test_client_fails_before_connected(daemon: Daemon, end: str) -> None:
    """A link that ends or misbehaves before ``Connected`` is a failure that the user notices."""
    knock = await daemon.client()
    user = await knock()
    data, request = await daemon.router.accept_request()
    if end == "refused":
        data.refuse(401)
    else:
        data.answer_upgrade(request)
    if end == "drop":
        data.drop()
    elif end == "close":
        data.send_close(1011, "host-silent")
    elif end == "payload":
        data.send(Op.BINARY, b"too early")
    with pytest.raises(Ended):
        await user.exactly(1)
    assert user.was_reset()


@OURS_ONLY
@pytest_twisted.ensureDeferred
async def test_client_waits_for_a_host_that_is_late(daemon: Daemon) -> None:
    """A host that is absent for a moment is asked for again before the user notices."""
    knock = await daemon.client()
    user = await knock()
    for _ in range(2):
        (await daemon.router.accept_request())[0].refuse(502)
    data, _ = await daemon.router.accept_upgrade(SOON_S)
    data.send(*CONNECTED[:2])
    data.send(Op.BINARY, b"banner")
    assert await user.exactly(6) == b"banner"


@OURS_ONLY
@pytest_twisted.ensureDeferred
async def test_client_serves_several_users(daemon: Daemon) -> None:
    """Users do not wait for each other."""
    knock = await daemon.client()
    users = [await knock() for _ in range(3)]
    links = [(await daemon.router.accept_upgrade())[0] for _ in users]
    for number, data in enumerate(reversed(links)):
        data.send(*CONNECTED[:2])
        data.send(Op.BINARY, bytes([number]))
    assert sorted([await user.exactly(1) for user in users]) == [b"\0", b"\1", b"\2"]
