"""Connecting to a service on this machine, without the reactor."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator

import pytest
import pytest_twisted
from twisted.internet.protocol import Protocol

from relay.errors import TargetRefused
from relay.links.cutthrough import Hub, connect_at_once, loopback_of
from relay.links.doors import connect_service
from relay.links.tcp import LocalStream
from tests.integration.portal_ours import own_descriptors
from tests.rawpeer import the_reactor

pytestmark = pytest.mark.cut_through

LOOPBACK = "127.0.0.1"


@pytest.fixture
def hub() -> Hub:
    """A hub in the running reactor."""
    return Hub(the_reactor())


@pytest.fixture
def service() -> Iterator[socket.socket]:
    """Something that listens."""
    with socket.create_server((LOOPBACK, 0)) as listening:
        yield listening


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("tcp:127.0.0.1:8080", (LOOPBACK, 8080)),
        ("tcp:host=127.0.0.2:port=80", ("127.0.0.2", 80)),
        (r"tcp:\:\:1:8080", ("::1", 8080)),
        ("tcp:localhost:8080", None),
        ("tcp:192.0.2.1:8080", None),
        ("tcp:127.0.0.1:8080:timeout=5", None),
        ("tcp:127.0.0.1:http", None),
        ("tcp:127.0.0.1", None),
        ("unix:/run/service", None),
        ("tls:127.0.0.1:443", None),
    ],
)
def test_what_is_loopback(endpoint: str, address: tuple[str, int] | None) -> None:
    """Only an address that is one, with nothing else said; the rest is Twisted's."""
    assert loopback_of(endpoint) == address


@pytest_twisted.ensureDeferred
async def test_connected(hub: Hub, service: socket.socket) -> None:
    """The stream is there before anything turns, in the cut-through gear, and untold delays."""
    port = service.getsockname()[1]
    stream = await connect_service(the_reactor(), hub, f"tcp:{LOOPBACK}:{port}")
    assert isinstance(stream, LocalStream)
    far, address = service.accept()
    with far:
        ours = stream.transport.getHost()
        assert (ours.host, ours.port) == address
        assert stream.transport.getPeer().port == port
        assert stream.transport.getHandle().getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    stream.transport.abortConnection()


@pytest_twisted.ensureDeferred
async def test_refused(hub: Hub) -> None:
    """Where nobody listens the address and the reason are told; no socket is left."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        before = own_descriptors()
        endpoint = f"tcp:{LOOPBACK}:{held.getsockname()[1]}"
        with pytest.raises(TargetRefused, match=f"{endpoint}: Connection refused"):
            await connect_service(the_reactor(), hub, endpoint)
        assert own_descriptors() == before


def test_nobody_connects_to_himself(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller whose own port happens to be the one that he calls has found no service."""
    connect = socket.socket.connect_ex

    def from_the_same_port(handle: socket.socket, address: tuple[str, int]) -> int:
        with contextlib.suppress(OSError):
            handle.bind(address)
        return connect(handle, address)

    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        address = probe.getsockname()
    monkeypatch.setattr(socket.socket, "connect_ex", from_the_same_port)
    with pytest.raises(ConnectionRefusedError):
        connect_at_once(hub, address, Protocol())


def test_one_that_does_not_answer_at_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service with no room for more is left to who can wait; no socket is left."""
    before = own_descriptors()
    monkeypatch.setattr(socket.socket, "connect_ex", lambda *_: errno.EINPROGRESS)
    assert connect_at_once(hub, (LOOPBACK, 1), Protocol()) is None
    assert own_descriptors() == before
