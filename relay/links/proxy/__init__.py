"""Connections through an upstream proxy, HTTP or SOCKS5."""

from relay.links.proxy.endpoint import ProxyEndpoint
from relay.links.proxy.negotiation import Proxy

__all__ = ["Proxy", "ProxyEndpoint"]
