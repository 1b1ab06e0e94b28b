"""Whole tunnels, local port to local port, of our programs and the original's in every mix.

A mix is named HOST-CLIENT-ROUTER; ``rust`` is the original's ``tcp-forward``, ``demo`` its router.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
import pytest_twisted

from relay.settings.model import Door
from tests.integration.portal_ours import RouterMaker, TunnelMaker
from tests.integration.portal_peers import OURS, Portal, Router, wait_for
from tests.integration.portal_programs import Program, Programs
from tests.rawpeer import (
    Ended,
    Frame,
    Op,
    RawPeer,
    RawServer,
    connect,
    noise,
    the_reactor,
    together,
)

KiB = 1024
MiB = 1024 * KiB
BULK_BYTES = 10 * MiB
TRIES = 10
ODD_BYTES = 300_001
BACK_S = 2.5

OUR_ROUTER = ["rust-ours-ours", "ours-rust-ours", "rust-rust-ours", "ours-ours-ours"]
EVERY_MIX = pytest.mark.parametrize("tunnel", [*OUR_ROUTER, "ours-ours-demo"], indirect=True)
OUR_CLIENT = pytest.mark.parametrize(
    "tunnel", ["rust-ours-ours", "ours-ours-ours", "ours-ours-demo"], indirect=True
)
ALL_OURS = pytest.mark.parametrize("tunnel", ["ours-ours-ours"], indirect=True)

pytest_plugins = ["tests.integration.portal_fixtures"]


class Ends(NamedTuple):
    """Both local ends of one connection through a tunnel."""

    user: RawPeer
    target: RawPeer

    def both_ways(self, direction: str) -> tuple[RawPeer, RawPeer]:
        """:returns: sender and receiver of an ``upload`` or ``download``"""
        return (self.user, self.target) if direction == "upload" else (self.target, self.user)


class Tunnel:
    """A host, a client and a router, with a service behind them.

    :ivar server: the service; each connection to it is one of the user's
    """

    def __init__(self, mix: str, portal: Portal, programs: Programs, tunnels: TunnelMaker) -> None:
        self.host_kind, self.client_kind, _ = mix.split("-")
        self.portal = portal
        self.server = RawServer()
        self._programs = programs
        self._tunnels = tunnels
        self._users: list[RawPeer] = []

    async def start(self) -> None:
        """Start the service, the host and the client."""
        self._target_port = await self.server.listen()
        url = self.portal.router.url
        if self.host_kind == "ours":
            door = Door("web", f"tcp:127.0.0.1:{self._target_port}")
            await self._tunnels.host(url, self.portal.host_token, door)
        else:
            self.run_rust(self.portal.host_token, "host", "--target-host", "127.0.0.1")
            await registered(self.portal)
        if self.client_kind == "ours":
            self._port = await self._tunnels.client(url, self.portal.client_token, "web")
        else:
            program = self.run_rust(self.portal.client_token, "client", "--interface", "127.0.0.1")
            self._port = await program.listens()

    def run_rust(self, token: str, role: str, *arguments: str) -> Program:
        """Start the original's program for ``role``."""
        port = self._target_port if role == "host" else 0
        return self._programs.start(
            "tcp-forward",
            *("--server", self.portal.router.url, "--auth-token", token, "--service", "web"),
            *("--reconnect", role, *arguments),
            *("--target-port" if role == "host" else "--port", str(port)),
        )

    async def user(self) -> RawPeer:
        """:returns: a new user's connection to the client"""
        user = await connect(self._port)
        self._users.append(user)
        return user

    async def open(self) -> Ends:
        """:returns: both ends of a new connection"""
        user = await self.user()
        return Ends(user, await self.server.accept())

    async def close(self) -> None:
        """End all connections and the service."""
        for user in self._users:
            user.reset()
        await self.server.close()


@pytest.fixture
def tunnel(
    request: pytest.FixtureRequest, programs: Programs, tunnels: TunnelMaker
) -> Iterator[Tunnel]:
    """The tunnel whose mix the parameter names."""
    mix: str = request.param
    if mix.endswith("demo"):
        demo: Program = request.getfixturevalue("demo")
        router = Router("demo", demo.port() or 0, demo.descriptors)
    else:
        maker: RouterMaker = request.getfixturevalue("start_router")
        router, _ = wait_for(maker.start())
    made = Tunnel(mix, router.portal(), programs, tunnels)
    wait_for(made.start())
    yield made
    wait_for(made.close())
    router.hang_up()


# -- check 25 ------------------------------------------------------------------------------------


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_check_25_bulk_both_ways(tunnel: Tunnel) -> None:
    """10 MiB each way at the same time arrive bit by bit."""
    ends = await tunnel.open()

    async def send(peer: RawPeer) -> str:
        payload = noise(BULK_BYTES)
        await peer.write_all(payload)
        return hashlib.sha256(payload).hexdigest()

    async def take(peer: RawPeer) -> str:
        return hashlib.sha256(await peer.exactly(BULK_BYTES, 20)).hexdigest()

    sent_up, sent_down, got_up, got_down = await together(
        send(ends.user), send(ends.target), take(ends.target), take(ends.user)
    )
    assert (got_up, got_down) == (sent_up, sent_down)


@EVERY_MIX
@pytest.mark.parametrize("direction", ["download", "upload"])
@pytest_twisted.ensureDeferred
async def test_check_25_what_ends_with_a_close_is_whole(tunnel: Tunnel, direction: str) -> None:
    """A transfer whose end is the end of the connection is never cut."""
    for size in [1, 100, 64 * KiB, ODD_BYTES, MiB] * (TRIES // 5):
        sender, receiver = (await tunnel.open()).both_ways(direction)
        payload = noise(size)
        await sender.write_all(payload)
        sender.drop()
        assert await receiver.everything() == payload


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_check_25_several_at_once(tunnel: Tunnel) -> None:
    """Connections do not mix; a client that serves one at a time serves the others later."""

    async def serve(count: int) -> list[bytes]:
        for _ in range(count):
            target = await tunnel.server.accept()
            target.write(await target.exactly(8))
        return []

    async def use() -> list[bytes]:
        user = await tunnel.user()
        name = noise(8)
        user.write(name)
        answer = await user.exactly(8)
        user.drop()
        return [name, answer]

    _, *pairs = await together(serve(5), *(use() for _ in range(5)))
    assert [pair for pair in pairs if pair[0] != pair[1]] == []


@EVERY_MIX
@pytest_twisted.ensureDeferred
async def test_check_25_a_reset_ends_the_other_side(tunnel: Tunnel) -> None:
    """A user's or target's reset is felt by the other, and the tunnel is there for the next."""
    for side in ("upload", "download"):
        sender, receiver = (await tunnel.open()).both_ways(side)
        sender.write(b"first")
        assert await receiver.exactly(5) == b"first"
        sender.reset()
        await receiver.gone()
    ends = await tunnel.open()
    ends.target.write(b"next")
    assert await ends.user.exactly(4) == b"next"


@OUR_CLIENT
@pytest_twisted.ensureDeferred
async def test_a_request_may_end_before_its_answer(tunnel: Tunnel) -> None:
    """A user that shuts down its side behind the request gets the whole answer."""
    ends = await tunnel.open()
    ends.user.write(b"request")
    assert await ends.target.exactly(7) == b"request"
    ends.user.half_close()
    answer = noise(ODD_BYTES)
    await ends.target.write_all(answer)
    ends.target.drop()
    assert await ends.user.everything() == answer


@ALL_OURS
@pytest.mark.parametrize("direction", ["download", "upload"])
@pytest_twisted.ensureDeferred
async def test_half_close_passes(tunnel: Tunnel, direction: str) -> None:
    """Among our own programs a shutdown arrives as one, and the other direction stays open."""
    sender, receiver = (await tunnel.open()).both_ways(direction)
    receiver.stays_half_open = True
    sender.write(b"all of it")
    sender.half_close()
    ended = await receiver.half_ended()
    assert ended == b"all of it"
    answer = noise(ODD_BYTES)
    await receiver.write_all(answer)
    receiver.drop()
    assert await sender.everything() == answer


@ALL_OURS
@pytest_twisted.ensureDeferred
async def test_a_tunnel_survives_its_router(
    tunnel: Tunnel, start_router: RouterMaker, expected_log_errors: Callable[[], object]
) -> None:
    """When the router comes back at its address, so does the tunnel, within seconds."""
    ends = await tunnel.open()
    ends.target.write(b"here")
    assert await ends.user.exactly(4) == b"here"
    await start_router.stop()
    await start_router.start(port=tunnel.portal.router.port)
    clock = the_reactor()
    started = clock.seconds()
    while True:
        user = await tunnel.user()
        try:
            target = await tunnel.server.accept(BACK_S)
            target.write(b"back")
            assert await user.exactly(4) == b"back"
            break
        except Ended:
            assert clock.seconds() - started < BACK_S
    assert clock.seconds() - started < BACK_S
    expected_log_errors()  # host and client say that they were cut off


# -- the original's programs and our router, in detail -------------------------------------------


@OURS
@pytest_twisted.ensureDeferred
async def test_rust_echo_pair(router: Router, programs: Programs) -> None:
    """The README's echo pair, which cannot work on demo, works on ours."""
    portal = router.portal()
    host = programs.start("echo-host", "--server", router.url, "--auth-token", portal.host_token)
    await registered(portal)
    client = programs.start(
        "echo-client", "--server", router.url, "--auth-token", portal.client_token
    )
    for line in ("hello there", "and again"):
        client.type(line)
        await client.has_printed(line)
    assert host.process.poll() is None


async def registered(portal: Portal) -> None:
    """Wait until the portal has a host."""
    clock = the_reactor()
    expiry = clock.seconds() + 5
    while await portal.router.status("/connect/client/-", portal.client_token) == 502:
        assert clock.seconds() < expiry, "the host does not register"


@OURS
@pytest.mark.parametrize(
    ("fault", "text"),
    [("absent", "http error 502 Bad Gateway"), ("token", "http error 401 Unauthorized")],
)
@pytest_twisted.ensureDeferred
async def test_rust_client_understands_refusals(
    router: Router, programs: Programs, fault: str, text: str
) -> None:
    """The original's client reports our refusals in its own words."""
    portal = router.portal()
    token = portal.client_token if fault == "absent" else portal.host_token
    client = programs.start(
        "tcp-forward",
        *("--server", router.url, "--auth-token", token, "--service", "web"),
        *("client", "--interface", "127.0.0.1", "--port", "0"),
    )
    user = await connect(await client.listens())
    await client.has_printed(text)
    await user.gone()


@OURS
@pytest.mark.parametrize("leave", [RawPeer.drop, RawPeer.send_close])
@pytest_twisted.ensureDeferred
async def test_rust_host_outlives_its_clients(
    router: Router, programs: Programs, leave: Callable[[RawPeer], None]
) -> None:
    """The original's host answers call after call on one control link, however they end."""
    portal = router.portal()
    host = programs.start("echo-host", "--server", router.url, "--auth-token", portal.host_token)
    await registered(portal)
    for number in range(5):
        client = await portal.call("echo")
        assert (await client.receive()).opcode == Op.TEXT
        client.send(Op.BINARY, b"%d" % number)
        assert await client.receive() == Frame(Op.BINARY, b"%d" % number)
        leave(client)
        await client.ending()
    assert host.process.poll() is None


@OURS
@pytest_twisted.ensureDeferred
async def test_rust_host_is_replaced(router: Router, programs: Programs) -> None:
    """The original's host, told that it was replaced, leaves; its successor gets the calls."""
    portal = router.portal()
    host = programs.start("echo-host", "--server", router.url, "--auth-token", portal.host_token)
    await registered(portal)
    control = await portal.control()
    await host.exited()
    await portal.call("echo")
    assert (await portal.incoming(control)).service_name == "echo"
