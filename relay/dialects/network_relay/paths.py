"""Where the two sides of network-relay come in, and what our own programs agree on there.

Specification: network-relay.md §2. The header is ours: originals neither send nor look at it.
"""

from __future__ import annotations

from collections.abc import Callable

from relay.vocabulary import OfferName

AGENTS = "ws_for_edge_agents"
CLIENTS = "ws_for_access_clients"

DIALECT = "network-relay"

AGREEMENT_HEADER = "X-Relay-Network-Relay"
AGREEMENT = {AGREEMENT_HEADER: "binary"}
"""In a handshake and in its 101: payload goes in binary messages, with credit and half-close."""


def is_agreed(header: Callable[[str], str | None]) -> bool:
    """:param header: of a handshake or its 101: the value of a name in lower case"""
    return header(AGREEMENT_HEADER.lower()) == AGREEMENT[AGREEMENT_HEADER]


def offer_name(agent: str) -> OfferName:
    """:returns: what an agent's registration is called in the core"""
    return OfferName(f"{DIALECT}:{agent}")
