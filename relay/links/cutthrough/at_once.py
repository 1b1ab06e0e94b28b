"""Connects to a service on this machine without waiting: the kernel has the answer at once.

A connection over loopback stands, or is refused, when ``connect`` returns; Twisted would ask the
reactor for it all the same, for a good third of what a short connection costs.
"""

from __future__ import annotations

import errno
import functools
import ipaddress
import os
import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress

from relay.links.cutthrough.channel import PlainChannel
from relay.links.cutthrough.hub import Hub
from relay.links.cutthrough.raw import RawEnd
from relay.settings.endpoints import split_endpoint

REMEMBERED = 256


@functools.lru_cache(REMEMBERED)
def loopback_of(endpoint: str) -> tuple[str, int] | None:
    """:param endpoint: a Twisted client endpoint string
    :returns: the address and port on loopback that it stands for, and nothing else; None: it says
        more than that, or something else
    """
    parts = split_endpoint(endpoint)
    if parts.kind != "tcp" or len(parts.arguments) + len(parts.named) != 2:
        return None
    host, port = parts.argument("host", 0), parts.argument("port", 1)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if not address.is_loopback or not (port.isascii() and port.isdigit()):
        return None
    return str(address), int(port)


def connect_at_once(hub: Hub, address: tuple[str, int], protocol: Any) -> RawEnd | None:
    """Connect; ``protocol`` is not told.

    :param protocol: for the transport that is returned
    :returns: the transport; None: it cannot be had at once
    :raises OSError: when the service refuses
    """
    if not hub.is_available():
        return None
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    handle = socket.socket(family, socket.SOCK_STREAM)
    try:
        handle.setblocking(False)
        code = handle.connect_ex(address)
        if code == errno.EINPROGRESS:
            code = handle.connect_ex(address)
        if code in (errno.EALREADY, errno.EINPROGRESS, errno.EAGAIN):
            handle.close()
            return None
        if code not in (0, errno.EISCONN):
            raise OSError(code, os.strerror(code))
        ours = handle.getsockname()[:2]
        if ours == address:
            # to a port that nobody listens on, from the same port
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        handle.close()
        raise
    ends = (_address(family, *ours), _address(family, *address))
    return RawEnd(hub, PlainChannel(handle), b"", protocol, *ends)


def _address(family: int, host: str, port: int) -> IAddress:
    kind = IPv6Address if family == socket.AF_INET6 else IPv4Address
    return kind("TCP", host, port)
