"""Whose word on a caller's address is believed."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from relay.addresses import is_address, unmapped
from relay.http import Request


class TrustedProxies:
    """Networks whose ``X-Forwarded-For`` counts.

    :param networks: addresses or networks in CIDR form
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self.networks = tuple(
            ipaddress.ip_network(unmapped(text), strict=False) for text in networks
        )

    def believed_peer(self, peer: str, request: Request) -> str:
        """Walk ``X-Forwarded-For`` from the right for as long as trusted proxies report.

        :param peer: the address that connected
        :returns: the first address that no trusted proxy vouches beyond
        """
        believed = unmapped(peer)
        if not self.networks or not self.is_trusted(believed):
            return believed
        chain = [
            hop.strip()
            for name, value in request.headers
            if name == "x-forwarded-for"
            for hop in value.split(",")
        ]
        for hop in reversed(chain):
            if not is_address(hop):
                return believed
            believed = unmapped(hop)
            if not self.is_trusted(believed):
                return believed
        return believed

    def is_trusted(self, text: str) -> bool:
        """:returns: whether ``text`` is the address of a listed proxy."""
        try:
            address = ipaddress.ip_address(unmapped(text))
        except ValueError:
            return False
        return any(address in network for network in self.networks)
