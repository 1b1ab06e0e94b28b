"""Dialect websocktunnel: any HTTP service behind NAT, at a public URL; router and host.

Source of the format: Taskcluster's public tools/websocktunnel at release v106.0.0. What of it
counts, and what we add, stands in docs/dialects/websocktunnel.rst; "websocktunnel.md", here and in
tests, is a longer specification of it that is not part of the checkout. Modules: ``paths`` where a
request goes, ``tokens`` who may register, ``settings`` keys, ``mux`` the link's conversations,
``router`` the router's face, ``host`` ours. Viewers need no client: they speak HTTP.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from relay.dialects.websocktunnel.host import run_host
from relay.dialects.websocktunnel.keys import (
    CLIENT_KEYS,
    HOST_KEYS,
    ROUTER_KEYS,
    TRAITS,
    no_client,
)
from relay.dialects.websocktunnel.router import WebsocktunnelFace, make_face
from relay.faces import IDialect
from relay.outside import IOutward
from relay.settings.model import DialectSettings, TunnelSettings
from relay.settings.schema import Key, Traits
from relay.vocabulary import Role


@implementer(IPlugin, IDialect)
class WebsocktunnelDialect:
    """The plugin."""

    name: str = "websocktunnel"
    router_keys: Sequence[Key] = ROUTER_KEYS
    tunnel_keys: ClassVar[Mapping[Role, Sequence[Key]]] = {
        Role.HOST: HOST_KEYS,
        Role.CLIENT: CLIENT_KEYS,
    }
    traits: Traits = TRAITS

    def router_face(self, settings: DialectSettings, url: str) -> WebsocktunnelFace:
        """:raises ConfigurationError: when a secret cannot be read."""
        return make_face(settings, url)

    def run(self, settings: TunnelSettings, outward: IOutward) -> Awaitable[None]:
        """Be one host; there are no clients."""
        if settings.role is Role.CLIENT:
            return no_client(settings)
        return run_host(settings, outward)


dialect = WebsocktunnelDialect()
