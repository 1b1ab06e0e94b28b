"""Ports that a dialect has opened: their numbers, and how they close."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from relay.errors import CannotListen, GoingAway, LimitReached
from relay.faces import IPort, Welcome
from relay.links import ports as ports_module
from tests.integration.portal_ours import own_descriptors
from tests.integration.raw_room import LOOPBACK, Quay, host
from tests.rawpeer import connect, the_reactor, until

MANY = 10_000
"""Ports that are opened and closed in a row."""


def free_numbers(count: int) -> list[int]:
    """:returns: so many numbers that nobody uses just now, ascending"""
    held = []
    for _ in range(count):
        held.append(socket.create_server((LOOPBACK, 0)))
    numbers = sorted(each.getsockname()[1] for each in held)
    for each in held:
        each.close()
    return numbers


def turn() -> Deferred[None]:
    """:returns: fires in the next turn of the reactor"""
    return deferLater(the_reactor(), 0)


def open_one(quay: Quay, numbers: Sequence[int], interface: str = LOOPBACK) -> IPort:
    """:returns: a port for hosts"""
    return quay.ports.open(numbers, interface, "raw", host)


# -- numbers ---------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_numbers_are_used_in_turn() -> None:
    """One that was closed comes again after all others; those that are open are passed over."""

    async def test(quay: Quay) -> None:
        numbers = free_numbers(4)
        first = open_one(quay, numbers)
        stays = open_one(quay, numbers)
        assert [first.number, stays.number] == numbers[:2]
        first.close()
        await turn()
        used = []
        for _ in range(4):
            port = open_one(quay, numbers)
            used.append(port.number)
            port.close()
            await turn()
        assert used == [numbers[2], numbers[3], numbers[0], numbers[2]]

    await Quay().run(test)


@pytest_twisted.ensureDeferred
async def test_a_number_that_is_closing() -> None:
    """It is not free before it is closed."""

    async def test(quay: Quay) -> None:
        numbers = free_numbers(2)
        first = open_one(quay, numbers[:1])
        first.close()
        with pytest.raises(LimitReached, match="none of 1 ports is free") as refused:
            open_one(quay, numbers[:1])
        assert refused.value.retry_after_s
        await turn()
        assert open_one(quay, numbers[:1]).number == numbers[0]

    await Quay().run(test)


@pytest_twisted.ensureDeferred
async def test_numbers_of_other_programs() -> None:
    """They are passed over; where there is no other none is free."""

    async def test(quay: Quay) -> None:
        numbers = free_numbers(3)
        with closing(socket.create_server((LOOPBACK, numbers[0]))):
            assert open_one(quay, numbers).number == numbers[1]
            assert open_one(quay, numbers).number == numbers[2]
            with pytest.raises(LimitReached, match="none of 3 ports is free"):
                open_one(quay, numbers)
        assert open_one(quay, numbers).number == numbers[0]

    await Quay().run(test)


@pytest_twisted.ensureDeferred
async def test_not_all_of_a_range_that_others_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up after a while, and the next goes on from there."""
    monkeypatch.setattr(ports_module, "FOREIGN_PORTS", 2)

    async def test(quay: Quay) -> None:
        numbers = free_numbers(3)
        with taken(numbers[:2]):
            with pytest.raises(LimitReached):
                open_one(quay, numbers)
            assert open_one(quay, numbers).number == numbers[2]

    await Quay().run(test)


@contextmanager
def taken(numbers: Sequence[int]) -> Iterator[None]:
    """Have another listen there."""
    held = [socket.create_server((LOOPBACK, number)) for number in numbers]
    try:
        yield
    finally:
        for each in held:
            each.close()


@pytest_twisted.ensureDeferred
async def test_no_numbers_at_all() -> None:
    """None is free."""

    async def test(quay: Quay) -> None:
        with pytest.raises(LimitReached):
            open_one(quay, range(0))

    await Quay().run(test)


@pytest_twisted.ensureDeferred
async def test_an_address_of_another_machine() -> None:
    """Nobody can listen there, which is told with what to do."""

    async def test(quay: Quay) -> None:
        with pytest.raises(CannotListen, match=r"cannot listen at 192\.0\.2\.1:") as failed:
            open_one(quay, (0,), "192.0.2.1")
        assert failed.value.remedy == "name an address of this machine"

    await Quay().run(test)


@pytest_twisted.ensureDeferred
async def test_no_descriptors_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """That passes, and whoever asked may ask again."""

    async def test(quay: Quay) -> None:
        def full(*_: Any, **__: Any) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        monkeypatch.setattr(ports_module.Port, "listen", full)
        with pytest.raises(LimitReached, match="Too many open files") as refused:
            open_one(quay, (0,))
        assert refused.value.retry_after_s

    await Quay().run(test)


@pytest_twisted.ensureDeferred
async def test_many_ports_leave_nothing() -> None:
    """Opened and closed in a row, whether or not anybody came."""

    async def test(quay: Quay) -> None:
        numbers = free_numbers(20)
        before = own_descriptors()
        for number in range(MANY):
            port = open_one(quay, numbers)
            if number % 100 == 0:
                peer = await connect(port.number)
                await until(lambda: quay.waiting() or None, "host")
                peer.reset()
                await quay.over()
            port.close()
            await turn()
        assert own_descriptors() <= before + 1  # the hub's
        assert not quay.ports._held
        assert not quay.ports._open

    await Quay().run(test)


@pytest_twisted.ensureDeferred
async def test_an_ipv6_port() -> None:
    """It names the address as it is."""

    async def test(quay: Quay) -> None:
        seen: list[str] = []

        def welcome(address: str, port: int) -> Welcome:
            seen.append(address)
            return host(address, port)

        port = quay.ports.open((0,), "::1", "raw", welcome)
        peer = await connect(port.number, host="::1")
        quay.peers.append(peer)
        await until(lambda: quay.waiting() or None, "host")
        assert seen == ["::1"]

    await Quay().run(test)


# -- closing ---------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_the_first_connection_closes_it() -> None:
    """Those that were waiting to be accepted are closed without a byte, and nobody comes later."""

    async def test(quay: Quay) -> None:
        welcomed: list[int] = []

        def welcome(address: str, port: int) -> Welcome:
            opened.close()
            welcomed.append(port)
            return host(address, port)

        opened = quay.open(welcome)
        # all are in the kernel's queue before the reactor looks at it
        sockets = [socket.create_connection((LOOPBACK, opened.number)) for _ in range(5)]
        await until(lambda: quay.waiting() or None, "host")
        for number, each in enumerate(sockets):
            each.setblocking(False)
            if number:
                await until(partial(is_over, each), "end")
        assert welcomed == [sockets[0].getsockname()[1]]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, opened.number))
        with pytest.raises(BlockingIOError):
            sockets[0].recv(1)
        for each in sockets:
            each.close()
        await quay.over()
        opened.close()  # harmless

    await Quay().run(test)


def is_over(handle: socket.socket) -> bool | None:
    """:returns: whether the other end closed, or reset, without a byte"""
    try:
        assert handle.recv(1) == b""
    except BlockingIOError:
        return None
    except ConnectionResetError:
        return True
    return True


@pytest_twisted.ensureDeferred
async def test_a_router_that_stops() -> None:
    """Its ports close and none is opened; links that stand are not touched."""

    async def test(quay: Quay) -> None:
        near, far = await quay.pair()
        port = open_one(quay, (0,))
        quay.ports.stop()
        await turn()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, port.number))
        with pytest.raises(GoingAway):
            open_one(quay, (0,))
        near.write(b"still there")
        assert await far.exactly(11) == b"still there"

    await Quay().run(test)
