"""Ends of the cut-through gear, one by one, on sockets of their own."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator

import pytest
from twisted.internet.address import UNIXAddress
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock

from relay.links.cutthrough import Hub, RawEnd
from relay.links.cutthrough.channel import PlainChannel
from relay.links.cutthrough.end import KEPT_BYTES
from relay.links.cutthrough.framed import FrameEnd
from tests.fakes import FakeStream

MiB = 1024 * 1024

pytestmark = [
    pytest.mark.cut_through,
    pytest.mark.skipif(not hasattr(select, "epoll"), reason="there is no epoll here"),
]


class AnswersByItself(PlainChannel):
    """Has something of its own to send, as OpenSSL behind a KeyUpdate that it has read."""

    __slots__ = ("own",)

    def __init__(self, handle: socket.socket) -> None:
        super().__init__(handle)
        self.own = b""

    def flush(self) -> None:
        """Send it."""
        self.own = self.own[self.socket.send(self.own) :] if self.own else b""

    def waiting_bytes(self) -> int:
        """:returns: bytes of it"""
        return len(self.own)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets, the first of which does not block."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(1.0)
    with ours, theirs:
        yield ours, theirs


def test_payload_behind_an_answer_of_tls_is_sent(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """What is pushed while the channel has yet to send something of its own goes out behind it."""
    ours, theirs = pair
    hub = Hub(MemoryReactorClock())
    channel = AnswersByItself(ours)
    end = RawEnd(hub, channel, b"", Protocol(), UNIXAddress(None), UNIXAddress(None))
    channel.own = b"answer "
    assert not end.push([b"payload"], 7)
    hub.doRead()
    assert theirs.recv(100) == b"answer payload"
    assert not end.queued_bytes()
    end.hub.forget(end)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """:returns: two ends of a TCP connection, neither of which blocks"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    near.setblocking(False)
    far.setblocking(False)
    return near, far


def test_a_flow_that_stops_leaves_a_short_tail() -> None:
    """However quick it was before: what the kernel will not take is not read."""
    user, ours = tcp_pair()
    out, reader = tcp_pair()
    with user, ours, out, reader:
        hub = Hub(MemoryReactorClock())
        source = RawEnd(
            hub, PlainChannel(ours), b"", Protocol(), UNIXAddress(None), UNIXAddress(None)
        )
        outlet = FrameEnd(hub, PlainChannel(out), b"", True, b"")
        source.read_on(True)
        counted = FakeStream()
        source.forward(counted, outlet)
        chunk = bytes(MiB)
        taken, idle_turns = 0, 0
        while idle_turns < 3:
            before = counted.bytes_in
            with contextlib.suppress(BlockingIOError):
                while True:
                    user.send(chunk)
            hub.doRead()
            with contextlib.suppress(BlockingIOError):
                while taken < 64 * MiB:
                    taken += len(reader.recv(MiB))
            idle_turns = idle_turns + 1 if counted.bytes_in == before else 0
        assert source.is_blocked()
        assert taken >= 64 * MiB
        assert outlet.queued_bytes() <= 2 * KEPT_BYTES
        hub.forget(source)
        hub.forget(outlet)
