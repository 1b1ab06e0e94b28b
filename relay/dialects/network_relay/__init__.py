"""Dialect network-relay: TCP targets behind agents that are called by name; router, host, client.

Source of the format: the public project Thymis-io/http-network-relay at commit 2a49da6. What of it
counts, and what we add, stands in docs/dialects/network-relay.rst; "network-relay.md", here and in
tests, is a longer specification of it that is not part of the checkout. Modules: ``kinds`` what
messages say, ``messages`` their bytes, ``members`` how those are read, ``targets`` what is called
and allowed, ``refusals`` how a refusal reads, ``keys`` settings, ``credentials`` and ``roll`` who
may log in, ``tunnels`` an agent's link (``agents`` the router's end, ``serving`` ours), ``access``
a client's link, ``router`` the router's face, ``host`` and ``client`` ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from relay.dialects.network_relay.client import run_client
from relay.dialects.network_relay.host import run_host
from relay.dialects.network_relay.keys import CLIENT_KEYS, HOST_KEYS, ROUTER_KEYS, TRAITS
from relay.dialects.network_relay.paths import DIALECT
from relay.dialects.network_relay.router import NetworkRelayFace, make_face
from relay.faces import IDialect
from relay.outside import IOutward
from relay.settings.model import DialectSettings, TunnelSettings
from relay.settings.schema import Key, Traits
from relay.vocabulary import Role


@implementer(IPlugin, IDialect)
class NetworkRelayDialect:
    """The plugin."""

    name: str = DIALECT
    router_keys: Sequence[Key] = ROUTER_KEYS
    tunnel_keys: ClassVar[Mapping[Role, Sequence[Key]]] = {
        Role.HOST: HOST_KEYS,
        Role.CLIENT: CLIENT_KEYS,
    }
    traits: Traits = TRAITS

    def router_face(self, settings: DialectSettings, url: str) -> NetworkRelayFace:
        """:raises ConfigurationError: when the credentials cannot be read."""
        return make_face(settings)

    def run(self, settings: TunnelSettings, outward: IOutward) -> Awaitable[None]:
        """Be one host or client."""
        run = run_host if settings.role is Role.HOST else run_client
        return run(settings, outward)


dialect = NetworkRelayDialect()
