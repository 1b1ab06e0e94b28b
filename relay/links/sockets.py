"""What every relayed TCP socket gets, and what the kernel can tell of one."""

from __future__ import annotations

import socket
import sys
from typing import NamedTuple, Protocol, cast


class Keepalive(NamedTuple):
    """When the kernel asks a silent peer for a sign of life, and when it gives it up.

    :ivar idle_s: silence before the first probe
    :ivar interval_s: from probe to probe
    :ivar probes: so many without an answer end the connection
    """

    idle_s: int
    interval_s: int
    probes: int


USUAL_KEEPALIVE = Keepalive(60, 15, 4)
RAW_KEEPALIVE = Keepalive(30, 10, 3)
"""Of a connection that nobody pings: a peer that is gone is noticed within a minute."""

IN_VAIN = 3
TCP_CLOSE = 7
TCP_CLOSE_WAIT = 8
"""The states of a connection that was reset, and of one whose peer has sent its FIN
(net/tcp_states.h)."""

TCP_INFO_BYTES = 8
TCP_INFO_STATE = 0
TCP_INFO_RETRANSMITS = 2
TCP_INFO_PROBES = 3
"""Offsets in ``struct tcp_info`` (linux/tcp.h), each of a byte."""


class _Tcp(Protocol):
    def getHandle(self) -> socket.socket: ...


def _raw(transport: object) -> object:
    """:returns: the TCP transport below any TLS."""
    while True:
        below = getattr(transport, "transport", None)
        if below is None:
            return transport
        transport = below


def tune(transport: object, keepalive: Keepalive = USUAL_KEEPALIVE) -> None:
    """Set TCP_NODELAY and keepalive; other kinds of sockets are left alone."""
    raw = _raw(transport)
    if not hasattr(raw, "setTcpNoDelay"):
        return
    handle = cast(_Tcp, raw).getHandle()
    if handle.family not in (socket.AF_INET, socket.AF_INET6):
        return
    try:
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            ("TCP_KEEPIDLE", keepalive.idle_s),
            ("TCP_KEEPINTVL", keepalive.interval_s),
            ("TCP_KEEPCNT", keepalive.probes),
        ):
            if hasattr(socket, option):
                handle.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    except OSError:
        return  # the peer is gone already; the transport will say so itself


def has_unsent(transport: object) -> bool:
    """:returns: whether a peer that is there has bytes of ours to take yet.

    A peer whose machine does not even acknowledge is not there.
    """
    return unsent_bytes(transport) > 0 and not _is_unanswered(transport)


def was_reset(transport: object) -> bool:
    """:returns: whether the peer has reset the connection, which nobody hears who does not read."""
    info = _tcp_info(transport)
    return info is not None and info[TCP_INFO_STATE] == TCP_CLOSE


def has_ended(transport: object) -> bool:
    """:returns: whether the peer has said that no more follows; what it said may still be unread"""
    info = _tcp_info(transport)
    return info is not None and info[TCP_INFO_STATE] == TCP_CLOSE_WAIT


def has_failed(transport: object) -> bool:
    """:returns: whether the connection is broken, by a reset or a peer that does not answer

    The kernel tells it once: whoever asks has to end the connection.
    """
    try:
        handle = cast(_Tcp, _raw(transport)).getHandle()
        return handle.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
    except (OSError, AttributeError):
        return False


def _is_unanswered(transport: object) -> bool:
    """:returns: whether the kernel has sent the same bytes, or probes, in vain several times."""
    info = _tcp_info(transport)
    if info is None:
        return False
    return info[TCP_INFO_RETRANSMITS] >= IN_VAIN or info[TCP_INFO_PROBES] >= IN_VAIN


def _tcp_info(transport: object) -> bytes | None:
    try:
        handle = cast(_Tcp, _raw(transport)).getHandle()
        return handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    except (OSError, AttributeError):
        return None


def unsent_bytes(transport: object) -> int:
    """:returns: bytes in our buffers or Twisted's, and in the kernel's where it tells."""
    queued = getattr(transport, "queued_bytes", None)
    count = queued() if queued is not None else 0
    layer: object | None = transport
    while layer is not None:
        buffer = getattr(layer, "dataBuffer", b"")
        count += len(buffer) - getattr(layer, "offset", 0) + getattr(layer, "_tempDataLen", 0)
        layer = getattr(layer, "transport", None)
    return count + _kernel_count(transport, "TIOCOUTQ")


def unread_bytes(transport: object) -> int:
    """:returns: bytes that came and that we have not read, where the kernel tells."""
    return _kernel_count(transport, "FIONREAD")


def send_room(transport: object) -> int:
    """:returns: bytes that the kernel may take at once; :raises OSError: when the socket is gone"""
    handle = cast(_Tcp, _raw(transport)).getHandle()
    buffer = handle.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    return buffer - _kernel_count(transport, "TIOCOUTQ")


def _kernel_count(transport: object, request: str) -> int:
    try:
        import fcntl
        import termios

        handle = cast(_Tcp, _raw(transport)).getHandle()
        answer = fcntl.ioctl(handle.fileno(), getattr(termios, request), b"\0\0\0\0")
    except (ImportError, OSError, AttributeError, ValueError):
        return 0
    return int.from_bytes(answer, sys.byteorder)
