"""Addresses as texts: whether other machines reach one, and how one is written with its port."""

from __future__ import annotations

import ipaddress


def is_address(host: str) -> bool:
    """:returns: whether a host is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def unmapped(host: str) -> str:
    """:returns: the host; of an IPv4 address that came to an IPv6 socket, the IPv4 address."""
    if ":" not in host:
        return host  # a name, or IPv4 already: asked for each connection
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    mapped = address.ipv4_mapped if address.version == 6 else None
    return host if mapped is None else str(mapped)


def is_loopback(host: str) -> bool:
    """:returns: whether a host, by name or address, is out of other machines' reach.

    Of names only those count that never leave the machine (RFC 6761, section 6.3).
    """
    name = host.lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(unmapped(host)).is_loopback
    except ValueError:
        return False


def with_port(host: str, port: int | str) -> str:
    """:returns: ``HOST:PORT``, an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
