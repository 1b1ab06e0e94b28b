"""The parsers of network-relay: all, and by the link whose messages they read."""

from __future__ import annotations

from collections.abc import Callable

from relay.dialects.network_relay.messages import (
    parse_from_agent,
    parse_from_client,
    parse_from_router_to_agent,
    parse_from_router_to_client,
)

Parse = Callable[[bytes, bool], tuple[object, ...]]

AGENT_LINK: list[Parse] = [parse_from_agent, parse_from_router_to_agent]
CLIENT_LINK: list[Parse] = [parse_from_client, parse_from_router_to_client]
PARSERS = [*AGENT_LINK, *CLIENT_LINK]
