"""Members of a message of network-relay, each read as what network-relay.md §3 says it is."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping

from relay.dialects.network_relay.kinds import BadBase64, TcpData
from relay.dialects.network_relay.targets import (
    LARGEST_PORT_NUMBER,
    SMALLEST_PORT_NUMBER,
    Target,
)
from relay.errors import ProtocolError

PORT_CHARACTERS = 64
"""Longest text that is read as a port."""

LARGEST_STREAM = 2**32 - 1
LARGEST_CREDIT = 2**32 - 1

# the original's validator also reads "0-1" as -1, which is no port anyway
_NUMBER = re.compile(r"[+-]?(?:0[0_]*)?[0-9](?:_?[0-9])*(?:\.0+)?")
_WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""White_Space of Unicode, around a port; ``str.strip`` takes U+001C to U+001F, too."""


class Members:
    """The members of ``inner``, each read as what it should be."""

    __slots__ = ("_values", "kind", "ours")

    def __init__(self, kind: str, values: Mapping[str, object], ours: bool) -> None:
        self.kind = kind
        self._values = values
        self.ours = ours

    def text(self, name: str) -> str:
        """:raises ProtocolError: unless it is a string"""
        value = self._values.get(name)
        if not isinstance(value, str):
            raise ProtocolError(f"{name} of {self.kind} is missing or no string")
        return value

    def optional_text(self, name: str) -> str | None:
        """:raises ProtocolError: unless it is a string, null or absent"""
        return None if self._values.get(name) is None else self.text(name)

    def port(self, name: str) -> int:
        """:raises ProtocolError: unless the original's validator takes it for an integer"""
        port = _integer(self._values.get(name))
        if port is None or not SMALLEST_PORT_NUMBER <= port <= LARGEST_PORT_NUMBER:
            raise ProtocolError(f"{name} of {self.kind} is missing or no integer of 64 bits")
        return port

    def target(self) -> Target:
        """:raises ProtocolError: as :meth:`text` and :meth:`port`"""
        return Target(self.text("target_ip"), self.port("target_port"), self.text("protocol"))

    def number(self, name: str, largest: int) -> int:
        """:raises ProtocolError: unless it is an integer from 0 to ``largest``"""
        value = self._values.get(name)
        if type(value) is not int or not 0 <= value <= largest:
            raise ProtocolError(f"{name} of {self.kind} is missing or not 0 to {largest}")
        return value

    def own_number(self, name: str, largest: int) -> int | None:
        """:returns: None where it is absent, or the peer is none of ours

        :raises ProtocolError: as :meth:`number`
        """
        return self.number(name, largest) if self.ours and name in self._values else None

    def data(self, connection_id: str) -> TcpData:
        """:raises BadBase64: when the payload cannot be decoded"""
        try:
            return TcpData(connection_id, binascii.a2b_base64(self.text("data_base64")))
        except ValueError:
            raise BadBase64(connection_id) from None


def _integer(value: object) -> int | None:
    """:returns: what the original's validator makes of it; None: it refuses it"""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        # the bound is 2**63 without rounding; NaN and infinities are no integers either
        return int(value) if abs(value) < -SMALLEST_PORT_NUMBER and value.is_integer() else None
    if not isinstance(value, str):
        return None
    digits = value.strip(_WHITE_SPACE)
    if len(digits) > PORT_CHARACTERS or _NUMBER.fullmatch(digits) is None:
        return None
    return int(digits.partition(".")[0].replace("_", ""))
