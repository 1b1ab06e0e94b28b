"""Has a local user given up before anybody answered? Asked of real connections on loopback."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest
from twisted.internet.address import IPv4Address

from relay.links.local_peer import peer_has_closed
from relay.links.tcp import LocalStream
from tests.rawpeer import the_reactor

LINGER_NOT = struct.pack("ii", 1, 0)


class Accepted:
    """The transport of an accepted connection, as far as the question needs it."""

    def __init__(self, handle: socket.socket) -> None:
        self._handle = handle

    def getHandle(self) -> socket.socket:
        """:returns: the socket"""
        return self._handle

    def getHost(self) -> IPv4Address:
        """:returns: our address"""
        return IPv4Address("TCP", *self._handle.getsockname())

    def getPeer(self) -> IPv4Address:
        """:returns: the user's"""
        return IPv4Address("TCP", *self._handle.getpeername())


@pytest.fixture
def connection() -> Iterator[tuple[LocalStream, socket.socket]]:
    """A local stream that nobody has read from, and its user."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        user = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with user, ours:
        stream = LocalStream(the_reactor(), None, lambda _: None, lambda _: None)
        stream.transport = Accepted(ours)
        yield stream, user


Connection = tuple[LocalStream, socket.socket]


def test_who_waits_has_not_given_up(connection: Connection) -> None:
    """Silent, or with something said."""
    stream, user = connection
    assert not stream.has_given_up()
    user.sendall(b"hello")
    assert not stream.has_given_up()


def test_who_only_listens_has_not_given_up(connection: Connection) -> None:
    """A service that speaks first would be closed otherwise."""
    stream, user = connection
    user.shutdown(socket.SHUT_WR)
    assert not stream.has_given_up()


def test_who_has_said_all_has_not_given_up(connection: Connection) -> None:
    """What was said is to be delivered."""
    stream, user = connection
    user.sendall(b"fire and forget")
    user.close()
    assert not stream.has_given_up()


def test_who_left_without_a_word_has_given_up(connection: Connection) -> None:
    """Nobody needs to be called for that."""
    stream, user = connection
    user.close()
    assert stream.has_given_up()


def test_who_resets_has_given_up(connection: Connection) -> None:
    """Whatever was said before."""
    stream, user = connection
    user.sendall(b"never mind")
    user.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    user.close()
    assert stream.has_given_up()


def test_who_speaks_and_leaves_while_we_ask_has_not_given_up(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers to our questions are of different moments."""
    stream, user = connection

    def late(*addresses: object) -> bool | None:
        if user.fileno() >= 0:
            user.sendall(b"fire and forget")
            user.close()
        return peer_has_closed(*addresses)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr("relay.links.local_peer.peer_has_closed", late)
    assert not stream.has_given_up()
    assert not stream.has_given_up()
