"""Whether the other end of a TCP connection within this machine is gone or just stopped sending.

A FIN looks the same in both cases. The kernel knows: a socket that its process has closed has no
inode any more (``idiag_inode`` of linux/inet_diag.h), one that was shut down for writing keeps it.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from typing import Any

from relay.links.sockets import was_reset

Address = tuple[str, int] | tuple[str, int, int, int]
"""As ``getsockname`` and ``getpeername`` give it for AF_INET and AF_INET6."""

# linux/netlink.h, linux/sock_diag.h
NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 1
NO_COOKIE = 0xFFFFFFFF

# net/tcp_states.h: those after a FIN was sent and before the other side sent its own
TCP_FIN_WAIT1 = 4
TCP_FIN_WAIT2 = 5

ANSWER_BYTES = 4096

_HEADER = struct.Struct("=LHHLL")
_REQUEST = struct.Struct("=BBBBL")
_PORTS = struct.Struct("!HH")
_SOCKET_END = struct.Struct("=LLL")
_ANSWER = struct.Struct("=BBBB48sLLLLL")


def peer_has_closed(family: int, local: Address, peer: Address) -> bool | None:
    """Ask after a FIN came and while our side is still open; asks the kernel once, without waiting.

    :param family: AF_INET or AF_INET6, the family of our socket
    :param local: our end of the connection
    :param peer: the other end
    :returns: True: its process has closed it for good; False: it still listens to us; None:
        unknown, for instance because the other end is on another machine or in another namespace
    """
    if sys.platform != "linux":
        return None
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG) as kernel:
            kernel.setblocking(False)
            request, ports = _question(family, peer, local)
            kernel.sendto(request, (0, 0))
            return _verdict(kernel.recv(ANSWER_BYTES), ports)
    except (OSError, ValueError):
        return None


def far_end_has_closed(transport: Any) -> bool | None:
    """:param transport: of Twisted, or what stands in for one
    :returns: as :func:`peer_has_closed`; None also where it is no TCP connection
    """
    if was_reset(transport):
        return True
    ours, theirs = transport.getHost(), transport.getPeer()
    handle = getattr(transport, "getHandle", None)
    if handle is None or not hasattr(ours, "port"):
        return None
    ends = (ours.host, ours.port), (theirs.host, theirs.port)
    return peer_has_closed(handle().family, *ends)


def _question(family: int, source: Address, destination: Address) -> tuple[bytes, bytes]:
    """The request for exactly one socket, and its ports as the answer must repeat them.

    Payload::

        nlmsghdr          uint32 length, uint16 type, uint16 flags, uint32 sequence, uint32 port id
        inet_diag_req_v2  uint8 family, uint8 protocol, uint8 extensions, uint8 pad, uint32 states
        inet_diag_sockid  uint16be sport, uint16be dport, uint8[16] source, uint8[16] destination,
                          uint32 interface, uint32[2] cookie
    """
    source_ip, destination_ip = _packed(source[0]), _packed(destination[0])
    if len(source_ip) != len(destination_ip):
        raise ValueError("the ends are of different families")
    found_family = socket.AF_INET if len(source_ip) == 4 else socket.AF_INET6
    scope = source[3] if len(source) == 4 and found_family == family else 0
    ports = _PORTS.pack(source[1], destination[1])
    body = (
        _REQUEST.pack(found_family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF)
        + ports
        + source_ip.ljust(16, b"\0")
        + destination_ip.ljust(16, b"\0")
        + _SOCKET_END.pack(scope, NO_COOKIE, NO_COOKIE)
    )
    length = _HEADER.size + len(body)
    return _HEADER.pack(length, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0) + body, ports


def _verdict(answer: bytes, ports: bytes) -> bool | None:
    """Read the answer.

    Payload::

        nlmsghdr          as above
        inet_diag_msg     uint8 family, uint8 state, uint8 timer, uint8 retransmits,
                          inet_diag_sockid, uint32 expires, rqueue, wqueue, uid, inode
    """
    if len(answer) < _HEADER.size + _ANSWER.size:
        return None
    kind = _HEADER.unpack_from(answer)[1]
    if kind != SOCK_DIAG_BY_FAMILY:
        return None
    _, state, _, _, identity, _, _, _, _, inode = _ANSWER.unpack_from(answer, _HEADER.size)
    # without such a connection the kernel answers with a listener on that port
    if identity[:4] != ports or state not in (TCP_FIN_WAIT1, TCP_FIN_WAIT2):
        return None
    return bool(inode == 0)


def _packed(host: str) -> bytes:
    """An address's bytes; those of an IPv4-mapped one are IPv4's, as in the kernel's table."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if address.version == 6 else None
    return (mapped or address).packed
