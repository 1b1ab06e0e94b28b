"""The header of the PROXY protocol, versions 1 and 2.

Source: haproxy, doc/proxy-protocol.txt, sections 2.1 and 2.2.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import NamedTuple

from relay.errors import ProtocolError

V1 = b"PROXY "
V1_MAX_BYTES = 107
V2 = b"\r\n\r\n\x00\r\nQUIT\n"
V2_MAX_BYTES = 16 * 1024
"""Addresses take at most 216 bytes; the rest are extensions, which nobody reads here."""

_V2_FIXED = struct.Struct("!12sBBH")
_V2_LOCAL, _V2_PROXY = 0x20, 0x21
_V2_ADDRESSES = {0x11: struct.Struct("!4s4sHH"), 0x21: struct.Struct("!16s16sHH")}
"""By family and transport: TCP over IPv4 and IPv6."""


class ProxyHeader(NamedTuple):
    """What stood before the connection's own bytes.

    :ivar length: of the header in bytes
    :ivar source: address and port of whom the proxy speaks for; None: for itself, or for somebody
        without an IP address
    """

    length: int
    source: tuple[str, int] | None


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """Read the header at the beginning of ``data``.

    Payload of version 1::

        "PROXY" SP ("TCP4" | "TCP6") SP source SP destination SP sport SP dport CR LF
        "PROXY" SP "UNKNOWN" anything CR LF

    Payload of version 2::

        uint8[12] signature, uint8 version and command, uint8 family and transport,
        uint16be length of what follows, addresses, uint16be sport, uint16be dport, extensions

    :returns: None while it is not complete
    :raises ProtocolError: for anything else
    """
    if V1.startswith(data[: len(V1)]):
        return _parse_v1(data)
    if V2.startswith(data[: len(V2)]):
        return _parse_v2(data)
    raise ProtocolError("no PROXY header came first")


def _parse_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, V1_MAX_BYTES)
    if end < 0:
        if len(data) >= V1_MAX_BYTES:
            raise ProtocolError(f"the PROXY header is over {V1_MAX_BYTES} bytes")
        return None
    length = end + 2
    fields = data[len(V1) : end].decode("latin-1").split(" ")
    if fields[0] == "UNKNOWN":
        return ProxyHeader(length, None)
    if len(fields) != 5 or fields[0] not in ("TCP4", "TCP6"):
        raise ProtocolError("the PROXY header is malformed")
    version = int(fields[0][-1])
    try:
        source, destination = (ipaddress.ip_address(text) for text in fields[1:3])
    except ValueError as error:
        raise ProtocolError("the PROXY header names no address") from error
    if source.version != version or destination.version != version:
        raise ProtocolError(f"the PROXY header names no {fields[0]} address")
    port, _ = (_port(text) for text in fields[3:])
    return ProxyHeader(length, (str(source), port))


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) > 0xFFFF:
        raise ProtocolError("the PROXY header names no port")
    return int(text)


def _parse_v2(data: bytes) -> ProxyHeader | None:
    if len(data) < _V2_FIXED.size:
        return None
    _, command, family, size = _V2_FIXED.unpack_from(data)
    if command not in (_V2_LOCAL, _V2_PROXY):
        raise ProtocolError("the PROXY header is of an unknown version or command")
    if size > V2_MAX_BYTES:
        raise ProtocolError(f"the PROXY header is over {V2_MAX_BYTES} bytes")
    length = _V2_FIXED.size + size
    if len(data) < length:
        return None
    addresses = _V2_ADDRESSES.get(family)
    if command == _V2_LOCAL or addresses is None:
        return ProxyHeader(length, None)
    if size < addresses.size:
        raise ProtocolError("the PROXY header is too short for its addresses")
    source, _, port, _ = addresses.unpack_from(data, _V2_FIXED.size)
    return ProxyHeader(length, (str(ipaddress.ip_address(source)), port))
