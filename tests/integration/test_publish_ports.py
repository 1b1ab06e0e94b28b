"""Ports of the router's own that are published: they open, close, count and refuse."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from relay.daemon import IReactor
from relay.dialects import dialect_keys
from relay.router import RouterService
from relay.settings import read_router
from tests.integration import portal_peers
from tests.integration.ini_services import Section, Services, section, write
from tests.integration.portal_ours import first_port, own_descriptors
from tests.integration.portal_peers import wait_for
from tests.rawpeer import Ended, Frame, Op, RawPeer, connect, the_reactor, until

LOCAL = "tcp:0:interface=127.0.0.1"
PROXY = b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 22\r\n"
HALF_CLOSE = {"X-Relay-Half-Close": "yes"}
GEARS = pytest.mark.parametrize("gear", ["yes", "no"], ids=["cut-through", "message"])


def port(name: str = "shell", source: str = LOCAL) -> str:
    """:returns: a publication whose callers come as they are"""
    values = {"from": source, "to": "portal:1/ssh", "public": "yes"}
    return section(f"publish {name}", values)


class House:
    """A router of portal, one service of which is behind a port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = Services()
        self._peers: list[RawPeer] = []

    async def start(
        self, *sections: str, router: Section | None = None, limits: Section | None = None
    ) -> None:
        """:param sections: publications; :param router: more of ``[router]``"""
        write(self._folder / "portal.secret", portal_peers.SECRET)
        own = {"listen": LOCAL, "state-dir": self._folder, "drain-s": 5, **(router or {})}
        self.service = await self._running.start_router(
            self._folder,
            section("router", own),
            section("limits", {"failed-logins-per-min": 0, **(limits or {})}),
            section("dialect:portal", {"secret-file": self._folder / "portal.secret"}),
            *sections,
        )
        front = first_port(self.service.addresses)
        self.portal = portal_peers.Router("ours", front, own_descriptors).portal(1)

    async def reload(self, *sections: str) -> None:
        """Have the router read these publications instead, and wait until it has done so."""
        ini = self._folder / "relay.ini"
        write(ini, "\n".join([ini.read_text().partition("[publish")[0], *sections]))
        self.service.reload()
        await self.settled()

    async def settled(self) -> None:
        """Wait until ports are open and closed as they were told to be."""
        lock = self.service.published_ports._lock
        waiting: Deferred[Any] = lock.run(lambda: None)
        await waiting

    def ports(self) -> list[int]:
        """:returns: the numbers of those that are open"""
        addresses = self.service.published_ports.addresses()
        return [address.port for address in addresses.values()]

    async def dial(self, number: int) -> RawPeer:
        """:returns: a connection that ends with the test, and half-closes by itself alone"""
        peer = await connect(number)
        peer.stays_half_open = True
        self._peers.append(peer)
        return peer

    async def answered(self, control: RawPeer) -> RawPeer:
        """:returns: the host's link that takes the next call"""
        call = await self.portal.incoming(control)
        assert (call.client_name, call.service_name) == ("tcp", "ssh")
        target = f"/connect/host_accept/{call.nexus}"
        link, head = await self.portal.router.ask(target, self.portal.host_token, HALF_CLOSE)
        assert head.status == 101, head
        return link

    async def stop(self) -> None:
        """End all that was begun."""
        for peer in self._peers:
            peer.reset()
        self.portal.router.hang_up()
        await self._running.stop()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A router, which the test starts."""
    made = House(tmp_path)
    yield made
    wait_for(made.stop())


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged, but for links and circuits."""
    seen: list[str] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        seen.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


async def refused(number: int) -> bool:
    """:returns: whether nobody listens there"""
    try:
        peer = await connect(number)
    except Exception:  # of Twisted's, or the system's
        return True
    peer.reset()
    return False


def free_number() -> int:
    """:returns: one that nobody uses just now"""
    with closing(socket.create_server(("127.0.0.1", 0))) as held:
        return int(held.getsockname()[1])


@pytest_twisted.ensureDeferred
async def test_a_connection_is_a_call(house: House, lines: list[str]) -> None:
    """Its bytes, and the end of each direction; the log names the port from start to end."""
    await house.start(port())
    (number,) = house.ports()
    assert f"listening at tcp://127.0.0.1:{number} for [publish shell]" in lines
    control = await house.portal.control()
    caller = await house.dial(number)
    caller.write(b"early")
    host = await house.answered(control)
    assert await host.receive() == Frame(Op.BINARY, b"early")
    caller.half_close()
    assert await host.receive() == Frame(Op.TEXT, b'"Finish"')
    host.send(Op.BINARY, b"late")
    host.send(Op.TEXT, b'"Finish"')
    assert await caller.half_ended() == b"late"
    (line,) = [line for line in lines if line.startswith("[publish shell]")]
    assert line.startswith(
        f"[publish shell]: {LOCAL}/shell of tcp (nameless) goes to portal:1/ssh of portal a-host"
    )


@pytest_twisted.ensureDeferred
async def test_nobody_answers(house: House, lines: list[str]) -> None:
    """The connection is reset at once; the log says who it was."""
    await house.start(port())
    caller = await house.dial(*house.ports())
    await caller.gone()
    assert caller.was_reset()
    wanted = f"refused from 127.0.0.1: tcp {LOCAL}/shell: host-absent: "
    assert [line for line in lines if line.startswith(wanted)]


@pytest_twisted.ensureDeferred
async def test_callers_are_counted_by_address(house: House) -> None:
    """As all who show no credential."""
    await house.start(port(), limits={"links-per-address": 2})
    await house.portal.control()
    for _ in range(2):
        await house.dial(*house.ports())
    await until(lambda: house.service.broker.pending_calls() == 2 or None, "calls")
    third = await house.dial(*house.ports())
    await third.gone()
    assert third.was_reset()


@pytest_twisted.ensureDeferred
async def test_a_reload(house: House, lines: list[str]) -> None:
    """Ports come and go; one that stays is not touched, and no circuit is."""
    number = free_number()
    endpoint = f"tcp:{number}"
    await house.start(port("a", endpoint), port("b"))
    _, gone = house.ports()
    control = await house.portal.control()
    caller = await house.dial(gone)
    host = await house.answered(control)
    await house.reload(port("a", endpoint), port("c"), port("d"))
    assert await refused(gone)
    kept, *others = house.ports()
    assert kept == number
    assert len(set(others)) == 2
    caller.write(b"still here")
    assert await host.receive() == Frame(Op.BINARY, b"still here")
    await house.dial(others[0])
    await house.answered(control)
    # the same number at another address can be had only once the other is closed
    await house.reload(port("a", f"{endpoint}:interface=127.0.0.2"))
    assert house.ports() == [number]
    assert await refused(number)
    assert f"listening at tcp://127.0.0.2:{number} for [publish a]" in lines
    caller.write(b"still here")
    assert await host.receive() == Frame(Op.BINARY, b"still here")


@pytest_twisted.ensureDeferred
async def test_a_port_that_is_taken(
    house: House, lines: list[str], expected_log_errors: Callable[[], list[LogEvent]]
) -> None:
    """A reload says so, and does all else; the next one opens it."""
    await house.start(port("a"))
    with closing(socket.create_server(("127.0.0.1", 0))) as held:
        number = held.getsockname()[1]
        await house.reload(port("b", f"tcp:{number}"), port("c"))
        assert len(house.ports()) == 1
    why = f"cannot listen at 127.0.0.1:{number}: Address already in use"
    (_,) = [line for line in lines if line.startswith(f"[publish b]: {why}; ")]
    assert len(expected_log_errors()) == 1
    await house.reload(port("b", f"tcp:{number}"), port("c"))
    assert number in house.ports()


@pytest_twisted.ensureDeferred
async def test_a_port_that_is_taken_at_the_start(
    house: House,
    tmp_path: Path,
    lines: list[str],
    expected_log_errors: Callable[[], list[LogEvent]],
) -> None:
    """The router does not start, as with any listener."""
    await house.start(port())
    (number,) = house.ports()
    ini = (tmp_path / "relay.ini").read_text().replace(port(), port("x", f"tcp:{number}"))
    said = {"config": str(write(tmp_path / "other.ini", ini))}
    settings = read_router(said, {}, tmp_path, dialect_keys())
    other = RouterService(settings, cast(IReactor, the_reactor()))
    other.startService()
    assert await other.when_over() == 1
    (line,) = [line for line in lines if line.startswith("cannot listen at")]
    assert line.startswith(f"cannot listen at 127.0.0.1:{number}: Address already in use; ")
    await other.stopService()
    assert len(expected_log_errors()) == 1


@pytest_twisted.ensureDeferred
async def test_a_drain(house: House) -> None:
    """Nobody comes any more, and who is there may stay until the end."""
    await house.start(port())
    (number,) = house.ports()
    control = await house.portal.control()
    caller = await house.dial(number)
    host = await house.answered(control)
    stopping = house.service.stopService()
    await until(lambda: house.ports() == [] or None, "closed ports")
    assert await refused(number)
    house.service.reload()
    await house.settled()
    assert house.ports() == []
    caller.write(b"still here")
    assert await host.receive() == Frame(Op.BINARY, b"still here")
    caller.drop()
    host.drop()
    await stopping


@pytest_twisted.ensureDeferred
async def test_a_revocation(house: House) -> None:
    """Of the port's name ends its calls, and those to come; nobody has failed a login by it."""
    await house.start(port())
    (number,) = house.ports()
    control = await house.portal.control()
    caller = await house.dial(number)
    await house.answered(control)
    assert house.service.broker.revoke(offer=LOCAL) >= 1
    with pytest.raises(Ended):
        await caller.half_ended()
    later = await house.dial(number)
    await later.gone()
    assert later.was_reset()
    assert not house.service.around.metrics.failed_logins_total


@GEARS
@pytest_twisted.ensureDeferred
async def test_a_proxy_before_it(house: House, gear: str, lines: list[str]) -> None:
    """Its header is not payload, what came with it is; the caller is whom it names, by halves."""
    trusting = {"proxy-protocol": "yes", "trusted-proxies": "127.0.0.0/8"}
    await house.start(port(), router=trusting, limits={"cut-through": gear})
    proxied = await house.dial(first_port(house.service.addresses))
    proxied.write(PROXY)
    target = "/connect/host_control"
    assert (await proxied.upgrade(target, portal_peers.bearer(house.portal.host_token))).status
    caller = await house.dial(*house.ports())
    caller.write(PROXY[:20])
    caller.write(PROXY[20:] + b"early")
    call = await house.portal.incoming(proxied)
    assert call.client_name == "tcp"
    link = await house.dial(first_port(house.service.addresses))
    link.write(PROXY)
    shown = {**portal_peers.bearer(house.portal.host_token), **HALF_CLOSE}
    assert (await link.upgrade(f"/connect/host_accept/{call.nexus}", shown)).status == 101
    assert await link.receive() == Frame(Op.BINARY, b"early")
    assert [line for line in lines if line.startswith("link up: 192.0.2.7:40000/")]
    caller.half_close()
    assert await link.receive() == Frame(Op.TEXT, b'"Finish"')
    link.send(Op.BINARY, b"late")
    link.send(Op.TEXT, b'"Finish"')
    assert await caller.half_ended() == b"late"
