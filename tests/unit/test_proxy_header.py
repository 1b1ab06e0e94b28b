"""The PROXY header, versions 1 and 2, whole and in pieces."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import ProtocolError
from relay.wire.proxy_header import V1_MAX_BYTES, V2, V2_MAX_BYTES, ProxyHeader, parse_proxy_header

V1_TCP4 = b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n"
V1_TCP6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 443\r\n"


def v2(command: int = 0x21, family: int = 0x11, body: bytes = b"", more: int = 0) -> bytes:
    """:param more: by how much the header's length is wrong
    :returns: a header of version 2
    """
    return V2 + struct.pack("!BBH", command, family, len(body) + more) + body


TCP4 = bytes([192, 0, 2, 7, 198, 51, 100, 1]) + struct.pack("!HH", 51234, 443)
TCP6 = bytes.fromhex("20010db8" + "00" * 11 + "07" + "20010db8" + "00" * 11 + "01") + TCP4[8:]
SOURCE4, SOURCE6 = ("192.0.2.7", 51234), ("2001:db8::7", 51234)

HEADERS = {
    "v1-tcp4": (V1_TCP4, SOURCE4),
    "v1-tcp6": (V1_TCP6, SOURCE6),
    "v1-unknown": (b"PROXY UNKNOWN\r\n", None),
    "v1-unknown-more": (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
    "v2-tcp4": (v2(body=TCP4), SOURCE4),
    "v2-tcp6": (v2(family=0x21, body=TCP6), SOURCE6),
    "v2-extensions": (v2(body=TCP4 + b"\x04\x00\x03abc"), SOURCE4),
    "v2-local": (v2(command=0x20, family=0, body=b""), None),
    "v2-local-with-addresses": (v2(command=0x20, body=TCP4), None),
    "v2-unix": (v2(family=0x31, body=bytes(216)), None),
    "v2-unspecified": (v2(family=0, body=b"anything"), None),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_of_the_specification(kind: str) -> None:
    """Whatever way it is cut, a header is complete with its last byte, and takes nothing else."""
    header, source = HEADERS[kind]
    for end in range(len(header)):
        assert parse_proxy_header(header[:end]) is None
    for rest in (b"", b"GET / HTTP/1.1\r\n"):
        assert parse_proxy_header(header + rest) == ProxyHeader(len(header), source)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"PROXX",
        b"PROXY\r\n",
        b"PROXY \r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP5 192.0.2.7 198.51.100.1 51234 443\r\n",
        b"PROXY UDP4 192.0.2.7 198.51.100.1 51234 443\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51234\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443 9\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 a 443\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 443\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 \r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 51234 443\r\n",
        b"PROXY TCP6 192.0.2.7 198.51.100.1 51234 443\r\n",
        b"PROXY TCP4 name.example 198.51.100.1 51234 443\r\n",
        b"PROXY TCP4 \xff 198.51.100.1 51234 443\r\n",
        b"PROXY UNKNOWN" + b"x" * V1_MAX_BYTES,
        V2[:-1] + b"x",
        v2(command=0x11, body=TCP4),
        v2(command=0x22, body=TCP4),
        v2(body=TCP4[:-1]),
        v2(family=0x21, body=TCP4),
        v2(more=V2_MAX_BYTES + 1),
    ],
    ids=repr,
)
def test_garbage(data: bytes) -> None:
    """What is no header, or says what cannot be, is refused as soon as that shows."""
    with pytest.raises(ProtocolError):
        parse_proxy_header(data)


@given(st.binary(max_size=64), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", V2, V2 + b"\x21"]))
def test_no_bytes_are_too_bad(tail: bytes, start: bytes) -> None:
    """Any bytes are a header, the beginning of one, or a ProtocolError."""
    try:
        parse_proxy_header(start + tail)
    except ProtocolError:
        return
