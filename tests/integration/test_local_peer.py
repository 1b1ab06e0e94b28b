"""The kernel is asked about real connections on loopback."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from relay.links.local_peer import peer_has_closed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sock_diag is Linux's")

# (family of the listener, address to listen at, family of the dialler, address to dial)
PAIRS = {
    "IPv4": (socket.AF_INET, "127.0.0.1", socket.AF_INET, "127.0.0.1"),
    "IPv6": (socket.AF_INET6, "::1", socket.AF_INET6, "::1"),
    "IPv4 into a dual-stack listener": (socket.AF_INET6, "::", socket.AF_INET, "127.0.0.1"),
    "mapped into an IPv4 listener": (
        socket.AF_INET,
        "127.0.0.1",
        socket.AF_INET6,
        "::ffff:127.0.0.1",
    ),
}


@contextmanager
def pair(kind: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Accepted and dialling end of one connection."""
    listener_family, listen_at, family, dial_to = PAIRS[kind]
    with socket.socket(listener_family) as listener, socket.socket(family) as dialler:
        if listen_at == "::":
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            listener.bind((listen_at, 0))
        except OSError as error:
            pytest.skip(f"no {kind} here: {error}")
        listener.listen()
        dialler.connect((dial_to, listener.getsockname()[1]))
        accepted, _ = listener.accept()
        with accepted:
            yield accepted, dialler


def ask(ours: socket.socket) -> bool | None:
    return peer_has_closed(ours.family, ours.getsockname(), ours.getpeername())


@pytest.mark.parametrize("kind", PAIRS)
def test_shut_down_or_closed(kind: str) -> None:
    """A peer that stopped sending still listens, one that closed does not."""
    with pair(kind) as (ours, theirs):
        assert ask(ours) is None
        theirs.shutdown(socket.SHUT_WR)
        assert ours.recv(1) == b""
        assert ask(ours) is False
    with pair(kind) as (ours, theirs):
        theirs.close()
        assert ours.recv(1) == b""
        assert ask(ours) is True


@pytest.mark.parametrize("kind", PAIRS)
def test_the_dialling_end_asks(kind: str) -> None:
    """It makes no difference which end was accepted."""
    with pair(kind) as (theirs, ours):
        theirs.shutdown(socket.SHUT_WR)
        assert ours.recv(1) == b""
        assert ask(ours) is False
        theirs.close()
        assert ask(ours) is True


def test_closed_with_bytes_under_way() -> None:
    """A close is seen too while what the peer sent before is still unread."""
    with pair("IPv4") as (ours, theirs):
        theirs.sendall(bytes(100_000))
        theirs.close()
        assert ask(ours) is True


def test_shared_descriptor_is_still_open() -> None:
    """A connection closed by one process and held by another is not gone."""
    with pair("IPv4") as (ours, theirs):
        held = os.dup(theirs.fileno())
        theirs.shutdown(socket.SHUT_WR)
        theirs.close()
        assert ask(ours) is False
        os.close(held)
        assert ask(ours) is True


def test_not_here() -> None:
    """A connection that this machine does not have is unknown, even if something listens there."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        assert peer_has_closed(socket.AF_INET, ("127.0.0.1", 9), ("127.0.0.1", port)) is None
    assert peer_has_closed(socket.AF_INET, ("192.0.2.1", 9), ("192.0.2.2", 80)) is None
    assert peer_has_closed(socket.AF_INET6, ("::1", 9), ("127.0.0.1", 80)) is None
    assert peer_has_closed(socket.AF_UNIX, ("", 0), ("", 0)) is None


def test_without_netlink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel may not be asked the answer is unknown."""
    monkeypatch.setattr("relay.links.local_peer.NETLINK_SOCK_DIAG", 31)
    with pair("IPv4") as (ours, theirs):
        theirs.close()
        assert ask(ours) is None


def test_no_descriptor_is_leaked() -> None:
    """Asking a thousand times leaves as many descriptors open as before."""
    with pair("IPv4") as (ours, theirs):
        theirs.close()
        before = len(os.listdir("/proc/self/fd"))
        assert all(ask(ours) for _ in range(1000))
        assert len(os.listdir("/proc/self/fd")) == before
